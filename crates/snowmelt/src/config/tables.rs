//! `[[tables]]`: what is captured, and into which topic.
//!
//! Promises: tables, streams and topics are each named once, so that no two
//! captures can take each other's changes or mix their keys unasked. Leaves the
//! existence of all three, and of key columns, to `check` and the source; what
//! only patterns have to `table_pattern`.

use std::collections::HashMap;

use super::choice::choice;
use super::columns::Columns;
use super::filter::Filter;
use super::name::ObjectName;
use super::name_pattern::NamePattern;
use super::reading::Section;
use super::table_pattern::TablePattern;
use super::topics::{Checkpoint, TopicTemplate, Topics, collision_form, legal_topic};

choice! {
    /// Where a table's events begin.
    Snapshot {
        Initial = "initial", "the rows as they stand, then changes";
        Never = "never", "changes only";
    }
}

choice! {
    /// What to do when a table's stream is lost: stale, dropped, or its table replaced.
    OnStale {
        Halt = "halt", "the table waits for a person, who may order a snapshot; the others go on";
        Resnapshot = "resnapshot", "a new stream and a new snapshot; deletes from the time in between may be missing, and the notification says so";
    }
}

choice! {
    /// What becomes of a row that cannot be published: too large for Kafka, or without a form in JSON.
    OnPoison {
        Fail = "fail", "the capture halts before it, and loses nothing";
        DeadLetter = "dead_letter", "a record about it goes to `topics.dead_letter`, in the same transaction, and the capture goes on";
    }
}

choice! {
    /// What is recorded of a table's changes.
    Mode {
        Standard = "standard", "inserts, updates and deletes; of external and externally managed Iceberg tables, inserts";
        AppendOnly = "append_only", "inserts only, each row as it was inserted";
    }
}

choice! {
    /// How a table's changes are read.
    Way {
        Stream = "stream", "through a stream, and staging tables in `snowflake.state_schema`";
        Changes = "changes", "by closed windows of the table's history, with SELECT alone; nothing is made in Snowflake";
    }
}

/// One of `[[tables]]`, or one that a pattern of them found.
#[derive(Debug, Clone)]
pub struct Table {
    /// The table, view, dynamic, external, event or Iceberg table, or stage.
    pub name: ObjectName,
    /// The `match` that found it; `None`: it is named itself.
    pub pattern: Option<String>,
    /// Columns of the record's key, as Snowflake stores their names; `None`:
    /// the declared primary key, or else the row id.
    pub key: Option<Vec<String>>,
    /// The topic: the one given, or else `topics.name`, filled in.
    pub topic: String,
    /// Whether `topic` is given: two tables may share one only if both are.
    pub names_topic: bool,
    /// Default `initial`.
    pub snapshot: Snapshot,
    /// Default `stream`.
    pub read: Way,
    /// Rows that a window may count; `None`: any number. Only of tables that are read by windows.
    pub max_rows_per_batch: Option<u64>,
    /// Default `standard`.
    pub mode: Mode,
    /// An existing stream to consume instead of creating one; `None`: create.
    pub stream: Option<ObjectName>,
    /// Default `halt`.
    pub on_stale: OnStale,
    /// Default `fail`.
    pub on_poison: OnPoison,
    /// Where rows go that cannot be published; there if and only if
    /// `on_poison` is `dead_letter`.
    pub dead_letters: Option<String>,
    /// Which rows are captured; `None`: all.
    pub filter: Option<Filter>,
    /// Which columns are captured, and which of them masked.
    pub columns: Columns,
}

/// What every table's topic name depends on.
pub(super) struct Naming<'a> {
    pub(super) pipeline: Option<&'a str>,
    pub(super) topics: Option<&'a Topics>,
    pub(super) checkpoint: Option<&'a Checkpoint>,
    /// Whether there is a salt for hashes.
    pub(super) salted: bool,
}

/// All of `[[tables]]`.
pub(super) struct Tables {
    pub(super) named: Vec<Table>,
    pub(super) patterns: Vec<TablePattern>,
}

