//! How values leave the simulator: JSON text or Arrow, as Snowflake encodes them for its drivers.
//!
//! Which of the two a client gets is decided here ([`Dialect`]), and so is the description of a result's
//! columns ([`rowtype`]). The encodings are in [`arrow`] and [`mod@json`]; both are exact for every value of the
//! canonical representation ([`crate::types`]) and both work column by column.

pub(crate) mod arrow;
pub(crate) mod json;

use std::io;

use arrow_array::cast::AsArray;
use arrow_array::types::ByteArrayType;
use arrow_array::{Array, ArrayRef, GenericByteArray, RecordBatch};
use arrow_buffer::ArrowNativeType;
use arrow_schema::DataType;
use serde_json::{Value, json};

use crate::types::{ColumnMeta, SnowType};

/// A result's encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Row arrays of texts.
    Json,
    /// Arrow IPC streams.
    Arrow,
}

impl Format {
    /// The word of `queryResultFormat`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Arrow => "arrow",
        }
    }

    /// Whether chunks of this format are gzipped on disk and on the wire.
    pub(crate) fn is_gzipped(self, gzip_arrow: bool) -> bool {
        self == Format::Json || gzip_arrow
    }
}

/// Which result format a client understands, and the session parameter that changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dialect {
    pub(crate) parameter: String,
    pub(crate) default: Format,
}

impl Dialect {
    /// The dialect of a `CLIENT_APP_ID`. Clients Snowflake does not know get JSON unless they ask.
    pub(crate) fn of(app: &str) -> Dialect {
        let (prefix, default) = match app {
            "Go" => ("GO".to_owned(), Format::Arrow),
            "PythonConnector" => ("PYTHON_CONNECTOR".to_owned(), Format::Arrow),
            "JDBC" => ("JDBC".to_owned(), Format::Arrow),
            "ODBC" => ("ODBC".to_owned(), Format::Arrow),
            other => (snake(other), Format::Json),
        };
        Dialect { parameter: format!("{prefix}_QUERY_RESULT_FORMAT"), default }
    }

    /// The format when the session parameter has this value.
    pub(crate) fn format(&self, parameter: Option<&Value>) -> Format {
        let word = parameter.and_then(Value::as_str).unwrap_or_default();
        if word.eq_ignore_ascii_case("JSON") {
            Format::Json
        } else if word.to_ascii_uppercase().starts_with("ARROW") {
            Format::Arrow
        } else {
            self.default
        }
    }
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut after_lower = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() {
            out.push('_');
        } else {
            if letter.is_ascii_uppercase() && after_lower {
                out.push('_');
            }
            out.push(letter.to_ascii_uppercase());
        }
        after_lower = letter.is_ascii_lowercase();
    }
    out
}

/// The columns of a result as `rowtype` describes them.
pub(crate) fn rowtype(columns: &[ColumnMeta]) -> Value {
    columns.iter().map(column).collect()
}

fn column(meta: &ColumnMeta) -> Value {
    let (precision, scale) = match meta.ty {
        SnowType::Fixed { precision, scale } => (json!(precision), json!(scale)),
        SnowType::Time { scale }
        | SnowType::TimestampNtz { scale }
        | SnowType::TimestampLtz { scale }
        | SnowType::TimestampTz { scale } => (json!(0), json!(scale)),
        _ => (Value::Null, Value::Null),
    };
    let (length, byte_length) = lengths(&meta.ty);
    let mut described = json!({
        "name": meta.name,
        "database": meta.database,
        "schema": meta.schema,
        "table": meta.table,
        "type": logical(&meta.ty).to_ascii_lowercase(),
        "nullable": meta.nullable,
        "length": length,
        "byteLength": byte_length,
        "precision": precision,
        "scale": scale,
        "collation": null,
    });
    if meta.ty.is_geospatial() {
        described["extTypeName"] = json!(meta.ty.to_string());
    }
    described
}

/// Characters and bytes at most, for the types that have them. A character is at most four bytes, but no
/// value is longer than the type's own limit.
fn lengths(ty: &SnowType) -> (Option<u64>, Option<u64>) {
    match *ty {
        SnowType::Text { length } => {
            (Some(length), Some(length.saturating_mul(4).min(length.max(crate::types::MAX_TEXT))))
        }
        SnowType::Binary { length } => (Some(length), Some(length)),
        _ => (None, None),
    }
}

