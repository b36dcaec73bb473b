//! An immutable run of rows on disk: one Arrow IPC file, columns named by column id.
//!
//! Promises: a part is never rewritten; its file goes when nothing in the account or in a running
//! query refers to it any more, and never merely because the process ends.
//! Leaves to others: which rows of it still count (`deletes`), which schema they are shown with (`scan`).

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arrow_ipc::reader::FileReader;
use serde::{Deserialize, Serialize};

use crate::error::SqlError;
use crate::types::SnowType;

/// Name of the row id column inside a part.
pub(crate) const ROW_COLUMN: &str = "$ROW";

/// Why the rows of a part were written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum PartKind {
    /// New rows, with ids nobody had before.
    Insert,
    /// New images of rows that keep their ids.
    Update,
    /// Rows moved unchanged from smaller parts.
    Compact,
}

/// What is known of one column of a part without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartColumn {
    /// The column's id.
    pub(crate) id: u32,
    /// Its type when the part was written.
    pub(crate) ty: SnowType,
    /// Least and greatest unscaled value of a NUMBER column without NULLs, as text (the journal's
    /// JSON has no 128-bit numbers).
    pub(crate) range: Option<(String, String)>,
    /// Whether its values never fall from one row to the next.
    pub(crate) sorted: bool,
}

impl PartColumn {
    /// The range as numbers.
    #[must_use]
    pub(crate) fn bounds(&self) -> Option<(i128, i128)> {
        let (least, greatest) = self.range.as_ref()?;
        Some((least.parse().ok()?, greatest.parse().ok()?))
    }
}

/// A part as the journal describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartMeta {
    /// Identity, and the file's name.
    pub(crate) id: u64,
    /// Rows in the file.
    pub(crate) rows: u32,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Why it was written.
    pub(crate) kind: PartKind,
    /// Its columns, in the file's order; the row id comes last and is not listed.
    pub(crate) columns: Vec<PartColumn>,
}

/// The folder of parts.
#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    next: AtomicU64,
    /// While set, dropping a part leaves its file: before the account is fully open (a failed start
    /// must not destroy anything) and once it closes.
    keeping: AtomicBool,
}

impl Store {
    /// Uses a folder, creating it if missing.
    pub(crate) fn open(folder: &Path) -> Result<Arc<Self>, SqlError> {
        std::fs::create_dir_all(folder)?;
        Ok(Arc::new(Self { folder: folder.to_owned(), next: AtomicU64::new(1), keeping: AtomicBool::new(true) }))
    }

    /// A part id nobody has.
    pub(crate) fn reserve(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes sure that ids up to and including `id` are not handed out again.
    pub(crate) fn skip(&self, id: u64) {
        self.next.fetch_max(id + 1, Ordering::Relaxed);
    }

    /// The file of a part.
    #[must_use]
    pub(crate) fn path(&self, id: u64) -> PathBuf {
        self.folder.join(format!("{id}.arrow"))
    }

    /// Whether dropping a part leaves its file from now on.
    pub(crate) fn keep(&self, keep: bool) {
        self.keeping.store(keep, Ordering::SeqCst);
    }

    /// Deletes files that belong to none of the given parts (left by a killed process).
    pub(crate) fn sweep(&self, known: &dyn Fn(u64) -> bool) -> Result<(), SqlError> {
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let id = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
            if let Some(id) = id {
                self.skip(id);
            }
            if !id.is_some_and(known) {
                std::fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// A part: its description and its file.
#[derive(Debug)]
pub(crate) struct Part {
    /// The description.
    pub(crate) meta: PartMeta,
    store: Arc<Store>,
}

impl Part {
    /// The part of a description; its file must be in the store's folder by the time it is read.
    #[must_use]
    pub(crate) fn new(meta: PartMeta, store: &Arc<Store>) -> Arc<Self> {
        store.skip(meta.id);
        Arc::new(Self { meta, store: Arc::clone(store) })
    }

    /// The same part, described anew once its file is whole.
    #[must_use]
    pub(crate) fn described(mut self, meta: PartMeta) -> Arc<Self> {
        self.meta = meta;
        Arc::new(self)
    }

    /// Index of a column in the file.
    #[must_use]
    pub(crate) fn column(&self, id: u32) -> Option<(usize, &PartColumn)> {
        self.meta.columns.iter().enumerate().find(|(_, column)| column.id == id)
    }

    /// Index of the row id in the file.
    #[must_use]
    pub(crate) fn row_column(&self) -> usize {
        self.meta.columns.len()
    }

    /// Reads some columns (file indices, ascending) batch by batch.
    pub(crate) fn read(&self, columns: Vec<usize>) -> Result<FileReader<BufReader<File>>, SqlError> {
        let path = self.store.path(self.meta.id);
        let file = File::open(&path)
            .map_err(|error| SqlError::internal(format!("cannot open part {}: {error}", path.display())))?;
        Ok(FileReader::try_new(BufReader::new(file), Some(columns))?)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.store.keeping.load(Ordering::SeqCst) {
            // Missing already is as good as removed; anything else is swept at the next start.
            let _ = std::fs::remove_file(self.store.path(self.meta.id));
        }
    }
}
