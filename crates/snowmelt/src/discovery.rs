//! Tables found by patterns: which there are, and a capture for each new one.
//!
//! Promises: a table that has a section of its own is left to that; one that two patterns find is captured by neither,
//! and said so; nothing of the publisher's own is found. What is captured once stays captured until the publisher ends:
//! if its table goes, the capture says so as for any table. Looking is metadata only.
//!
//! Leaves listing to [`crate::source::listing`], and what may share a topic to [`crate::config`].

mod follow;
mod left;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use follow::Discovery;

use crate::config::{Config, ObjectName, Table, TablePattern};
use crate::error::Next;
use crate::source::session::Session;
use crate::source::{SourceError, listing, staging};

/// What a look at Snowflake found.
#[derive(Debug, Default)]
pub struct Look {
    /// Tables to capture that were not known yet, in the order of their names.
    pub tables: Vec<Table>,
    /// Tables that are matched and cannot be captured.
    pub refused: Vec<Refused>,
    /// Patterns whose tables cannot be listed, until somebody does something about it.
    pub unlisted: Vec<Unlisted>,
}

/// A table that is matched and cannot be captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The table.
    pub name: ObjectName,
    /// The patterns that find it.
    pub pattern: String,
    /// Why not, with the remedy; read after the table's name.
    pub reason: String,
}

/// A pattern whose tables cannot be listed.
#[derive(Debug)]
pub struct Unlisted {
    /// The pattern.
    pub pattern: String,
    /// Why not.
    pub error: SourceError,
}

