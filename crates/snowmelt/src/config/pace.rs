//! `[delivery]`, `[poll]`, `[changes]`, `[discovery]`, `[staleness]`, `[retry]`: how much at once, how often, how patiently.
//!
//! Promises: a slice fits four times into the memory budget and ends well
//! before its transaction would. Leaves keeping to the budget to the pipeline.

use std::time::Duration;

use super::quantity;
use super::reading::Section;

/// `[delivery]`: a slice, the rows of one Kafka transaction, ends at whichever
/// of its three limits comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Rows of one transaction; default 20,000.
    pub slice_rows: usize,
    /// Bytes of one transaction; default 8 MiB.
    pub slice_bytes: usize,
    /// Time of one transaction; default 250 ms.
    pub slice_interval: Duration,
    /// Bytes for rows and records in flight, over all tables; default 64 MiB.
    pub memory: usize,
    /// Time to finish or abandon what is in flight after a request to stop;
    /// default 25 s.
    pub shutdown_timeout: Duration,
}

/// `[poll]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// Time between two probes of an idle stream; default 1 s.
    pub interval: Duration,
    /// How old a change may be when it is in Kafka; `None` is as young as may be, whatever it costs.
    pub freshness: Option<Duration>,
    /// Most time the warehouse may be up within any hour; `None` is no limit.
    pub max_warehouse_seconds_per_hour: Option<Duration>,
}

/// `[discovery]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discovery {
    /// Time between two looks for tables that a `match` finds; default 1 min.
    pub interval: Duration,
}

/// `[changes]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// How far behind Snowflake's clock a window ends; default 60 s.
    pub lag: Duration,
}

/// `[staleness]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staleness {
    /// How long before its offset may leave the table's retention a stream is warned of; default 72 h.
    pub warn_before: Duration,
    /// Time between two looks at an idle stream's forecast; default 1 min.
    pub interval: Duration,
}

/// `[retry]`: waits grow from `initial`, doubled and jittered, to `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// First wait; default 200 ms.
    pub initial: Duration,
    /// Longest wait; default 30 s.
    pub max: Duration,
    /// Time between two tries of a table that waits for a person, while others go on; default 1 min.
    pub halted: Duration,
}

/// One slice is read while one is encoded, one is in the producer's queue and
/// one is on the wire.
const SLICES_IN_FLIGHT: usize = 4;

impl Delivery {
    pub(super) fn build(section: &Section<'_>, transaction: Option<Duration>) -> Option<Self> {
        let slice_bytes = section.get::<usize>("slice_bytes");
        let memory = section.get::<usize>("memory");
        if let (Some(slice), Some(memory)) = (slice_bytes, memory)
            && slice > memory / SLICES_IN_FLIGHT
        {
            section.refuse(
                "slice_bytes",
                format!(
                    "{} is above a quarter of memory ({})",
                    quantity::show_size(slice),
                    quantity::show_size(memory),
                ),
                format!("set it to at most {}, or raise memory", quantity::show_size(memory / SLICES_IN_FLIGHT),),
            );
        }
        let slice_interval = section.get::<Duration>("slice_interval");
        if let (Some(interval), Some(transaction)) = (slice_interval, transaction)
            && interval > transaction / 2
        {
            section.refuse(
                "slice_interval",
                format!(
                    "{} is above half of kafka.transaction_timeout ({}): the coordinator would abort slices that are still filling",
                    quantity::show_duration(interval),
                    quantity::show_duration(transaction),
                ),
                "lower slice_interval, or raise kafka.transaction_timeout".to_owned(),
            );
        }
        Some(Self {
            slice_rows: section.get("slice_rows")?,
            slice_bytes: slice_bytes?,
            slice_interval: slice_interval?,
            memory: memory?,
            shutdown_timeout: section.get("shutdown_timeout")?,
        })
    }
}

impl Poll {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        let interval = section.get::<Duration>("interval");
        let freshness = section.get::<Option<Duration>>("freshness");
        if let (Some(interval), Some(Some(freshness))) = (interval, freshness)
            && interval > freshness / 2
        {
            section.refuse(
                "freshness",
                format!(
                    "{} is below twice interval ({}): a change may be as old as that before it is noticed",
                    quantity::show_duration(freshness),
                    quantity::show_duration(interval),
                ),
                format!("set it to at least {}, or lower interval", quantity::show_duration(interval * 2)),
            );
        }
        let seconds = section.get::<Option<usize>>("max_warehouse_seconds_per_hour")?;
        let seconds = seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)));
        Some(Self { interval: interval?, freshness: freshness?, max_warehouse_seconds_per_hour: seconds })
    }
}

impl Discovery {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        Some(Self { interval: section.get("interval")? })
    }
}

impl Changes {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        Some(Self { lag: section.get("lag")? })
    }
}

impl Staleness {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        Some(Self { warn_before: section.get("warn_before")?, interval: section.get("interval")? })
    }
}

impl Retry {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        let initial = section.get::<Duration>("initial");
        let max = section.get::<Duration>("max");
        if let (Some(initial), Some(max)) = (initial, max)
            && initial > max
        {
            section.refuse(
                "initial",
                format!("{} is above max ({})", quantity::show_duration(initial), quantity::show_duration(max),),
                "lower initial, or raise max".to_owned(),
            );
        }
        Some(Self { initial: initial?, max: max?, halted: section.get("halted")? })
    }
}
