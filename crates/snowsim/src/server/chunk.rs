//! Result chunks, served as the cloud's storage serves them: by a link that says everything, without a
//! session, with the key in the headers, refused with 403 once the link has ended.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::{Service, Struck};
use crate::fault::Action;
use crate::result::{Denied, Spooled};
use crate::stats::count;

pub(super) const ROUTE: &str = "/results/{link}/{chunk}";
const KEY: &str = "x-amz-server-side-encryption-customer-key";
const ALGORITHM: &str = "x-amz-server-side-encryption-customer-algorithm";
/// Bytes read at a time.
const PIECE: usize = 1 << 18;

/// The `chunks` of a reply.
pub(super) fn links(origin: &str, link: &str, result: &Spooled) -> Value {
    let chunks = result.chunks.iter().enumerate().map(|(number, chunk)| {
        json!({
            "url": format!("{origin}/results/{link}/{number}"),
            "rowCount": chunk.rows,
            "uncompressedSize": chunk.uncompressed,
            "compressedSize": chunk.compressed,
        })
    });
    chunks.collect()
}

/// The `chunkHeaders` of a reply, which a download must present.
pub(super) fn headers(result: &Spooled) -> Value {
    json!({ KEY: result.key, ALGORITHM: "AES256" })
}

/// How a download goes wrong, if it does.
#[derive(Default, Clone, Copy)]
struct Trouble {
    cut_after: Option<u64>,
    slow: Option<(u64, Duration)>,
}

/// `GET /results/{link}/{chunk}`
pub(super) async fn download(
    State(service): State<Arc<Service>>,
    Extension(Struck(actions)): Extension<Struck>,
    Path((link, chunk)): Path<(String, usize)>,
    headers: HeaderMap,
) -> Response {
    // Storage refuses a signed link that comes with other credentials; a client that sends its session
    // token to the storage is broken, and leaks it.
    if headers.contains_key(header::AUTHORIZATION) {
        return refuse(StatusCode::BAD_REQUEST, "InvalidArgument", "a result link takes no Authorization header");
    }
    let mut trouble = Trouble::default();
    for action in actions.iter() {
        match action {
            Action::ChunkForbidden => return refuse(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired"),
            Action::CutChunk { after } => trouble.cut_after = Some(*after),
            Action::SlowChunk { bytes, every_ms } => {
                trouble.slow = Some(((*bytes).max(1), Duration::from_millis(*every_ms)));
            }
            _ => {}
        }
    }
    let key = headers.get(KEY).and_then(|key| key.to_str().ok());
    let result = match service.spool.resolve(&link, chunk, key) {
        Ok(result) => result,
        Err(Denied::Expired) => return refuse(StatusCode::FORBIDDEN, "AccessDenied", "Request has expired"),
        Err(Denied::WrongKey) => return refuse(StatusCode::FORBIDDEN, "AccessDenied", "the customer key does not fit"),
        Err(Denied::NoSuchChunk) => return refuse(StatusCode::NOT_FOUND, "NoSuchKey", "the result has no such chunk"),
    };
    let file = match File::open(result.path(chunk)).await {
        Ok(file) => file,
        Err(error) => return refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", &error.to_string()),
    };
    count(&service.counts.chunks);
    let Some(size) = result.chunks.get(chunk).map(|chunk| chunk.compressed) else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchKey", "the result has no such chunk");
    };
    let mut response = Response::new(body(file, Arc::clone(&result), trouble));
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_LENGTH, HeaderValue::from(size));
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if result.format.is_gzipped(service.limits.gzip_arrow) {
        fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// The file as a stream. The result travels along, so that its files stay while they are read.
fn body(file: File, result: Arc<Spooled>, trouble: Trouble) -> Body {
    let start = (file, result, 0_u64);
    Body::from_stream(stream::try_unfold(start, move |(mut file, result, sent)| async move {
        let mut piece = PIECE as u64;
        if let Some((bytes, pause)) = trouble.slow {
            tokio::time::sleep(pause).await;
            piece = piece.min(bytes);
        }
        if let Some(limit) = trouble.cut_after {
            if sent >= limit {
                return Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut by a fault"));
            }
            piece = piece.min(limit - sent);
        }
        let mut buffer = Vec::with_capacity(usize::try_from(piece).unwrap_or(PIECE));
        let read = (&mut file).take(piece).read_to_end(&mut buffer).await?;
        if read == 0 {
            return Ok(None);
        }
        Ok(Some((Bytes::from(buffer), (file, result, sent + read as u64))))
    }))
}

fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>");
    (status, [(header::CONTENT_TYPE, "application/xml")], body).into_response()
}
