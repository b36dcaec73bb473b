//! `[topics]` and `[checkpoint]`: the names of topics and how they are made.
//!
//! Promises: every table's topic has a legal name, no two tables share one
//! unless both name it, and none is the checkpoint's. Leaves creating topics,
//! and comparing their settings with the broker's, to the sink.

use super::name::ObjectName;
use super::problem::Refusal;
use super::reading::Section;

/// `[topics]`.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Name of a table's topic; default `{database}.{schema}.{table}`.
    pub name: TopicTemplate,
    /// Name of the topic of rows that cannot be published; default
    /// `{pipeline}.dead-letters`.
    pub dead_letter: TopicTemplate,
    /// Whether missing topics are created; default true.
    pub create: bool,
    /// Partitions of a created topic, at least 1; default 6.
    pub partitions: i32,
    /// Replicas of a created topic, or −1 for the broker's default; default −1.
    pub replication_factor: i16,
    /// Topic of what is announced beside the events; default `snowmelt-notifications`.
    pub notifications: String,
    /// Topic of what people ask of captures; default `snowmelt-commands`.
    pub commands: String,
}

/// `[checkpoint]`.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// Compacted topic that holds the checkpoints; default
    /// `snowmelt-checkpoints`.
    pub topic: String,
    /// Partitions when it is created, at least 1; default 1.
    pub partitions: i32,
    /// Replicas when it is created, or −1 for the broker's default; default −1.
    pub replication_factor: i16,
}

/// A topic name with placeholders for the pipeline and the table's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Pipeline,
    Database,
    Schema,
    Table,
}

/// Longest topic name that Kafka accepts, in characters
/// (`org.apache.kafka.common.internals.Topic`).
const LONGEST: usize = 249;

impl TopicTemplate {
    /// Reads `{pipeline}`, `{database}`, `{schema}`, `{table}` and literal text.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        const REMEDY: &str = "use {pipeline}, {database}, {schema}, {table} and the characters a-z A-Z 0-9 . _ -";
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, placeholder) = match rest.split_once('{') {
                Some((before, after)) => (before, Some(after)),
                None => (rest, None),
            };
            if let Some(c) = literal.chars().find(|c| !legal(*c)) {
                return Err(Refusal::new(format!("{c:?} may not be in a topic's name"), REMEDY));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let Some(placeholder) = placeholder else {
                break;
            };
            let Some((word, after)) = placeholder.split_once('}') else {
                return Err(Refusal::new("a \"{\" is not closed", REMEDY));
            };
            pieces.push(match word {
                "pipeline" => Piece::Pipeline,
                "database" => Piece::Database,
                "schema" => Piece::Schema,
                "table" => Piece::Table,
                _ => {
                    return Err(Refusal::new(format!("{{{word}}} is not a placeholder"), REMEDY));
                }
            });
            rest = after;
        }
        Ok(Self(pieces))
    }

    /// The topic of `table`. Characters of identifiers that Kafka does not
    /// accept become `_`.
    pub fn render(&self, pipeline: &str, table: &ObjectName) -> String {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Pipeline => push_legal(&mut name, pipeline),
                Piece::Database => push_legal(&mut name, &table.database),
                Piece::Schema => push_legal(&mut name, &table.schema),
                Piece::Table => push_legal(&mut name, &table.name),
            }
        }
        name
    }
}

fn legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn push_legal(name: &mut String, identifier: &str) {
    name.extend(identifier.chars().map(|c| if legal(c) { c } else { '_' }));
}

/// Accepts what Kafka accepts as a topic's name, but for its own topics.
pub(super) fn legal_topic(name: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "use 1 to 249 of the characters a-z A-Z 0-9 . _ -";
    if name.is_empty() {
        return Err(Refusal::new("is empty", REMEDY));
    }
    if let Some(c) = name.chars().find(|c| !legal(*c)) {
        return Err(Refusal::new(format!("{c:?} may not be in a topic's name"), REMEDY));
    }
    if name.len() > LONGEST {
        return Err(Refusal::new(format!("has {} characters", name.len()), REMEDY));
    }
    match name {
        "." | ".." => Err(Refusal::new(format!("\"{name}\" is not a topic's name"), REMEDY)),
        "__consumer_offsets" | "__transaction_state" => {
            Err(Refusal::new(format!("{name} belongs to Kafka itself"), "choose another name"))
        }
        _ => Ok(name.to_owned()),
    }
}

