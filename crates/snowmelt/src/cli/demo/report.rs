//! What the demo says at its end, for people and for machines.

use serde::Serialize;

use super::board::{Figures, percentile};
use super::ledger::Findings;
use super::paint::{Line, Paint};

/// Everything there is to say.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The writer's seed.
    pub(super) seed: u64,
    /// How long the publisher carried.
    pub(super) seconds: f64,
    /// Events that arrived at the consumer.
    pub(super) events: u64,
    /// Staged rows behind them; an update is two.
    pub(super) rows: u64,
    /// Rows a second.
    pub(super) rows_per_second: u64,
    /// Batches.
    pub(super) batches: u64,
    /// Times a capture started again from its checkpoint.
    pub(super) restarts: u64,
    /// Statements that changed the tables.
    pub(super) statements: u64,
    /// Rows those statements touched.
    pub(super) changes: u64,
    /// Statements that Snowflake ran, of writer, publisher and the demo's own looks.
    pub(super) snowflake_statements: u64,
    /// Those of them that used a warehouse.
    pub(super) warehouse_statements: u64,
    /// Milliseconds from statement to consumer that half of the changes stayed within.
    pub(super) lag_ms_p50: Option<u64>,
    /// Milliseconds from statement to consumer that 99 of 100 changes stayed within.
    pub(super) lag_ms_p99: Option<u64>,
    /// Rows in the tables.
    pub(super) table_rows: u64,
    /// Table rows missing or different in Kafka, rows in Kafka that no table has, and broken chains.
    pub(super) lost: u64,
    /// Events that arrived a second time.
    pub(super) repeated: u64,
    /// Neither.
    pub(super) ok: bool,
    /// The first offences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) offences: Vec<String>,
}

/// What is said for machines when there is nothing to compare.
#[derive(Debug, Serialize)]
pub(super) struct Broken<'a> {
    pub(super) seed: u64,
    pub(super) ok: bool,
    pub(super) problem: &'a str,
}

/// What the publisher and Snowflake counted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    pub(super) rows: u64,
    pub(super) batches: u64,
    pub(super) restarts: u64,
    pub(super) snowflake_statements: u64,
    pub(super) warehouse_statements: u64,
}

impl Report {
    /// Puts together what was found and counted.
    pub(super) fn new(
        seed: u64,
        took: std::time::Duration,
        figures: &Figures,
        counted: Counted,
        findings: Findings,
    ) -> Self {
        let lags = figures.tables.iter().map(|table| &table.lag);
        let millis = took.as_millis().max(1);
        Self {
            seed,
            seconds: (took.as_secs_f64() * 10.0).round() / 10.0,
            events: findings.events,
            rows: counted.rows,
            rows_per_second: u64::try_from(u128::from(counted.rows) * 1000 / millis).unwrap_or(u64::MAX),
            batches: counted.batches,
            restarts: counted.restarts,
            statements: figures.statements,
            changes: figures.changes,
            snowflake_statements: counted.snowflake_statements,
            warehouse_statements: counted.warehouse_statements,
            lag_ms_p50: percentile(lags.clone(), 50),
            lag_ms_p99: percentile(lags, 99),
            table_rows: findings.rows,
            lost: findings.lost,
            repeated: findings.repeated,
            ok: findings.ok(),
            offences: findings.offences,
        }
    }

    /// For people.
    pub(super) fn lines(&self) -> Vec<Line> {
        let paint = |count: u64| if count == 0 { Paint::Green } else { Paint::Red };
        let mut lines = vec![
            Line::default(),
            Line::of(paint(self.lost), format!("lost {}", thousands(self.lost)))
                .and(Paint::Plain, " · ")
                .and(paint(self.repeated), format!("repeated {}", thousands(self.repeated))),
            Line::default(),
        ];
        let say = |text: String| Line::of(Paint::Plain, text);
        if self.ok {
            let rows = thousands(self.table_rows);
            lines.push(say(format!(
                "  Folded by key, Kafka and the tables are equal in all {rows} rows, and every event's"
            )));
            lines.push(say("  `before` is the row its key had.".to_owned()));
        }
        lines.extend(self.offences.iter().map(|offence| Line::of(Paint::Red, format!("  {offence}"))));
        lines.push(Line::default());
        let figure = |name: &str, text: String| Line::of(Paint::Dim, format!("  {name:<10} ")).and(Paint::Plain, text);
        lines.push(figure(
            "events",
            format!(
                "{} from {} staged rows in {} batches, {} rows/s",
                thousands(self.events),
                thousands(self.rows),
                thousands(self.batches),
                thousands(self.rows_per_second)
            ),
        ));
        if let (Some(half), Some(most)) = (self.lag_ms_p50, self.lag_ms_p99) {
            let text = format!(
                "{} ms from statement to consumer for half of them, {} ms for 99 %",
                thousands(half),
                thousands(most)
            );
            lines.push(figure("lag", text));
        }
        lines.push(figure(
            "written",
            format!(
                "{} rows by {} statements, seed {}",
                thousands(self.changes),
                thousands(self.statements),
                self.seed
            ),
        ));
        lines.push(figure(
            "Snowflake",
            format!(
                "ran {} statements, {} of them on a warehouse",
                thousands(self.snowflake_statements),
                thousands(self.warehouse_statements)
            ),
        ));
        lines
    }
}

/// Where to go from here.
pub(super) fn next_steps() -> Vec<Line> {
    let step = |command: &str, text: &str| Line::of(Paint::Bold, format!("  {command:<20} ")).and(Paint::Plain, text);
    vec![
        Line::default(),
        Line::of(Paint::Plain, "Next"),
        step("snowmelt sim", "the simulated Snowflake and a Kafka, for your own clients"),
        step("docs/quickstart.md", "your first table, from your own account"),
    ]
}

/// 1,234,567.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567"), (100_000, "100,000")]
        {
            assert_eq!(thousands(number), text);
        }
    }

    #[test]
    fn the_verdict_is_the_first_thing_said_and_offences_are_named() {
        let findings =
            Findings { events: 5, rows: 2, lost: 1, repeated: 2, offences: vec!["ORDERS a is gone".to_owned()] };
        let report =
            Report::new(1, std::time::Duration::from_secs(2), &Figures::default(), Counted::default(), findings);
        assert!(!report.ok);
        let text: Vec<String> = report.lines().iter().map(Line::text).collect();
        assert_eq!(text[1], "lost 1 · repeated 2");
        assert!(text.iter().any(|line| line.contains("ORDERS a is gone")));
        assert!(!text.iter().any(|line| line.contains("are equal")));
    }
}