impl Tables {
    /// Reads all tables, comparing each with those before it.
    pub(super) fn build(sections: &[Section<'_>], naming: &Naming<'_>) -> Option<Self> {
        let mut seen = Seen::default();
        let mut named = Vec::new();
        let mut patterns = Vec::new();
        let mut matched: Vec<(NamePattern, usize)> = Vec::new();
        for section in sections {
            if section.given("match") {
                let pattern = TablePattern::build(section, naming, &matched);
                matched.extend(pattern.as_ref().map(|pattern| (pattern.matches.clone(), section.line("match"))));
                patterns.push(pattern);
            } else {
                named.push((section, Table::build(section, naming, &mut seen)));
            }
        }
        for (section, table) in &named {
            if let Some(dead_letters) = table.as_ref().and_then(|table| table.dead_letters.as_deref()) {
                check_dead_letters(section, dead_letters, naming, &seen);
            }
        }
        let named = named.into_iter().map(|(_, table)| table).collect::<Option<_>>();
        Some(Self { named: named?, patterns: patterns.into_iter().collect::<Option<_>>()? })
    }
}

impl Table {
    fn build(section: &Section<'_>, naming: &Naming<'_>, seen: &mut Seen) -> Option<Self> {
        let name = section.get::<Option<ObjectName>>("name");
        if let Some(None) = name {
            section.refuse(
                "name",
                "is missing".to_owned(),
                "add name = \"SHOP.PUBLIC.ORDERS\", or match = \"SHOP.PUBLIC.ORDERS_*\" for all tables of that form"
                    .to_owned(),
            );
        }
        if section.given("exclude") {
            section.refuse("exclude", "goes with match only".to_owned(), "remove it".to_owned());
        }
        let name = name.flatten();
        let stream = section.get::<Option<ObjectName>>("stream");
        if let Some(name) = &name
            && let Some(line) = seen.tables.insert(name.clone(), section.line("name"))
        {
            section.refuse(
                "name",
                format!("{name} is already captured by the table on line {line}"),
                "remove one of the two".to_owned(),
            );
        }
        if let Some(Some(stream)) = &stream
            && let Some(line) = seen.streams.insert(stream.clone(), section.line("stream"))
        {
            section.refuse(
                "stream",
                format!("{stream} is already consumed by the table on line {line}"),
                "give each table a stream of its own".to_owned(),
            );
        }
        let topic = topic_of(section, name.as_ref(), naming, seen);
        let dead_letters = match (section.get::<OnPoison>("on_poison"), naming.topics, naming.pipeline, &name) {
            (Some(OnPoison::DeadLetter), Some(topics), Some(pipeline), Some(name)) => {
                Some(topics.dead_letter.render(pipeline, name))
            }
            _ => None,
        };
        let nobody = ObjectName { database: String::new(), schema: String::new(), name: String::new() };
        let table = Self::read(section, naming, nobody, String::new(), dead_letters);
        Some(Self { name: name?, topic: topic?, ..table? })
    }

