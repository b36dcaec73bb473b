//! One column's cells in memory: Arrow arrays plus what Snowflake's type adds to them.
//!
//! Whoever makes a [`Cells`] has checked every cell, so that [`Cells::value`] only computes. The Arrow
//! reader keeps the arrays as they came; the JSON reader builds the same arrays.

use arrow_array::{
    Array, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, StringArray,
};
use arrow_buffer::NullBuffer;

use super::{Value, Vector, Zone};

/// Nanoseconds in a second.
pub(super) const SECOND: u32 = 1_000_000_000;

/// The wire's time zone is minutes east of UTC plus this.
pub(super) const ZONE_BIAS: i32 = 1440;

/// The cells of one column; where `nulls` says so, a cell is NULL whatever stands in `kind`.
#[derive(Debug, Clone)]
pub(super) struct Cells {
    pub(super) nulls: Option<NullBuffer>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Fixed {
        integers: Integers,
        scale: u8,
    },
    /// Significand and exponent; rare enough to be kept decoded.
    DecFloat(Vec<(i128, i32)>),
    Real(Float64Array),
    Boolean(BooleanArray),
    Text(StringArray),
    Binary(BinaryArray),
    Date(Date32Array),
    Time {
        integers: Integers,
        scale: u8,
    },
    Timestamp(Timestamps),
    Variant(StringArray),
    IntVector {
        elements: Int32Array,
        dimension: usize,
    },
    FloatVector {
        elements: Float32Array,
        dimension: usize,
    },
}

/// Integers of whichever width Snowflake found sufficient for this chunk.
#[derive(Debug, Clone)]
pub(super) enum Integers {
    I8(Int8Array),
    I16(Int16Array),
    I32(Int32Array),
    I64(Int64Array),
    I128(Decimal128Array),
}

#[derive(Debug, Clone)]
pub(super) struct Timestamps {
    /// Seconds if there is a `fraction`, else units of `10^-scale` seconds.
    pub(super) epoch: Int64Array,
    /// Nanoseconds.
    pub(super) fraction: Option<Int32Array>,
    pub(super) zone: Zones,
    pub(super) scale: u8,
}

#[derive(Debug, Clone)]
pub(super) enum Zones {
    None,
    Utc,
    /// Minutes east of UTC plus [`ZONE_BIAS`].
    Each(Int32Array),
}

impl Integers {
    pub(super) fn get(&self, row: usize) -> i128 {
        match self {
            Self::I8(array) => i128::from(array.value(row)),
            Self::I16(array) => i128::from(array.value(row)),
            Self::I32(array) => i128::from(array.value(row)),
            Self::I64(array) => i128::from(array.value(row)),
            Self::I128(array) => array.value(row),
        }
    }

    /// For values known to fit: 0 stands in for what does not, which the check on entry excludes.
    fn get_u64(&self, row: usize) -> u64 {
        u64::try_from(self.get(row)).unwrap_or(0)
    }

    fn array(&self) -> &dyn Array {
        match self {
            Self::I8(array) => array,
            Self::I16(array) => array,
            Self::I32(array) => array,
            Self::I64(array) => array,
            Self::I128(array) => array,
        }
    }
}

impl Timestamps {
    fn value(&self, row: usize) -> Value<'_> {
        let epoch = self.epoch.value(row);
        let (seconds, nanos) = match &self.fraction {
            Some(fraction) => (epoch, u32::try_from(fraction.value(row)).unwrap_or(0)),
            None => split(epoch, self.scale),
        };
        let zone = match &self.zone {
            Zones::None => Zone::None,
            Zones::Utc => Zone::Utc,
            Zones::Each(biased) => Zone::Offset(i16::try_from(biased.value(row) - ZONE_BIAS).unwrap_or(0)),
        };
        Value::Timestamp { seconds, nanos, scale: self.scale, zone }
    }
}

/// Units of `10^-scale` seconds as whole seconds, rounded down, and nanoseconds.
fn split(units: i64, scale: u8) -> (i64, u32) {
    let per_second = 10_i64.pow(u32::from(scale.min(9)));
    let nanos = units.rem_euclid(per_second) * nanos_per_unit(scale);
    (units.div_euclid(per_second), u32::try_from(nanos).unwrap_or(0))
}

/// Nanoseconds in `10^-scale` seconds.
pub(super) fn nanos_per_unit(scale: u8) -> i64 {
    10_i64.pow(u32::from(9 - scale.min(9)))
}

impl Cells {
    pub(super) fn value(&self, row: usize) -> Value<'_> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return Value::Null;
        }
        match &self.kind {
            Kind::Fixed { integers, scale } => Value::Fixed { unscaled: integers.get(row), scale: *scale },
            Kind::DecFloat(cells) => {
                let (significand, exponent) = cells[row];
                Value::DecFloat { significand, exponent }
            }
            Kind::Real(array) => Value::Real(array.value(row)),
            Kind::Boolean(array) => Value::Boolean(array.value(row)),
            Kind::Text(array) => Value::Text(array.value(row)),
            Kind::Binary(array) => Value::Binary(array.value(row)),
            Kind::Date(array) => Value::Date(array.value(row)),
            Kind::Time { integers, scale } => {
                let unit = 10_u64.pow(u32::from(9 - (*scale).min(9)));
                Value::Time { nanos: integers.get_u64(row) * unit, scale: *scale }
            }
            Kind::Timestamp(timestamps) => timestamps.value(row),
            Kind::Variant(array) => Value::Variant(array.value(row)),
            Kind::IntVector { elements, dimension } => {
                let from = row * dimension;
                Value::Vector(Vector::Int(&elements.values()[from..from + dimension]))
            }
            Kind::FloatVector { elements, dimension } => {
                let from = row * dimension;
                Value::Vector(Vector::Float(&elements.values()[from..from + dimension]))
            }
        }
    }

    /// Bytes of this column's own share of its buffers: a batch read from one message shares a single
    /// allocation, which must not be counted once per column.
    pub(super) fn bytes(&self) -> usize {
        let of = |array: &dyn Array| {
            let data = array.to_data();
            data.get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size())
        };
        match &self.kind {
            Kind::Fixed { integers, .. } | Kind::Time { integers, .. } => of(integers.array()),
            Kind::DecFloat(cells) => size_of_val(cells.as_slice()),
            Kind::Real(array) => of(array),
            Kind::Boolean(array) => of(array),
            Kind::Text(array) | Kind::Variant(array) => of(array),
            Kind::Binary(array) => of(array),
            Kind::Date(array) => of(array),
            Kind::Timestamp(timestamps) => {
                let zone = match &timestamps.zone {
                    Zones::Each(array) => of(array),
                    Zones::None | Zones::Utc => 0,
                };
                of(&timestamps.epoch) + timestamps.fraction.as_ref().map_or(0, |array| of(array)) + zone
            }
            Kind::IntVector { elements, .. } => of(elements),
            Kind::FloatVector { elements, .. } => of(elements),
        }
    }
}
