//! Arrow as Snowflake's drivers read it.
//!
//! Numbers are unscaled integers of the narrowest width that holds the result's values; timestamps are scaled
//! integers or structs of epoch, fraction and zone; the logical type rides in field metadata. A NULL struct
//! row is NULL in its children too, because some clients read the children alone.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64NanosecondType};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StructArray,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef};

use super::{canonical, lengths, logical};
use crate::types::timestamp::Timestamp;
use crate::types::{ColumnMeta, SnowType};

/// The Arrow types of a result's columns: as narrow as its values allow so far. All parts of a result share
/// one schema, because some clients read the first part's schema only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    schema: SchemaRef,
}

impl Layout {
    /// The narrowest layout.
    pub(crate) fn new(columns: &[ColumnMeta]) -> Layout {
        let fields: Vec<Field> = columns.iter().map(|meta| field(meta, physical(&meta.ty))).collect();
        Layout { schema: Arc::new(Schema::new(fields)) }
    }

    /// A layout that holds what this one holds and these batches too; `None` if this one does.
    pub(crate) fn widened(&self, columns: &[ColumnMeta], batches: &[RecordBatch]) -> io::Result<Option<Layout>> {
        let mut changed = false;
        let mut fields = Vec::with_capacity(columns.len());
        for (index, (meta, old)) in columns.iter().zip(self.schema.fields()).enumerate() {
            let mut kind = old.data_type().clone();
            if let SnowType::Fixed { precision, scale } = meta.ty {
                for batch in batches {
                    let needed = number(precision, scale, &canonical(batch.column(index), meta)?);
                    if bytes_of(&needed) > bytes_of(&kind) {
                        kind = needed;
                    }
                }
            }
            changed |= kind != *old.data_type();
            fields.push(if kind == *old.data_type() { Field::clone(old) } else { field(meta, kind) });
        }
        Ok(changed.then(|| Layout { schema: Arc::new(Schema::new(fields)) }))
    }
}

