//! The columns of a result, from the `rowtype` a query answers with.
//!
//! Promises that every column it hands out has a complete type: a scale where the type has one, a
//! dimension and an element for a vector. A type it does not know is an error that names column and
//! type, never a guess. Nothing here looks at rows.

use std::sync::Arc;

use serde::Deserialize;

use super::ValueError;

/// A column's type with everything needed to read and to write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DataType {
    /// NUMBER(precision, scale).
    Fixed {
        /// Declared digits, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to 37.
        scale: u8,
    },
    /// DECFLOAT, 38 significant digits.
    DecFloat,
    /// FLOAT.
    Real,
    /// BOOLEAN.
    Boolean,
    /// TEXT.
    Text,
    /// BINARY.
    Binary,
    /// DATE.
    Date,
    /// TIME(scale).
    Time {
        /// Digits of the fraction, 0 to 9.
        scale: u8,
    },
    /// TIMESTAMP_NTZ(scale).
    TimestampNtz {
        /// Digits of the fraction, 0 to 9.
        scale: u8,
    },
    /// TIMESTAMP_LTZ(scale).
    TimestampLtz {
        /// Digits of the fraction, 0 to 9.
        scale: u8,
    },
    /// TIMESTAMP_TZ(scale).
    TimestampTz {
        /// Digits of the fraction, 0 to 9.
        scale: u8,
    },
    /// VARIANT.
    Variant,
    /// OBJECT.
    Object,
    /// ARRAY.
    Array,
    /// MAP, as JSON text.
    Map,
    /// GEOGRAPHY.
    Geography,
    /// GEOMETRY.
    Geometry,
    /// VECTOR(element, dimension).
    Vector {
        /// Type of the elements.
        element: VectorElement,
        /// Number of elements.
        dimension: u16,
    },
}

/// As Snowflake's SQL writes it, without the lengths of texts and binaries.
impl std::fmt::Display for DataType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed { precision, scale } => write!(f, "NUMBER({precision},{scale})"),
            Self::DecFloat => f.write_str("DECFLOAT"),
            Self::Real => f.write_str("FLOAT"),
            Self::Boolean => f.write_str("BOOLEAN"),
            Self::Text => f.write_str("VARCHAR"),
            Self::Binary => f.write_str("BINARY"),
            Self::Date => f.write_str("DATE"),
            Self::Time { scale } => write!(f, "TIME({scale})"),
            Self::TimestampNtz { scale } => write!(f, "TIMESTAMP_NTZ({scale})"),
            Self::TimestampLtz { scale } => write!(f, "TIMESTAMP_LTZ({scale})"),
            Self::TimestampTz { scale } => write!(f, "TIMESTAMP_TZ({scale})"),
            Self::Variant => f.write_str("VARIANT"),
            Self::Object => f.write_str("OBJECT"),
            Self::Array => f.write_str("ARRAY"),
            Self::Map => f.write_str("MAP"),
            Self::Geography => f.write_str("GEOGRAPHY"),
            Self::Geometry => f.write_str("GEOMETRY"),
            Self::Vector { element: VectorElement::Int, dimension } => write!(f, "VECTOR(INT, {dimension})"),
            Self::Vector { element: VectorElement::Float, dimension } => write!(f, "VECTOR(FLOAT, {dimension})"),
        }
    }
}

/// The element type of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VectorElement {
    /// 32-bit integers.
    Int,
    /// 32-bit floats.
    Float,
}

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Name as Snowflake stores it (upper case unless it was quoted).
    pub name: String,
    /// Type.
    pub ty: DataType,
    /// Whether the result says that NULL may occur.
    pub nullable: bool,
}

/// One entry of `rowtype`, as the driver protocol sends it. Entries of no use here are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RowTypeEntry {
    /// Column name; absent in the nested `fields` of a vector.
    #[serde(default)]
    pub name: String,
    /// Type name, `fixed`, `text`, `timestamp_ntz`…, in any case.
    #[serde(rename = "type")]
    pub ty: String,
    /// Digits of a NUMBER.
    #[serde(default)]
    pub precision: Option<i64>,
    /// Digits after the point of a NUMBER, or of the fraction of a TIME or TIMESTAMP.
    #[serde(default)]
    pub scale: Option<i64>,
    /// Whether NULL may occur; true when the server does not say.
    #[serde(default = "nullable_unless_told")]
    pub nullable: bool,
    /// The real type where `type` only names its carrier (GEOGRAPHY, GEOMETRY, VECTOR).
    #[serde(default)]
    pub ext_type_name: Option<String>,
    /// Elements of a VECTOR.
    #[serde(default)]
    pub vector_dimension: Option<i64>,
    /// Element types of a VECTOR or of a structured type.
    #[serde(default)]
    pub fields: Option<Vec<RowTypeEntry>>,
}

fn nullable_unless_told() -> bool {
    true
}

/// Makes the columns of a result from its `rowtype`.
///
/// # Errors
/// Names the first column whose type is unknown or incompletely described.
pub fn parse_columns(entries: &[RowTypeEntry]) -> Result<Arc<[Column]>, ValueError> {
    entries.iter().map(Column::parse).collect()
}

impl Column {
    /// Makes a column from its `rowtype` entry.
    ///
    /// # Errors
    /// The type is unknown, or a scale, precision, dimension or element is missing or out of range.
    pub fn parse(entry: &RowTypeEntry) -> Result<Self, ValueError> {
        Ok(Self { name: entry.name.clone(), ty: DataType::parse(entry)?, nullable: entry.nullable })
    }
}

