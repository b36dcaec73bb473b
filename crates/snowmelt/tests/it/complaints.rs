//! The document of complaints names tests; each of them exists and is a test.

use std::path::Path;

/// The document.
const COMPLAINTS: &str = include_str!("../../../../docs/complaints.md");

/// Why `file` has no test called `name`, or nothing.
fn missing(file: &str, name: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = if file.starts_with("conformance/") { root } else { root.join("crates") };
    let Ok(text) = std::fs::read_to_string(folder.join(file)) else { return Some(format!("{file} does not exist")) };
    if file.ends_with(".py") {
        return (!text.contains(&format!("def {name}("))).then(|| format!("{file} has no {name}"));
    }
    let mut lines = text.lines().rev().skip_while(|line| !line.contains(&format!("fn {name}(")));
    if lines.next().is_none() {
        return Some(format!("{file} has no {name}"));
    }
    let attributes =
        lines.take_while(|line| line.trim().starts_with("#[") || line.trim().starts_with("//")).collect::<Vec<_>>();
    let is_test = attributes.iter().any(|line| line.contains("#[test]") || line.contains("#[tokio::test"));
    (!is_test).then(|| format!("{name} of {file} is no test"))
}

#[test]
fn every_test_that_is_named_there_exists() {
    let quoted = |line: &'static str| line.split('`').skip(1).step_by(2);
    let rows: Vec<&str> =
        COMPLAINTS.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| #")).collect();
    let mut named = 0;
    let mut wrong = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        assert!(row.starts_with(&format!("| {number} |")), "the rows are counted: {row}");
        let tests = quoted(row).filter_map(|text| text.split_once("::"));
        for (file, name) in tests {
            named += 1;
            wrong.extend(missing(file, name));
        }
    }
    assert_eq!(rows.len(), 34);
    assert!(named >= 34, "only {named} tests are named");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(missing("snowmelt/tests/it/complaints.rs", "no_such_test").is_some());
    assert!(missing("snowmelt/tests/it/complaints.rs", "missing").is_some(), "a function that is no test");
}
