//! The text of the live view.

use std::time::Duration;

use crate::cli::demo::board::{Figures, LATEST, Phase, percentile};
use crate::cli::demo::event::{Event, Op};
use crate::cli::demo::paint::{Line, Paint};
use crate::cli::demo::report::thousands;
use crate::cli::demo::shop::{TABLES, Table};
use crate::status::{CaptureStatus, State};

/// What moves.
pub(super) struct Moving<'a> {
    pub(super) figures: &'a Figures,
    pub(super) captures: [Option<&'a CaptureStatus>; TABLES.len()],
    /// Rows a second.
    pub(super) rates: [u64; TABLES.len()],
    pub(super) elapsed: Duration,
    pub(super) until: Option<Duration>,
}

/// The block, for a terminal of `height` rows.
pub(super) fn block(moving: &Moving<'_>, height: usize) -> Vec<Line> {
    let mut lines = vec![
        Line::default(),
        Line::of(
            Paint::Dim,
            format!(
                "  {:<10} {:<16} {:>9} {:>12} {:>10} {:>10}",
                "TABLE", "STATE", "BATCHES", "EVENTS", "ROWS/S", "LAG"
            ),
        ),
    ];
    for (index, table) in TABLES.iter().enumerate() {
        lines.push(row(moving, index, table));
    }
    // What is drawn must fit, or the terminal scrolls and the next block is drawn in the wrong place.
    let room = height.saturating_sub(lines.len() + 5).min(LATEST);
    if room > 0 {
        lines.extend([Line::default(), Line::of(Paint::Dim, "  some of what arrives at a read_committed consumer")]);
        let skipped = moving.figures.latest.len().saturating_sub(room);
        let mut shown = moving.figures.latest.iter().skip(skipped);
        // Always as many lines, so that what is below does not jump.
        lines.extend((0..room).map(|_| shown.next().map(|(index, event)| happened(*index, event)).unwrap_or_default()));
    }
    lines.extend([Line::default(), footer(moving)]);
    lines
}

/// One table's line.
fn row(moving: &Moving<'_>, index: usize, table: &Table) -> Line {
    let capture = moving.captures.get(index).copied().flatten();
    let (paint, state) = capture.map_or((Paint::Dim, "starting".to_owned()), state);
    let figures = moving.figures.tables.get(index);
    let lag = figures.and_then(|figures| figures.lag.now()).map_or_else(|| "-".to_owned(), millis);
    Line::of(Paint::Bold, format!("  {:<10} ", table.name)).and(paint, format!("{state:<16} ")).and(
        Paint::Plain,
        format!(
            "{:>9} {:>12} {:>10} {lag:>10}",
            thousands(capture.map_or(0, |capture| capture.batches)),
            thousands(figures.map_or(0, |figures| figures.events)),
            thousands(moving.rates.get(index).copied().unwrap_or_default()),
        ),
    )
}

fn state(capture: &CaptureStatus) -> (Paint, String) {
    match &capture.state {
        State::Resuming => (Paint::Dim, "starting".to_owned()),
        State::Delivering { initial: true, .. } => (Paint::Green, "initial rows".to_owned()),
        State::Delivering { batch, .. } => (Paint::Green, format!("batch {}", thousands(*batch))),
        State::Idle => (Paint::Dim, "idle".to_owned()),
        State::Waiting { .. } => (Paint::Dim, "waiting".to_owned()),
        State::Retrying { .. } => (Paint::Yellow, "trying again".to_owned()),
        State::Halted { .. } => (Paint::Red, "halted".to_owned()),
        State::Fenced { .. } => (Paint::Red, "fenced".to_owned()),
        State::Stopped => (Paint::Dim, "stopped".to_owned()),
    }
}

/// One event: `u CUSTOMERS  17  credit 12.50 → 13.75`.
fn happened(index: usize, event: &Event) -> Line {
    let Some(table) = TABLES.get(index) else { return Line::default() };
    let paint = match event.op {
        Op::Create | Op::Read => Paint::Green,
        Op::Update => Paint::Yellow,
        Op::Delete => Paint::Red,
    };
    let line = Line::of(paint, format!("  {} ", event.op.letter()))
        .and(Paint::Plain, format!("{:<10} ", table.name))
        .and(Paint::Bold, format!("{:<9}  ", short(&event.key)));
    let words: Vec<String> = match (&event.before, &event.after) {
        (Some(before), Some(after)) => {
            let changed = |&column: &usize| before.get(column) != after.get(column);
            let others = table.columns.len() - usize::from(before.get(table.stamp) != after.get(table.stamp));
            let stamp_alone = before.iter().zip(after.iter()).filter(|(old, new)| old == new).count() == others;
            (1..table.columns.len())
                .filter(changed)
                // That a change was stamped goes without saying, unless there is nothing else to say.
                .filter(|&column| column != table.stamp || stamp_alone)
                .map(|column| {
                    format!("{} {} → {}", name(table, column), cell(before.get(column)), cell(after.get(column)))
                })
                .collect()
        }
        (None, Some(row)) => (1..table.columns.len())
            .filter(|&column| column != table.stamp)
            .map(|column| format!("{} {}", name(table, column), cell(row.get(column))))
            .collect(),
        _ => Vec::new(),
    };
    line.and(if event.op == Op::Update { Paint::Plain } else { Paint::Dim }, words.join(", "))
}

