//! The columns that a table has had, told by whoever changes them, so that the judge knows what each event may show.
//!
//! A stream shows old images with the columns of the moment it is read. So an image is compared with a later one in the
//! later one's columns: those dropped since are left out, those added since have their default. A column keeps its
//! identity when it is renamed, and no name is ever used for two columns.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::image::{Cell, Image};
use crate::tables::Table;

/// What changes of columns were made in a world; tables that are not in it keep theirs.
#[derive(Default)]
pub(crate) struct Evolution(Mutex<BTreeMap<&'static str, Past>>);

/// One table's columns through time.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// Sets of names, in the order in which the table had them.
    shapes: Vec<BTreeSet<String>>,
    /// The first name of the column that has, or had, this name.
    origins: BTreeMap<String, String>,
    /// What rows older than a column have in it, by its first name.
    fills: BTreeMap<String, Cell>,
}

/// One change of columns. Recorded before it is made: a reading in between finds it allowed, and not yet done.
pub(crate) enum Reshape<'a> {
    Add { name: &'a str, fill: Cell },
    Drop { name: &'a str },
    Rename { from: &'a str, to: &'a str },
}

impl Evolution {
    /// Follows a table from its first columns on.
    pub(crate) fn follow(&self, table: &Table) {
        let columns: BTreeSet<String> = table.columns().map(str::to_owned).collect();
        let origins = columns.iter().map(|name| (name.clone(), name.clone())).collect();
        let past = Past { shapes: vec![columns], origins, fills: BTreeMap::new() };
        self.0.lock().expect("no test panics while it holds this").insert(table.name, past);
    }

    /// Notes a change that is about to be made.
    pub(crate) fn note(&self, table: &Table, change: &Reshape<'_>) {
        let mut tables = self.0.lock().expect("no test panics while it holds this");
        let past = tables.get_mut(table.name).expect("a table that is followed");
        let mut shape = past.shapes.last().cloned().unwrap_or_default();
        match change {
            Reshape::Add { name, fill } => {
                assert!(past.origins.insert((*name).to_owned(), (*name).to_owned()).is_none(), "{name} is a new name");
                past.fills.insert((*name).to_owned(), fill.clone());
                shape.insert((*name).to_owned());
            }
            Reshape::Drop { name } => assert!(shape.remove(*name), "{name} is a column"),
            Reshape::Rename { from, to } => {
                let origin = past.origins[*from].clone();
                assert!(past.origins.insert((*to).to_owned(), origin).is_none(), "{to} is a new name");
                assert!(shape.remove(*from), "{from} is a column");
                shape.insert((*to).to_owned());
            }
        }
        past.shapes.push(shape);
    }

    /// The past of a table, if it is followed.
    pub(crate) fn of(&self, table: &Table) -> Option<Past> {
        self.0.lock().expect("no test panics while it holds this").get(table.name).cloned()
    }

    /// Changes noted so far, of all tables.
    pub(crate) fn changes(&self) -> usize {
        let tables = self.0.lock().expect("no test panics while it holds this");
        tables.values().map(|past| past.shapes.len() - 1).sum()
    }
}

impl Past {
    /// The first shape from the `from`th on that has just the columns of `image`.
    pub(crate) fn shape(&self, image: &Image, from: usize) -> Option<usize> {
        let fits = |shape: &BTreeSet<String>| shape.iter().eq(image.keys());
        self.shapes.iter().skip(from).position(fits).map(|found| from + found)
    }

    /// The image with each column under its first name.
    pub(crate) fn original(&self, image: &Image) -> Image {
        let origin = |name: &String| self.origins.get(name).unwrap_or(name).clone();
        image.iter().map(|(name, cell)| (origin(name), cell.clone())).collect()
    }

    /// An image of before as `later` would show it; both by first names.
    pub(crate) fn seen_as(&self, image: &Image, later: &Image) -> Image {
        let cell = |name: &String| image.get(name).or_else(|| self.fills.get(name)).cloned().unwrap_or(Cell::Null);
        later.keys().map(|name| (name.clone(), cell(name))).collect()
    }
}

#[test]
fn an_image_is_compared_in_the_columns_of_a_later_one() {
    let table = &crate::tables::ALL[2];
    let evolution = Evolution::default();
    evolution.follow(table);
    let image = |cells: &[(&str, &str)]| -> Image {
        let base = table.columns().map(|name| (name.to_owned(), Cell::Null));
        base.chain(cells.iter().map(|(name, text)| ((*name).to_owned(), Cell::Text((*text).to_owned())))).collect()
    };
    evolution.note(table, &Reshape::Add { name: "X", fill: Cell::Text("fill".to_owned()) });
    evolution.note(table, &Reshape::Rename { from: "X", to: "Y" });
    evolution.note(table, &Reshape::Add { name: "Z", fill: Cell::Null });
    evolution.note(table, &Reshape::Drop { name: "Y" });
    let past = evolution.of(table).expect("it is followed");
    let (bare, with_x, with_y) = (image(&[]), image(&[("X", "1")]), image(&[("Y", "1")]));
    assert_eq!(past.shape(&with_x, 0), Some(1));
    assert_eq!(past.shape(&with_y, 0), Some(2));
    assert_eq!(past.shape(&with_x, 2), None, "a shape does not come again");
    assert_eq!(past.shape(&image(&[("X", "1"), ("Y", "1")]), 0), None);
    assert_eq!(past.original(&with_x), past.original(&with_y));
    assert_eq!(past.seen_as(&bare, &with_x)["X"], Cell::Text("fill".to_owned()));
    assert_eq!(past.seen_as(&with_x, &bare), bare);
    assert_eq!(evolution.changes(), 4);
}
