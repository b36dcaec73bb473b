//! SHOW of what lives in schemas: tables, streams, views, columns, keys.
//!
//! Promises: as `show`. Leaves to others: the account's own objects (`account`).

use super::super::answer::{CREATED, count, moment, text};
use super::super::{Session, describe};
use super::{NUMBER, Shown, TEXT, flag};
use crate::catalog::{Catalog, Object};
use crate::error::SqlError;
use crate::sql::{Scope, Show};
use crate::table::nature::Nature;
use crate::table::{Table, TableKind};
use crate::types::value::Value;

impl Session {
    pub(super) fn show_tables(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("kind", TEXT),
            ("comment", TEXT),
            ("cluster_by", TEXT),
            ("rows", NUMBER),
            ("bytes", NUMBER),
            ("owner", TEXT),
            ("retention_time", TEXT),
            ("automatic_clustering", TEXT),
            ("change_tracking", TEXT),
            ("is_external", TEXT),
            ("owner_role_type", TEXT),
            ("is_event", TEXT),
            ("is_hybrid", TEXT),
            ("is_iceberg", TEXT),
            ("is_dynamic", TEXT),
        ];
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let Object::Table(id) = object else { continue };
            let Some(table) = catalog.table(id) else { continue };
            let definition = &table.definition;
            all.push(vec![
                moment(definition.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(kind_word(definition.kind)),
                text(definition.comment.clone().unwrap_or_default()),
                text(""),
                count(table.current().rows()),
                count(table.current().bytes()),
                text(&definition.owner),
                text(definition.retention().to_string()),
                text("OFF"),
                text(if definition.tracked_since.is_some() { "ON" } else { "OFF" }),
                mark(matches!(definition.nature, Nature::External(_))),
                text("ROLE"),
                mark(definition.nature == Nature::Event),
                mark(false),
                mark(matches!(definition.nature, Nature::Iceberg { .. })),
                mark(matches!(definition.nature, Nature::Dynamic(_))),
            ]);
        }
        Ok((columns, all))
    }

    pub(in crate::session) fn show_streams(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("table_name", TEXT),
            ("source_type", TEXT),
            ("base_tables", TEXT),
            ("type", TEXT),
            ("stale", TEXT),
            ("mode", TEXT),
            ("stale_after", CREATED),
            ("invalid_reason", TEXT),
            ("owner_role_type", TEXT),
        ];
        let now = self.engine.now();
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let Object::Stream(id) = object else { continue };
            let Some(stream) = catalog.streams.get(&id) else { continue };
            let invalid = stream.invalid_reason(catalog);
            let source = stream.source_now(catalog).to_string();
            let stage = matches!(stream.source, Object::Stage(_));
            let bases: Vec<String> = stream
                .bases
                .iter()
                .map(|base| catalog.name_of(Object::Table(base.table)).unwrap_or_else(|| base.name.clone()).to_string())
                .collect();
            let stale = invalid.is_some() || stream.is_stale(catalog, now);
            all.push(vec![
                moment(stream.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(&stream.owner),
                text(&stream.comment),
                text(&source),
                text(stream.source_type(catalog)),
                text(if stage { source.clone() } else { bases.join(",") }),
                text("DELTA"),
                flag(stale),
                text(stream.mode.word()),
                stream.stale_after(catalog).and_then(moment),
                text(invalid.unwrap_or_else(|| "N/A".to_owned())),
                text("ROLE"),
            ]);
        }
        Ok((columns, all))
    }

    pub(super) fn show_views(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("reserved", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("text", TEXT),
            ("is_secure", TEXT),
            ("is_materialized", TEXT),
            ("owner_role_type", TEXT),
            ("change_tracking", TEXT),
        ];
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let Object::View(id) = object else { continue };
            let Some(view) = catalog.views.get(&id) else { continue };
            all.push(vec![
                moment(view.created),
                text(&name.name),
                text(""),
                text(&name.database),
                text(&name.schema),
                text(&view.owner),
                text(&view.comment),
                text(&view.text),
                flag(view.secure),
                flag(view.materialized),
                text("ROLE"),
                text(if view.tracked { "ON" } else { "OFF" }),
            ]);
        }
        Ok((columns, all))
    }

    pub(super) fn show_objects(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("kind", TEXT),
            ("owner", TEXT),
        ];
        let mut all = Vec::new();
        for (name, object) in self.listed(catalog, show)? {
            let (created, kind, owner) = match object {
                Object::Table(id) => match catalog.table(id) {
                    Some(table) => {
                        let definition = &table.definition;
                        let kind = match &definition.nature {
                            Nature::Plain => kind_word(definition.kind),
                            nature => nature.word(),
                        };
                        (definition.created, kind, &definition.owner)
                    }
                    None => continue,
                },
                Object::View(id) => match catalog.views.get(&id) {
                    Some(view) if view.materialized => (view.created, "MATERIALIZED VIEW", &view.owner),
                    Some(view) => (view.created, "VIEW", &view.owner),
                    None => continue,
                },
                Object::Stream(_) | Object::Stage(_) => continue,
            };
            all.push(vec![
                moment(created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(kind.replace('_', " ")),
                text(owner),
            ]);
        }
        Ok((columns, all))
    }

    pub(super) fn show_columns(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("table_name", TEXT),
            ("schema_name", TEXT),
            ("column_name", TEXT),
            ("data_type", TEXT),
            ("null?", TEXT),
            ("default", TEXT),
            ("kind", TEXT),
            ("expression", TEXT),
            ("comment", TEXT),
            ("database_name", TEXT),
            ("autoincrement", TEXT),
        ];
        let mut all = Vec::new();
        for table in self.tables_of(catalog, show)? {
            let definition = &table.definition;
            for column in &definition.shown() {
                all.push(vec![
                    text(&definition.name),
                    text(&definition.schema),
                    text(&column.name),
                    text(describe::type_json(column)),
                    text(if column.nullable { "true" } else { "NOT_NULL" }),
                    text(column.default.clone().unwrap_or_default()),
                    text("COLUMN"),
                    text(""),
                    text(column.comment.clone().unwrap_or_default()),
                    text(&definition.database),
                    text(
                        column
                            .identity
                            .map(|(start, step)| format!("IDENTITY START {start} INCREMENT {step}"))
                            .unwrap_or_default(),
                    ),
                ]);
            }
        }
        Ok((columns, all))
    }

    pub(super) fn show_keys(&self, catalog: &Catalog, show: &Show, primary: bool) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("table_name", TEXT),
            ("column_name", TEXT),
            ("key_sequence", NUMBER),
            ("constraint_name", TEXT),
            ("rely", TEXT),
            ("comment", TEXT),
        ];
        let mut all = Vec::new();
        for table in self.tables_of(catalog, show)? {
            let definition = &table.definition;
            let keys: Vec<_> = match primary {
                true => definition.primary_key.iter().collect(),
                false => definition.unique.iter().collect(),
            };
            for key in keys {
                for (sequence, id) in (1_u64..).zip(&key.columns) {
                    let column = definition.columns.iter().find(|column| column.id == *id);
                    all.push(vec![
                        moment(definition.created),
                        text(&definition.database),
                        text(&definition.schema),
                        text(&definition.name),
                        column.and_then(|column| text(&column.name)),
                        count(sequence),
                        text(&key.name),
                        flag(false),
                        None,
                    ]);
                }
            }
        }
        Ok((columns, all))
    }

    /// The tables a SHOW is about: one by name, or all in its scope.
    pub(super) fn tables_of<'c>(&self, catalog: &'c Catalog, show: &Show) -> Result<Vec<&'c Table>, SqlError> {
        match &show.scope {
            Scope::Table(path) => Ok(vec![self.visible_table(catalog, path)?]),
            // `SHOW COLUMNS IN t` and `IN s.t`: a bare name is a table here.
            Scope::Database(Some(name)) if !catalog.databases.contains_key(name) => {
                Ok(vec![self.visible_table(catalog, std::slice::from_ref(name))?])
            }
            Scope::Schema(Some(path)) if self.full_name(path).is_ok_and(|name| catalog.names.contains_key(&name)) => {
                Ok(vec![self.visible_table(catalog, path)?])
            }
            _ => Ok(self
                .listed(catalog, show)?
                .into_iter()
                .filter_map(|(_, object)| match object {
                    Object::Table(id) => catalog.table(id),
                    _ => None,
                })
                .collect()),
        }
    }

    /// A table that the role can at least see.
    pub(in crate::session) fn visible_table<'c>(
        &self,
        catalog: &'c Catalog,
        path: &[String],
    ) -> Result<&'c Table, SqlError> {
        let name = self.full_name(path)?;
        self.check_place(catalog, &name)?;
        match catalog.names.get(&name) {
            Some(object @ Object::Table(id)) if catalog.visible(self.role(), *object) => {
                catalog.table(*id).ok_or_else(|| SqlError::missing("Table", &name))
            }
            _ => Err(SqlError::missing("Table", &name)),
        }
    }
}

fn mark(value: bool) -> Option<Value> {
    text(if value { "Y" } else { "N" })
}

fn kind_word(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Permanent => "TABLE",
        TableKind::Transient => "TRANSIENT",
        TableKind::Temporary => "TEMPORARY",
    }
}
