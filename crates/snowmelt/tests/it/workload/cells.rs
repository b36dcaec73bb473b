//! Statements' text: random values of every column, and rows named by key.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use crate::tables::Table;

/// What the workload names a row by: the address columns' values; the second is 0 where there is one column.
pub(super) type Key = (i64, i64);

/// Texts that break careless quoting, escaping and trimming.
const TEXTS: [&str; 8] =
    ["", " ", "plain", "O''Neill", "tab\\tline\\nback\\\\slash", "\"quoted\"", "Größe 漢字 🧊", "null"];

/// Inserts rows with random values under these keys; `listed` names the columns, where the table may have others.
pub(super) fn insert(table: &Table, keys: &[Key], listed: bool, dice: &mut StdRng) -> String {
    let rows: Vec<String> = keys.iter().map(|key| format!("SELECT {}", row(table, *key, dice))).collect();
    let columns = if listed { format!(" ({})", table.columns().collect::<Vec<_>>().join(", ")) } else { String::new() };
    format!("INSERT INTO {}{columns} {}", table.topic(), rows.join(" UNION ALL "))
}

fn row(table: &Table, key: Key, dice: &mut StdRng) -> String {
    match table.name {
        "CUSTOMERS" => {
            format!("{}, {}, {}, {}, {}", key.0, text(dice), decimal(dice, 4), flag(dice), timestamp(dice, false))
        }
        "LINES" => {
            let (sku, quantity, placed) = (text(dice), decimal(dice, 3), timestamp(dice, true));
            format!("{}, {}, {sku}, {quantity}, {placed}, {}", key.0, key.1, variant(dice))
        }
        "VISITS" => format!("{}, {}, {}, {}, {}", text(dice), date(dice), score(dice), binary(dice), key.0),
        other => panic!("the workload does not know table {other}"),
    }
}

/// Gives the rows under these keys another value in a column that is no key.
pub(super) fn update(table: &Table, keys: &[Key], dice: &mut StdRng) -> String {
    format!("UPDATE {} SET {} WHERE {}", table.topic(), assignment(table, dice), where_keys(table, keys))
}

/// One column that is no key, and a value for it.
pub(super) fn assignment(table: &Table, dice: &mut StdRng) -> String {
    match (table.name, dice.random_range(0..3)) {
        ("CUSTOMERS", 0) => format!("NAME = {}", text(dice)),
        ("CUSTOMERS", 1) => format!("CREDIT = {}", decimal(dice, 4)),
        ("CUSTOMERS", _) => format!("ACTIVE = {}, SEEN = {}", flag(dice), timestamp(dice, false)),
        ("LINES", 0) => format!("QTY = {}", decimal(dice, 3)),
        ("LINES", 1) => format!("PLACED = {}", timestamp(dice, true)),
        ("LINES", _) => format!("SKU = {}", text(dice)),
        ("VISITS", 0) => format!("SCORE = {}", score(dice)),
        ("VISITS", 1) => format!("RAW = {}", binary(dice)),
        ("VISITS", _) => format!("PAGE = {}", text(dice)),
        (other, _) => panic!("the workload does not know table {other}"),
    }
}

/// Makes the rows under these keys larger than Kafka takes, by one letter over and over.
pub(super) fn poison(table: &Table, keys: &[Key], dice: &mut StdRng) -> String {
    let column = match table.name {
        "CUSTOMERS" => "NAME",
        "LINES" => "SKU",
        "VISITS" => "PAGE",
        other => panic!("the workload does not know table {other}"),
    };
    let (letter, length) = (char::from(dice.random_range(b'a'..=b'z')), dice.random_range(20_000..30_000));
    format!("UPDATE {} SET {column} = REPEAT('{letter}', {length}) WHERE {}", table.topic(), where_keys(table, keys))
}

/// Moves the row under `from` to `to`.
pub(super) fn key_change(table: &Table, from: Key, to: Key) -> String {
    let values = [to.0, to.1];
    let set: Vec<String> = table.address.iter().zip(values).map(|(name, value)| format!("{name} = {value}")).collect();
    format!("UPDATE {} SET {} WHERE {}", table.topic(), set.join(", "), where_key(table, from))
}

/// Two rows exchange their keys in one statement.
pub(super) fn swap(table: &Table, one: Key, other: Key) -> String {
    let is_one = where_key(table, one);
    let values = [(other.0, one.0), (other.1, one.1)];
    let set: Vec<String> = table
        .address
        .iter()
        .zip(values)
        .map(|(name, (then, otherwise))| format!("{name} = CASE WHEN {is_one} THEN {then} ELSE {otherwise} END"))
        .collect();
    format!("UPDATE {} SET {} WHERE {}", table.topic(), set.join(", "), where_keys(table, &[one, other]))
}

