//! PUT, LS and REMOVE as Snowflake's own tools write them: with paths outside of quotes.
//!
//! Promises: only these three are read here; `file://…` is not mistaken for a comment.
//! Leaves to others: quoted locations (`sql::objects`), moving the files (`session::native`).

use crate::error::SqlError;
use crate::sql::Path;
use crate::sql::cursor::Cursor;

/// What is done with a stage's files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transfer {
    /// A client's files into a stage.
    Put { file: String, stage: Path, folder: String, overwrite: bool, parallel: u64 },
    /// What is in a stage.
    List { stage: Path, folder: String },
    /// Files out of a stage.
    Remove { stage: Path, folder: String },
}

/// The transfer in a statement, if it is one.
pub(crate) fn read(sql: &str) -> Result<Option<Transfer>, SqlError> {
    let mut words = sql.trim().trim_end_matches(';').split_whitespace();
    let first = words.next().unwrap_or_default().to_uppercase();
    Ok(match first.as_str() {
        "PUT" => {
            let file = unquoted(words.next().unwrap_or_default());
            let Some(file) = file.strip_prefix("file://").map(str::to_owned) else {
                return Err(SqlError::unexpected(file));
            };
            let (stage, folder) = location(words.next().unwrap_or_default())?;
            let (mut overwrite, mut parallel) = (false, 4);
            for option in words {
                let (name, value) = option.split_once('=').ok_or_else(|| SqlError::unexpected(option))?;
                match name.to_uppercase().as_str() {
                    "OVERWRITE" => overwrite = value.eq_ignore_ascii_case("true"),
                    "PARALLEL" => parallel = value.parse().map_err(|_| SqlError::bad_value("Numeric", value))?,
                    "AUTO_COMPRESS" if value.eq_ignore_ascii_case("false") => {}
                    "AUTO_COMPRESS" => return Err(SqlError::unsupported("PUT with AUTO_COMPRESS = TRUE")),
                    _ => return Err(SqlError::unexpected(option)),
                }
            }
            Some(Transfer::Put { file, stage, folder, overwrite, parallel })
        }
        "LS" | "LIST" => {
            let (stage, folder) = location(words.next().unwrap_or_default())?;
            match words.next() {
                Some(word) => return Err(SqlError::unexpected(word)),
                None => Some(Transfer::List { stage, folder }),
            }
        }
        "REMOVE" | "RM" => {
            let (stage, folder) = location(words.next().unwrap_or_default())?;
            match words.next() {
                Some(word) => return Err(SqlError::unexpected(word)),
                None => Some(Transfer::Remove { stage, folder }),
            }
        }
        _ => None,
    })
}

fn unquoted(text: &str) -> String {
    let inner = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
    inner.unwrap_or(text).to_owned()
}

/// `@stage/folder`, in quotes or not.
pub(crate) fn location(text: &str) -> Result<(Path, String), SqlError> {
    let text = unquoted(text);
    let rest = text.strip_prefix('@').ok_or_else(|| SqlError::unexpected(&text))?;
    let (stage, folder) = rest.split_once('/').unwrap_or((rest, ""));
    Ok((Cursor::new(stage)?.path()?, folder.trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cli_s_transfers_are_read() {
        let put = "put file:///p/output/deploy/setup/a.sql @pkg.app_src.stage/setup auto_compress=false parallel=4 overwrite=True";
        let stage = ["PKG", "APP_SRC", "STAGE"].map(str::to_owned).to_vec();
        assert_eq!(
            read(put).unwrap(),
            Some(Transfer::Put {
                file: "/p/output/deploy/setup/a.sql".to_owned(),
                stage: stage.clone(),
                folder: "setup".to_owned(),
                overwrite: true,
                parallel: 4
            })
        );
        let ls = read("ls @pkg.app_src.stage").unwrap();
        assert_eq!(ls, Some(Transfer::List { stage: stage.clone(), folder: String::new() }));
        let remove = read("remove @pkg.app_src.stage/setup.sql").unwrap();
        assert_eq!(remove, Some(Transfer::Remove { stage, folder: "setup.sql".to_owned() }));
        assert_eq!(read("select 1").unwrap(), None);
        assert!(read("put file:///x @s auto_compress=true").unwrap_err().message.contains("AUTO_COMPRESS"));
    }
}
