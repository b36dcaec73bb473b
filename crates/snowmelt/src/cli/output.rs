//! What a verb prints: standard output, tolerant of a reader that went away (`snowmelt … | head`).

use std::io::Write;

use serde::Serialize;

/// Prints one line.
pub(crate) fn line(text: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // A closed pipe means that nobody wants to read on; the work itself goes on.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Prints lines, each ended already.
pub(crate) fn text(text: &str) {
    let mut out = std::io::stdout().lock();
    // As above.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Prints one JSON line.
pub(crate) fn json(value: &impl Serialize) {
    line(serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}")));
}

/// Prints one line to standard error: problems with what was asked for, before any log makes sense.
pub(crate) fn problem(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