/// What Kafka compares when it refuses to create a topic beside another whose
/// name differs from it only in `.` and `_` (their metrics would share a name).
pub(super) fn collision_form(topic: &str) -> String {
    topic.replace('.', "_")
}

fn check_replicas(section: &Section<'_>) {
    if section.get::<i16>("replication_factor") == Some(0) {
        section.refuse(
            "replication_factor",
            "0 replicas cannot hold anything".to_owned(),
            "set at least 1, or -1 for the broker's default".to_owned(),
        );
    }
}

impl Topics {
    pub(super) fn build(section: &Section<'_>, checkpoint: Option<&str>) -> Option<Self> {
        check_replicas(section);
        check_own(section, checkpoint);
        Some(Self {
            name: section.get("name")?,
            dead_letter: section.get("dead_letter")?,
            create: section.get("create")?,
            partitions: section.get("partitions")?,
            replication_factor: section.get("replication_factor")?,
            notifications: section.get("notifications")?,
            commands: section.get("commands")?,
        })
    }
}

/// The publisher's own topics are for one purpose each.
fn check_own(section: &Section<'_>, checkpoint: Option<&str>) {
    let notifications = section.get::<String>("notifications");
    let commands = section.get::<String>("commands");
    let others = [("checkpoint.topic", checkpoint), ("topics.notifications", notifications.as_deref())];
    for (key, topic, others) in
        [("notifications", notifications.as_deref(), &others[..1]), ("commands", commands.as_deref(), &others[..])]
    {
        let Some(topic) = topic else { continue };
        for (setting, other) in others {
            if other.is_some_and(|other| collision_form(other) == collision_form(topic)) {
                section.refuse(
                    key,
                    format!("{topic} collides with {setting}"),
                    "give each of the publisher's own topics a name of its own".to_owned(),
                );
            }
        }
    }
}

impl Checkpoint {
    pub(super) fn build(section: &Section<'_>) -> Option<Self> {
        check_replicas(section);
        Some(Self {
            topic: section.get("topic")?,
            partitions: section.get("partitions")?,
            replication_factor: section.get("replication_factor")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_renders_legal_names() {
        let table: ObjectName = r#"shop.public."Größe/x.y""#.parse().unwrap();
        let render = |text| TopicTemplate::parse(text).unwrap().render("cdc-1", &table);
        assert_eq!(render("{database}.{schema}.{table}"), "SHOP.PUBLIC.Gr__e_x.y");
        assert_eq!(render("{pipeline}-{table}{table}_x"), "cdc-1-Gr__e_x.yGr__e_x.y_x");
        assert_eq!(render("all"), "all");
    }

    #[test]
    fn a_wrong_template_is_refused() {
        for (text, reason) in [
            ("{Table}", "{Table} is not a placeholder"),
            ("a{table", "a \"{\" is not closed"),
            ("a}b", "'}' may not be in a topic's name"),
            ("a b", "' ' may not be in a topic's name"),
            ("{}", "{} is not a placeholder"),
        ] {
            assert_eq!(TopicTemplate::parse(text).unwrap_err().reason, reason, "{text}");
        }
    }

    #[test]
    fn topic_names_are_those_of_kafka() {
        let longest = "x".repeat(249);
        for good in ["a", "A.b_c-9", "...", "__mine", longest.as_str()] {
            assert_eq!(legal_topic(good).unwrap(), good);
        }
        let too_long = "x".repeat(250);
        for bad in ["", ".", "..", "a b", "ä", "__consumer_offsets", too_long.as_str()] {
            assert!(legal_topic(bad).is_err(), "{bad}");
        }
    }
}
