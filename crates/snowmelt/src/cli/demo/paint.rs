//! Lines of coloured text that fit a terminal. Knows nothing of what they say.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};

/// How a piece of a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// As the terminal has it.
    Plain,
    /// For what is looked at first.
    Bold,
    /// For what need not be read.
    Dim,
    /// For what comes, and for what is well.
    Green,
    /// For what changes.
    Yellow,
    /// For what goes, and for what is wrong.
    Red,
}

impl Paint {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "0",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
        }
    }
}

/// A line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Line(Vec<(Paint, String)>);

impl Line {
    /// A line of one piece.
    pub(super) fn of(paint: Paint, text: impl Into<String>) -> Self {
        Self(vec![(paint, text.into())])
    }

    /// The line with one more piece.
    pub(super) fn and(mut self, paint: Paint, text: impl Into<String>) -> Self {
        self.0.push((paint, text.into()));
        self
    }

    /// The text without colours.
    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect()
    }

    /// At most `width` characters; a cut line ends with `…`. Characters that move the cursor are shown as `·`, so that
    /// what tables hold cannot disturb the terminal.
    pub(super) fn render(&self, width: usize, colours: bool) -> String {
        let length: usize = self.0.iter().map(|(_, text)| text.chars().count()).sum();
        let (mut room, cut) = if length > width { (width.saturating_sub(1), true) } else { (width, false) };
        let mut out = String::new();
        for (paint, text) in &self.0 {
            let piece: String = text.chars().take(room).map(|c| if c.is_control() { '·' } else { c }).collect();
            room -= piece.chars().count();
            if piece.is_empty() {
                continue;
            }
            // Writing to a string cannot fail.
            let _ = match colours && *paint != Paint::Plain {
                true => write!(out, "\x1b[{}m{piece}\x1b[0m", paint.code()),
                false => write!(out, "{piece}"),
            };
        }
        if cut && width > 0 {
            out.push('…');
        }
        out
    }
}

/// Standard output, when it is a terminal that can move its cursor.
#[derive(Debug)]
pub(super) struct Terminal {
    colours: bool,
    /// Lines of the block on the screen, the cursor being below them.
    drawn: usize,
}

impl Terminal {
    /// The terminal, if there is one.
    pub(super) fn find() -> Option<Self> {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if dumb || !std::io::stdout().is_terminal() {
            return None;
        }
        let colours = std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty());
        Some(Self { colours, drawn: 0 })
    }

    /// Columns and rows; what a terminal is taken for that does not tell is 80 by 24.
    pub(super) fn size(&self) -> (usize, usize) {
        match terminal_size::terminal_size() {
            Some((columns, rows)) if columns.0 > 0 && rows.0 > 0 => (usize::from(columns.0), usize::from(rows.0)),
            _ => (80, 24),
        }
    }

    /// Replaces the block on the screen.
    pub(super) fn draw(&mut self, lines: &[Line]) {
        let (columns, _) = self.size();
        // In one piece, so that nothing flickers. The last column stays free: some terminals wrap when it is written.
        let mut out = self.back_to_top();
        for line in lines {
            out.push_str(&line.render(columns.saturating_sub(1), self.colours));
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        self.drawn = lines.len();
        write_out(&out);
    }

    /// Writes lines in the block's place that stay.
    pub(super) fn print(&mut self, lines: &[Line]) {
        self.draw(lines);
        self.keep();
    }

    /// Leaves the block where it is.
    pub(super) fn keep(&mut self) {
        self.drawn = 0;
    }

    fn back_to_top(&self) -> String {
        match self.drawn {
            0 => "\r".to_owned(),
            lines => format!("\r\x1b[{lines}A"),
        }
    }
}

fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    // A terminal that went away shows nothing; the work itself goes on.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_width_whatever_its_colours() {
        let line = Line::of(Paint::Bold, "häuser").and(Paint::Plain, " und ").and(Paint::Red, "brücken");
        assert_eq!(line.render(80, false), "häuser und brücken");
        assert_eq!(line.render(18, false), "häuser und brücken");
        assert_eq!(line.render(9, false), "häuser u…");
        assert_eq!(line.render(7, true), "\x1b[1mhäuser\x1b[0m…");
        assert_eq!(line.render(0, true), "");
    }

    #[test]
    fn what_a_table_holds_cannot_move_the_cursor() {
        assert_eq!(Line::of(Paint::Plain, "a\x1b[2J\r\nb").render(80, false), "a·[2J··b");
    }
}
