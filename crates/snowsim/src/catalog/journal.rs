//! The file that makes commits last: one line per commit, each with a checksum.
//!
//! Promises: a commit whose line is whole survives kill -9; of a line that was cut short nothing is
//! seen. Damage anywhere but in the last line is reported, not skipped.
//! Leaves to others: power loss (nothing is synced: the account is a simulation) and what commits mean.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use super::change::Commit;
use crate::error::SqlError;

/// The journal of one account, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
}

impl Journal {
    /// Reads every whole commit of a folder's journal, in order.
    pub(crate) fn read(folder: &Path, mut each: impl FnMut(Commit) -> Result<(), SqlError>) -> Result<(), SqlError> {
        let path = path(folder);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let mut reader = BufReader::new(file);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            if reader.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            match decode(&line) {
                Some(commit) => each(commit)?,
                // A killed process can leave only its last line unfinished.
                None if reader.fill_buf()?.is_empty() => break,
                None => {
                    return Err(SqlError::internal(format!(
                        "journal {} is damaged in line {number}; restore it or start with an empty folder",
                        path.display()
                    )));
                }
            }
        }
        Ok(())
    }

    /// Replaces the journal by one commit that holds everything, atomically, and opens it.
    pub(crate) fn restart(folder: &Path, snapshot: &Commit) -> Result<Self, SqlError> {
        let fresh = folder.join("journal.new");
        let mut file = File::create(&fresh)?;
        file.write_all(&encode(snapshot)?)?;
        std::fs::rename(&fresh, path(folder))?;
        Ok(Self { file: OpenOptions::new().append(true).open(path(folder))? })
    }

    /// Writes a commit; when this returns the commit is there to stay.
    pub(crate) fn append(&mut self, commit: &Commit) -> Result<(), SqlError> {
        let before = self.file.metadata()?.len();
        let written = self.file.write_all(&encode(commit)?);
        if let Err(error) = written {
            // Half a line in the middle would be damage: take it back before anything follows.
            self.file.set_len(before)?;
            return Err(error.into());
        }
        Ok(())
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("journal")
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn encode(commit: &Commit) -> Result<Vec<u8>, SqlError> {
    let body = serde_json::to_vec(commit).map_err(SqlError::internal)?;
    let mut line = format!("{:08x} ", checksum(&body)).into_bytes();
    line.extend_from_slice(&body);
    line.push(b'\n');
    Ok(line)
}

fn decode(line: &[u8]) -> Option<Commit> {
    let body = line.strip_suffix(b"\n")?;
    let (sum, body) = body.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum).ok()?.trim_end();
    (u32::from_str_radix(sum, 16).ok()? == checksum(body)).then_some(())?;
    serde_json::from_slice(body).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::change::Change;

    fn commit(sequence: u64) -> Commit {
        Commit { sequence, at: 7, changes: vec![Change::DropRole { name: format!("R{sequence}") }] }
    }

    fn sequences(folder: &Path) -> Result<Vec<u64>, SqlError> {
        let mut seen = Vec::new();
        Journal::read(folder, |commit| {
            seen.push(commit.sequence);
            Ok(())
        })?;
        Ok(seen)
    }

    #[test]
    fn a_line_cut_anywhere_hides_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::restart(folder.path(), &commit(1)).unwrap();
        journal.append(&commit(2)).unwrap();
        let whole = std::fs::read(path(folder.path())).unwrap();
        journal.append(&commit(3)).unwrap();
        let longer = std::fs::read(path(folder.path())).unwrap();
        for cut in whole.len()..longer.len() {
            std::fs::write(path(folder.path()), &longer[..cut]).unwrap();
            assert_eq!(sequences(folder.path()).unwrap(), [1, 2], "cut at {cut}");
        }
        let mut damaged = longer;
        damaged[12] ^= 1;
        std::fs::write(path(folder.path()), &damaged).unwrap();
        assert!(sequences(folder.path()).is_err());
    }
}
