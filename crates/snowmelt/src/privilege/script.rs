//! The script of `snowmelt sql grants`.

use super::{Known, Need, is_open, required};
use crate::config::Config;

/// The statements that give `role`, a name as Snowflake stores it, everything that `config` needs, and say why. Running
/// it twice changes nothing.
#[must_use]
pub fn script(config: &Config, known: &Known, role: &str, user: Option<&str>) -> String {
    let mut lines = vec![
        format!(
            "-- What a role needs to run pipeline {}, and nothing more. Made by `snowmelt sql grants`.",
            config.name
        ),
        "-- Run it as a role that may grant this. Role, user, warehouse and state schema must be there.".to_owned(),
    ];
    lines.extend(remarks(config, known).into_iter().map(|remark| format!("-- {remark}")));
    let mut last = None;
    for privilege in required(config, known, user) {
        if last != Some(privilege.need) {
            let entry = privilege.need.entry();
            let who = if privilege.need == Need::Tracking {
                "As the owner of each, and of each table that a view reads, "
            } else {
                ""
            };
            lines.extend([String::new(), format!("-- {who}{}", entry.why)]);
            last = Some(privilege.need);
        }
        lines.push(privilege.statement(role));
    }
    lines.push(String::new());
    lines.join("\n")
}

/// What the statements leave open.
fn remarks(config: &Config, known: &Known) -> Vec<String> {
    let mut remarks = Vec::new();
    if config.snowflake.warehouse.is_none() {
        remarks.push("snowflake.warehouse is not set: grant USAGE on the user's default warehouse.".to_owned());
    }
    if !known.asked && !config.tables.is_empty() {
        remarks.push(
            "Kinds of objects are not known without --connect: each is taken for a table. A view needs SELECT ON VIEW, a \
             dynamic table ON DYNAMIC TABLE, a stage READ (an external one USAGE) ON STAGE, and so on."
                .to_owned(),
        );
    }
    if known.asked {
        let tables = config.tables.iter().chain(&known.found);
        for table in tables.filter(|table| !known.objects.contains_key(&table.name)) {
            remarks.push(format!("{} is not there, or not to be seen by who asked: taken for a table.", table.name));
        }
    }
    remarks.extend(known.open.iter().map(|open| format!("Not granted for: {open}")));
    for pattern in &config.table_patterns {
        if is_open(&pattern.matches.database) {
            remarks.push(format!(
                "{} looks into databases by a pattern, on which nothing can be granted beforehand: grant USAGE on each of \
                 them and on their schemas, and SELECT on their tables.",
                pattern.matches
            ));
        }
    }
    remarks
}
