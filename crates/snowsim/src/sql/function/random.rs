//! Random values and sequences, for scripts that fill tables.
//!
//! Promises: a generator argument that varies from row to row (`RANDOM()`) makes the result vary; a
//! constant one makes it constant, as in Snowflake. A SEQn has no gaps.
//! Leaves to others: nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use arrow_array::Decimal128Array;
use arrow_schema::DataType;
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use rand::Rng;

use super::{Builtin, gives_text, integer_of, real_of};
use crate::error::SqlError;
use crate::types::SnowType;
use crate::types::value::Value;

pub(super) fn gives_hash(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Fixed { precision: 19, scale: 0 })
}

/// The engine's name of SEQ1 … SEQ8.
pub(crate) const SEQUENCE: &str = "snow$seq";

/// A SEQn: each call in a statement is its own instance, and counts from 0.
#[derive(Debug)]
struct Sequence {
    next: AtomicI64,
    signature: Signature,
}

impl PartialEq for Sequence {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Sequence {}

impl std::hash::Hash for Sequence {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::ptr::from_ref(self).hash(state);
    }
}

/// A new sequence.
pub(super) fn sequence() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Sequence {
        next: AtomicI64::new(0),
        signature: Signature::nullary(Volatility::Volatile),
    }))
}

impl ScalarUDFImpl for Sequence {
    fn name(&self) -> &str {
        SEQUENCE
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> EngineResult<DataType> {
        Ok(gives_hash(&[])?.arrow())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        let rows = i64::try_from(args.number_rows).map_err(SqlError::internal)?;
        let first = self.next.fetch_add(rows, Ordering::Relaxed);
        let values = Decimal128Array::from_iter_values((first..first + rows).map(i128::from));
        let values = values.with_data_type(gives_hash(&[])?.arrow());
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

pub(super) const FUNCTIONS: &[Builtin] = &[
    Builtin::new("random", 0, 1, gives_hash, |v, _, _| {
        let value = match v.first() {
            Some(seed) => super::digest::hash(std::slice::from_ref(seed)),
            None => rand::rng().random::<i64>(),
        };
        Ok(Some(Value::Fixed(i128::from(value), 0)))
    })
    .volatile(),
    Builtin::new("uuid_string", 0, 0, gives_text, |_, _, _| Ok(Some(Value::Text(uuid::Uuid::new_v4().to_string()))))
        .volatile(),
    Builtin::new("uniform", 3, 3, gives_uniform, |v, _, to| {
        let seed = super::digest::hash(&v[2..3]).cast_unsigned();
        if to == SnowType::Real {
            let (least, most) = (real_of(&v[0])?, real_of(&v[1])?);
            #[expect(clippy::cast_precision_loss, reason = "a random fraction needs no last bit")]
            let fraction = (seed >> 11) as f64 / (1_u64 << 53) as f64;
            return Ok(Some(Value::Real(least + (most - least) * fraction)));
        }
        let (least, most) = (i128::from(integer_of(&v[0])?), i128::from(integer_of(&v[1])?));
        if most < least {
            return Err(SqlError::compilation(format!("UNIFORM({least}, {most}, …): the bounds are reversed")));
        }
        Ok(Some(Value::Fixed(least + i128::from(seed) % (most - least + 1), 0)))
    })
    .volatile(),
    Builtin::new("randstr", 2, 2, gives_text, |v, _, _| {
        const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut state = super::digest::hash(&v[1..2]).cast_unsigned();
        let length = usize::try_from(integer_of(&v[0])?).unwrap_or(0);
        let mut text = String::with_capacity(length);
        for _ in 0..length {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let letter = usize::try_from((state >> 33) % 62).unwrap_or(0);
            text.push(char::from(LETTERS[letter]));
        }
        Ok(Some(Value::Text(text)))
    })
    .volatile(),
];

fn gives_uniform(types: &[SnowType]) -> Result<SnowType, SqlError> {
    match types {
        [SnowType::Fixed { scale: 0, .. }, SnowType::Fixed { scale: 0, .. }, ..] => gives_hash(types),
        _ => Ok(SnowType::Real),
    }
}
