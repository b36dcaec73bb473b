//! CREATE VIEW and ALTER VIEW.
//!
//! Promises: a view is planned when it is made, so that what it reads exists and its columns are known.
//! Leaves to others: planning its use (`relations`).

use super::query::columns_of;
use super::relations::Planner;
use super::{Rows, Session, Statement, answer};
use crate::catalog::change::Change;
use crate::catalog::{Object, View};
use crate::error::SqlError;
use crate::sql::Path;

/// What CREATE VIEW says besides the query.
pub(super) struct NewView {
    pub(super) name: Path,
    pub(super) or_replace: bool,
    pub(super) if_not_exists: bool,
    pub(super) columns: Vec<String>,
    pub(super) comment: String,
    pub(super) secure: bool,
    pub(super) materialized: bool,
    pub(super) tracked: bool,
}

impl Session {
    pub(super) fn create_view(&self, new: NewView, statement: &Statement<'_>) -> Result<Rows, SqlError> {
        let name = self.full_name(&new.name)?;
        let mut view = View {
            id: self.engine.reserve_object(),
            name: name.clone(),
            columns: Vec::new(),
            secure: new.secure,
            materialized: new.materialized,
            tracked: new.tracked,
            text: statement.sql.to_owned(),
            created: self.engine.now(),
            owner: self.role().to_owned(),
            comment: new.comment,
        };
        self.check_place(&self.engine.catalog(), &name)?;
        let mut planner = Planner::new(self, statement, None);
        let plan = planner.view_body(&view)?;
        drop(planner);
        let found = columns_of(&plan)?;
        if !new.columns.is_empty() && new.columns.len() != found.len() {
            return Err(SqlError::new(
                "002026",
                "42601",
                format!(
                    "SQL compilation error:\nInvalid column definition list: {} columns are named, the query has {}",
                    new.columns.len(),
                    found.len()
                ),
            ));
        }
        let named = |at: usize, meta: &crate::types::ColumnMeta| {
            (new.columns.get(at).cloned().unwrap_or_else(|| meta.name.clone()), meta.ty)
        };
        view.columns = found.iter().enumerate().map(|(at, meta)| named(at, meta)).collect();
        self.create(&name.name.clone(), "View", new.if_not_exists, |session, catalog| {
            session.check_place(catalog, &name)?;
            catalog.check_schema(session.role(), &name.database, &name.schema, "CREATE VIEW")?;
            let mut changes = Vec::new();
            match catalog.names.get(&name) {
                Some(Object::View(id)) if new.or_replace => changes.push(Change::DropView { view: *id }),
                Some(_) => return Ok(Err(SqlError::exists(&name))),
                None => {}
            }
            changes.push(Change::PutView { view: Box::new(view) });
            Ok(Ok(changes))
        })
    }

    pub(super) fn alter_view(
        &self,
        path: &Path,
        if_exists: bool,
        options: &[(String, String)],
        statement: &Statement<'_>,
    ) -> Result<Rows, SqlError> {
        let found = {
            let catalog = self.engine.catalog();
            match self.object(&catalog, path, "OWNERSHIP") {
                Ok((_, Object::View(id))) => catalog.views.get(&id).cloned(),
                Ok((_, other)) => return Err(super::stream_source::wrong_type(other.kind(), "VIEW")),
                Err(error) if if_exists && error.code == "002003" => None,
                Err(error) => return Err(error),
            }
        };
        let Some(mut view) = found else {
            return answer::status("Statement executed successfully.");
        };
        let mut tables = Vec::new();
        for (option, value) in options {
            let on = value.eq_ignore_ascii_case("TRUE");
            match option.as_str() {
                "CHANGE_TRACKING" => {
                    if on {
                        tables = Planner::new(self, statement, None).trackable_tables(&view)?;
                    }
                    view.tracked = on;
                }
                "SECURE" => view.secure = on,
                "COMMENT" => view.comment.clone_from(value),
                _ => return Err(SqlError::unexpected(option)),
            }
        }
        self.engine.commit(Vec::new(), |catalog| {
            let mut changes = vec![Change::PutView { view: Box::new(view) }];
            // Tracking of a view needs that of its tables; it is switched on there where the role may.
            for id in &tables {
                if let Some(table) = catalog.table(*id)
                    && table.definition.tracked_since.is_none()
                    && catalog.owns(self.role(), Object::Table(*id))
                {
                    let mut definition = table.definition.clone();
                    definition.tracked_since = Some(table.current().number);
                    changes.push(Change::AlterTable { definition: Box::new(definition) });
                }
            }
            Ok((changes, ()))
        })?;
        answer::status("Statement executed successfully.")
    }
}
