//! What a day of many tables of which few change costs: the publisher in several settings, and a program that selects
//! from every stream each minute.
//!
//! `cargo bench --bench idle_cost -- [TABLESxCHANGES[xHOURS]]` (default `50x3x24`: 50 tables, of which 3 change in each of
//! 24 hours). Simulated is the passing of time; see `tests/it/day.rs`. Nothing is asserted.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up has nothing to say")]

use std::time::{Duration, Instant};

#[path = "../tests/it/day.rs"]
mod day;

use day::{Plan, carry, poll_each_minute};

const POLLS: [(&str, &str); 5] = [
    ("as it comes, `interval = \"1m\"`", "interval = \"1m\""),
    ("`freshness = \"5m\"`", "interval = \"10s\"\nfreshness = \"5m\""),
    ("`freshness = \"15m\"`", "interval = \"10s\"\nfreshness = \"15m\""),
    ("`freshness = \"1h\"`", "interval = \"10s\"\nfreshness = \"1h\""),
    (
        "`freshness = \"5m\"`, `max_warehouse_seconds_per_hour = 100`",
        "interval = \"10s\"\nfreshness = \"5m\"\nmax_warehouse_seconds_per_hour = 100",
    ),
];

fn main() {
    let asked = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_else(|| "50x3x24".to_owned());
    let numbers: Vec<usize> = asked.split('x').filter_map(|number| number.parse().ok()).collect();
    let [tables, changes, ref more @ ..] = numbers[..] else { panic!("{asked} is not TABLESxCHANGES[xHOURS]") };
    let hours = more.first().copied().unwrap_or(24);
    let plan = |poll: &str| Plan {
        tables,
        changes,
        hours: u32::try_from(hours).unwrap_or(24),
        settings: format!("[staleness]\ninterval = \"24h\"\n[poll]\n{poll}"),
        table: String::new(),
        warehouse: "WAREHOUSE_SIZE = XSMALL AUTO_SUSPEND = 60".to_owned(),
        seed: 1,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    println!(
        "| | statements | on the warehouse | wakes | billed s | credits | estimated credits | age of a change, half / 99 % / most | arrived | most waiting: for others, for the budget | real s |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (name, poll) in POLLS {
        let began = Instant::now();
        let day = runtime.block_on(carry(&plan(poll)));
        let estimated = day.sum(|capture| capture.cost.estimated_credits_24h.unwrap_or_default());
        println!(
            "| {name} | {} | {} | {} | {} | {:.2} | {estimated:.2} | {} / {} / {} | {} of {} | {}, {} | {:.0} |",
            day.statements,
            day.billed.statements,
            day.billed.resumes,
            day.billed.billed_seconds,
            day.billed.credits,
            minutes(day.age(0.5)),
            minutes(day.age(0.99)),
            minutes(day.age(1.0)),
            day.ages.len(),
            changes * hours,
            day.waited[0],
            day.waited[1],
            began.elapsed().as_secs_f64(),
        );
    }
    let began = Instant::now();
    let poller = runtime.block_on(poll_each_minute(&plan("")));
    println!(
        "| a SELECT from each stream every minute | {0} | {0} | {1} | {2} | {3:.2} | – | – | – | – | {4:.0} |",
        poller.statements,
        poller.resumes,
        poller.billed_seconds,
        poller.credits,
        began.elapsed().as_secs_f64(),
    );
}

fn minutes(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}