/// Writes batches as one Arrow IPC stream.
pub(crate) fn write(
    columns: &[ColumnMeta],
    layout: &Layout,
    batches: &[RecordBatch],
    out: &mut impl Write,
) -> io::Result<()> {
    let mut writer = StreamWriter::try_new(out, &layout.schema).map_err(failed)?;
    for batch in batches {
        let mut encoded = Vec::with_capacity(columns.len());
        for ((column, meta), field) in batch.columns().iter().zip(columns).zip(layout.schema.fields()) {
            let column = canonical(column, meta)?;
            encoded.push(encode(&column, &meta.ty, field.data_type()).map_err(failed)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&layout.schema), encoded, &options);
        writer.write(&batch.map_err(failed)?).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

/// Writes an IPC stream of a narrower layout anew in this one.
pub(crate) fn rewrite(layout: &Layout, input: impl Read, out: &mut impl Write) -> io::Result<()> {
    let reader = StreamReader::try_new(input, None).map_err(failed)?;
    let mut writer = StreamWriter::try_new(out, &layout.schema).map_err(failed)?;
    for batch in reader {
        let batch = batch.map_err(failed)?;
        let columns: Vec<ArrayRef> = batch
            .columns()
            .iter()
            .zip(layout.schema.fields())
            .map(|(column, field)| if column.data_type() == field.data_type() { Arc::clone(column) } else { widen(column, field.data_type()) })
            .collect();
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&layout.schema), columns, &options);
        writer.write(&batch.map_err(failed)?).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn failed(error: ArrowError) -> io::Error {
    io::Error::other(error)
}

/// A column's field: its physical type, and in the metadata what it means.
fn field(meta: &ColumnMeta, physical: DataType) -> Field {
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
        DataType::Struct(fields) => if fields.iter().any(|field| field.name() == "fraction") { "SB16" } else { "SB8" },
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

fn bytes_of(physical: &DataType) -> usize {
    if *physical == DataType::Boolean { 1 } else { physical.primitive_width().unwrap_or(0) }
}

/// The Arrow type of a column's values; of a number's, the narrowest.
fn physical(ty: &SnowType) -> DataType {
    match *ty {
        SnowType::Fixed { .. } => DataType::Int8,
        SnowType::Real => DataType::Float64,
        SnowType::Boolean => DataType::Boolean,
        SnowType::Text { .. } | SnowType::Variant | SnowType::Object | SnowType::Array => DataType::Utf8,
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
fn number(precision: u8, scale: i8, array: &ArrayRef) -> DataType {
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

/// An unscaled number in a wider type; the unscaled integer stays what it is.
fn widen(array: &ArrayRef, physical: &DataType) -> ArrayRef {
    let wide: Decimal128Array = match array.data_type() {
        DataType::Int8 => array.as_primitive::<Int8Type>().unary(i128::from),
        DataType::Int16 => array.as_primitive::<Int16Type>().unary(i128::from),
        DataType::Int32 => array.as_primitive::<Int32Type>().unary(i128::from),
        DataType::Int64 => array.as_primitive::<Int64Type>().unary(i128::from),
        _ => return Arc::clone(array),
    };
    narrow(&wide.with_data_type(physical_decimal(physical)), physical)
}

fn physical_decimal(physical: &DataType) -> DataType {
    if matches!(physical, DataType::Decimal128(..)) { physical.clone() } else { DataType::Decimal128(38, 0) }
}

fn encode(array: &ArrayRef, ty: &SnowType, physical: &DataType) -> Result<ArrayRef, ArrowError> {
    Ok(match *ty {
        SnowType::Fixed { .. } => narrow(array.as_primitive(), physical),
        SnowType::Variant | SnowType::Object | SnowType::Array => arrow_cast::cast(array, physical)?,
        SnowType::Time { scale } => {
            let unit = power(9 - scale.min(9));
            let times = array.as_primitive::<Time64NanosecondType>();
            if *physical == DataType::Int32 {
                Arc::new(times.unary::<_, Int32Type>(|nanos| i32::try_from(nanos / unit).unwrap_or_default()))
            } else {
                Arc::new(times.unary::<_, Int64Type>(|nanos| nanos / unit))
            }
        }
        SnowType::TimestampNtz { scale } | SnowType::TimestampLtz { scale } | SnowType::TimestampTz { scale } => {
            timestamps(array.as_fixed_size_binary(), scale, physical)?
        }
        _ => ArrayRef::clone(array),
    })
}

fn narrow(array: &Decimal128Array, physical: &DataType) -> ArrayRef {
    match physical {
        DataType::Int8 => Arc::new(array.unary::<_, Int8Type>(|value| i8::try_from(value).unwrap_or_default())),
        DataType::Int16 => Arc::new(array.unary::<_, Int16Type>(|value| i16::try_from(value).unwrap_or_default())),
        DataType::Int32 => Arc::new(array.unary::<_, Int32Type>(|value| i32::try_from(value).unwrap_or_default())),
        DataType::Int64 => Arc::new(array.unary::<_, Int64Type>(|value| i64::try_from(value).unwrap_or_default())),
        _ => Arc::new(array.clone()),
    }
}

fn timestamps(array: &FixedSizeBinaryArray, scale: u8, physical: &DataType) -> Result<ArrayRef, ArrowError> {
    let nulls = array.nulls().cloned();
    // A NULL's bytes mean nothing; its slots are zero.
    let stamps = |index: usize| {
        let valid = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(index));
        valid.then(|| Timestamp::decode(array.value(index))).flatten().unwrap_or(Timestamp { seconds: 0, nanos: 0, offset_minutes: 0 })
    };
    let rows = array.len();
    let scaled = |digits: u8| {
        let (units, cut) = (power(digits.min(9)), power(9 - digits.min(9)));
        let values = (0..rows).map(|index| {
            let stamp = stamps(index);
            stamp.seconds.wrapping_mul(units).wrapping_add(i64::from(stamp.nanos) / cut)
        });
        Int64Array::new(values.collect(), nulls.clone())
    };
    let DataType::Struct(fields) = physical else {
        return Ok(Arc::new(scaled(scale)));
    };
    let mut children: Vec<ArrayRef> = Vec::with_capacity(fields.len());
    for field in fields {
        let child: ArrayRef = match field.name().as_str() {
            "epoch" if fields.iter().any(|field| field.name() == "fraction") => {
                let values: PrimitiveArray<Int64Type> =
                    Int64Array::new((0..rows).map(|index| stamps(index).seconds).collect(), nulls.clone());
                Arc::new(values)
            }
            "epoch" => Arc::new(scaled(scale)),
            "fraction" => {
                let values = (0..rows).map(|index| i32::try_from(stamps(index).nanos).unwrap_or_default());
                Arc::new(Int32Array::new(values.collect(), nulls.clone()))
            }
            _ => {
                let values = (0..rows).map(|index| i32::from(stamps(index).offset_minutes) + 1440);
                Arc::new(Int32Array::new(values.collect(), nulls.clone()))
            }
        };
        children.push(child);
    }
    Ok(Arc::new(StructArray::try_new(fields.clone(), children, nulls)?))
}

fn power(digits: u8) -> i64 {
    10_i64.pow(u32::from(digits))
}
