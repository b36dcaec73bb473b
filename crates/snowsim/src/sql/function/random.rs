//! Random values and sequences, for scripts that fill tables.
//!
//! Promises: a generator argument that varies from row to row (`RANDOM()`) makes the result vary; a
//! constant one makes it constant, as in Snowflake. Leaves to others: SEQn's counter (`rewrite` names it).

use std::collections::HashMap;

use parking_lot::Mutex;
use rand::Rng;

use super::{Builtin, gives_text, integer_of, real_of, text_of};
use crate::error::SqlError;
use crate::types::SnowType;
use crate::types::value::Value;

pub(super) fn gives_hash(_: &[SnowType]) -> Result<SnowType, SqlError> {
    Ok(SnowType::Fixed { precision: 19, scale: 0 })
}

/// Where each SEQn of each running statement stands.
static SEQUENCES: Mutex<Option<HashMap<String, i64>>> = Mutex::new(None);

/// Forgets the sequences of a finished statement.
pub(crate) fn forget(prefix: &str) {
    if let Some(sequences) = SEQUENCES.lock().as_mut() {
        sequences.retain(|key, _| !key.starts_with(prefix));
    }
}

/// Starts a sequence of a statement.
pub(crate) fn remember(key: &str) {
    SEQUENCES.lock().get_or_insert_default().insert(key.to_owned(), 0);
}

pub(super) const FUNCTIONS: &[Builtin] = &[
    Builtin::new("snow$seq", 1, 1, gives_hash, |v, _, _| {
        let key = text_of(&v[0]);
        let mut sequences = SEQUENCES.lock();
        let next = sequences.get_or_insert_default().entry(key).or_default();
        let value = *next;
        *next += 1;
        Ok(Some(Value::Fixed(i128::from(value), 0)))
    })
    .volatile(),
    Builtin::new("random", 0, 1, gives_hash, |v, _, _| {
        let value = match v.first() {
            Some(seed) => super::digest::hash(std::slice::from_ref(seed)),
            None => rand::rng().random::<i64>(),
        };
        Ok(Some(Value::Fixed(i128::from(value), 0)))
    })
    .volatile(),
    Builtin::new("uuid_string", 0, 0, gives_text, |_, _, _| {
        Ok(Some(Value::Text(uuid::Uuid::new_v4().to_string())))
    })
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
