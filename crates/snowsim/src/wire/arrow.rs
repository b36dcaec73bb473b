//! Arrow as Snowflake's drivers read it.
//!
//! Numbers are unscaled integers of the narrowest width that holds the result's values; timestamps are scaled
//! integers or structs of epoch, fraction and zone; the logical type rides in field metadata. A NULL struct
//! row is NULL in its children too, because some clients read the children alone.

mod physical;

use std::io::{self, Read, Write};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int8Type, Int16Type, Int32Type, Int64Type, Time64NanosecondType};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, FixedSizeBinaryArray, Int32Array, Int64Array, PrimitiveArray, RecordBatch,
    RecordBatchOptions, StructArray,
};
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};

use physical::{bytes_of, field, number, physical};

use super::canonical;
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
            .map(|(column, field)| {
                if column.data_type() == field.data_type() {
                    Arc::clone(column)
                } else {
                    widen(column, field.data_type())
                }
            })
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
        SnowType::Variant | SnowType::Object | SnowType::Array | SnowType::Geography | SnowType::Geometry => {
            arrow_cast::cast(array, physical)?
        }
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
        valid.then(|| Timestamp::decode(array.value(index))).flatten().unwrap_or(Timestamp {
            seconds: 0,
            nanos: 0,
            offset_minutes: 0,
        })
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

#[cfg(test)]
mod tests {
    use arrow_array::types::Decimal128Type;

    use super::*;

    const STAMPS: SnowType = SnowType::TimestampTz { scale: 9 };

    fn meta(ty: SnowType) -> ColumnMeta {
        let empty = String::new;
        ColumnMeta { name: "C".to_owned(), database: empty(), schema: empty(), table: empty(), ty, nullable: true }
    }

    fn batch(ty: SnowType, array: ArrayRef) -> RecordBatch {
        RecordBatch::try_new(Arc::new(Schema::new(vec![ty.field("C", true)])), vec![array]).unwrap()
    }

    fn read(bytes: &[u8]) -> Vec<RecordBatch> {
        StreamReader::try_new(bytes, None).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_null_struct_is_null_in_its_children_too() {
        let stamp = Timestamp { seconds: -62_135_596_800, nanos: 999_999_999, offset_minutes: -720 };
        let values = [Some(stamp.encode_tz()), None].into_iter();
        let array = FixedSizeBinaryArray::try_from_sparse_iter_with_size(values, 14).unwrap();
        let columns = [meta(STAMPS)];
        let mut bytes = Vec::new();
        write(&columns, &Layout::new(&columns), &[batch(STAMPS, Arc::new(array))], &mut bytes).unwrap();
        let column = ArrayRef::clone(read(&bytes)[0].column(0));
        let parts = column.as_struct();
        assert!(parts.is_null(1) && parts.columns().iter().all(|child| child.is_null(1)));
        assert_eq!(parts.column(0).as_primitive::<Int64Type>().value(0), -62_135_596_800);
        assert_eq!(parts.column(1).as_primitive::<Int32Type>().value(0), 999_999_999);
        assert_eq!(parts.column(2).as_primitive::<Int32Type>().value(0), 720);
    }

    #[test]
    fn a_part_written_narrow_reads_the_same_once_wide() {
        let ty = SnowType::Fixed { precision: 38, scale: 37 };
        let columns = [meta(ty)];
        let part = |value: i128| {
            let array = Decimal128Array::from(vec![Some(value), None]).with_precision_and_scale(38, 37).unwrap();
            batch(ty, Arc::new(array))
        };
        let narrow = Layout::new(&columns);
        let mut bytes = Vec::new();
        write(&columns, &narrow, &[part(-7)], &mut bytes).unwrap();
        assert_eq!(narrow.widened(&columns, &[part(127)]).unwrap(), None);
        let mut layout = narrow;
        for big in [1_000, 100_000, 10_i128.pow(12), 10_i128.pow(38) - 1] {
            layout = layout.widened(&columns, &[part(big)]).unwrap().expect("a wider layout");
            let mut wider = Vec::new();
            rewrite(&layout, bytes.as_slice(), &mut wider).unwrap();
            bytes = wider;
        }
        let column = ArrayRef::clone(read(&bytes)[0].column(0));
        let numbers = column.as_primitive::<Decimal128Type>();
        assert_eq!(
            (numbers.value(0), numbers.is_null(1), numbers.data_type()),
            (-7, true, &DataType::Decimal128(38, 37))
        );
    }
}