    /// The settings that a table has whether it is named or found.
    pub(super) fn read(
        section: &Section<'_>,
        naming: &Naming<'_>,
        name: ObjectName,
        topic: String,
        dead_letters: Option<String>,
    ) -> Option<Self> {
        check_snapshot(section);
        check_on_stale(section);
        check_way(section);
        check_key(section);
        let key = section.get::<Option<Vec<String>>>("key");
        let known_key = key.iter().flatten().flatten().cloned().collect::<Vec<_>>();
        let columns = Columns::build(&section.child("columns"), &known_key, naming.salted);
        Some(Self {
            name,
            pattern: None,
            key: key?,
            topic,
            names_topic: section.given("topic"),
            snapshot: section.get("snapshot")?,
            read: section.get("read")?,
            max_rows_per_batch: section.get::<Option<usize>>("max_rows_per_batch")?.map(|rows| rows as u64),
            mode: section.get("mode")?,
            stream: section.get("stream")?,
            on_stale: section.get("on_stale")?,
            on_poison: section.get("on_poison")?,
            dead_letters,
            filter: section.get("filter")?,
            columns: columns?,
        })
    }
}

/// Where a table, a stream or a topic was first named.
#[derive(Default)]
struct Seen {
    tables: HashMap<ObjectName, usize>,
    streams: HashMap<ObjectName, usize>,
    topics: HashMap<String, SeenTopic>,
}

struct SeenTopic {
    topic: String,
    explicit: bool,
    line: usize,
    table: ObjectName,
}

fn check_snapshot(section: &Section<'_>) {
    if section.given("stream") && section.get::<Snapshot>("snapshot") == Some(Snapshot::Initial) {
        section.refuse(
            "snapshot",
            "\"initial\" does not go with an existing stream, whose rows are decided already".to_owned(),
            "set snapshot = \"never\", or remove stream".to_owned(),
        );
    }
}

fn check_on_stale(section: &Section<'_>) {
    if section.given("stream") && section.get::<OnStale>("on_stale") == Some(OnStale::Resnapshot) {
        section.refuse(
            "on_stale",
            "\"resnapshot\" does not go with an existing stream, which is not this program's to replace".to_owned(),
            "set on_stale = \"halt\", or remove stream".to_owned(),
        );
    }
}

fn check_way(section: &Section<'_>) {
    match section.get::<Way>("read") {
        Some(Way::Changes) if section.given("stream") => section.refuse(
            "stream",
            "a table with read = \"changes\" is read without a stream".to_owned(),
            "remove stream, or set read = \"stream\"".to_owned(),
        ),
        Some(Way::Stream) if section.given("max_rows_per_batch") => section.refuse(
            "max_rows_per_batch",
            "whoever reads a stream takes all its changes at once, so that a batch of it cannot be cut".to_owned(),
            "remove it, or set read = \"changes\"; delivery.slice_rows bounds the rows of a transaction".to_owned(),
        ),
        _ => {}
    }
}

fn check_key(section: &Section<'_>) {
    let Some(Some(key)) = section.get::<Option<Vec<String>>>("key") else {
        return;
    };
    for (at, column) in key.iter().enumerate() {
        if key.iter().take(at).any(|earlier| earlier == column) {
            section.refuse("key", format!("{column} is named twice"), "name each key column once".to_owned());
        }
    }
}

/// Dead letters have another form than events and than checkpoints, so their topic may be neither's.
fn check_dead_letters(section: &Section<'_>, topic: &str, naming: &Naming<'_>, seen: &Seen) {
    let refuse = |reason: String| {
        section.refuse("on_poison", reason, "change topics.dead_letter".to_owned());
    };
    if let Err(refusal) = legal_topic(topic) {
        return refuse(format!("topics.dead_letter gives \"{topic}\", which {}", refusal.reason));
    }
    let form = collision_form(topic);
    if naming.checkpoint.is_some_and(|checkpoint| collision_form(&checkpoint.topic) == form) {
        return refuse(format!("topics.dead_letter gives {topic}, which is the checkpoints' topic"));
    }
    if let Some(first) = seen.topics.get(&form) {
        refuse(format!("topics.dead_letter gives {topic}, which is the topic of {}'s events", first.table));
    }
}

/// The table's topic, refused where it cannot be told from another.
///
/// Two tables may share a topic only if both name it: then somebody meant it.
/// A template that maps two tables to one topic is an accident, whose records
/// would overwrite each other in a compacted topic.
fn topic_of(section: &Section<'_>, table: Option<&ObjectName>, naming: &Naming<'_>, seen: &mut Seen) -> Option<String> {
    let explicit = section.get::<Option<TopicTemplate>>("topic")?;
    let is_explicit = explicit.is_some();
    let table = table?;
    let (template, setting, remedy) = match &explicit {
        Some(template) => (template, "topic", "set another topic for this table"),
        None => (&naming.topics?.name, "topics.name", "set topic for this table, or change topics.name"),
    };
    let topic = template.render(naming.pipeline?, table);
    if let Err(refusal) = legal_topic(&topic) {
        section.refuse("topic", format!("{setting} gives \"{topic}\", which {}", refusal.reason), remedy.to_owned());
        return None;
    }
    let own = [
        ("checkpoint.topic", naming.checkpoint.map(|checkpoint| &checkpoint.topic)),
        ("topics.notifications", naming.topics.map(|topics| &topics.notifications)),
        ("topics.commands", naming.topics.map(|topics| &topics.commands)),
    ];
    for (setting, other) in own {
        if let Some(other) = other.filter(|other| collision_form(other) == collision_form(&topic)) {
            section.refuse(
                "topic",
                format!("{topic} collides with {setting} ({other})"),
                format!("set topic for this table, or change {setting}"),
            );
        }
    }
    let here =
        SeenTopic { topic: topic.clone(), explicit: is_explicit, line: section.line("topic"), table: table.clone() };
    match seen.topics.get(&collision_form(&topic)) {
        None => {
            seen.topics.insert(collision_form(&topic), here);
        }
        // The same table twice has been reported as such.
        Some(first) if first.table == here.table => {}
        Some(first) if first.topic != topic => section.refuse(
            "topic",
            format!(
                "{topic} differs only in \".\" and \"_\" from {}, the topic of {} on line {}; Kafka allows one of them",
                first.topic, first.table, first.line,
            ),
            "set another topic for one of the tables".to_owned(),
        ),
        Some(first) if first.explicit && is_explicit => {}
        Some(first) => section.refuse(
            "topic",
            format!("{topic} is also the topic of {} on line {}", first.table, first.line),
            "set topic for one of them, or the same topic for both if they are to share it".to_owned(),
        ),
    }
    Some(topic)
}
