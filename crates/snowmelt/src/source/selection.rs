//! Which rows and columns of a table a capture takes, and how masked: the parts of the staging statement for it.
//!
//! ```text
//! FROM   (SELECT *, <phase> FROM <stream> WHERE (<filter>) AND …)     the filter sees every column, unmasked
//! SELECT * EXCLUDE (…) REPLACE (<mask> AS …), <row number>            what is left goes into the staging table
//! INTO   (<the columns that are expected>)                            a column that came meanwhile fails the statement
//! ```
//!
//! What is left out or masked here leaves neither Snowflake nor the table it is in. Patterns are resolved against the
//! stream's columns right before each staging statement, and the statement names every column it expects: one that was
//! added, dropped or renamed in between makes it fail without moving the stream, and the capture starts again. The
//! argument for filters with updates, deletes and keys is in `docs/guarantees.md`.

use super::error::SourceError;
use super::staging::literal;
use super::value::{Column, DataType};
use crate::config::{Columns, Pattern, Table, quote};

/// The session variable that holds the salt of hashes, set at login and in no statement.
pub const SALT: &str = "SNOWMELT_SALT";
/// What stands in a redacted column.
const REDACTED: &str = "***";

/// A capture's rows and columns, resolved against the columns there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// The filter, without parentheses.
    filter: Option<String>,
    columns: Option<Chosen>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Chosen {
    /// Quoted names of the columns that stay, in order.
    kept: Vec<String>,
    /// Quoted names of those that do not.
    dropped: Vec<String>,
    /// Quoted names and the expressions in their place.
    masked: Vec<(String, String)>,
}

/// How one column is masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mask {
    Hash,
    Redact,
    Truncate(usize),
}

impl Mask {
    fn setting(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::Redact => "redact",
            Self::Truncate(_) => "truncate",
        }
    }
}

impl Selection {
    /// Whether `table` takes all columns as they are, so that none need be known.
    #[must_use]
    pub fn takes_all_columns(table: &Table) -> bool {
        table.columns.are_all()
    }

    /// Resolves `table`'s settings. `columns` are the stream's, or the table's: columns of the stream itself
    /// (`METADATA$…`) always stay. `key` are the key columns' names.
    ///
    /// # Errors
    /// [`SourceError::Columns`]: a name is no column, a column is masked twice or has no form to be masked in, or a key
    /// column is left out or masked otherwise than by a hash.
    pub fn resolve(table: &Table, columns: &[Column], key: &[String]) -> Result<Self, SourceError> {
        let filter = table.filter.as_ref().map(|filter| filter.as_sql().to_owned());
        if Self::takes_all_columns(table) {
            return Ok(Self { filter, columns: None });
        }
        let refuse = |reason: String, remedy: &str| SourceError::Columns {
            table: table.name.to_string(),
            reason,
            remedy: remedy.to_owned(),
        };
        let settings = &table.columns;
        for (setting, pattern) in named(settings) {
            if let Pattern::Name(name) = pattern
                && !columns.iter().any(|column| column.name == *name && !is_own(column))
            {
                let known: Vec<&str> =
                    columns.iter().filter(|column| !is_own(column)).map(|column| column.name.as_str()).collect();
                return Err(refuse(
                    format!("{setting} names {name}, which is not one of {}", known.join(", ")),
                    "correct it, or remove it if the column is gone; it was perhaps renamed, and would be sent in clear",
                ));
            }
        }
        let mut chosen = Chosen { kept: Vec::new(), dropped: Vec::new(), masked: Vec::new() };
        for column in columns {
            let name = quote(&column.name);
            if is_own(column) {
                chosen.kept.push(name);
                continue;
            }
            let is_key = key.contains(&column.name);
            if !settings.has(&column.name) {
                if is_key {
                    return Err(refuse(
                        format!("key column {} is left out", column.name),
                        "keep key columns, masked with hash if need be, or choose other columns in `key`",
                    ));
                }
                chosen.dropped.push(name);
                continue;
            }
            chosen.kept.push(name.clone());
            let masks = masks_of(settings, &column.name);
            let mask = match masks[..] {
                [] => continue,
                [mask] => mask,
                [one, other, ..] => {
                    return Err(refuse(
                        format!("{} is masked by {} and by {}", column.name, one.setting(), other.setting()),
                        "mask each column in one way",
                    ));
                }
            };
            if is_key && mask != Mask::Hash {
                return Err(refuse(
                    format!("key column {} is masked by {}, which makes one key of many", column.name, mask.setting()),
                    "mask key columns with hash, or choose other columns in `key`",
                ));
            }
            let masked = mask.expression(&name, column.ty).ok_or_else(|| {
                let remedy = "redact or exclude it";
                refuse(format!("{} has a type that {} does not go with", column.name, mask.setting()), remedy)
            })?;
            chosen.masked.push((name, masked));
        }
        let nothing = chosen.dropped.is_empty() && chosen.masked.is_empty();
        // Without a pattern that could mean a column to come, all columns are what is meant, those to come too.
        let open = settings.include.is_empty() && !named(settings).any(|(_, name)| matches!(name, Pattern::Form(_)));
        Ok(Self { filter, columns: Some(chosen).filter(|_| !(nothing && open)) })
    }