/// Looks for tables that patterns find, beside those that are `known`. Tables with a section of their own are known.
/// `left` are tables that count as found although they may be gone.
///
/// # Errors
/// When Snowflake cannot be asked now; it may pass by itself.
pub async fn look(
    session: &Arc<Session>,
    config: &Config,
    known: &BTreeMap<ObjectName, Table>,
    left: &[ObjectName],
) -> Result<Look, SourceError> {
    let mut found: BTreeMap<ObjectName, Vec<&TablePattern>> = BTreeMap::new();
    let mut unlisted = Vec::new();
    for pattern in &config.table_patterns {
        match listing::tables(session, &pattern.matches).await {
            Ok(mut names) => {
                names.extend(left.iter().filter(|name| pattern.matches.fits(name)).cloned());
                names.sort_unstable();
                names.dedup();
                for name in names.into_iter().filter(|name| pattern.fits(name)) {
                    found.entry(name).or_default().push(pattern);
                }
            }
            Err(error) if error.next() == Next::Halt => {
                unlisted.push(Unlisted { pattern: pattern.matches.to_string(), error });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Look { unlisted, ..sort(config, &found, known) })
}

/// The tables that are named, by their names.
#[must_use]
pub fn named(config: &Config) -> BTreeMap<ObjectName, Table> {
    config.tables.iter().map(|table| (table.name.clone(), table.clone())).collect()
}

fn sort(
    config: &Config,
    found: &BTreeMap<ObjectName, Vec<&TablePattern>>,
    known: &BTreeMap<ObjectName, Table>,
) -> Look {
    let mut look = Look::default();
    for (name, patterns) in found {
        if known.contains_key(name) || is_own(config, name) {
            continue;
        }
        let texts: Vec<String> = patterns.iter().map(|pattern| pattern.matches.to_string()).collect();
        let table = match patterns.as_slice() {
            [pattern] => {
                let others = known.values().chain(&look.tables);
                config.found(pattern, name, others).map_err(|refusal| refusal.to_string())
            }
            _ => Err(format!(
                "{} find it; exclude it from all but one of them, or give it a section [[tables]] of its own",
                texts.join(" and ")
            )),
        };
        match table {
            Ok(table) => look.tables.push(table),
            Err(reason) => {
                look.refused.push(Refused { name: name.clone(), pattern: texts.join(" and "), reason });
            }
        }
    }
    look
}

/// Whether it is the publisher's, or another publisher's.
fn is_own(config: &Config, name: &ObjectName) -> bool {
    config.snowflake.state_schema.as_ref() == Some(&name.parent()) || staging::is_made(&name.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(tables: &str) -> Config {
        let text = format!(
            "name = \"lab\"\n[snowflake]\naccount = \"a\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\n\
             state_schema = \"S.STATE\"\n[kafka]\nbootstrap_servers = [\"k:1\"]\n{tables}"
        );
        Config::parse(&text, "lab.toml", &|_| Some("secret".to_owned())).unwrap()
    }

    fn found(config: &Config, names: &[&str]) -> Look {
        let mut found: BTreeMap<ObjectName, Vec<&TablePattern>> = BTreeMap::new();
        for name in names {
            let name: ObjectName = name.parse().unwrap();
            let fitting: Vec<_> = config.table_patterns.iter().filter(|pattern| pattern.fits(&name)).collect();
            if !fitting.is_empty() {
                found.insert(name, fitting);
            }
        }
        sort(config, &found, &named(config))
    }

    fn captured(look: &Look) -> Vec<String> {
        look.tables.iter().map(|table| format!("{} {}", table.name, table.topic)).collect()
    }

    fn refused(look: &Look) -> Vec<(String, &str)> {
        look.refused.iter().map(|refused| (refused.name.to_string(), refused.reason.as_str())).collect()
    }

    #[test]
    fn what_is_named_or_excluded_or_our_own_is_not_found() {
        let config = config(
            "[[tables]]\nname = \"S.P.ORDERS_EU\"\nkey = [\"ID\"]\n\
             [[tables]]\nmatch = \"s.*.orders_*\"\nexclude = [\"*_tmp\", 'S.P.\"Orders_\"*']\nsnapshot = \"never\"\n",
        );
        let names = [
            "S.P.ORDERS_EU",
            "S.P.ORDERS_US",
            "S.Q.ORDERS_US",
            "S.P.ORDERS_TMP",
            "S.P.\"ORDERS_a b\"",
            "S.P.\"Orders_x\"",
            "S.STATE.ORDERS_1",
            "S.P.SNOWMELT_0A1B2C3D_ORDERS_1_1",
            "T.P.ORDERS_US",
        ];
        let look = found(&config, &names);
        let expected =
            ["S.P.ORDERS_US S.P.ORDERS_US", "S.P.\"ORDERS_a b\" S.P.ORDERS_a_b", "S.Q.ORDERS_US S.Q.ORDERS_US"];
        assert_eq!(captured(&look), expected);
        assert!(look.refused.is_empty());
        let table = &look.tables[0];
        assert_eq!(table.pattern.as_deref(), Some("S.*.ORDERS_*"));
        assert_eq!((table.snapshot, table.key.is_none()), (crate::config::Snapshot::Never, true));
    }

    #[test]
    fn what_cannot_be_told_from_others_is_refused_by_name() {
        let config = config(
            "[topics]\nname = \"{table}\"\n[[tables]]\nname = \"S.P.A_1\"\n\
             [[tables]]\nmatch = \"S.Q.*\"\n[[tables]]\nmatch = \"S.*.B*\"\ntopic = \"all.{schema}\"\n",
        );
        let look = found(
            &config,
            &["S.Q.A_1", "S.Q.\"A.1\"", "S.Q.B", "S.Q.OK", "S.R.B1", "S.R.B2", "S.Q.\"snowmelt-commands\""],
        );
        assert_eq!(captured(&look), ["S.Q.OK OK", "S.R.B1 all.R", "S.R.B2 all.R"]);
        let refused = refused(&look);
        let reason =
            |name: &str| refused.iter().find(|(refused, _)| refused == name).map(|(_, reason)| *reason).unwrap();
        assert!(reason("S.Q.A_1").starts_with("its topic A_1 is also the topic of S.P.A_1"), "{refused:?}");
        assert!(reason("S.Q.\"A.1\"").starts_with("its topic A.1 differs only in"), "{refused:?}");
        assert!(reason("S.Q.B").starts_with("S.Q.* and S.*.B* find it; exclude it from all but one"), "{refused:?}");
        assert!(reason("S.Q.\"snowmelt-commands\"").contains("collides with topics.commands"), "{refused:?}");
        assert_eq!(refused.len(), 4);
    }

    #[test]
    fn dead_letters_and_events_are_kept_apart() {
        let config = config(
            "[topics]\ndead_letter = \"{table}\"\nname = \"{table}\"\n\
             [[tables]]\nmatch = \"S.P.*\"\non_poison = \"dead_letter\"\n",
        );
        let look = found(&config, &["S.P.A"]);
        assert!(refused(&look)[0].1.contains("its dead letters would go to A"), "{look:?}");
    }
}
