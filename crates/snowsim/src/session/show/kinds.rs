//! SHOW of the kinds of tables beside ordinary ones, and of stages.
//!
//! Promises: as `show`; the documented columns, those without meaning here empty.
//! Leaves to others: SHOW TABLES, which lists every kind of table with a flag for each (`objects`).

use super::super::Session;
use super::super::answer::{CREATED, count, moment, text};
use super::{NUMBER, Row, Shown, TEXT, flag};
use crate::catalog::{Catalog, Name, Object};
use crate::error::SqlError;
use crate::sql::Show;
use crate::table::Table;
use crate::table::nature::Nature;

impl Session {
    fn tables_where<'c>(
        &self,
        catalog: &'c Catalog,
        show: &Show,
        row: impl Fn(&'c Name, &'c Table) -> Option<Row>,
    ) -> Result<Vec<Row>, SqlError> {
        let listed = self.listed(catalog, show)?;
        let tables = listed.into_iter().filter_map(|(name, object)| match object {
            Object::Table(id) => Some((name, catalog.table(id)?)),
            _ => None,
        });
        Ok(tables.filter_map(|(name, table)| row(name, table)).collect())
    }

    pub(super) fn show_dynamic_tables(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("cluster_by", TEXT),
            ("rows", NUMBER),
            ("bytes", NUMBER),
            ("owner", TEXT),
            ("target_lag", TEXT),
            ("refresh_mode", TEXT),
            ("refresh_mode_reason", TEXT),
            ("warehouse", TEXT),
            ("comment", TEXT),
            ("text", TEXT),
            ("automatic_clustering", TEXT),
            ("scheduling_state", TEXT),
            ("last_suspended_on", CREATED),
            ("is_clone", TEXT),
            ("is_replica", TEXT),
            ("is_iceberg", TEXT),
            ("data_timestamp", CREATED),
            ("owner_role_type", TEXT),
        ];
        let all = self.tables_where(catalog, show, |name, table| {
            let definition = &table.definition;
            let Nature::Dynamic(dynamic) = &definition.nature else { return None };
            Some(vec![
                moment(definition.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(""),
                count(table.current().rows()),
                count(table.current().bytes()),
                text(&definition.owner),
                text(&dynamic.target_lag),
                text(if dynamic.incremental { "INCREMENTAL" } else { "FULL" }),
                dynamic.reason.clone().and_then(text),
                text(&dynamic.warehouse),
                text(definition.comment.clone().unwrap_or_default()),
                text(&dynamic.text),
                text("OFF"),
                text("ACTIVE"),
                None,
                flag(false),
                flag(false),
                flag(false),
                dynamic.data_at.and_then(moment),
                text("ROLE"),
            ])
        })?;
        Ok((columns, all))
    }

    pub(super) fn show_external_tables(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("invalid", TEXT),
            ("invalid_reason", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("stage", TEXT),
            ("location", TEXT),
            ("file_format_name", TEXT),
            ("file_format_type", TEXT),
            ("cloud", TEXT),
            ("region", TEXT),
            ("notification_channel", TEXT),
            ("last_refreshed_on", CREATED),
            ("table_format", TEXT),
            ("owner_role_type", TEXT),
        ];
        let all = self.tables_where(catalog, show, |name, table| {
            let definition = &table.definition;
            let Nature::External(external) = &definition.nature else { return None };
            Some(vec![
                moment(definition.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                flag(false),
                None,
                text(&definition.owner),
                text(definition.comment.clone().unwrap_or_default()),
                text(external.stage.to_string()),
                text(format!("@{}/{}", external.stage, external.path)),
                text(""),
                text("JSON"),
                text(""),
                text(""),
                None,
                moment(table.current().at),
                text("UNSPECIFIED"),
                text("ROLE"),
            ])
        })?;
        Ok((columns, all))
    }

    pub(super) fn show_event_tables(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("owner_role_type", TEXT),
            ("change_tracking", TEXT),
        ];
        let all = self.tables_where(catalog, show, |name, table| {
            let definition = &table.definition;
            (definition.nature == Nature::Event).then(|| {
                vec![
                    moment(definition.created),
                    text(&name.name),
                    text(&name.database),
                    text(&name.schema),
                    text(&definition.owner),
                    text(definition.comment.clone().unwrap_or_default()),
                    text("ROLE"),
                    text(if definition.tracked_since.is_some() { "ON" } else { "OFF" }),
                ]
            })
        })?;
        Ok((columns, all))
    }

    pub(super) fn show_iceberg_tables(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("owner", TEXT),
            ("external_volume_name", TEXT),
            ("catalog_name", TEXT),
            ("iceberg_table_type", TEXT),
            ("catalog_table_name", TEXT),
            ("catalog_namespace", TEXT),
            ("base_location", TEXT),
            ("can_write_metadata", TEXT),
            ("comment", TEXT),
            ("owner_role_type", TEXT),
        ];
        let all = self.tables_where(catalog, show, |name, table| {
            let definition = &table.definition;
            let Nature::Iceberg { managed } = definition.nature else { return None };
            Some(vec![
                moment(definition.created),
                text(&name.name),
                text(&name.database),
                text(&name.schema),
                text(&definition.owner),
                text(""),
                text(if managed { "SNOWFLAKE" } else { "" }),
                text(if managed { "MANAGED" } else { "UNMANAGED" }),
                text(""),
                text(""),
                text(""),
                text(if managed { "Y" } else { "N" }),
                text(definition.comment.clone().unwrap_or_default()),
                text("ROLE"),
            ])
        })?;
        Ok((columns, all))
    }

    pub(super) fn show_stages(&self, catalog: &Catalog, show: &Show) -> Result<Shown, SqlError> {
        let columns = vec![
            ("created_on", CREATED),
            ("name", TEXT),
            ("database_name", TEXT),
            ("schema_name", TEXT),
            ("url", TEXT),
            ("has_credentials", TEXT),
            ("has_encryption_key", TEXT),
            ("owner", TEXT),
            ("comment", TEXT),
            ("region", TEXT),
            ("type", TEXT),
            ("cloud", TEXT),
            ("notification_channel", TEXT),
            ("storage_integration", TEXT),
            ("endpoint", TEXT),
            ("owner_role_type", TEXT),
            ("directory_enabled", TEXT),
        ];
        let listed = self.listed(catalog, show)?;
        let stages = listed.into_iter().filter_map(|(_, object)| match object {
            Object::Stage(id) => catalog.stages.get(&id),
            _ => None,
        });
        let all = stages.map(|stage| {
            vec![
                moment(stage.created),
                text(&stage.name.name),
                text(&stage.name.database),
                text(&stage.name.schema),
                text(""),
                text("N"),
                text("N"),
                text(&stage.owner),
                text(&stage.comment),
                None,
                text("INTERNAL"),
                None,
                None,
                None,
                None,
                text("ROLE"),
                text(if stage.directory { "Y" } else { "N" }),
            ]
        });
        Ok((columns, all.collect()))
    }
}
