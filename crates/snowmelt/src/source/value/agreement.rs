//! Both encodings of the same cells give the same values, and no bytes make the readers panic.
//!
//! The encoders here are the wire's other side, written for the tests from the layouts that the
//! official drivers read.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeListArray, Float32Array,
    Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, StructArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType as Arrow, Field, Schema};
use proptest::prelude::*;

use super::{Column, DataType, MAX_UNSCALED, Rows, Value, ValueError, Vector, VectorElement, Zone};

/// A cell before it is encoded.
#[derive(Debug, Clone)]
enum Cell {
    Fixed(i128),
    DecFloat(i128, i16),
    Real(f64),
    Boolean(bool),
    Text(String),
    Binary(Vec<u8>),
    Date(i32),
    Time(i64),
    /// Seconds, units of the scale within the second, minutes of offset.
    Timestamp(i64, i64, i16),
    Ints(Vec<i32>),
    Floats(Vec<f32>),
}

type Cells = Vec<Option<Cell>>;

fn unit(scale: u8) -> i64 {
    10_i64.pow(u32::from(9 - scale))
}

fn value(ty: DataType, cell: &Cell) -> Value<'_> {
    match (ty, cell) {
        (DataType::Fixed { scale, .. }, &Cell::Fixed(unscaled)) => Value::Fixed { unscaled, scale },
        (_, &Cell::DecFloat(significand, exponent)) => {
            let zeros = significand.to_string().bytes().rev().take_while(|b| *b == b'0').count();
            if significand == 0 {
                return Value::DecFloat { significand: 0, exponent: 0 };
            }
            let significand = significand / 10_i128.pow(u32::try_from(zeros).unwrap());
            let exponent = i32::from(exponent) + i32::try_from(zeros).unwrap();
            Value::DecFloat { significand, exponent }
        }
        (_, &Cell::Real(number)) => Value::Real(number),
        (_, &Cell::Boolean(boolean)) => Value::Boolean(boolean),
        (DataType::Variant, Cell::Text(text)) => Value::Variant(text),
        (_, Cell::Text(text)) => Value::Text(text),
        (_, Cell::Binary(bytes)) => Value::Binary(bytes),
        (_, &Cell::Date(days)) => Value::Date(days),
        (DataType::Time { scale }, &Cell::Time(units)) => {
            Value::Time { nanos: u64::try_from(units * unit(scale)).unwrap(), scale }
        }
        (ty, &Cell::Timestamp(seconds, units, offset)) => {
            let (scale, zone) = match ty {
                DataType::TimestampNtz { scale } => (scale, Zone::None),
                DataType::TimestampLtz { scale } => (scale, Zone::Utc),
                DataType::TimestampTz { scale } => (scale, Zone::Offset(offset)),
                other => panic!("{other:?}"),
            };
            let nanos = u32::try_from(units * unit(scale)).unwrap();
            Value::Timestamp { seconds, nanos, scale, zone }
        }
        (_, Cell::Ints(elements)) => Value::Vector(Vector::Int(elements)),
        (_, Cell::Floats(elements)) => Value::Vector(Vector::Float(elements)),
        other => panic!("{other:?}"),
    }
}