fn name(table: &Table, column: usize) -> String {
    table.columns.get(column).map(|column| column.name.to_lowercase()).unwrap_or_default()
}

fn cell(cell: Option<&Option<Box<str>>>) -> &str {
    cell.and_then(Option::as_deref).unwrap_or("null")
}

/// A key as wide as a number: a UUID's first eight digits stand for it.
fn short(key: &str) -> String {
    match key.char_indices().nth(8) {
        Some((end, _)) if key.len() > 9 => format!("{}…", key.get(..end).unwrap_or(key)),
        _ => key.to_owned(),
    }
}

fn footer(moving: &Moving<'_>) -> Line {
    let figures = moving.figures;
    let elapsed = match moving.until {
        Some(until) => format!("{} of {} s", moving.elapsed.as_secs().min(until.as_secs()), until.as_secs()),
        None => format!("{} s", moving.elapsed.as_secs()),
    };
    let so_far = format!("{} statements, {} rows changed", thousands(figures.statements), thousands(figures.changes));
    match figures.phase {
        Phase::Starting => Line::of(Paint::Dim, "  making the shop …"),
        Phase::Running => {
            Line::of(Paint::Plain, format!("  {elapsed} · {so_far}")).and(Paint::Dim, " · Ctrl-C ends it and compares")
        }
        Phase::Draining => Line::of(Paint::Yellow, "  no more changes; the last ones are on their way …")
            .and(Paint::Dim, " Ctrl-C stops at once"),
        Phase::Ended => Line::of(Paint::Dim, format!("  {elapsed} · {so_far}")),
        Phase::Comparing => Line::of(Paint::Yellow, "  comparing what arrived with the tables, row by row …"),
    }
}

/// The same in one line.
pub(super) fn plain(moving: &Moving<'_>) -> String {
    let tables = TABLES.iter().enumerate().map(|(index, table)| {
        let capture = moving.captures.get(index).copied().flatten();
        let state = capture.map_or_else(|| "starting".to_owned(), |capture| state(capture).1);
        let events = moving.figures.tables.get(index).map_or(0, |figures| figures.events);
        format!("{} {state}, {} events", table.name, thousands(events))
    });
    let rate: u64 = moving.rates.iter().sum();
    let lag =
        percentile(moving.figures.tables.iter().map(|table| &table.lag), 50).map_or_else(|| "-".to_owned(), millis);
    format!(
        "{:>4} s  {}; {} rows/s, lag {lag}",
        moving.elapsed.as_secs(),
        tables.collect::<Vec<_>>().join("; "),
        thousands(rate),
    )
}

fn millis(millis: u64) -> String {
    if millis < 10_000 { format!("{} ms", thousands(millis)) } else { format!("{} s", thousands(millis / 1000)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::event::{Image, Place};

    fn image(cells: [&str; 6]) -> Image {
        cells.into_iter().map(|cell| (cell != "null").then(|| cell.into())).collect()
    }

    fn event(op: Op, before: Option<[&str; 6]>, after: Option<[&str; 6]>) -> Event {
        let place = Place { generation: 1, batch: 1, row: 1 };
        Event { op, key: "17".into(), place, before: before.map(image), after: after.map(image) }
    }

    const OLD: [&str; 6] = ["17", "Ada", "null", "12.50", "true", "2026-01-01T00:00:00"];
    const NEW: [&str; 6] = ["17", "Ada", "a@b.c", "13.75", "true", "2026-01-02T00:00:00"];

    #[test]
    fn an_update_shows_what_changed_only() {
        assert_eq!(
            happened(0, &event(Op::Update, Some(OLD), Some(NEW))).text(),
            "  u CUSTOMERS  17         email null → a@b.c, credit 12.50 → 13.75"
        );
        let mut touched = OLD;
        touched[5] = NEW[5];
        assert_eq!(
            happened(0, &event(Op::Update, Some(OLD), Some(touched))).text(),
            "  u CUSTOMERS  17         updated_at 2026-01-01T00:00:00 → 2026-01-02T00:00:00"
        );
        assert_eq!(happened(0, &event(Op::Delete, Some(OLD), None)).text(), "  d CUSTOMERS  17         ");
        assert_eq!(
            happened(0, &event(Op::Create, None, Some(OLD))).text(),
            "  c CUSTOMERS  17         name Ada, email null, credit 12.50, active true"
        );
    }

    #[test]
    fn the_block_keeps_its_height_and_fits() {
        let mut figures = Figures { phase: Phase::Running, ..Figures::default() };
        let height = |figures: &Figures, height| {
            let moving = Moving { figures, captures: [None; 2], rates: [0; 2], elapsed: Duration::ZERO, until: None };
            block(&moving, height).len()
        };
        let (tall, low) = (height(&figures, 40), height(&figures, 12));
        assert!(tall < 40 && low < 12 && height(&figures, 3) < tall);
        (0..20).for_each(|_| figures.arrived(0, &event(Op::Create, None, Some(NEW)), Some(5)));
        assert_eq!((height(&figures, 40), height(&figures, 12)), (tall, low));
    }
}
