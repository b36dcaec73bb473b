//! Named places where a test kills the process: `SNOWMELT_FAILPOINT=<name>[:<n>]` aborts it at the n-th visit.
//!
//! Exactly-once is argued about the moments between two effects; these names are those moments. The variable is read
//! once. Without it a visit costs one load.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Every place of a capture that reads a stream, in the data's order.
pub const ALL: [&str; 11] = [
    "after-fence",
    "after-claim",
    "after-create-stream",
    "before-staging",
    "after-staging",
    "mid-slice",
    "before-commit",
    "after-commit",
    "before-release",
    "after-release",
    "after-generation",
];

/// Every place of a capture that reads windows, in the data's order.
pub const OF_WINDOWS: [&str; 8] = [
    "after-fence",
    "after-claim",
    "before-window",
    "after-window",
    "mid-slice",
    "before-commit",
    "after-commit",
    "after-generation",
];

static ARMED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

/// Marks the place `name`.
pub fn hit(name: &str) {
    let armed = ARMED.get_or_init(|| {
        let setting = std::env::var("SNOWMELT_FAILPOINT").ok()?;
        let (name, count) = setting.split_once(':').unwrap_or((&setting, "1"));
        Some((name.to_owned(), AtomicU32::new(count.parse().unwrap_or(1))))
    });
    if let Some((armed, left)) = armed
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // As abrupt as kill -9: no destructor runs, nothing is flushed.
        std::process::abort();
    }
}
