//! The publisher's figures in Prometheus's text format 0.0.4, from the status of its captures. docs/operations.md lists
//! them.

use std::fmt::Write as _;
use std::time::Instant;

use crate::status::{CaptureStatus, State, Status, now_ms};

/// Every state, so that a rule can ask for one that no table is in.
const STATES: [&str; 8] = ["resuming", "delivering", "idle", "waiting", "retrying", "halted", "fenced", "stopped"];

fn state(state: &State) -> &'static str {
    match state {
        State::Resuming => "resuming",
        State::Delivering { .. } => "delivering",
        State::Idle => "idle",
        State::Waiting { .. } => "waiting",
        State::Retrying { .. } => "retrying",
        State::Halted { .. } => "halted",
        State::Fenced { .. } => "fenced",
        State::Stopped => "stopped",
    }
}

/// A family of one figure for each table; tables that have none are left out.
struct Family {
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    figure: fn(&CaptureStatus) -> Option<f64>,
}

#[expect(clippy::cast_precision_loss, reason = "the text format has floating point numbers only")]
const FAMILIES: &[Family] = &[
    Family {
        name: "events_total",
        kind: "counter",
        help: "Events committed to Kafka, without tombstones.",
        figure: |status| Some(status.events as f64),
    },
    Family {
        name: "dead_letters_total",
        kind: "counter",
        help: "Events that went to the dead-letter topic.",
        figure: |status| Some(status.dead_letters as f64),
    },
    Family {
        name: "rows_total",
        kind: "counter",
        help: "Staged rows whose events are committed.",
        figure: |status| Some(status.rows as f64),
    },
    Family {
        name: "bytes_total",
        kind: "counter",
        help: "Bytes of keys, values and headers committed.",
        figure: |status| Some(status.bytes as f64),
    },
    Family {
        name: "commits_total",
        kind: "counter",
        help: "Kafka transactions committed.",
        figure: |status| Some(status.commits as f64),
    },
    Family {
        name: "batches_total",
        kind: "counter",
        help: "Batches that are whole in Kafka.",
        figure: |status| Some(status.batches as f64),
    },
    Family {
        name: "restarts_total",
        kind: "counter",
        help: "Times the table started again from its checkpoint.",
        figure: |status| Some(status.restarts as f64),
    },
    Family {
        name: "snapshots_total",
        kind: "counter",
        help: "Snapshots that were ordered, or made because a stream was lost.",
        figure: |status| Some(status.snapshots as f64),
    },
    Family {
        name: "lag_seconds",
        kind: "gauge",
        help: "From staging to commit of the last slice.",
        figure: |status| status.lag_ms.map(|lag| lag as f64 / 1e3),
    },
    Family {
        name: "last_commit_timestamp_seconds",
        kind: "gauge",
        help: "When the last slice was committed, in seconds since 1970.",
        figure: |status| status.last_commit.map(|at| now_ms() as f64 / 1e3 - seconds_since(at)),
    },
    Family {
        name: "stale_after_timestamp_seconds",
        kind: "gauge",
        help: "When the stream may go stale by Snowflake's forecast, in seconds since 1970.",
        figure: |status| status.stale_after_ms.map(|at| at as f64 / 1e3),
    },
    Family {
        name: "stale_soon",
        kind: "gauge",
        help: "1 when that is sooner than staleness.warn_before.",
        figure: |status| Some(f64::from(u8::from(status.stale_soon))),
    },
];

fn seconds_since(at: Instant) -> f64 {
    at.elapsed().as_secs_f64()
}

/// All of it.
#[must_use]
pub fn text(status: &Status) -> String {
    let tables = status.snapshot();
    let mut text = String::new();
    let head = |text: &mut String, name: &str, kind: &str, help: &str| {
        let _ = writeln!(text, "# HELP snowmelt_{name} {help}\n# TYPE snowmelt_{name} {kind}");
    };
    head(&mut text, "table_state", "gauge", "1 for the state the table is in, 0 for the others.");
    for (table, status) in &tables {
        for other in STATES {
            let is = u8::from(state(&status.state) == other);
            let _ = writeln!(text, "snowmelt_table_state{{table={},state=\"{other}\"}} {is}", quoted(table));
        }
    }
    for Family { name, kind, help, figure } in FAMILIES {
        head(&mut text, name, kind, help);
        for (table, status) in &tables {
            if let Some(figure) = figure(status) {
                let labels = format!("table={},topic={}", quoted(table), quoted(&status.topic));
                let _ = writeln!(text, "snowmelt_{name}{{{labels}}} {figure}");
            }
        }
    }
    text
}

/// A label's value: identifiers of Snowflake may hold anything.
fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_any_name_has_each_figure_on_a_line_of_its_own() {
        let status = Status::default();
        status.add("DB.S.\"odd \"\"name\"\"\n\\\"", "topic", None);
        let text = text(&status);
        let labels = r#"table="DB.S.\"odd \"\"name\"\"\n\\\"""#;
        assert!(text.contains(&format!("snowmelt_events_total{{{labels},topic=\"topic\"}} 0\n")), "{text}");
        assert!(text.contains(&format!("snowmelt_table_state{{{labels},state=\"resuming\"}} 1\n")), "{text}");
        assert!(text.contains(&format!("snowmelt_table_state{{{labels},state=\"idle\"}} 0\n")), "{text}");
        // Nothing was committed, so nothing is said of it.
        assert!(!text.contains("snowmelt_lag_seconds{"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let value = line.rsplit_once(' ').unwrap().1;
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
    }
}