    /// `(<columns>)` behind the staging table's name, `extra` last; empty where all columns are taken.
    pub(super) fn column_list(&self, extra: [&str; 2]) -> String {
        let Some(columns) = &self.columns else { return String::new() };
        let names: Vec<&str> = columns.kept.iter().map(String::as_str).chain(extra).collect();
        format!(" ({})", names.join(", "))
    }

    /// `*`, or what is left of it.
    pub(super) fn star(&self) -> String {
        let mut star = "*".to_owned();
        if let Some(columns) = &self.columns {
            if !columns.dropped.is_empty() {
                star.push_str(&format!(" EXCLUDE ({})", columns.dropped.join(", ")));
            }
            if !columns.masked.is_empty() {
                let masked: Vec<String> =
                    columns.masked.iter().map(|(name, mask)| format!("{mask} AS {name}")).collect();
                star.push_str(&format!(" REPLACE ({})", masked.join(", ")));
            }
        }
        star
    }

    /// What is left of `columns`, each by name, masked: for a query whose result has these columns and no others.
    pub(super) fn list(&self, columns: &[Column]) -> String {
        let all;
        let (kept, masked) = match &self.columns {
            Some(chosen) => (&chosen.kept, chosen.masked.as_slice()),
            None => {
                all = columns.iter().map(|column| quote(&column.name)).collect();
                (&all, [].as_slice())
            }
        };
        let one = |name: &String| match masked.iter().find(|(of, _)| of == name) {
            Some((_, mask)) => format!("{mask} AS {name}"),
            None => name.clone(),
        };
        kept.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// ` WHERE (<filter>)`, or nothing.
    pub(super) fn restriction(&self) -> String {
        self.filter.as_ref().map(|filter| format!(" WHERE ({filter})")).unwrap_or_default()
    }

    /// `(<filter>) AND `, or nothing.
    pub(super) fn condition(&self) -> String {
        self.filter.as_ref().map(|filter| format!("({filter}) AND ")).unwrap_or_default()
    }

    /// What must hold besides for the two halves of an update to be a pair: that the filter let both through.
    pub(super) fn whole_pair(&self) -> &'static str {
        if self.filter.is_some() { " AND COUNT(*) OVER (PARTITION BY METADATA$ROW_ID) = 2" } else { "" }
    }

    /// A query that compiles if and only if filter and masks do, for `check`; it is not run.
    #[must_use]
    pub fn trial(&self, table: &Table) -> String {
        format!("SELECT {} FROM {}{}", self.star(), table.name.quoted(), self.restriction())
    }
}

