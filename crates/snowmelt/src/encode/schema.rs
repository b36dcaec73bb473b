//! Kafka Connect's JSON schemas, for those who ask for them in every record.
//!
//! A schema is built once per table schema, as text. It says of each field only what the payload keeps:
//! a logical name stands only where the payload has that name's form (`ZonedTimestamp` for text with a
//! zone, `Json` for JSON in a string, `bytes` for base64), else the type is a plain string.

use super::image::style;
use super::json;
use super::{BinaryForm, EncoderOptions};
use crate::source::value::{Column, DataType, VectorElement};

/// The schema of a key.
pub(super) fn key(options: &EncoderOptions, columns: &[Column], key: &[usize]) -> String {
    structure(&fields(options, columns, key), &format!("{}.Key", options.topic), false, None)
}

/// The schema of a row, for the `plain` envelope.
pub(super) fn row(options: &EncoderOptions, columns: &[Column], row: &[usize]) -> String {
    structure(&fields(options, columns, row), &format!("{}.Value", options.topic), false, None)
}

/// The schema of the `debezium` envelope.
pub(super) fn envelope(options: &EncoderOptions, columns: &[Column], row: &[usize]) -> String {
    let image = fields(options, columns, row);
    let value = format!("{}.Value", options.topic);
    let source = [
        ("string", "version"),
        ("string", "connector"),
        ("string", "name"),
        ("int64", "ts_ms"),
        ("string", "snapshot"),
        ("string", "db"),
        ("string", "schema"),
        ("string", "table"),
        ("int64", "generation"),
        ("int64", "batch"),
        ("int64", "row"),
        ("string", "row_id"),
    ]
    .map(|(ty, name)| plain(ty, false, name))
    .join(",");
    let parts = [
        structure(&image, &value, true, Some("before")),
        structure(&image, &value, true, Some("after")),
        structure(&source, "io.snowmelt.Source", false, Some("source")),
        plain("string", false, "op"),
        plain("int64", true, "ts_ms"),
    ]
    .join(",");
    structure(&parts, &format!("{}.Envelope", options.topic), false, None)
}

fn structure(fields: &str, name: &str, optional: bool, field: Option<&str>) -> String {
    let field = field.map_or(String::new(), |field| format!(",\"field\":{}", quoted(field)));
    let name = quoted(name);
    format!("{{\"type\":\"struct\",\"fields\":[{fields}],\"optional\":{optional},\"name\":{name}{field}}}")
}

fn plain(ty: &str, optional: bool, field: &str) -> String {
    format!("{{\"type\":\"{ty}\",\"optional\":{optional},\"field\":{}}}", quoted(field))
}

fn quoted(text: &str) -> String {
    let mut out = Vec::new();
    json::string(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

fn fields(options: &EncoderOptions, columns: &[Column], indices: &[usize]) -> String {
    let field = |&index: &usize| field(options, &columns[index]);
    indices.iter().map(field).collect::<Vec<_>>().join(",")
}

/// Every column is optional: a table's NOT NULL may be younger than a row's old image.
fn field(options: &EncoderOptions, column: &Column) -> String {
    let number = style(options, column.ty).number;
    let (ty, extra) = match column.ty {
        DataType::Fixed { precision, scale: 0 } if number && precision <= 18 => ("int64", ""),
        DataType::Fixed { .. } | DataType::DecFloat if number => ("double", ""),
        DataType::Real => ("double", ""),
        DataType::Boolean => ("boolean", ""),
        DataType::Binary if options.binary == BinaryForm::Base64 => ("bytes", ""),
        DataType::TimestampLtz { .. } | DataType::TimestampTz { .. } => {
            ("string", ",\"name\":\"io.debezium.time.ZonedTimestamp\",\"version\":1")
        }
        DataType::Variant | DataType::Object | DataType::Array | DataType::Map => {
            ("string", ",\"name\":\"io.debezium.data.Json\",\"version\":1")
        }
        DataType::Vector { element, .. } => (
            "array",
            match element {
                VectorElement::Int => ",\"items\":{\"type\":\"int32\",\"optional\":false}",
                VectorElement::Float => ",\"items\":{\"type\":\"float\",\"optional\":false}",
            },
        ),
        _ => ("string", ""),
    };
    let name = quoted(&column.name);
    format!("{{\"type\":\"{ty}\",\"optional\":true{extra},\"field\":{name}}}")
}
