//! The simulator's own type system and how each type is held in Arrow.
//!
//! Promises: the *canonical representation* below is exact for every value Snowflake can hold,
//! and each Arrow type stands for one Snowflake type, so that a type survives any expression.
//!
//! | Snowflake | Arrow |
//! |---|---|
//! | NUMBER(p,s) | `Decimal128(p, s)` |
//! | FLOAT | `Float64` |
//! | BOOLEAN | `Boolean` |
//! | VARCHAR | `Utf8` |
//! | BINARY | `Binary` |
//! | DATE | `Date32` |
//! | TIME | `Time64(Nanosecond)` |
//! | TIMESTAMP_NTZ, _LTZ, _TZ | `FixedSizeBinary(12)`, `(13)`, `(14)`: see [`timestamp`] |
//! | VARIANT, OBJECT, ARRAY | `LargeUtf8` JSON text (`null` is JSON null; SQL NULL is an Arrow null) |
//! | GEOGRAPHY, GEOMETRY | `LargeUtf8` GeoJSON text |
//!
//! `Timestamp(Nanosecond)` would not do: it ends in the year 2262 and carries no offset per row.
//! Precision, length, scale and OBJECT versus ARRAY ride in field metadata under [`TYPE_KEY`].
//! Leaves to others: the wire encodings (`result`), conversions between types ([`convert`]).

use std::collections::HashMap;
use std::fmt;

use arrow_schema::{DataType, Field, TimeUnit};
use serde::{Deserialize, Serialize};

pub mod convert;
pub mod json;
pub mod number;
pub mod timestamp;
pub mod value;

/// Field metadata key under which a column's full Snowflake type is written, as SQL.
pub const TYPE_KEY: &str = "snowflake";

/// The longest VARCHAR, in characters, and the default length.
pub const MAX_TEXT: u64 = 16_777_216;
/// The longest BINARY, in bytes, and the default length.
pub const MAX_BINARY: u64 = 8_388_608;

/// A Snowflake data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SnowType {
    /// NUMBER: `precision` digits, `scale` of them after the point (0–37).
    Fixed {
        /// Total digits, 1–38.
        precision: u8,
        /// Digits after the point, 0–37.
        scale: i8,
    },
    /// FLOAT, DOUBLE, REAL: 64-bit binary floating point.
    Real,
    /// BOOLEAN.
    Boolean,
    /// VARCHAR and its synonyms; `length` in characters.
    Text {
        /// Characters at most.
        length: u64,
    },
    /// BINARY; `length` in bytes.
    Binary {
        /// Bytes at most.
        length: u64,
    },
    /// DATE.
    Date,
    /// TIME with `scale` fractional digits.
    Time {
        /// Fractional digits, 0–9.
        scale: u8,
    },
    /// TIMESTAMP_NTZ: wall-clock time without a zone.
    TimestampNtz {
        /// Fractional digits, 0–9.
        scale: u8,
    },
    /// TIMESTAMP_LTZ: an instant, shown in the session's zone.
    TimestampLtz {
        /// Fractional digits, 0–9.
        scale: u8,
    },
    /// TIMESTAMP_TZ: an instant with its own offset from UTC.
    TimestampTz {
        /// Fractional digits, 0–9.
        scale: u8,
    },
    /// VARIANT: any JSON value.
    Variant,
    /// OBJECT: a JSON object.
    Object,
    /// ARRAY: a JSON array.
    Array,
    /// GEOGRAPHY, held as GeoJSON.
    Geography,
    /// GEOMETRY, held as GeoJSON.
    Geometry,
}

/// One column of a result, as Snowflake's `rowtype` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMeta {
    /// Column name, exactly as shown to the user.
    pub name: String,
    /// Database of the table the column comes from, or empty.
    pub database: String,
    /// Schema of the table the column comes from, or empty.
    pub schema: String,
    /// Table the column comes from, or empty.
    pub table: String,
    /// Its type.
    pub ty: SnowType,
    /// Whether it may be NULL.
    pub nullable: bool,
}

impl SnowType {
    /// VARCHAR of the default length.
    pub const TEXT: Self = Self::Text { length: MAX_TEXT };
    /// NUMBER(38,0), the default NUMBER.
    pub const INTEGER: Self = Self::Fixed { precision: 38, scale: 0 };

    /// Whether it is GEOGRAPHY or GEOMETRY, which standard streams cannot follow.
    #[must_use]
    pub fn is_geospatial(&self) -> bool {
        matches!(self, Self::Geography | Self::Geometry)
    }

