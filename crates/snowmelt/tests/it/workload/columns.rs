//! Columns that come, change their name and go while rows change.

use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::Workload;
use super::cells::{extra, where_keys};
use crate::evolution::Reshape;
use crate::image::Cell;
use crate::tables;

/// A table has at most so many columns more than it was made with.
const MOST: usize = 4;

/// A column beside those that the table was made with.
#[derive(Debug, Clone)]
pub(super) struct Extra {
    name: String,
    ty: &'static str,
}

impl Extra {
    fn quoted(&self) -> String {
        format!("\"{}\"", self.name)
    }
}

/// Types, and a default as SQL and as Kafka should show it.
const TYPES: [(&str, &str, &str); 3] =
    [("VARCHAR", "'plain'", "plain"), ("NUMBER(12,2)", "1.50", "1.50"), ("TIMESTAMP_NTZ(9)", "", "")];

impl Workload {
    /// The same with columns that come, change their name and go.
    pub(crate) fn reshaping(self) -> Self {
        for table in &tables::ALL {
            self.evolution.follow(table);
        }
        Self { extras: Some(vec![Vec::new(); tables::ALL.len()]), ..self }
    }

    /// One change of a table's columns, of its own accord a transaction.
    pub(super) async fn reshape(&mut self, index: usize) {
        let table = &tables::ALL[index];
        let Some(extras) = self.extras.as_mut().map(|all| &mut all[index]) else { return };
        self.columns_made += 1;
        let name = match self.dice.random_bool(0.5) {
            true => format!("E{}", self.columns_made),
            false => format!("extra {}", self.columns_made),
        };
        extras.shuffle(&mut self.dice);
        let (change, sql) = match (extras.len(), self.dice.random_range(0..3)) {
            (0, _) | (..MOST, 0) => {
                let (ty, sql, shown) = *TYPES.choose(&mut self.dice).unwrap_or(&TYPES[0]);
                let filled = !sql.is_empty() && self.dice.random_bool(0.5);
                let fill = if filled { Cell::Text(shown.to_owned()) } else { Cell::Null };
                let default = if filled { format!(" DEFAULT {sql}") } else { String::new() };
                extras.push(Extra { name: name.clone(), ty });
                (Reshape::Add { name: &name, fill }, format!("ADD COLUMN \"{name}\" {ty}{default}"))
            }
            (_, 1) => {
                let column = &mut extras[0];
                let from = std::mem::replace(&mut column.name, name.clone());
                let sql = format!("RENAME COLUMN \"{from}\" TO \"{name}\"");
                self.evolution.note(table, &Reshape::Rename { from: &from, to: &name });
                self.account.run(&format!("ALTER TABLE {} {sql}", table.topic())).await;
                return;
            }
            _ => {
                let gone = extras.remove(0);
                let sql = format!("DROP COLUMN {}", gone.quoted());
                self.evolution.note(table, &Reshape::Drop { name: &gone.name });
                self.account.run(&format!("ALTER TABLE {} {sql}", table.topic())).await;
                return;
            }
        };
        self.evolution.note(table, &change);
        self.account.run(&format!("ALTER TABLE {} {sql}", table.topic())).await;
    }

    /// Another value in a column that was added to the table, for some of its rows. False where there is none.
    pub(super) async fn change_extra(&mut self, index: usize) -> bool {
        let column = self.extras.as_ref().and_then(|all| all[index].choose(&mut self.dice)).cloned();
        let keys = self.some_keys(index, 12);
        let (Some(column), false) = (column, keys.is_empty()) else { return false };
        let table = &tables::ALL[index];
        let value = extra(column.ty, &mut self.dice);
        let sql =
            format!("UPDATE {} SET {} = {value} WHERE {}", table.topic(), column.quoted(), where_keys(table, &keys));
        self.account.run(&sql).await;
        true
    }

    /// Whether the next step changes columns, or a column that was added; nothing is drawn where none may.
    pub(super) fn draw_reshape(dice: &mut StdRng, reshaping: bool) -> Option<bool> {
        if !reshaping {
            return None;
        }
        match dice.random_range(0..100) {
            0..20 => Some(true),
            20..45 => Some(false),
            _ => None,
        }
    }
}
