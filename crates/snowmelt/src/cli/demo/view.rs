//! What a person sees while the demo runs: a block that is redrawn, or a line a second where there is no terminal.
//!
//! With `--json` nothing is shown. What the block says is made in [`mod@block`], from figures alone.

mod block;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use self::block::{Moving, block, plain};
use super::board::{Board, Phase};
use super::paint::{Line, Terminal};
use super::shop::TABLES;
use crate::cli::output;
use crate::status::{CaptureStatus, Status};

/// Time between two drawings of the block.
const FRAME: Duration = Duration::from_millis(250);
/// Rates are of so many of the last frames.
const WINDOW: usize = 13;

/// Where it is shown.
#[derive(Debug)]
enum Screen {
    Terminal(Terminal),
    Lines,
    Nowhere,
}

/// What a person sees.
#[derive(Debug)]
pub(super) struct View {
    screen: Screen,
    /// How long it is to go on.
    until: Option<Duration>,
    /// When, and how many rows each table had carried by then.
    samples: VecDeque<(Instant, [u64; TABLES.len()])>,
    frames: u64,
}

impl View {
    /// Finds out where it can show.
    pub(super) fn open(json: bool, until: Option<Duration>) -> Self {
        let screen = match (json, Terminal::find()) {
            (true, _) => Screen::Nowhere,
            (false, Some(terminal)) => Screen::Terminal(terminal),
            (false, None) => Screen::Lines,
        };
        Self { screen, until, samples: VecDeque::new(), frames: 0 }
    }

    /// Prints lines that stay, in place of the block.
    pub(super) fn print(&mut self, lines: &[Line]) {
        match &mut self.screen {
            Screen::Terminal(terminal) => terminal.print(lines),
            Screen::Lines => lines.iter().for_each(|line| output::line(line.render(usize::MAX, false))),
            Screen::Nowhere => {}
        }
    }

    /// Leaves the block on the screen; what comes next comes below it.
    pub(super) fn keep(&mut self) {
        if let Screen::Terminal(terminal) = &mut self.screen {
            terminal.keep();
        }
    }

    /// Shows what goes on, until dropped.
    pub(super) async fn live(&mut self, board: &Board, status: &Status) -> std::convert::Infallible {
        let mut frames = tokio::time::interval(FRAME);
        frames.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            frames.tick().await;
            self.frame(board, &status.snapshot());
        }
    }

    /// Shows one picture of what goes on.
    pub(super) fn frame(&mut self, board: &Board, captures: &BTreeMap<String, CaptureStatus>) {
        let figures = board.figures();
        let captures = TABLES.map(|table| captures.get(&table.path()));
        let rows = captures.map(|capture| capture.map_or(0, |capture| capture.rows));
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((Instant::now(), rows));
        let elapsed = figures.since.map(|since| since.elapsed()).unwrap_or_default();
        let moving = Moving { figures: &figures, captures, rates: self.rates(), elapsed, until: self.until };
        match &mut self.screen {
            Screen::Terminal(terminal) => {
                let (_, height) = terminal.size();
                terminal.draw(&block(&moving, height));
            }
            Screen::Lines if self.frames.is_multiple_of(4) && figures.phase != Phase::Starting => {
                output::line(plain(&moving));
            }
            Screen::Lines | Screen::Nowhere => {}
        }
        self.frames += 1;
    }

    /// Rows a second of each table.
    fn rates(&self) -> [u64; TABLES.len()] {
        let (Some((then, before)), Some((now, after))) = (self.samples.front(), self.samples.back()) else {
            return [0; TABLES.len()];
        };
        let millis = now.saturating_duration_since(*then).as_millis().max(1);
        std::array::from_fn(|table| {
            let rows = |sample: &[u64; TABLES.len()]| u128::from(sample.get(table).copied().unwrap_or_default());
            u64::try_from(rows(after).saturating_sub(rows(before)) * 1000 / millis).unwrap_or(u64::MAX)
        })
    }
}