/// Every pattern with its setting's name.
fn named(columns: &Columns) -> impl Iterator<Item = (&'static str, &Pattern)> {
    let lists = [
        ("columns.include", &columns.include),
        ("columns.exclude", &columns.exclude),
        ("columns.hash", &columns.hash),
        ("columns.redact", &columns.redact),
    ];
    lists
        .into_iter()
        .flat_map(|(setting, patterns)| patterns.iter().map(move |pattern| (setting, pattern)))
        .chain(columns.truncate.iter().map(|(pattern, _)| ("columns.truncate", pattern)))
}

fn masks_of(columns: &Columns, name: &str) -> Vec<Mask> {
    let hit = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.matches(name));
    let mut masks = Vec::new();
    masks.extend(hit(&columns.hash).then_some(Mask::Hash));
    masks.extend(hit(&columns.redact).then_some(Mask::Redact));
    masks.extend(columns.truncate.iter().find(|(pattern, _)| pattern.matches(name)).map(|(_, n)| Mask::Truncate(*n)));
    masks
}

/// A column of the stream, not of the table.
fn is_own(column: &Column) -> bool {
    column.name.starts_with("METADATA$")
}

impl Mask {
    /// The expression in the column's place: text, and NULL where the column is NULL. `None` where the type has no one
    /// text: equal values must give equal hashes, whatever the session's formats are, and no part of a number's tail may
    /// depend on them.
    fn expression(self, name: &str, ty: DataType) -> Option<String> {
        match self {
            Self::Redact => Some(format!("IFF({name} IS NULL, NULL, {})", literal(REDACTED))),
            Self::Hash => Some(format!("SHA2(${SALT} || {}, 256)", text_of(name, ty)?)),
            Self::Truncate(characters) => {
                let has_an_order_of_digits = !matches!(
                    ty,
                    DataType::Binary | DataType::Boolean | DataType::TimestampLtz { .. } | DataType::TimestampTz { .. }
                );
                let text = text_of(name, ty).filter(|_| has_an_order_of_digits)?;
                Some(format!("LEFT({text}, {characters})"))
            }
        }
    }
}

/// A value as one text, the same in every session; equal instants in different zones have the same.
fn text_of(name: &str, ty: DataType) -> Option<String> {
    const INSTANT: &str = "YYYY-MM-DD HH24:MI:SS.FF9";
    Some(match ty {
        DataType::Text => name.to_owned(),
        DataType::Fixed { .. } | DataType::Boolean => format!("TO_VARCHAR({name})"),
        DataType::Binary => format!("HEX_ENCODE({name})"),
        DataType::Date => format!("TO_VARCHAR({name}, 'YYYY-MM-DD')"),
        DataType::Time { .. } => format!("TO_VARCHAR({name}, 'HH24:MI:SS.FF9')"),
        DataType::TimestampNtz { .. } => format!("TO_VARCHAR({name}, '{INSTANT}')"),
        DataType::TimestampLtz { .. } | DataType::TimestampTz { .. } => {
            format!("TO_VARCHAR(CONVERT_TIMEZONE('UTC', {name}), '{INSTANT}')")
        }
        DataType::DecFloat
        | DataType::Real
        | DataType::Variant
        | DataType::Object
        | DataType::Array
        | DataType::Map
        | DataType::Geography
        | DataType::Geometry
        | DataType::Vector { .. } => return None,
    })
}

/// Sixteen hex digits of the text's SHA-256. Only ever compared for equality.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    salt(text).chars().take(16).collect()
}

