//! Files that are there whole or not at all, also after a power cut.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes beside `path`, and down to the disk; the caller gives it its name. Readable by its owner only.
pub(crate) fn beside(path: &Path, content: &[u8]) -> io::Result<NamedTempFile> {
    let mut temporary = NamedTempFile::new_in(folder(path))?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    Ok(temporary)
}

/// Replaces `path`.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    beside(path, content)?.persist(path).map_err(|error| error.error)?;
    std::fs::File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
