//! Runs the cases of `tests/recorded/*.txt`, each in an account of its own.
//!
//! ```text
//! case <title>
//! do <statement that succeeds>
//! ask <query>              then its rows, one `= cell|cell` a line
//! names <query>            then its columns, `= NAME|NAME`
//! list <column,…> <SHOW>   then these columns of its rows
//! refuse <statement>       then the whole message, `\n` for a line break; `refuse~`: a part of it
//! ```

use crate::world::{World, attempt, refused};

struct Step<'a> {
    line: usize,
    verb: &'a str,
    text: &'a str,
    expected: Vec<&'a str>,
}

struct Case<'a> {
    title: &'a str,
    steps: Vec<Step<'a>>,
}

fn cases(file: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for (line, text) in (1..).zip(file.lines()) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (verb, rest) = text.split_once(' ').unwrap_or((text, ""));
        match verb {
            "case" => cases.push(Case { title: rest, steps: Vec::new() }),
            "=" => cases.last_mut().unwrap().steps.last_mut().unwrap().expected.push(rest),
            "do" | "ask" | "names" | "list" | "refuse" | "refuse~" => {
                cases.last_mut().unwrap().steps.push(Step { line, verb, text: rest, expected: Vec::new() });
            }
            other => panic!("line {line}: no such step: {other}"),
        }
    }
    cases
}

async fn play(case: &Case<'_>) -> Result<(), String> {
    let world = World::new();
    let mut session = world.session().await;
    for step in &case.steps {
        let came = match step.verb {
            "refuse" | "refuse~" => {
                let message = refused(&mut session, step.text).await.message.replace('\n', "\\n");
                let [expected] = step.expected.as_slice() else {
                    return Err(format!("line {}: one message", step.line));
                };
                let fits = if step.verb == "refuse" { message == *expected } else { message.contains(expected) };
                match fits {
                    true => continue,
                    false => vec![message],
                }
            }
            "list" => {
                let (wanted, sql) = step.text.split_once(' ').unwrap();
                let (columns, rows) =
                    attempt(&mut session, sql).await.map_err(|e| format!("line {}: {e}", step.line))?;
                let places: Vec<usize> = wanted
                    .split(',')
                    .map(|name| {
                        columns.iter().position(|column| column.name == name).unwrap_or_else(|| panic!("no {name}"))
                    })
                    .collect();
                let pick = |row: &Vec<String>| places.iter().map(|at| row[*at].as_str()).collect::<Vec<_>>().join("|");
                rows.iter().map(pick).collect()
            }
            verb => {
                let (columns, rows) =
                    attempt(&mut session, step.text).await.map_err(|error| format!("line {}: {error}", step.line))?;
                match verb {
                    "do" => continue,
                    "names" => vec![columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join("|")],
                    _ => rows.iter().map(|row| row.join("|")).collect(),
                }
            }
        };
        if came != step.expected {
            return Err(format!("line {}: {}\n    came {came:?}\nexpected {:?}", step.line, step.text, step.expected));
        }
    }
    Ok(())
}

async fn play_all(name: &str, file: &str) {
    let cases = cases(file);
    assert!(!cases.is_empty(), "{name} has no cases");
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(failure) = play(case).await {
            failures.push(format!("{}: {failure}", case.title));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases of {name}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[tokio::test]
async fn streams_on_tables() {
    play_all("tables.txt", include_str!("../recorded/tables.txt")).await;
}

#[tokio::test]
async fn streams_on_views() {
    play_all("views.txt", include_str!("../recorded/views.txt")).await;
}

#[tokio::test]
async fn streams_on_other_kinds() {
    play_all("kinds.txt", include_str!("../recorded/kinds.txt")).await;
}