    /// The Arrow type that holds this type's values (see the module's table).
    #[must_use]
    pub fn arrow(&self) -> DataType {
        match *self {
            Self::Fixed { precision, scale } => DataType::Decimal128(precision, scale),
            Self::Real => DataType::Float64,
            Self::Boolean => DataType::Boolean,
            Self::Text { .. } => DataType::Utf8,
            Self::Binary { .. } => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time { .. } => DataType::Time64(TimeUnit::Nanosecond),
            Self::TimestampNtz { .. } => DataType::FixedSizeBinary(timestamp::NTZ_WIDTH),
            Self::TimestampLtz { .. } => DataType::FixedSizeBinary(timestamp::LTZ_WIDTH),
            Self::TimestampTz { .. } => DataType::FixedSizeBinary(timestamp::TZ_WIDTH),
            Self::Variant | Self::Object | Self::Array | Self::Geography | Self::Geometry => DataType::LargeUtf8,
        }
    }

    /// An Arrow field of this type, the full type in its metadata.
    #[must_use]
    pub fn field(&self, name: &str, nullable: bool) -> Field {
        Field::new(name, self.arrow(), nullable).with_metadata(HashMap::from([(TYPE_KEY.to_owned(), self.to_string())]))
    }

    /// The type of an Arrow field: from its metadata when that agrees with its Arrow type, else
    /// from the Arrow type alone (integers of the engine become NUMBERs). `None` names no type
    /// Snowflake has.
    #[must_use]
    pub fn of_field(field: &Field) -> Option<Self> {
        field
            .metadata()
            .get(TYPE_KEY)
            .and_then(|text| Self::parse(text))
            .filter(|ty| ty.arrow() == *field.data_type())
            .or_else(|| Self::of_arrow(field.data_type()))
    }

    /// The widest type that an Arrow type can stand for.
    #[must_use]
    pub fn of_arrow(data_type: &DataType) -> Option<Self> {
        let integer = |precision| Self::Fixed { precision, scale: 0 };
        Some(match data_type {
            DataType::Decimal128(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal32(precision, scale)
                if *scale >= 0 =>
            {
                Self::Fixed { precision: *precision, scale: *scale }
            }
            DataType::Decimal256(_, scale) if (0..=37).contains(scale) => Self::Fixed { precision: 38, scale: *scale },
            DataType::Int8 | DataType::UInt8 => integer(3),
            DataType::Int16 | DataType::UInt16 => integer(5),
            DataType::Int32 | DataType::UInt32 => integer(10),
            DataType::Int64 => integer(19),
            DataType::UInt64 => integer(20),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Real,
            DataType::Boolean => Self::Boolean,
            DataType::Utf8 | DataType::Utf8View | DataType::Null => Self::TEXT,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Self::Binary { length: MAX_BINARY },
            DataType::Date32 => Self::Date,
            DataType::Time64(TimeUnit::Nanosecond) => Self::Time { scale: 9 },
            DataType::FixedSizeBinary(timestamp::NTZ_WIDTH) => Self::TimestampNtz { scale: 9 },
            DataType::FixedSizeBinary(timestamp::LTZ_WIDTH) => Self::TimestampLtz { scale: 9 },
            DataType::FixedSizeBinary(timestamp::TZ_WIDTH) => Self::TimestampTz { scale: 9 },
            DataType::LargeUtf8 => Self::Variant,
            _ => return None,
        })
    }

    /// Reads a type as SQL writes it (`NUMBER(38,4)`, `timestamp_tz(9)`, `STRING` …).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_uppercase();
        let (name, arguments) = match text.split_once('(') {
            Some((name, rest)) => (name.trim(), rest.trim().strip_suffix(')')?),
            None => (text.as_str(), ""),
        };
        let mut numbers = Vec::new();
        for argument in arguments.split(',').filter(|part| !part.trim().is_empty()) {
            numbers.push(argument.trim().parse::<u64>().ok()?);
        }
        Self::from_name(&name.split_whitespace().collect::<Vec<_>>().join(" "), &numbers)
    }