/// What stands in the session variable [`SALT`]: the secret's SHA-256 in hexadecimal, so that the secret itself stays
/// with the publisher, and any secret fits.
#[must_use]
pub fn salt(secret: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, secret.as_bytes());
    digest.as_ref().iter().fold(String::with_capacity(64), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn table(settings: &str) -> Table {
        let text = format!(
            "name = \"p\"\n[snowflake]\naccount = \"a\"\nuser = \"u\"\npassword = {{ env = \"P\" }}\n\
             hash_salt = {{ env = \"S\" }}\nstate_schema = \"D.S\"\n[kafka]\nbootstrap_servers = [\"h:1\"]\n\
             [[tables]]\nname = \"D.S.T\"\n{settings}\n"
        );
        let config = Config::parse(&text, "t.toml", &|_| Some("sixteen characters".to_owned())).unwrap();
        config.tables[0].clone()
    }

    fn columns() -> Vec<Column> {
        [
            ("ID", DataType::Fixed { precision: 38, scale: 0 }),
            ("Mail", DataType::Text),
            ("SEEN", DataType::TimestampTz { scale: 9 }),
            ("SCORE", DataType::Real),
            ("METADATA$ACTION", DataType::Text),
        ]
        .map(|(name, ty)| Column { name: name.to_owned(), ty, nullable: true })
        .into()
    }

    fn resolved(settings: &str) -> Result<Selection, String> {
        Selection::resolve(&table(settings), &columns(), &["ID".to_owned()]).map_err(|error| error.to_string())
    }

    #[test]
    fn without_settings_the_statement_is_what_it_always_was() {
        let all = resolved("").unwrap();
        assert_eq!(all, Selection::default());
        assert_eq!(
            (all.star().as_str(), all.column_list(["P", "R"]).as_str(), all.condition().as_str()),
            ("*", "", "")
        );
        assert_eq!(all.whole_pair(), "");
    }

    #[test]
    fn what_is_masked_or_left_out_is_said_column_by_column() {
        let some = resolved(
            "filter = \"ID > 1\"\ncolumns = { exclude = [\"score*\"], hash = [\"ID\", \"seen\"], truncate = { '\"Mail\"' = 3 } }",
        )
        .unwrap();
        assert_eq!(
            some.star(),
            "* EXCLUDE (\"SCORE\") REPLACE (SHA2($SNOWMELT_SALT || TO_VARCHAR(\"ID\"), 256) AS \"ID\", \
             LEFT(\"Mail\", 3) AS \"Mail\", SHA2($SNOWMELT_SALT || TO_VARCHAR(CONVERT_TIMEZONE('UTC', \"SEEN\"), \
             'YYYY-MM-DD HH24:MI:SS.FF9'), 256) AS \"SEEN\")"
        );
        assert_eq!(some.column_list(["P", "R"]), " (\"ID\", \"Mail\", \"SEEN\", \"METADATA$ACTION\", P, R)");
        assert_eq!(some.condition(), "(ID > 1) AND ");
        let only = resolved("columns = { include = [\"I*\"] }").unwrap();
        assert_eq!(only.star(), "* EXCLUDE (\"Mail\", \"SEEN\", \"SCORE\")");
        // A pattern may mean columns to come, so that the columns there are must be named all the same.
        assert_ne!(resolved("columns = { exclude = [\"X*\"] }").unwrap().column_list(["P", "R"]), "");
    }

    #[test]
    fn what_could_leak_or_mix_keys_is_refused() {
        for (settings, words) in [
            (
                "columns = { exclude = [\"mail\"] }",
                "columns.exclude names MAIL, which is not one of ID, Mail, SEEN, SCORE",
            ),
            ("columns = { redact = ['\"METADATA$ACTION\"'] }", "names METADATA$ACTION, which is not one of"),
            ("columns = { exclude = [\"I*\"] }", "key column ID is left out"),
            ("columns = { truncate = { \"I*\" = 2 } }", "key column ID is masked by truncate"),
            ("columns = { redact = [\"*D\"] }", "key column ID is masked by redact"),
            ("columns = { hash = [\"SEEN\"], redact = [\"S*\"] }", "SEEN is masked by hash and by redact"),
            ("columns = { hash = [\"SCORE\"] }", "SCORE has a type that hash does not go with"),
            ("columns = { truncate = { SEEN = 4 } }", "SEEN has a type that truncate does not go with"),
        ] {
            let message = resolved(settings).unwrap_err();
            assert!(message.contains(words), "{settings}: {message}");
        }
    }

    #[test]
    fn the_salt_is_not_the_secret() {
        assert_eq!(salt("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
