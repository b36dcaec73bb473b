//! `[[tables]]` with `match`: every table that a pattern finds, with the settings of the entry.
//!
//! Promises: a table that is found later is told from all others as strictly as one that is named: by its topic and by
//! the topic of its dead letters. Leaves looking for tables to `discovery`.

use super::name::ObjectName;
use super::name_pattern::NamePattern;
use super::reading::Section;
use super::tables::{Naming, Table};
use super::topics::{TopicTemplate, collision_form, legal_topic};
use super::{Config, OnPoison};

/// One of `[[tables]]` with `match`.
#[derive(Debug, Clone)]
pub struct TablePattern {
    /// Which tables are captured.
    pub matches: NamePattern,
    /// Those of them that are not; default none.
    pub exclude: Vec<NamePattern>,
    /// Names of their topics: the entry's `topic`, or else `topics.name`.
    pub topic: TopicTemplate,
    /// The settings of each, its name and its topics not filled in.
    pub settings: Table,
}

/// Why a table that was found cannot be captured, with the remedy; read after the table's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FoundRefusal(String);

impl TablePattern {
    /// Reads the entry; `seen` are the patterns before it.
    pub(super) fn build(section: &Section<'_>, naming: &Naming<'_>, seen: &[(NamePattern, usize)]) -> Option<Self> {
        let matches = section.get::<Option<NamePattern>>("match")?;
        if section.given("name") {
            section.refuse(
                "match",
                "does not go with name".to_owned(),
                "keep one of the two, or write two sections [[tables]]".to_owned(),
            );
        }
        if section.given("stream") {
            section.refuse(
                "stream",
                "does not go with match: a stream is on one table".to_owned(),
                "name the table in a section [[tables]] of its own".to_owned(),
            );
        }
        let matches = matches?;
        if matches.is_a_name() {
            section.refuse(
                "match",
                format!("{matches} has no * and stands for one table"),
                format!("write name = '{matches}'"),
            );
        }
        if let Some((_, line)) = seen.iter().find(|(earlier, _)| *earlier == matches) {
            section.refuse(
                "match",
                format!("{matches} is already matched on line {line}"),
                "remove one of the two".to_owned(),
            );
        }
        let own = section.get::<Option<TopicTemplate>>("topic");
        let nobody = ObjectName { database: String::new(), schema: String::new(), name: String::new() };
        let settings = Table::read(section, naming, nobody, String::new(), None)?;
        let topic = own?.or_else(|| naming.topics.map(|topics| topics.name.clone()))?;
        Some(Self {
            exclude: section.get::<Option<Vec<NamePattern>>>("exclude")?.unwrap_or_default(),
            topic,
            settings: Table { pattern: Some(matches.to_string()), ..settings },
            matches,
        })
    }

    /// Whether it captures `name`.
    pub fn fits(&self, name: &ObjectName) -> bool {
        self.matches.fits(name) && !self.exclude.iter().any(|excluded| excluded.fits(name))
    }
}

impl Config {
    /// The table `name` as `pattern` captures it, beside `others`.
    ///
    /// # Errors
    /// [`FoundRefusal`] when its topics cannot be told from others'.
    pub fn found<'a>(
        &self,
        pattern: &TablePattern,
        name: &ObjectName,
        others: impl IntoIterator<Item = &'a Table>,
    ) -> Result<Table, FoundRefusal> {
        let topic = pattern.topic.render(&self.name, name);
        let dead_letters = (pattern.settings.on_poison == OnPoison::DeadLetter)
            .then(|| self.topics.dead_letter.render(&self.name, name));
        let table = Table { name: name.clone(), topic, dead_letters, ..pattern.settings.clone() };
        self.require_own_topics(&table)?;
        for other in others {
            require_apart(&table, other)?;
        }
        Ok(table)
    }

    fn require_own_topics(&self, table: &Table) -> Result<(), FoundRefusal> {
        let topics = [("topic", Some(&table.topic)), ("topics.dead_letter", table.dead_letters.as_ref())];
        for (setting, topic) in topics.into_iter().filter_map(|(setting, topic)| Some((setting, topic?))) {
            if let Err(refusal) = legal_topic(topic) {
                return refuse(format!(
                    "{setting} gives \"{topic}\", which {}; change it, or exclude the table",
                    refusal.reason
                ));
            }
            for (own, taken) in [
                ("checkpoint.topic", &self.checkpoint.topic),
                ("topics.notifications", &self.topics.notifications),
                ("topics.commands", &self.topics.commands),
            ] {
                if collision_form(taken) == collision_form(topic) {
                    return refuse(format!(
                        "{setting} gives {topic}, which collides with {own} ({taken}); change one of the two"
                    ));
                }
            }
        }
        if table.dead_letters.as_ref().is_some_and(|letters| collision_form(letters) == collision_form(&table.topic)) {
            return refuse(format!(
                "its dead letters would go to {}, the topic of its events; change topics.dead_letter",
                table.topic
            ));
        }
        Ok(())
    }
}

/// As for tables that are named: two share a topic only if both name it.
fn require_apart(table: &Table, other: &Table) -> Result<(), FoundRefusal> {
    let (topic, taken) = (&table.topic, &other.topic);
    if collision_form(topic) == collision_form(taken) && !(topic == taken && table.names_topic && other.names_topic) {
        let how = if topic == taken { "is also" } else { "differs only in \".\" and \"_\" from" };
        return refuse(format!(
            "its topic {topic} {how} the topic of {} ({taken}); set another topic for one of them, or exclude the table",
            other.name
        ));
    }
    for (letters, events, whose) in
        [(&table.dead_letters, taken, &other.name), (&other.dead_letters, topic, &table.name)]
    {
        if letters.as_ref().is_some_and(|letters| collision_form(letters) == collision_form(events)) {
            return refuse(format!(
                "topics.dead_letter gives {events}, which is the topic of {whose}'s events; change topics.dead_letter"
            ));
        }
    }
    Ok(())
}

fn refuse(reason: String) -> Result<(), FoundRefusal> {
    Err(FoundRefusal(reason))
}