    /// Builds a type from its name and its numeric arguments.
    fn from_name(name: &str, numbers: &[u64]) -> Option<Self> {
        let scale = || match numbers.first() {
            Some(scale) => u8::try_from(*scale).ok().filter(|scale| *scale <= 9),
            None => Some(9),
        };
        let length = |default: u64, most: u64| {
            let length = numbers.first().copied().unwrap_or(default);
            (1..=most).contains(&length).then_some(length)
        };
        Some(match name {
            "NUMBER" | "DECIMAL" | "NUMERIC" | "DEC" => {
                let precision = u8::try_from(numbers.first().copied().unwrap_or(38)).ok()?;
                let scale = i8::try_from(numbers.get(1).copied().unwrap_or(0)).ok()?;
                if !(1..=38).contains(&precision) || scale > 37 || scale.unsigned_abs() > precision {
                    return None;
                }
                Self::Fixed { precision, scale }
            }
            "INT" | "INTEGER" | "BIGINT" | "SMALLINT" | "TINYINT" | "BYTEINT" => Self::INTEGER,
            "FLOAT" | "FLOAT4" | "FLOAT8" | "DOUBLE" | "DOUBLE PRECISION" | "REAL" => Self::Real,
            "BOOLEAN" | "BOOL" => Self::Boolean,
            "VARCHAR" | "STRING" | "TEXT" | "NVARCHAR" | "NVARCHAR2" | "CHAR VARYING" | "NCHAR VARYING"
            | "CHARACTER VARYING" => Self::Text { length: length(MAX_TEXT, 134_217_728)? },
            "CHAR" | "CHARACTER" | "NCHAR" => Self::Text { length: length(1, 134_217_728)? },
            "BINARY" | "VARBINARY" | "BINARY VARYING" => Self::Binary { length: length(MAX_BINARY, 67_108_864)? },
            "DATE" => Self::Date,
            "TIME" => Self::Time { scale: scale()? },
            // TIMESTAMP follows TIMESTAMP_TYPE_MAPPING, whose default is NTZ.
            "TIMESTAMP" | "TIMESTAMP_NTZ" | "TIMESTAMPNTZ" | "DATETIME" | "TIMESTAMP WITHOUT TIME ZONE" => {
                Self::TimestampNtz { scale: scale()? }
            }
            "TIMESTAMP_LTZ" | "TIMESTAMPLTZ" | "TIMESTAMP WITH LOCAL TIME ZONE" => {
                Self::TimestampLtz { scale: scale()? }
            }
            "TIMESTAMP_TZ" | "TIMESTAMPTZ" | "TIMESTAMP WITH TIME ZONE" => Self::TimestampTz { scale: scale()? },
            "VARIANT" => Self::Variant,
            "OBJECT" => Self::Object,
            "ARRAY" => Self::Array,
            "GEOGRAPHY" => Self::Geography,
            "GEOMETRY" => Self::Geometry,
            _ => return None,
        })
    }
}

impl fmt::Display for SnowType {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed { precision, scale } => write!(out, "NUMBER({precision},{scale})"),
            Self::Real => out.write_str("FLOAT"),
            Self::Boolean => out.write_str("BOOLEAN"),
            Self::Text { length } => write!(out, "VARCHAR({length})"),
            Self::Binary { length } => write!(out, "BINARY({length})"),
            Self::Date => out.write_str("DATE"),
            Self::Time { scale } => write!(out, "TIME({scale})"),
            Self::TimestampNtz { scale } => write!(out, "TIMESTAMP_NTZ({scale})"),
            Self::TimestampLtz { scale } => write!(out, "TIMESTAMP_LTZ({scale})"),
            Self::TimestampTz { scale } => write!(out, "TIMESTAMP_TZ({scale})"),
            Self::Variant => out.write_str("VARIANT"),
            Self::Object => out.write_str("OBJECT"),
            Self::Array => out.write_str("ARRAY"),
            Self::Geography => out.write_str("GEOGRAPHY"),
            Self::Geometry => out.write_str("GEOMETRY"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_back_from_its_own_text() {
        for text in [
            "NUMBER(38,37)",
            "FLOAT",
            "BOOLEAN",
            "VARCHAR(12)",
            "BINARY(3)",
            "DATE",
            "TIME(0)",
            "TIMESTAMP_NTZ(9)",
            "TIMESTAMP_LTZ(3)",
            "TIMESTAMP_TZ(6)",
            "VARIANT",
            "OBJECT",
            "ARRAY",
            "GEOGRAPHY",
            "GEOMETRY",
        ] {
            let ty = SnowType::parse(text).unwrap();
            assert_eq!(ty.to_string(), text);
            assert_eq!(SnowType::of_field(&ty.field("x", true)), Some(ty));
        }
        assert_eq!(SnowType::parse("NUMBER(39,0)"), None);
        assert_eq!(SnowType::parse("TIMESTAMP_NTZ(10)"), None);
    }
}