/// The condition of one row.
pub(super) fn where_key(table: &Table, key: Key) -> String {
    let values = [key.0, key.1];
    let parts: Vec<String> =
        table.address.iter().zip(values).map(|(name, value)| format!("{name} = {value}")).collect();
    parts.join(" AND ")
}

/// The condition of several rows.
pub(super) fn where_keys(table: &Table, keys: &[Key]) -> String {
    let parts: Vec<String> = keys.iter().map(|key| format!("({})", where_key(table, *key))).collect();
    parts.join(" OR ")
}

/// A value of a column that was added.
pub(super) fn extra(ty: &str, dice: &mut StdRng) -> String {
    match ty {
        "VARCHAR" => text(dice),
        "NUMBER(12,2)" => {
            or_null(dice, ty, |dice| format!("{}.{:02}::{ty}", dice.random_range(0..10_000), dice.random_range(0..100)))
        }
        "TIMESTAMP_NTZ(9)" => timestamp(dice, false),
        other => panic!("no column of type {other} is added"),
    }
}

/// NULL one time in eight, else the value.
fn or_null(dice: &mut StdRng, ty: &str, value: impl FnOnce(&mut StdRng) -> String) -> String {
    if dice.random_bool(0.125) { format!("NULL::{ty}") } else { value(dice) }
}

fn text(dice: &mut StdRng) -> String {
    or_null(dice, "VARCHAR", |dice| {
        let word = TEXTS.choose(dice).copied().unwrap_or_default();
        format!("'{word}{}'", dice.random_range(0..1000))
    })
}

fn decimal(dice: &mut StdRng, scale: u32) -> String {
    let ty = if scale == 4 { "NUMBER(38,4)" } else { "NUMBER(9,3)" };
    or_null(dice, ty, |dice| {
        let whole: u128 = if scale == 4 && dice.random_bool(0.2) {
            // 34 digits before the point: no float can hold them.
            dice.random_range(10_u128.pow(33)..10_u128.pow(34))
        } else {
            dice.random_range(0..100_000)
        };
        let sign = if dice.random_bool(0.5) { "-" } else { "" };
        let fraction = dice.random_range(0..10_u32.pow(scale));
        format!("'{sign}{whole}.{fraction:0width$}'::{ty}", width = usize::try_from(scale).unwrap_or_default())
    })
}

fn flag(dice: &mut StdRng) -> String {
    or_null(dice, "BOOLEAN", |dice| if dice.random_bool(0.5) { "TRUE".to_owned() } else { "FALSE".to_owned() })
}

fn calendar(dice: &mut StdRng) -> String {
    let (year, month, day) = (dice.random_range(1..=9998), dice.random_range(1..=12), dice.random_range(1..=28));
    format!("{year:04}-{month:02}-{day:02}")
}

fn date(dice: &mut StdRng) -> String {
    or_null(dice, "DATE", |dice| format!("'{}'::DATE", calendar(dice)))
}

fn timestamp(dice: &mut StdRng, zone: bool) -> String {
    let ty = if zone { "TIMESTAMP_TZ(9)" } else { "TIMESTAMP_NTZ(9)" };
    or_null(dice, ty, |dice| {
        let day = calendar(dice);
        let (hour, minute, second) = (dice.random_range(0..24), dice.random_range(0..60), dice.random_range(0..60));
        let nanos = dice.random_range(0..1_000_000_000);
        let offset = if zone {
            format!(" {}{:02}:30", ["+", "-"][dice.random_range(0..2)], dice.random_range(0..12))
        } else {
            String::new()
        };
        format!("'{day} {hour:02}:{minute:02}:{second:02}.{nanos:09}{offset}'::{ty}")
    })
}

/// Quarters have an exact binary form, whose text is the same in every language.
fn score(dice: &mut StdRng) -> String {
    or_null(dice, "FLOAT", |dice| format!("'{}'::FLOAT", f64::from(dice.random_range(-4000..4000)) / 4.0))
}

fn binary(dice: &mut StdRng) -> String {
    or_null(dice, "BINARY", |dice| {
        let length = dice.random_range(0..6);
        let digits: String = (0..length).map(|_| format!("{:02X}", dice.random_range(0..=255))).collect();
        format!("TO_BINARY('{digits}', 'HEX')")
    })
}

fn variant(dice: &mut StdRng) -> String {
    or_null(dice, "VARIANT", |dice| {
        let number = dice.random_range(0..1000);
        format!("PARSE_JSON('{{\"a\": [1, null, {number}], \"b\": {{\"c\": \"x\"}}}}')")
    })
}
