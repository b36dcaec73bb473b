//! Random histories against a model that knows nothing but row ids: tables and streams must agree.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::world::{World, run, sorted};

#[derive(Debug, Clone)]
enum Step {
    Insert(u8, u8),
    Update(u8, u8),
    ChangeKey(u8, u8),
    Delete(u8),
    Merge(u8, u8),
    Truncate,
    Begin,
    Commit,
    Rollback,
    Consume,
}

fn step() -> impl Strategy<Value = Step> {
    let id = 0_u8..6;
    let value = 0_u8..3;
    prop_oneof![
        4 => (id.clone(), value.clone()).prop_map(|(id, value)| Step::Insert(id, value)),
        4 => (id.clone(), value.clone()).prop_map(|(id, value)| Step::Update(id, value)),
        2 => (id.clone(), id.clone()).prop_map(|(from, to)| Step::ChangeKey(from, to)),
        3 => id.clone().prop_map(Step::Delete),
        3 => (id, value).prop_map(|(id, value)| Step::Merge(id, value)),
        1 => Just(Step::Truncate),
        1 => Just(Step::Begin),
        1 => Just(Step::Commit),
        1 => Just(Step::Rollback),
        2 => Just(Step::Consume),
    ]
}

type Rows = BTreeMap<u64, (u8, u8)>;

/// The table as rows under ids that only the model sees.
#[derive(Debug, Clone, Default)]
struct Model {
    rows: Rows,
    next: u64,
}

impl Model {
    fn apply(&mut self, step: &Step) {
        match step {
            Step::Insert(id, value) => {
                self.rows.insert(self.next, (*id, *value));
                self.next += 1;
            }
            Step::Update(id, value) => {
                for row in self.rows.values_mut().filter(|row| row.0 == *id) {
                    row.1 = *value;
                }
            }
            Step::ChangeKey(from, to) => {
                for row in self.rows.values_mut().filter(|row| row.0 == *from) {
                    row.0 = *to;
                }
            }
            Step::Delete(id) => self.rows.retain(|_, row| row.0 != *id),
            Step::Merge(id, value) => match self.rows.values().any(|row| row.0 == *id) {
                true => self.apply(&Step::Update(*id, *value)),
                false => self.apply(&Step::Insert(*id, *value)),
            },
            Step::Truncate => self.rows.clear(),
            _ => {}
        }
    }
}

fn sql(step: &Step) -> String {
    match step {
        Step::Insert(id, value) => format!("INSERT INTO t VALUES ({id}, {value})"),
        Step::Update(id, value) => format!("UPDATE t SET v = {value} WHERE id = {id}"),
        Step::ChangeKey(from, to) => format!("UPDATE t SET id = {to} WHERE id = {from}"),
        Step::Delete(id) => format!("DELETE FROM t WHERE id = {id}"),
        Step::Merge(id, value) => format!(
            "MERGE INTO t USING (SELECT {id} AS id, {value} AS v) n ON t.id = n.id \
             WHEN MATCHED THEN UPDATE SET v = n.v WHEN NOT MATCHED THEN INSERT VALUES (n.id, n.v)"
        ),
        Step::Truncate => "TRUNCATE TABLE t".to_owned(),
        Step::Begin => "BEGIN".to_owned(),
        Step::Commit => "COMMIT".to_owned(),
        Step::Rollback => "ROLLBACK".to_owned(),
        Step::Consume => "INSERT INTO sink SELECT id, v FROM s WHERE 1 = 0".to_owned(),
    }
}

fn expected(before: &Rows, after: &Rows) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, old) in before {
        match after.get(id) {
            None => lines.push(format!("DELETE|false|{}|{}", old.0, old.1)),
            Some(new) if new != old => {
                lines.push(format!("DELETE|true|{}|{}", old.0, old.1));
                lines.push(format!("INSERT|true|{}|{}", new.0, new.1));
            }
            Some(_) => {}
        }
    }
    let new = after.iter().filter(|(id, _)| !before.contains_key(id));
    lines.extend(new.map(|(_, row)| format!("INSERT|false|{}|{}", row.0, row.1)));
    lines.sort();
    lines
}

async fn replay(history: &[Step]) {
    let world = World::new();
    let mut s = world.session().await;
    let mut watcher = world.session().await;
    run(&mut s, "CREATE TABLE t (id INT, v INT)").await;
    run(&mut s, "CREATE TABLE sink (id INT, v INT)").await;
    run(&mut s, "CREATE STREAM s ON TABLE t").await;
    let mut committed = Model::default();
    let mut consumed = Rows::new();
    // Inside a transaction: its own state, the state at its start, whether it consumed the stream.
    let mut open: Option<(Model, Rows, bool)> = None;
    for step in history {
        run(&mut s, &sql(step)).await;
        match (step, &mut open) {
            (Step::Begin, None) => open = Some((committed.clone(), committed.rows.clone(), false)),
            (Step::Commit, Some((own, start, read))) => {
                if *read {
                    consumed.clone_from(start);
                }
                committed = own.clone();
                open = None;
            }
            (Step::Rollback, Some((own, _, _))) => {
                committed.next = own.next;
                open = None;
            }
            // TRUNCATE is a DDL: it commits what is open, then itself.
            (Step::Truncate, Some((own, start, read))) => {
                if *read {
                    consumed.clone_from(start);
                }
                committed = own.clone();
                committed.apply(step);
                open = None;
            }
            (Step::Consume, Some((_, _, read))) => *read = true,
            (Step::Consume, None) => consumed = committed.rows.clone(),
            (step, Some((own, _, _))) => own.apply(step),
            (step, None) => committed.apply(step),
        }
        let shown = |rows: &Rows| {
            let mut lines: Vec<String> = rows.values().map(|row| format!("{}|{}", row.0, row.1)).collect();
            lines.sort();
            lines
        };
        let own = open.as_ref().map_or(&committed.rows, |(own, _, _)| &own.rows);
        assert_eq!(sorted(&mut s, "SELECT * FROM t").await, shown(own), "own view after {step:?}");
        assert_eq!(sorted(&mut watcher, "SELECT * FROM t").await, shown(&committed.rows), "after {step:?}");
        let delta = sorted(&mut watcher, "SELECT METADATA$ACTION, METADATA$ISUPDATE, id, v FROM s").await;
        assert_eq!(delta, expected(&consumed, &committed.rows), "stream after {step:?}");
    }
}

#[test]
fn streams_and_tables_agree_with_the_model() {
    let config = Config { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(config);
    runner
        .run(&prop::collection::vec(step(), 1..25), |history| {
            runtime.block_on(replay(&history));
            Ok(())
        })
        .unwrap();
}
