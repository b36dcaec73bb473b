//! Cuts a stream of batches into parts of bounded size and writes them.
//!
//! All Arrow parts of a result share one schema, with number columns as narrow as the whole result's values
//! allow; a part that needs more room has the parts before it rewritten, which happens early or not at all.
//! Row counts and sizes are those of what was written, exactly.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tokio::sync::mpsc;

use super::Chunk;
use crate::types::ColumnMeta;
use crate::wire::arrow::Layout;
use crate::wire::{self, Format};

/// How big parts may grow, in bytes before compression; a single row may exceed them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The part inside the reply.
    pub(crate) inline: usize,
    /// Each chunk.
    pub(crate) chunk: usize,
    /// Arrow chunks are gzipped too, as JSON chunks always are.
    pub(crate) gzip_arrow: bool,
}

/// The parts of a finished result.
pub(super) struct Parts {
    pub(super) total: u64,
    pub(super) inline: String,
    pub(super) chunks: Vec<Chunk>,
}

pub(super) fn chunk_path(directory: &Path, chunk: usize) -> PathBuf {
    directory.join(format!("{chunk}.chunk"))
}

/// Encodes batches until the channel closes. Runs on a blocking thread.
pub(super) fn run(
    directory: &Path,
    columns: &[ColumnMeta],
    format: Format,
    limits: Limits,
    mut batches: mpsc::Receiver<RecordBatch>,
) -> Result<Parts, String> {
    let mut chunker = Chunker {
        directory,
        columns,
        format,
        limits,
        layout: Layout::new(columns),
        pending: Vec::new(),
        pending_bytes: 0,
        inline: None,
        chunks: Vec::new(),
        total: 0,
    };
    while let Some(batch) = batches.blocking_recv() {
        chunker.push(batch)?;
    }
    chunker.finish()
}

struct Chunker<'a> {
    directory: &'a Path,
    columns: &'a [ColumnMeta],
    format: Format,
    limits: Limits,
    layout: Layout,
    pending: Vec<RecordBatch>,
    pending_bytes: usize,
    inline: Option<Vec<u8>>,
    chunks: Vec<Chunk>,
    total: u64,
}

impl Chunker<'_> {
    /// Adds a batch, closing as many parts as it fills.
    fn push(&mut self, batch: RecordBatch) -> Result<(), String> {
        if batch.num_columns() != self.columns.len() {
            return Err(format!("a batch has {} columns, the result {}", batch.num_columns(), self.columns.len()));
        }
        let mut rest = batch;
        while rest.num_rows() > 0 {
            let rows = rest.num_rows();
            let bytes = wire::weight(&rest);
            let limit = if self.inline.is_none() { self.limits.inline } else { self.limits.chunk };
            let room = limit.saturating_sub(self.pending_bytes);
            let fitting = if bytes <= room { rows } else { (room / (bytes / rows).max(1)).min(rows) };
            // An empty part takes at least one row, however heavy.
            let taken = if self.pending.is_empty() { fitting.max(1) } else { fitting };
            if taken == 0 {
                self.close_part()?;
                continue;
            }
            self.pending_bytes += bytes * taken / rows;
            self.pending.push(rest.slice(0, taken));
            rest = rest.slice(taken, rows - taken);
            if rest.num_rows() > 0 {
                self.close_part()?;
            }
        }
        Ok(())
    }

    fn close_part(&mut self) -> Result<(), String> {
        let rows = self.pending.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        self.write_part(rows).map_err(|error| format!("result not spooled: {error}"))?;
        self.total += rows;
        self.pending.clear();
        self.pending_bytes = 0;
        Ok(())
    }

    fn write_part(&mut self, rows: u64) -> io::Result<()> {
        if self.format == Format::Arrow
            && let Some(wider) = self.layout.widened(self.columns, &self.pending)?
        {
            self.layout = wider;
            self.rewrite_parts()?;
        }
        if self.inline.is_none() {
            let mut bytes = Vec::with_capacity(self.pending_bytes);
            self.encode(&mut bytes)?;
            self.inline = Some(bytes);
        } else {
            let path = chunk_path(self.directory, self.chunks.len());
            std::fs::create_dir_all(self.directory)?;
            let (uncompressed, compressed) = self.write_file(&path, |file| self.encode(file))?;
            self.chunks.push(Chunk { rows, uncompressed, compressed });
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Parts, String> {
        if !self.pending.is_empty() {
            self.close_part()?;
        }
        let inline = self.inline.unwrap_or_default();
        let inline = match self.format {
            Format::Arrow => STANDARD.encode(inline),
            Format::Json => String::from_utf8(inline).map_err(|error| error.to_string())?,
        };
        Ok(Parts { total: self.total, inline, chunks: self.chunks })
    }

    /// Writes the parts so far anew, in the layout as it is now.
    fn rewrite_parts(&mut self) -> io::Result<()> {
        if let Some(inline) = &self.inline {
            let mut bytes = Vec::with_capacity(inline.len() * 2);
            wire::arrow::rewrite(&self.layout, inline.as_slice(), &mut bytes)?;
            self.inline = Some(bytes);
        }
        for index in 0..self.chunks.len() {
            let path = chunk_path(self.directory, index);
            let old = path.with_extension("old");
            std::fs::rename(&path, &old)?;
            let file = BufReader::new(File::open(&old)?);
            let input: Box<dyn Read> = if self.format.is_gzipped(self.limits.gzip_arrow) {
                Box::new(GzDecoder::new(file))
            } else {
                Box::new(file)
            };
            let (uncompressed, compressed) =
                self.write_file(&path, |file| wire::arrow::rewrite(&self.layout, input, file))?;
            std::fs::remove_file(&old)?;
            if let Some(chunk) = self.chunks.get_mut(index) {
                (chunk.uncompressed, chunk.compressed) = (uncompressed, compressed);
            }
        }
        Ok(())
    }

    /// Writes a chunk's file; its size before and after compression.
    fn write_file(
        &self,
        path: &Path,
        write: impl FnOnce(&mut Counted<Body>) -> io::Result<()>,
    ) -> io::Result<(u64, u64)> {
        let file = BufWriter::with_capacity(1 << 18, File::create(path)?);
        let body = if self.format.is_gzipped(self.limits.gzip_arrow) {
            Body::Gzipped(GzEncoder::new(file, Compression::fast()))
        } else {
            Body::Plain(file)
        };
        let mut counted = Counted { inner: body, bytes: 0 };
        write(&mut counted)?;
        let mut file = match counted.inner {
            Body::Gzipped(encoder) => encoder.finish()?,
            Body::Plain(file) => file,
        };
        file.flush()?;
        Ok((counted.bytes, file.get_ref().metadata()?.len()))
    }

    fn encode(&self, out: &mut impl Write) -> io::Result<()> {
        match self.format {
            Format::Arrow => wire::arrow::write(self.columns, &self.layout, &self.pending, out),
            Format::Json => wire::json::write(self.columns, &self.pending, out),
        }
    }
}

/// A chunk's file, compressed or not.
enum Body {
    Gzipped(GzEncoder<BufWriter<File>>),
    Plain(BufWriter<File>),
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Body::Gzipped(encoder) => encoder.write(bytes),
            Body::Plain(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Body::Gzipped(encoder) => encoder.flush(),
            Body::Plain(file) => file.flush(),
        }
    }
}

/// Counts what passes.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