/// Digits with the point `scale` places from the right.
fn pointed(unscaled: i128, scale: u8) -> String {
    let digits = format!("{:0width$}", unscaled.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if unscaled < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn json(ty: DataType, cell: &Cell) -> String {
    match (ty, cell) {
        (DataType::Fixed { scale, .. }, &Cell::Fixed(unscaled)) => pointed(unscaled, scale),
        (_, Cell::DecFloat(significand, exponent)) => format!("{significand}e{exponent}"),
        (_, Cell::Real(number)) => format!("{number:?}"),
        (_, Cell::Boolean(boolean)) => i32::from(*boolean).to_string(),
        (_, Cell::Text(text)) => text.clone(),
        (_, Cell::Binary(bytes)) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
        (_, Cell::Date(days)) => days.to_string(),
        (DataType::Time { scale }, &Cell::Time(units)) => pointed(i128::from(units), scale),
        (ty, &Cell::Timestamp(seconds, units, offset)) => {
            let scaled = |scale: u8| {
                let per_second = i128::from(1_000_000_000 / unit(scale));
                pointed(i128::from(seconds) * per_second + i128::from(units), scale)
            };
            match ty {
                DataType::TimestampNtz { scale } | DataType::TimestampLtz { scale } => scaled(scale),
                DataType::TimestampTz { scale } => {
                    format!("{} {}", scaled(scale), i32::from(offset) + 1440)
                }
                other => panic!("{other:?}"),
            }
        }
        (_, Cell::Ints(elements)) => format!("{elements:?}"),
        (_, Cell::Floats(elements)) => format!("{elements:?}"),
        other => panic!("{other:?}"),
    }
}

macro_rules! gather {
    ($cells:expr, $pattern:pat => $value:expr) => {
        $cells
            .iter()
            .map(|cell| match cell {
                Some($pattern) => Some($value),
                None => None,
                Some(other) => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
}

/// The narrowest integers that hold a column, as the service sends them.
fn narrowest(cells: &[Option<i128>], least_bits: u32) -> ArrayRef {
    let bits = cells.iter().flatten().map(|n| 129 - (if *n < 0 { !n } else { *n }).leading_zeros());
    let narrow = |n: &Option<i128>| n.map(|n| i64::try_from(n).unwrap());
    match bits.max().unwrap_or(0).max(least_bits) {
        0..=8 => Arc::new(Int8Array::from_iter(cells.iter().map(|n| n.map(|n| i8::try_from(n).unwrap())))),
        9..=16 => Arc::new(Int16Array::from_iter(cells.iter().map(|n| n.map(|n| i16::try_from(n).unwrap())))),
        17..=32 => Arc::new(Int32Array::from_iter(cells.iter().map(|n| n.map(|n| i32::try_from(n).unwrap())))),
        33..=64 => Arc::new(Int64Array::from_iter(cells.iter().map(narrow))),
        _ => Arc::new(Decimal128Array::from_iter(cells.iter().copied())),
    }
}

fn structure(cells: &Cells, parts: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let nulls: NullBuffer = cells.iter().map(Option::is_some).collect();
    let fields: Vec<_> = parts.iter().map(|(name, part)| Field::new(*name, part.data_type().clone(), true)).collect();
    let arrays = parts.into_iter().map(|(_, part)| part).collect();
    Arc::new(StructArray::new(fields.into(), arrays, Some(nulls)))
}

fn big_endian(significand: i128) -> Vec<u8> {
    let bytes = significand.to_be_bytes();
    let fill = if significand < 0 { 0xff } else { 0 };
    let redundant = |at: &usize| bytes[*at] == fill && (bytes[at + 1] ^ fill) & 0x80 == 0;
    let from = (0..15).take_while(redundant).count();
    bytes[from..].to_vec()
}

fn timestamps(cells: &Cells, scale: u8, struct_from: u8, zoned: bool) -> ArrayRef {
    let scaled = scale < struct_from;
    let per_second = 1_000_000_000 / unit(scale);
    let epoch = gather!(cells, Cell::Timestamp(seconds, units, _) =>
        if scaled { seconds * per_second + units } else { *seconds });
    let epoch: ArrayRef = Arc::new(Int64Array::from(epoch));
    if scaled && !zoned {
        return epoch;
    }
    let mut parts = vec![("epoch", epoch)];
    if !scaled {
        let fraction = gather!(cells, Cell::Timestamp(_, units, _) =>
            i32::try_from(units * unit(scale)).unwrap());
        parts.push(("fraction", Arc::new(Int32Array::from(fraction))));
    }
    if zoned {
        let zone = gather!(cells, Cell::Timestamp(_, _, offset) => i32::from(*offset) + 1440);
        parts.push(("timezone", Arc::new(Int32Array::from(zone))));
    }
    structure(cells, parts)
}

fn list(cells: &Cells, elements: ArrayRef, dimension: i32) -> ArrayRef {
    let nulls: NullBuffer = cells.iter().map(Option::is_some).collect();
    let field = Arc::new(Field::new("element", elements.data_type().clone(), true));
    Arc::new(FixedSizeListArray::new(field, dimension, elements, Some(nulls)))
}

fn arrow(ty: DataType, cells: &Cells) -> ArrayRef {
    match ty {
        DataType::Fixed { .. } => narrowest(&gather!(cells, Cell::Fixed(unscaled) => *unscaled), 0),
        DataType::DecFloat => {
            let exponent = gather!(cells, Cell::DecFloat(_, exponent) => *exponent);
            let bytes = gather!(cells, Cell::DecFloat(significand, _) => big_endian(*significand));
            let significand = BinaryArray::from_iter(bytes);
            structure(
                cells,
                vec![("exponent", Arc::new(Int16Array::from(exponent))), ("significand", Arc::new(significand))],
            )
        }
        DataType::Real => Arc::new(Float64Array::from(gather!(cells, Cell::Real(n) => *n))),
        DataType::Boolean => Arc::new(BooleanArray::from(gather!(cells, Cell::Boolean(b) => *b))),
        DataType::Text | DataType::Variant => {
            Arc::new(StringArray::from(gather!(cells, Cell::Text(text) => text.as_str())))
        }
        DataType::Binary => Arc::new(BinaryArray::from(gather!(cells, Cell::Binary(bytes) => bytes.as_slice()))),
        DataType::Date => Arc::new(Date32Array::from(gather!(cells, Cell::Date(days) => *days))),
        DataType::Time { scale } => {
            narrowest(&gather!(cells, Cell::Time(units) => i128::from(*units)), if scale > 4 { 64 } else { 32 })
        }
        DataType::TimestampNtz { scale } | DataType::TimestampLtz { scale } => timestamps(cells, scale, 8, false),
        DataType::TimestampTz { scale } => timestamps(cells, scale, 4, true),
        DataType::Vector { element: VectorElement::Int, dimension } => {
            let vectors = gather!(cells, Cell::Ints(elements) => elements.clone());
            let null = vec![0; usize::from(dimension)];
            let elements = vectors.into_iter().flat_map(|v| v.unwrap_or_else(|| null.clone()));
            list(cells, Arc::new(Int32Array::from_iter_values(elements)), i32::from(dimension))
        }
        DataType::Vector { element: VectorElement::Float, dimension } => {
            let vectors = gather!(cells, Cell::Floats(elements) => elements.clone());
            let null = vec![0.0; usize::from(dimension)];
            let elements = vectors.into_iter().flat_map(|v| v.unwrap_or_else(|| null.clone()));
            list(cells, Arc::new(Float32Array::from_iter_values(elements)), i32::from(dimension))
        }
        other => panic!("{other:?}"),
    }
}

fn columns(ty: DataType) -> Arc<[Column]> {
    Arc::from([Column { name: "C".to_owned(), ty, nullable: true }])
}

fn batch(array: ArrayRef) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("C", array.data_type().clone(), true)]);
    RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap()
}

fn any_type() -> impl Strategy<Value = DataType> {
    let scale = 0_u8..=9;
    prop_oneof![
        (1_u8..=38, 0_u8..=37).prop_map(|(precision, scale)| DataType::Fixed { precision, scale }),
        Just(DataType::DecFloat),
        Just(DataType::Real),
        Just(DataType::Boolean),
        Just(DataType::Text),
        Just(DataType::Variant),
        Just(DataType::Binary),
        Just(DataType::Date),
        scale.clone().prop_map(|scale| DataType::Time { scale }),
        scale.clone().prop_map(|scale| DataType::TimestampNtz { scale }),
        scale.clone().prop_map(|scale| DataType::TimestampLtz { scale }),
        scale.prop_map(|scale| DataType::TimestampTz { scale }),
        (1_u16..4).prop_map(|dimension| DataType::Vector { element: VectorElement::Int, dimension }),
        (1_u16..4).prop_map(|dimension| DataType::Vector { element: VectorElement::Float, dimension }),
    ]
}

fn unscaled() -> BoxedStrategy<i128> {
    let edges = [0, 1, -1, 127, -128, 32_767, -32_768, 2_147_483_648, i128::from(i64::MIN)];
    prop_oneof![
        proptest::sample::select(edges.to_vec()),
        any::<i16>().prop_map(i128::from),
        any::<i64>().prop_map(i128::from),
        -MAX_UNSCALED..=MAX_UNSCALED,
        Just(MAX_UNSCALED),
        Just(-MAX_UNSCALED),
    ]
    .boxed()
}

fn any_cell(ty: DataType) -> BoxedStrategy<Cell> {
    // From year 1 to year 9999.
    let seconds =
        prop_oneof![Just(-62_135_596_800_i64), Just(253_402_300_799), -3_i64..3, -62_135_596_800_i64..253_402_300_799];
    match ty {
        DataType::Fixed { .. } => unscaled().prop_map(Cell::Fixed).boxed(),
        DataType::DecFloat => (unscaled(), -16_000_i16..16_000).prop_map(|(s, e)| Cell::DecFloat(s, e)).boxed(),
        DataType::Real => {
            use proptest::num::f64;
            f64::ANY.prop_map(Cell::Real).boxed()
        }
        DataType::Boolean => any::<bool>().prop_map(Cell::Boolean).boxed(),
        DataType::Text | DataType::Variant => any::<String>().prop_map(Cell::Text).boxed(),
        DataType::Binary => any::<Vec<u8>>().prop_map(Cell::Binary).boxed(),
        DataType::Date => (-719_162_i32..=2_932_896).prop_map(Cell::Date).boxed(),
        DataType::Time { scale } => (0..86_400 * (1_000_000_000 / unit(scale))).prop_map(Cell::Time).boxed(),
        DataType::TimestampNtz { scale } | DataType::TimestampLtz { scale } | DataType::TimestampTz { scale } => {
            (seconds, 0..1_000_000_000 / unit(scale), -720_i16..=840)
                .prop_map(|(seconds, units, offset)| Cell::Timestamp(seconds, units, offset))
                .boxed()
        }
        DataType::Vector { element: VectorElement::Int, dimension } => {
            proptest::collection::vec(any::<i32>(), usize::from(dimension)).prop_map(Cell::Ints).boxed()
        }
        DataType::Vector { element: VectorElement::Float, dimension } => {
            use proptest::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
            let elements = POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO;
            proptest::collection::vec(elements, usize::from(dimension)).prop_map(Cell::Floats).boxed()
        }
        other => panic!("{other:?}"),
    }
}

fn any_column() -> impl Strategy<Value = (DataType, Cells)> {
    any_type().prop_flat_map(|ty| {
        let cell = proptest::option::weighted(0.8, any_cell(ty));
        (Just(ty), proptest::collection::vec(cell, 1..20))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_encodings_give_the_values_that_were_encoded((ty, cells) in any_column()) {
        let columns = columns(ty);
        let texts: Vec<_> =
            cells.iter().map(|cell| [cell.as_ref().map(|cell| json(ty, cell))]).collect();
        let from_json = Rows::from_json(&columns, &texts).unwrap();
        // A slice that does not begin at its buffers' beginning, as a reader of chunks may be handed.
        let whole = batch(arrow(ty, &cells));
        let from_arrow = Rows::from_arrow(&columns, &whole).unwrap();
        let tail = Rows::from_arrow(&columns, &whole.slice(1, cells.len() - 1)).unwrap();
        prop_assert_eq!(from_json.len(), cells.len());
        prop_assert_eq!(from_arrow.len(), cells.len());
        for (row, cell) in cells.iter().enumerate() {
            let expected = cell.as_ref().map_or(Value::Null, |cell| value(ty, cell));
            prop_assert_eq!(from_json.value(0, row), expected);
            prop_assert_eq!(from_arrow.value(0, row), expected);
            if row > 0 {
                prop_assert_eq!(tail.value(0, row - 1), expected);
            }
        }
        prop_assert!(from_arrow.bytes() > 0 && from_json.bytes() > 0);
    }

    /// Arrow arrays of one type offered as a column of any other: an error that names the column, or
    /// values that can all be read.
    #[test]
    fn no_arrow_array_makes_the_reader_panic((_, cells) in any_column().prop_map(|(ty, cells)| (ty, arrow(ty, &cells))), ty in any_type()) {
        match Rows::from_arrow(&columns(ty), &batch(cells)) {
            Ok(rows) => (0..rows.len()).for_each(|row| drop(format!("{:?}", rows.value(0, row)))),
            Err(error) => prop_assert!(error.to_string().contains("column C"), "{}", error),
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(ty in any_type(), texts in proptest::collection::vec(
        proptest::option::of(prop_oneof![any::<String>(), "[-+]?[0-9]{0,45}\\.?[0-9]{0,12}([ eE][-+]?[0-9]{1,6})?", "\\[[-0-9.,e ]*\\]"]), 1..8)) {
        let rows: Vec<_> = texts.iter().map(|text| [text.as_deref()]).collect();
        match Rows::from_json(&columns(ty), &rows) {
            Ok(rows) => (0..rows.len()).for_each(|row| drop(format!("{:?}", rows.value(0, row)))),
            Err(error) => prop_assert!(error.to_string().contains("column C, row "), "{}", error),
        }
    }
}

fn timestamp_tz(fraction: Option<i32>, zone: Option<i32>) -> Result<Rows, ValueError> {
    let parts = structure(
        &vec![Some(Cell::Boolean(true))],
        vec![
            ("epoch", Arc::new(Int64Array::from(vec![0]))),
            ("fraction", Arc::new(Int32Array::from(vec![fraction]))),
            ("timezone", Arc::new(Int32Array::from(vec![zone]))),
        ],
    );
    Rows::from_arrow(&columns(DataType::TimestampTz { scale: 3 }), &batch(parts))
}

#[test]
fn a_part_out_of_range_or_missing_is_an_error_that_says_which() {
    assert!(timestamp_tz(Some(999_000_000), Some(720)).is_ok());
    assert!(timestamp_tz(Some(0), Some(2280)).is_ok());
    let message = |fraction, zone| timestamp_tz(fraction, zone).unwrap_err().to_string();
    for (fraction, zone, expected) in [
        (Some(0), Some(2281), "column C, row 0: came \"2281\", expected a time zone"),
        (Some(0), Some(719), "expected a time zone of 720 to 2280"),
        (Some(0), None, "came \"null\", expected a time zone"),
        (None, Some(1440), "came \"null\", expected a fraction"),
        (Some(-1), Some(1440), "came \"-1\", expected a fraction"),
        (Some(1_000_000_000), Some(1440), "expected a fraction"),
        (Some(1), Some(1440), "within its scale"),
    ] {
        let came = message(fraction, zone);
        assert!(came.contains(expected), "{came}");
    }
}

#[test]
fn numbers_wider_than_38_digits_and_times_beyond_a_day_are_errors() {
    let wide = Arc::new(Decimal128Array::from(vec![MAX_UNSCALED + 1]));
    let fixed = DataType::Fixed { precision: 38, scale: 0 };
    let error = Rows::from_arrow(&columns(fixed), &batch(wide)).unwrap_err();
    assert!(error.to_string().contains("expected at most 38 digits"), "{error}");
    let day = Arc::new(Int32Array::from(vec![86_400]));
    let error = Rows::from_arrow(&columns(DataType::Time { scale: 0 }), &batch(day)).unwrap_err();
    assert!(error.to_string().contains("within one day"), "{error}");
}

#[test]
fn a_row_of_another_width_is_an_error() {
    let columns = columns(DataType::Text);
    let error = Rows::from_json(&columns, &[vec![Some("a")], vec![Some("b"), None]]).unwrap_err();
    assert_eq!(error.to_string(), "row 1 has 2 cells, but the result announced 1 columns");
    let schema = Arc::new(Schema::new(Vec::<Field>::new()));
    let error = Rows::from_arrow(&columns, &RecordBatch::new_empty(schema)).unwrap_err();
    assert_eq!(error, ValueError::Width { row: 0, came: 0, expected: 1 });
}

#[test]
fn an_unexpected_layout_names_what_came_and_what_was_expected() {
    let large = Arc::new(arrow_array::LargeStringArray::from(vec!["a"]));
    assert_eq!(large.data_type(), &Arrow::LargeUtf8);
    let error = Rows::from_arrow(&columns(DataType::Text), &batch(large)).unwrap_err();
    assert_eq!(error.to_string(), "column C came as arrow LargeUtf8, expected utf8");
}

#[test]
fn a_long_cell_is_cut_in_the_error() {
    let long = "x".repeat(10_000);
    let error = Rows::from_json(&columns(DataType::Date), &[[Some(&long)]]).unwrap_err();
    assert!(error.to_string().len() < 150, "{error}");
}