impl DataType {
    fn parse(entry: &RowTypeEntry) -> Result<Self, ValueError> {
        let carrier = entry.ty.to_ascii_lowercase();
        // The extension's name wins: the carrier of a GEOGRAPHY follows a session parameter.
        let extension = entry.ext_type_name.as_deref().map(str::to_ascii_lowercase);
        let ty = match extension.as_deref() {
            Some(known @ ("geography" | "geometry" | "vector")) => known,
            _ => carrier.as_str(),
        };
        Ok(match ty {
            "fixed" => Self::Fixed {
                precision: entry.number("precision", entry.precision, 1, 38)?,
                scale: entry.number("scale", entry.scale, 0, 37)?,
            },
            "decfloat" => Self::DecFloat,
            "real" => Self::Real,
            "boolean" => Self::Boolean,
            "text" => Self::Text,
            "binary" => Self::Binary,
            "date" => Self::Date,
            "time" => Self::Time { scale: entry.fraction()? },
            "timestamp_ntz" => Self::TimestampNtz { scale: entry.fraction()? },
            "timestamp_ltz" => Self::TimestampLtz { scale: entry.fraction()? },
            "timestamp_tz" => Self::TimestampTz { scale: entry.fraction()? },
            "variant" => Self::Variant,
            "object" => Self::Object,
            "array" => Self::Array,
            "map" => Self::Map,
            "geography" => Self::Geography,
            "geometry" => Self::Geometry,
            "vector" => Self::Vector {
                element: entry.element()?,
                dimension: entry.number("vectorDimension", entry.vector_dimension, 1, 4096)?,
            },
            _ => {
                return Err(ValueError::UnknownType { column: entry.name.clone(), ty: entry.ty.clone() });
            }
        })
    }
}

impl RowTypeEntry {
    fn fraction(&self) -> Result<u8, ValueError> {
        self.number("scale", self.scale, 0, 9)
    }

    /// A field that must be there: a guessed scale would move every decimal point in the column.
    fn number<T: TryFrom<i64>>(&self, field: &str, came: Option<i64>, least: i64, most: i64) -> Result<T, ValueError> {
        came.filter(|number| (least..=most).contains(number)).and_then(|number| T::try_from(number).ok()).ok_or_else(
            || {
                let came = came.map_or("nothing".to_owned(), |number| number.to_string());
                self.described(format!("{field} came as {came}, expected {least} to {most}"))
            },
        )
    }

    fn element(&self) -> Result<VectorElement, ValueError> {
        let element = self.fields.as_deref().and_then(<[_]>::first).map(|field| field.ty.as_str());
        match element {
            Some(ty) if ty.eq_ignore_ascii_case("fixed") => Ok(VectorElement::Int),
            Some(ty) if ty.eq_ignore_ascii_case("real") => Ok(VectorElement::Float),
            other => Err(self
                .described(format!("its element type came as {}, expected fixed or real", other.unwrap_or("nothing")))),
        }
    }

    fn described(&self, reason: String) -> ValueError {
        ValueError::Description { column: self.name.clone(), ty: self.ty.clone(), reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Column, ValueError> {
        Column::parse(&serde_json::from_str::<RowTypeEntry>(json).unwrap())
    }

    #[test]
    fn reads_what_the_driver_protocol_sends() {
        let column = parse(
            r#"{"name":"AMOUNT","database":"D","schema":"S","table":"T","type":"fixed","nullable":false,
                "length":null,"byteLength":null,"precision":38,"scale":2,"collation":null}"#,
        );
        let expected =
            Column { name: "AMOUNT".into(), ty: DataType::Fixed { precision: 38, scale: 2 }, nullable: false };
        assert_eq!(column, Ok(expected));
        let ty = |json| parse(json).unwrap().ty;
        assert_eq!(ty(r#"{"name":"A","type":"TEXT","length":16777216}"#), DataType::Text);
        assert_eq!(
            ty(r#"{"name":"A","type":"timestamp_tz","precision":0,"scale":9,"nullable":true}"#),
            DataType::TimestampTz { scale: 9 }
        );
        assert_eq!(ty(r#"{"name":"A","type":"object","extTypeName":"GEOGRAPHY"}"#), DataType::Geography);
        assert_eq!(
            ty(r#"{"name":"A","type":"vector","vectorDimension":3,"fields":[{"type":"real"}]}"#),
            DataType::Vector { element: VectorElement::Float, dimension: 3 }
        );
    }

    #[test]
    fn an_unknown_or_incomplete_type_is_named() {
        let error = |json| parse(json).unwrap_err().to_string();
        let interval = error(r#"{"name":"SPAN","type":"interval_day_time"}"#);
        assert!(interval.contains("SPAN") && interval.contains("interval_day_time"), "{interval}");
        let scale = error(r#"{"name":"AT","type":"timestamp_ntz"}"#);
        assert!(scale.contains("AT") && scale.contains("scale came as nothing"), "{scale}");
        let wide = error(r#"{"name":"N","type":"fixed","precision":39,"scale":0}"#);
        assert!(wide.contains("precision came as 39, expected 1 to 38"), "{wide}");
        let vector = error(r#"{"name":"V","type":"vector","vectorDimension":3}"#);
        assert!(vector.contains("element type came as nothing"), "{vector}");
    }
}
