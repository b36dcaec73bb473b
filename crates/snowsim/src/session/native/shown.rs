//! SHOW and DESCRIBE of packages and applications.
//!
//! Promises: columns have Snowflake's names; values of sensitive configurations are not shown.
//! Leaves to others: everything that is not Native Apps' (`session::show`).

use serde_json::Value;

use super::{Rows, Session, answer};
use crate::error::SqlError;
use crate::native::manifest;
use crate::session::show::like as matches;
use crate::types::SnowType;
use crate::types::value::Value as Cell;

type Row = Vec<Option<Cell>>;

const TEXT: SnowType = SnowType::TEXT;

fn text(cell: impl Into<String>) -> Option<Cell> {
    answer::text(cell)
}

impl Session {
    pub(super) fn show_native(&self, what: &str, like: Option<&str>, of: Option<&str>) -> Result<Rows, SqlError> {
        let fits = |name: &str| like.is_none_or(|pattern| matches(name, pattern));
        let native = self.native_state();
        let app = |name: Option<&str>| self.application(name.unwrap_or_default());
        match what {
            "PACKAGES" => {
                let rows = native.packages.iter().filter(|(name, _)| fits(name)).map(|(name, package)| {
                    vec![
                        answer::moment(package.created),
                        text(name),
                        text(&package.distribution),
                        text(&package.owner),
                        text(&package.comment),
                    ]
                });
                let columns = ["name", "distribution", "owner", "comment"].map(|name| (name, TEXT));
                shown(&columns, rows.collect())
            }
            "APPLICATIONS" => {
                let rows = native.applications.iter().filter(|(name, _)| fits(name)).map(|(name, app)| {
                    vec![
                        answer::moment(app.created),
                        text(name),
                        text("APPLICATION PACKAGE"),
                        text(&app.package),
                        text(&app.owner),
                        text(&app.comment),
                        text(&app.version),
                        text("0"),
                    ]
                });
                let columns = ["name", "source_type", "source", "owner", "comment", "version", "patch"];
                shown(&columns.map(|name| (name, TEXT)), rows.collect())
            }
            "REPOSITORIES" => {
                let place = of.map(|of| format!("{of}."));
                let rows = native.repositories.iter().filter_map(|(full, known)| {
                    let inside = place.as_ref().is_none_or(|place| full.starts_with(place));
                    let [database, schema, name] = full.split('.').collect::<Vec<_>>().try_into().ok()?;
                    let path = full.to_lowercase().replace('.', "/");
                    (inside && fits(name)).then(|| {
                        vec![
                            answer::moment(known.created),
                            text(name),
                            text(database),
                            text(schema),
                            // Where an account's registry would be; the simulator has none.
                            text(format!("local-snowsim.registry.snowflakecomputing.com/{path}")),
                            text(&known.owner),
                        ]
                    })
                });
                let columns = ["name", "database_name", "schema_name", "repository_url", "owner"];
                shown(&columns.map(|name| (name, TEXT)), rows.collect())
            }
            "VERSIONS" => {
                let package = of.unwrap_or_default();
                let known =
                    native.packages.get(package).ok_or_else(|| SqlError::missing("Application package", package))?;
                let rows = known
                    .versions
                    .keys()
                    .filter(|name| fits(name))
                    .map(|name| vec![answer::moment(known.created), text(name), text("0"), text("READY")]);
                shown(&[("version", TEXT), ("patch", TEXT), ("state", TEXT)], rows.collect())
            }
            // Whatever is outside of its own database; a procedure would have made it, and none has run.
            "APPLICATION" => {
                let app = app(of)?;
                let rows = app.pools.iter().map(|name| (name, "COMPUTE_POOL"));
                let rows = rows.chain(app.integrations.keys().map(|name| (name, "INTEGRATION")));
                let rows = rows.map(|(name, kind)| vec![answer::moment(app.created), text(name), text(kind)]);
                shown(&[("name", TEXT), ("type", TEXT)], rows.collect())
            }
            "DEFINITIONS" => {
                app(of)?;
                answer::rows(&["name", "type", "sharing", "status"].map(|name| (name, TEXT)), Vec::new())
            }
            "CONFIGURATIONS" => {
                let rows = app(of)?.configurations.into_iter().filter(|(name, _)| fits(name)).map(|(name, known)| {
                    let value = known.value.filter(|_| !known.sensitive);
                    let status = if value.is_some() { "DONE" } else { "PENDING" };
                    vec![
                        text(name),
                        text(known.ty),
                        text(known.label),
                        text(known.description),
                        text(if known.sensitive { "true" } else { "false" }),
                        value.map(Cell::Text),
                        text(status),
                    ]
                });
                let columns = ["name", "type", "label", "description", "sensitive", "value", "status"];
                answer::rows(&columns.map(|name| (name, TEXT)), rows.collect())
            }
            "SPECIFICATIONS" => {
                let rows = app(of)?.specifications.into_iter().filter(|(name, _)| fits(name)).map(|(name, known)| {
                    let definition = serde_json::json!({ "HOST_PORTS": known.host_ports });
                    vec![
                        text(name),
                        text(known.ty),
                        text(known.sequence.to_string()),
                        text(known.status),
                        text(known.label),
                        text(known.description),
                        text(definition.to_string()),
                    ]
                });
                let columns = ["name", "type", "sequence_number", "status", "label", "description", "definition"];
                answer::rows(&columns.map(|name| (name, TEXT)), rows.collect())
            }
            "REFERENCES" => {
                let manifest = app(of)?.manifest;
                let rows = manifest::entries(&manifest, "references").into_iter().filter(|(name, _)| fits(name));
                let rows = rows.map(|(name, known)| {
                    let part = |key: &str| text(known.get(key).and_then(Value::as_str).unwrap_or_default());
                    vec![text(name.to_uppercase()), part("label"), part("description"), part("object_type")]
                });
                let columns = ["name", "label", "description", "object_type"];
                answer::rows(&columns.map(|name| (name, TEXT)), rows.collect())
            }
            other => Err(SqlError::unsupported(format!("SHOW {other} IN APPLICATION"))),
        }
    }

    pub(super) fn describe_package(&self, name: &str) -> Result<Rows, SqlError> {
        let native = self.native_state();
        let package = native.packages.get(name).ok_or_else(|| SqlError::missing("Application package", name))?;
        properties(&[("name", name), ("distribution", &package.distribution), ("comment", &package.comment)])
    }

    pub(super) fn describe_application(&self, name: &str) -> Result<Rows, SqlError> {
        let app = self.application(name)?;
        properties(&[
            ("name", name),
            ("source_type", "APPLICATION PACKAGE"),
            ("source", &app.package),
            ("version", &app.version),
            ("patch", "0"),
            ("comment", &app.comment),
            ("authorize_telemetry_event_sharing", "false"),
        ])
    }
}

/// A listing whose first column is when a thing was made.
fn shown(columns: &[(&str, SnowType)], rows: Vec<Row>) -> Result<Rows, SqlError> {
    let all: Vec<(&str, SnowType)> =
        std::iter::once(("created_on", answer::CREATED)).chain(columns.iter().copied()).collect();
    answer::rows(&all, rows)
}

fn properties(properties: &[(&str, &str)]) -> Result<Rows, SqlError> {
    let rows = properties.iter().map(|(name, value)| vec![text(*name), text(*value)]);
    answer::rows(&[("property", TEXT), ("value", TEXT)], rows.collect())
}
