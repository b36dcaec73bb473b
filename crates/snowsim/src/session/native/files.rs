//! Files of stages: put by clients of this machine, listed, removed, and given to applications.
//!
//! Promises: a client is told a folder to copy to; what is in it is taken into the stage when somebody looks at the
//! stage. Leaves to others: `COPY INTO` and directory tables (`session::stage`).

use std::path::{Path as Folder, PathBuf};

use serde_json::{Value, json};

use super::{Rows, Session, answer};
use crate::catalog::stage::{File, Stage};
use crate::error::SqlError;
use crate::native::Files;
use crate::native::parse::Source;
use crate::native::transfer::Transfer;
use crate::sql::Path;
use crate::types::SnowType;

impl Session {
    /// An application's files, as they are now.
    pub(super) fn files(&self, package: &str, source: &Source) -> Result<Files, SqlError> {
        match source {
            Source::Version(version) => {
                let native = self.native_state();
                let known = native.packages.get(package).and_then(|package| package.versions.get(version));
                known.cloned().ok_or_else(|| SqlError::missing("Version", version))
            }
            Source::Stage(stage, folder) => {
                let stage = self.filled(stage)?;
                let inside = |path: &str| match folder.is_empty() {
                    true => Some(path.to_owned()),
                    false => path.strip_prefix(&format!("{folder}/")).map(str::to_owned),
                };
                let files = stage.files.iter().filter_map(|(path, file)| Some((inside(path)?, file.content.clone())));
                Ok(files.collect())
            }
        }
    }

    /// The folder that a client of this machine puts a stage's files into.
    fn inbox(&self, stage: &Stage) -> PathBuf {
        self.engine.inbox.join(stage.id.to_string())
    }

    /// PUT, LS and REMOVE.
    pub(in crate::session) fn transfer(&mut self, transfer: Transfer) -> Result<(Rows, Option<Value>), SqlError> {
        match transfer {
            Transfer::Put { file, stage, folder, overwrite, parallel } => {
                let stage = self.filled(&stage)?;
                let place = self.inbox(&stage).join(&folder);
                std::fs::create_dir_all(&place)?;
                let answer = json!({
                    "command": "UPLOAD",
                    "src_locations": [file],
                    "stageInfo": { "locationType": "LOCAL_FS", "location": place, "path": "", "creds": {} },
                    "autoCompress": false,
                    "sourceCompression": "none",
                    "overwrite": overwrite,
                    "parallel": parallel,
                    "threshold": 209_715_200,
                    "encryptionMaterial": null,
                });
                Ok((answer::status("")?, Some(answer)))
            }
            Transfer::List { stage, folder } => {
                let stage = self.filled(&stage)?;
                let shown = stage.files.iter().filter(|(path, _)| path.starts_with(&folder)).map(|(path, file)| {
                    vec![
                        answer::text(format!("{}/{path}", stage.name.name.to_lowercase())),
                        answer::count(u64::try_from(file.content.len()).unwrap_or(0)),
                        // None is computed, as in directory tables.
                        answer::text(""),
                        answer::text(file.modified.to_string()),
                    ]
                });
                let text = SnowType::TEXT;
                let columns = [("name", text), ("size", answer::COUNT), ("md5", text), ("last_modified", text)];
                Ok((answer::rows(&columns, shown.collect())?, None))
            }
            Transfer::Remove { stage: path, folder } => {
                self.filled(&path)?;
                let rows = self.remove_files(&crate::sql::objects::Location { stage: path, path: folder })?;
                Ok((rows, None))
            }
        }
    }

    /// A stage with all that has been put into it.
    fn filled(&self, path: &Path) -> Result<Stage, SqlError> {
        let mut stage = self.stage(path, "READ")?;
        let inbox = self.inbox(&stage);
        if !inbox.is_dir() {
            return Ok(stage);
        }
        let mut put = Vec::new();
        gather(&inbox, &inbox, &mut put)?;
        let modified = self.engine.now();
        for (path, content) in put {
            let content = String::from_utf8(content)
                .map_err(|_| SqlError::unsupported(format!("the file {path}, which is no text, in a stage")))?;
            stage.files.insert(path, File { content, modified });
        }
        self.put_stage(stage.clone())?;
        std::fs::remove_dir_all(&inbox)?;
        Ok(stage)
    }
}

/// All files below a folder, by their path in it.
fn gather(root: &Folder, folder: &Folder, found: &mut Vec<(String, Vec<u8>)>) -> Result<(), SqlError> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            gather(root, &path, found)?;
        } else {
            let inside = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            found.push((inside, std::fs::read(&path)?));
        }
    }
    Ok(())
}