/// The type's name in Arrow metadata; in lower case, in `rowtype`.
fn logical(ty: &SnowType) -> &'static str {
    match ty {
        SnowType::Fixed { .. } => "FIXED",
        SnowType::Real => "REAL",
        SnowType::Boolean => "BOOLEAN",
        SnowType::Text { .. } => "TEXT",
        SnowType::Binary { .. } => "BINARY",
        SnowType::Date => "DATE",
        SnowType::Time { .. } => "TIME",
        SnowType::TimestampNtz { .. } => "TIMESTAMP_NTZ",
        SnowType::TimestampLtz { .. } => "TIMESTAMP_LTZ",
        SnowType::TimestampTz { .. } => "TIMESTAMP_TZ",
        SnowType::Variant => "VARIANT",
        SnowType::Object => "OBJECT",
        SnowType::Array => "ARRAY",
        // The carrier of a GEOGRAPHY in GeoJSON; its own name goes beside it.
        SnowType::Geography | SnowType::Geometry => "OBJECT",
    }
}

/// About how many bytes a batch's rows are on the wire, before compression.
pub(crate) fn weight(batch: &RecordBatch) -> usize {
    let rows = batch.num_rows();
    batch
        .columns()
        .iter()
        .map(|column| match column.data_type() {
            DataType::Utf8 => span(column.as_string::<i32>()) + 4 * rows,
            DataType::LargeUtf8 => span(column.as_string::<i64>()) + 4 * rows,
            DataType::Binary => span(column.as_binary::<i32>()) + 4 * rows,
            DataType::LargeBinary => span(column.as_binary::<i64>()) + 4 * rows,
            DataType::Boolean => rows.div_ceil(8),
            _ => 8 * rows,
        })
        .sum()
}

fn span<T: ByteArrayType>(array: &GenericByteArray<T>) -> usize {
    let offsets = array.value_offsets();
    match (offsets.first(), offsets.last()) {
        (Some(first), Some(last)) => last.as_usize() - first.as_usize(),
        _ => 0,
    }
}

/// A column in its canonical representation, whatever the engine's expression gave.
fn canonical(column: &ArrayRef, meta: &ColumnMeta) -> io::Result<ArrayRef> {
    let wanted = meta.ty.arrow();
    if *column.data_type() == wanted {
        return Ok(ArrayRef::clone(column));
    }
    arrow_cast::cast(column, &wanted)
        .map_err(|error| io::Error::other(format!("column {} is not a {}: {error}", meta.name, meta.ty)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_the_format_they_read() {
        let go = Dialect::of("Go");
        assert_eq!(go.format(None), Format::Arrow);
        assert_eq!(go.format(Some(&json!("json"))), Format::Json);
        let node = Dialect::of("JavaScript");
        assert_eq!((node.format(None), node.parameter.as_str()), (Format::Json, "JAVA_SCRIPT_QUERY_RESULT_FORMAT"));
        assert_eq!(Dialect::of("my-app").format(Some(&json!("ARROW"))), Format::Arrow);
        assert_eq!(Dialect::of("PythonConnector").parameter, "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT");
    }

    #[test]
    fn a_column_is_described_as_its_type() {
        let meta = |ty| ColumnMeta {
            name: "C".to_owned(),
            database: String::new(),
            schema: String::new(),
            table: "T".to_owned(),
            ty,
            nullable: false,
        };
        let described =
            rowtype(&[meta(SnowType::Fixed { precision: 38, scale: 2 }), meta(SnowType::Text { length: 10 })]);
        assert_eq!(described[0]["type"], "fixed");
        assert_eq!((&described[0]["precision"], &described[0]["scale"]), (&json!(38), &json!(2)));
        assert_eq!((&described[1]["length"], &described[1]["byteLength"]), (&json!(10), &json!(40)));
        assert_eq!(rowtype(&[meta(SnowType::TEXT)])[0]["byteLength"], json!(16_777_216));
    }
}
