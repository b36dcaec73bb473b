//! Snowflake's scalar functions, as functions of the query engine.
//!
//! Promises: each takes and returns values of the simulator's own types, so results are as exact as
//! stored values; a function not listed here or known to the engine is refused by name (002003).
//! Leaves to others: special forms like IFF or DATEADD's bare unit (`rewrite`).

use std::sync::Arc;

use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result as EngineResult};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use crate::error::SqlError;
use crate::types::SnowType;
use crate::types::convert::{Builder, canonical, read};
use crate::types::value::Value;

pub(crate) mod cast;
mod digest;
mod math;
pub(crate) mod random;
mod semi;
mod text;
mod time;

/// The result type of a call, from its arguments' types.
type ResultType = fn(&[SnowType]) -> Result<SnowType, SqlError>;
/// One call; `None` is NULL.
type Call = fn(&[Option<Value>], &[SnowType], SnowType) -> Result<Option<Value>, SqlError>;

/// A function of the simulator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Builtin {
    name: &'static str,
    arity: (usize, usize),
    volatile: bool,
    /// Whether a NULL argument makes the result NULL without a call.
    strict: bool,
    result: ResultType,
    call: Call,
}

impl Builtin {
    const fn new(name: &'static str, least: usize, most: usize, result: ResultType, call: Call) -> Self {
        Self { name, arity: (least, most), volatile: false, strict: true, result, call }
    }

    const fn volatile(mut self) -> Self {
        self.volatile = true;
        self
    }

    const fn sees_null(mut self) -> Self {
        self.strict = false;
        self
    }
}

/// Every builtin.
fn builtins() -> impl Iterator<Item = &'static Builtin> {
    [text::FUNCTIONS, math::FUNCTIONS, time::FUNCTIONS, semi::FUNCTIONS, random::FUNCTIONS].into_iter().flatten()
}

/// The simulator's function of a name (lower case), if it has one.
#[must_use]
pub(crate) fn find(name: &str) -> Option<Arc<ScalarUDF>> {
    if let Some(cast) = cast::find(name) {
        return Some(cast);
    }
    if name == random::SEQUENCE {
        return Some(random::sequence());
    }
    let builtin = builtins().find(|builtin| builtin.name == name)?;
    Some(Arc::new(ScalarUDF::new_from_impl(Function {
        builtin: *builtin,
        signature: Signature::one_of(
            vec![TypeSignature::VariadicAny, TypeSignature::Nullary],
            match builtin.volatile {
                true => Volatility::Volatile,
                false => Volatility::Immutable,
            },
        ),
    })))
}

/// Functions of the engine that mean in Snowflake what they mean there.
pub(crate) const ENGINE_FUNCTIONS: [&str; 6] = ["coalesce", "nullif", "greatest", "least", "concat", "concat_ws"];

#[derive(Debug)]
struct Function {
    builtin: Builtin,
    signature: Signature,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.builtin.name == other.builtin.name
    }
}

impl Eq for Function {}

impl std::hash::Hash for Function {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.builtin.name.hash(state);
    }
}

/// The simulator's types of a call's arguments.
pub(crate) fn types_of(fields: &[FieldRef]) -> Result<Vec<SnowType>, SqlError> {
    fields
        .iter()
        .map(|field| {
            SnowType::of_field(field)
                .ok_or_else(|| SqlError::unsupported(format!("an argument of engine type {}", field.data_type())))
        })
        .collect()
}

/// A call's arguments as canonical columns.
pub(crate) fn columns_of(args: &ScalarFunctionArgs) -> Result<Vec<(ArrayRef, SnowType)>, SqlError> {
    args.args
        .iter()
        .zip(&args.arg_fields)
        .map(|(value, field)| {
            let rows = match value {
                ColumnarValue::Array(array) => array.len(),
                ColumnarValue::Scalar(_) => args.number_rows,
            };
            canonical(&value.to_array(rows)?, field)
        })
        .collect()
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.builtin.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> EngineResult<DataType> {
        Err(DataFusionError::Internal(format!("{} needs its argument fields", self.builtin.name)))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let (least, most) = self.builtin.arity;
        if !(least..=most).contains(&args.arg_fields.len()) {
            return Err(SqlError::new(
                "000938",
                "22023",
                format!(
                    "SQL compilation error:\nwrong number of arguments for function [{}], got {}",
                    self.builtin.name.to_uppercase(),
                    args.arg_fields.len()
                ),
            )
            .into());
        }
        let ty = (self.builtin.result)(&types_of(args.arg_fields)?)?;
        Ok(Arc::new(ty.field(self.builtin.name, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let columns = columns_of(&args)?;
        let types: Vec<SnowType> = columns.iter().map(|(_, ty)| *ty).collect();
        let to = (self.builtin.result)(&types)?;
        let constant =
            !self.builtin.volatile && args.args.iter().all(|value| matches!(value, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let mut builder = Builder::new(to, rows);
        let mut values = Vec::with_capacity(columns.len());
        for row in 0..rows {
            values.clear();
            for (column, ty) in &columns {
                values.push(read(column, row, *ty)?);
            }
            let answer = match self.builtin.strict && values.iter().any(Option::is_none) {
                true => None,
                false => (self.builtin.call)(&values, &types, to)?,
            };
            let answer = match answer {
                Some(value) => value.cast(to)?,
                None => None,
            };
            builder.push(answer)?;
        }
        let array = builder.finish();
        Ok(match constant {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?),
            false => ColumnarValue::Array(array),
        })
    }
}

// What most functions need from their arguments.

fn text_of(value: &Option<Value>) -> String {
    value.as_ref().map(|value| value.to_text(9)).unwrap_or_default()
}

fn integer_of(value: &Option<Value>) -> Result<i64, SqlError> {
    let shown = text_of(value);
    match value.clone().map(|value| value.cast(SnowType::INTEGER)).transpose()?.flatten() {
        Some(Value::Fixed(number, _)) => i64::try_from(number).map_err(|_| SqlError::bad_value("Numeric", shown)),
        _ => Err(SqlError::bad_value("Numeric", shown)),
    }
}

fn real_of(value: &Option<Value>) -> Result<f64, SqlError> {
    match value.clone().map(|value| value.cast(SnowType::Real)).transpose()?.flatten() {
        Some(Value::Real(number)) => Ok(number),
        _ => Err(SqlError::bad_value("Numeric", text_of(value))),
    }
}

fn count(number: usize) -> Value {
    Value::Fixed(i128::try_from(number).unwrap_or(i128::MAX), 0)
}

fn gives_text(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::TEXT)
}

fn gives_integer(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Fixed { precision: 18, scale: 0 })
}

fn gives_boolean(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Boolean)
}

fn gives_real(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Real)
}

fn gives_variant(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Variant)
}

fn gives_first(types: &[SnowType]) -> Result<SnowType, SqlError> {
    types.first().copied().ok_or_else(|| SqlError::internal("a function without arguments"))
}
