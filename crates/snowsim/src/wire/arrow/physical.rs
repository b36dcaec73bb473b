//! The physical side of an Arrow column: which Arrow type carries a Snowflake type, and what its metadata says.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::Decimal128Type;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, Field, Fields};

use super::super::{lengths, logical};
use crate::types::{ColumnMeta, SnowType};

/// A column's field: its physical type, and in the metadata what it means.
pub(super) fn field(meta: &ColumnMeta, physical: DataType) -> Field {
    let name = name_of(&physical);
    let mut metadata = HashMap::from([
        ("logicalType".to_owned(), logical(&meta.ty).to_owned()),
        ("physicalType".to_owned(), name.to_owned()),
        ("finalType".to_owned(), "T".to_owned()),
    ]);
    let (precision, scale) = match meta.ty {
        SnowType::Fixed { precision, scale } => (u32::from(precision), scale.to_string()),
        SnowType::Time { scale }
        | SnowType::TimestampNtz { scale }
        | SnowType::TimestampLtz { scale }
        | SnowType::TimestampTz { scale } => (0, scale.to_string()),
        _ => (38, "0".to_owned()),
    };
    metadata.insert("precision".to_owned(), precision.to_string());
    metadata.insert("scale".to_owned(), scale);
    let (characters, bytes) = lengths(&meta.ty);
    metadata.insert("charLength".to_owned(), characters.unwrap_or(0).to_string());
    metadata.insert("byteLength".to_owned(), bytes.unwrap_or_else(|| width(name)).to_string());
    Field::new(&meta.name, physical, true).with_metadata(metadata)
}

/// Snowflake's name of a physical type. A struct's name tells how many integers it stands for.
fn name_of(physical: &DataType) -> &'static str {
    match physical {
        DataType::Utf8 | DataType::Binary => "LOB",
        DataType::Float64 => "DOUBLE",
        DataType::Struct(fields) => {
            if fields.iter().any(|field| field.name() == "fraction") {
                "SB16"
            } else {
                "SB8"
            }
        }
        other => match bytes_of(other) {
            1 => "SB1",
            2 => "SB2",
            4 => "SB4",
            8 => "SB8",
            _ => "SB16",
        },
    }
}

/// Bytes of one value of a physical type. Some clients tell the two forms of TIMESTAMP_TZ apart by it.
fn width(name: &str) -> u64 {
    match name {
        "SB1" => 1,
        "SB2" => 2,
        "SB4" => 4,
        "SB16" => 16,
        _ => 8,
    }
}

pub(super) fn bytes_of(physical: &DataType) -> usize {
    if *physical == DataType::Boolean { 1 } else { physical.primitive_width().unwrap_or(0) }
}

/// The Arrow type of a column's values; of a number's, the narrowest.
pub(super) fn physical(ty: &SnowType) -> DataType {
    match *ty {
        SnowType::Fixed { .. } => DataType::Int8,
        SnowType::Real => DataType::Float64,
        SnowType::Boolean => DataType::Boolean,
        SnowType::Text { .. }
        | SnowType::Variant
        | SnowType::Object
        | SnowType::Array
        | SnowType::Geography
        | SnowType::Geometry => DataType::Utf8,
        SnowType::Binary { .. } => DataType::Binary,
        SnowType::Date => DataType::Date32,
        SnowType::Time { scale } if scale <= 4 => DataType::Int32,
        SnowType::Time { .. } => DataType::Int64,
        SnowType::TimestampNtz { scale } | SnowType::TimestampLtz { scale } if scale <= 7 => DataType::Int64,
        SnowType::TimestampNtz { .. } | SnowType::TimestampLtz { .. } => parts(true, false),
        SnowType::TimestampTz { scale } => parts(scale > 3, true),
    }
}

/// The struct of a timestamp that is no single integer.
fn parts(fraction: bool, timezone: bool) -> DataType {
    let mut fields = vec![Field::new("epoch", DataType::Int64, true)];
    if fraction {
        fields.push(Field::new("fraction", DataType::Int32, true));
    }
    if timezone {
        fields.push(Field::new("timezone", DataType::Int32, true));
    }
    DataType::Struct(Fields::from(fields))
}

/// The narrowest type that holds every value present.
pub(super) fn number(precision: u8, scale: i8, array: &ArrayRef) -> DataType {
    let array = array.as_primitive::<Decimal128Type>();
    let (mut low, mut high) = (0_i128, 0_i128);
    // The slots of NULLs hold anything, so they are only read when there are none.
    if array.null_count() == 0 {
        for value in array.values() {
            low = low.min(*value);
            high = high.max(*value);
        }
    } else {
        for value in array.iter().flatten() {
            low = low.min(value);
            high = high.max(value);
        }
    }
    let within = |least: i128, most: i128| low >= least && high <= most;
    if within(i8::MIN.into(), i8::MAX.into()) {
        DataType::Int8
    } else if within(i16::MIN.into(), i16::MAX.into()) {
        DataType::Int16
    } else if within(i32::MIN.into(), i32::MAX.into()) {
        DataType::Int32
    } else if within(i64::MIN.into(), i64::MAX.into()) {
        DataType::Int64
    } else {
        DataType::Decimal128(precision, scale)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::Decimal128Array;

    use super::*;

    fn numbers(values: &[Option<i128>]) -> ArrayRef {
        Arc::new(Decimal128Array::from(values.to_vec()).with_precision_and_scale(38, 2).unwrap())
    }

    #[test]
    fn a_number_is_as_wide_as_its_values() {
        let width = |values: &[Option<i128>]| bytes_of(&number(38, 2, &numbers(values)));
        assert_eq!(width(&[]), 1);
        assert_eq!(width(&[Some(-128), Some(127), None]), 1);
        assert_eq!(width(&[Some(128)]), 2);
        assert_eq!(width(&[Some(-32_769), None]), 4);
        assert_eq!(width(&[Some(i128::from(i32::MAX) + 1)]), 8);
        assert_eq!(number(38, 2, &numbers(&[Some(i128::from(i64::MIN) - 1)])), DataType::Decimal128(38, 2));
    }

    #[test]
    fn the_two_forms_of_a_zoned_timestamp_tell_their_size() {
        let size = |scale| {
            let ty = SnowType::TimestampTz { scale };
            let meta = ColumnMeta {
                name: "T".into(),
                database: String::new(),
                schema: String::new(),
                table: String::new(),
                ty,
                nullable: true,
            };
            field(&meta, physical(&ty)).metadata()["byteLength"].clone()
        };
        assert_eq!((size(3).as_str(), size(9).as_str()), ("8", "16"));
    }
}
