//! `manifest.yml`: its keys, and what it promises about the rest of the app.
//!
//! Promises: keys and forms are those of docs.snowflake.com/en/developer-guide/native-apps/manifest-reference; a
//! callback that is named exists, takes what Snowflake calls it with, and may be called by whoever calls it.
//! Leaves to others: the setup script, which makes the procedures (`session::native`).

use serde_json::{Map, Value};

use super::schema::{Form, Key, check, optional, required};
use super::{Application, Files, Procedure, service, yaml};

/// Account-level privileges that manifest version 2 grants at the installation
/// (docs.snowflake.com/en/developer-guide/native-apps/requesting-auto-privs), and those it leaves to the consumer.
const PRIVILEGES: &[&str] = &[
    "EXECUTE TASK",
    "EXECUTE MANAGED TASK",
    "CREATE WAREHOUSE",
    "CREATE COMPUTE POOL",
    "BIND SERVICE ENDPOINT",
    "CREATE DATABASE",
    "CREATE EXTERNAL ACCESS INTEGRATION",
    "CREATE SECURITY INTEGRATION",
    "CREATE SHARE",
    "CREATE LISTING",
    "MANAGE WAREHOUSES",
    "IMPORTED PRIVILEGES ON SNOWFLAKE DB",
    "READ SESSION",
    "EXECUTE ALERT",
];

/// What a reference may carry, by the kind of object.
const REFERENCES: &[(&str, &[&str])] = &[
    ("TABLE", &["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES"]),
    ("VIEW", &["SELECT", "REFERENCES"]),
    ("EXTERNAL TABLE", &["SELECT", "REFERENCES"]),
    ("FUNCTION", &["USAGE"]),
    ("PROCEDURE", &["USAGE"]),
    ("WAREHOUSE", &["MODIFY", "MONITOR", "USAGE", "OPERATE"]),
    ("API INTEGRATION", &["USAGE"]),
    ("EXTERNAL ACCESS INTEGRATION", &["USAGE"]),
    ("SECRET", &["USAGE", "READ"]),
];

/// Callbacks of the life cycle and the arguments that each is called with.
const CALLBACKS: &[(&str, usize)] = &[
    ("version_initializer", 0),
    ("specification_action", 3),
    ("after_specification_change", 1),
    ("validate_configuration_change", 2),
    ("before_configuration_change", 2),
    ("after_configuration_change", 1),
];

const REFERENCE: Form = Form::Map(&[
    required("label", Form::Text),
    required("description", Form::Text),
    required("privileges", Form::List(&Form::Text)),
    required("object_type", Form::Text),
    required("register_callback", Form::Text),
    optional("multi_valued", Form::Flag),
    optional("configuration_callback", Form::Text),
    optional("required_at_setup", Form::Flag),
]);

const KEYS: &[Key] = &[
    required("manifest_version", Form::Number(2, 2)),
    optional(
        "version",
        Form::Map(&[
            optional("name", Form::Text),
            optional("patch", Form::Number(0, 1_000_000)),
            optional("label", Form::Text),
            optional("comment", Form::Text),
        ]),
    ),
    required(
        "artifacts",
        Form::Map(&[
            optional("setup_script", Form::Text),
            optional("readme", Form::Text),
            optional("default_streamlit", Form::Text),
            optional("extension_code", Form::Flag),
            optional(
                "container_services",
                Form::Map(&[required("images", Form::List(&Form::Text)), optional("uses_gpu", Form::Flag)]),
            ),
            optional(
                "default_web_endpoint",
                Form::Map(&[required("service", Form::Text), required("endpoint", Form::Text)]),
            ),
        ]),
    ),
    optional(
        "configuration",
        Form::Map(&[
            optional("log_level", Form::Text),
            optional("trace_level", Form::Text),
            optional("metric_level", Form::Text),
            optional("log_event_level", Form::Text),
            optional("telemetry_event_definitions", Form::Any),
            optional("grant_callback", Form::Text),
        ]),
    ),
    optional(
        "lifecycle_callbacks",
        Form::Map(&[
            optional("version_initializer", Form::Text),
            optional("specification_action", Form::Text),
            optional("after_specification_change", Form::Text),
            optional("validate_configuration_change", Form::Text),
            optional("before_configuration_change", Form::Text),
            optional("after_configuration_change", Form::Text),
        ]),
    ),
    optional("privileges", Form::List(&Form::Named(&Form::Map(&[required("description", Form::Text)])))),
    optional("references", Form::List(&Form::Named(&REFERENCE))),
];

/// Reads and checks a manifest by itself and against the files beside it.
pub(crate) fn read(files: &Files) -> Result<Value, Vec<String>> {
    let text =
        files.get("manifest.yml").ok_or_else(|| vec!["manifest.yml is missing at the stage's root".to_owned()])?;
    let manifest = yaml::read("manifest.yml", text).map_err(|error| vec![error])?;
    let mut wrong = check("manifest.yml", &manifest, &Form::Map(KEYS));
    for key in ["setup_script", "readme"] {
        let named = manifest.pointer(&format!("/artifacts/{key}")).and_then(Value::as_str);
        let named = named.or((key == "setup_script").then_some("setup.sql"));
        if let Some(file) = named.filter(|file| !files.contains_key(*file)) {
            wrong.push(format!("manifest.yml: artifacts.{key} names {file}, which is not on the stage"));
        }
    }
    let images = manifest.pointer("/artifacts/container_services/images").and_then(Value::as_array);
    for image in images.into_iter().flatten().filter_map(Value::as_str) {
        if !image.starts_with('/') || image.split('/').count() != 5 {
            wrong.push(format!("manifest.yml: the image {image} is not /database/schema/repository/image:tag"));
        }
    }
    for (privilege, _) in entries(&manifest, "privileges") {
        if !PRIVILEGES.contains(&privilege.as_str()) {
            wrong.push(format!("manifest.yml: an app cannot ask for the privilege '{privilege}'"));
        }
    }
    // The reference page ties it to public endpoints, the page on services to connections outside as well.
    let outside = asks(&manifest, "CREATE EXTERNAL ACCESS INTEGRATION") || images_of(&manifest) == 0;
    if asks(&manifest, "BIND SERVICE ENDPOINT")
        && !outside
        && manifest.pointer("/artifacts/default_web_endpoint").is_none()
    {
        wrong.push("manifest.yml: BIND SERVICE ENDPOINT is asked for, and nothing needs it".to_owned());
    }
    for (name, reference) in entries(&manifest, "references") {
        reference_rules(&name, &reference, &mut wrong);
    }
    let both = ["specification_action", "after_specification_change"];
    if both.iter().all(|key| manifest.pointer(&format!("/lifecycle_callbacks/{key}")).is_some()) {
        wrong.push(format!("manifest.yml: only one of {} may be there", both.join(" and ")));
    }
    match wrong.is_empty() {
        true => Ok(manifest),
        false => Err(wrong),
    }
}

fn images_of(manifest: &Value) -> usize {
    manifest.pointer("/artifacts/container_services/images").and_then(Value::as_array).map_or(0, Vec::len)
}

fn reference_rules(name: &str, reference: &Value, wrong: &mut Vec<String>) {
    let at = format!("manifest.yml: the reference {name}");
    let kind = reference.get("object_type").and_then(Value::as_str).unwrap_or_default().replace('_', " ");
    let Some((_, allowed)) = REFERENCES.iter().find(|(known, _)| *known == kind) else {
        wrong.push(format!("{at}: no reference can be to a {kind}"));
        return;
    };
    let privileges = reference.get("privileges").and_then(Value::as_array);
    for privilege in privileges.into_iter().flatten().filter_map(Value::as_str) {
        if !allowed.contains(&privilege) {
            wrong.push(format!("{at}: a reference to a {kind} cannot carry {privilege}"));
        }
    }
    let outside = matches!(kind.as_str(), "EXTERNAL ACCESS INTEGRATION" | "SECRET");
    if outside != reference.get("configuration_callback").is_some() {
        wrong.push(format!("{at}: configuration_callback is for integrations and secrets, which need it"));
    }
    if outside && reference.get("multi_valued") == Some(&Value::Bool(true)) {
        wrong.push(format!("{at}: a reference to a {kind} has one value"));
    }
}

/// A list of maps with one key each, as pairs.
pub(crate) fn entries(manifest: &Value, list: &str) -> Vec<(String, Value)> {
    let items = manifest.get(list).and_then(Value::as_array);
    let maps = items.into_iter().flatten().filter_map(Value::as_object);
    maps.flat_map(Map::iter).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether a manifest asks for a privilege.
pub(crate) fn asks(manifest: &Value, privilege: &str) -> bool {
    entries(manifest, "privileges").iter().any(|(name, _)| name == privilege)
}

/// Procedures that Snowflake itself calls, by `SCHEMA.NAME`.
pub(crate) fn callbacks(manifest: &Value) -> Vec<String> {
    let mut names: Vec<String> = CALLBACKS
        .iter()
        .filter_map(|(key, _)| manifest.pointer(&format!("/lifecycle_callbacks/{key}")).and_then(Value::as_str))
        .map(str::to_uppercase)
        .collect();
    for (_, reference) in entries(manifest, "references") {
        let keys = ["register_callback", "configuration_callback"];
        names.extend(keys.iter().filter_map(|key| reference.get(*key)?.as_str()).map(str::to_uppercase));
    }
    names
}

/// Checks the manifest against what the setup script has made.
pub(crate) fn agrees(app: &Application) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, arity) in CALLBACKS {
        if let Some(name) = app.manifest.pointer(&format!("/lifecycle_callbacks/{key}")).and_then(Value::as_str)
            && let Err(error) = callback(app, key, name, *arity, false)
        {
            wrong.push(error);
        }
    }
    for (name, reference) in entries(&app.manifest, "references") {
        for (key, arity) in [("register_callback", 3), ("configuration_callback", 1)] {
            if let Some(named) = reference.get(key).and_then(Value::as_str)
                && let Err(error) = callback(app, &format!("{key} of {name}"), named, arity, true)
            {
                wrong.push(error);
            }
        }
    }
    if let Some(page) = app.manifest.pointer("/artifacts/default_web_endpoint") {
        let text = |key: &str| page.get(key).and_then(Value::as_str).unwrap_or_default();
        let spec = app.services.get(&text("service").to_uppercase());
        if !spec.is_some_and(|spec| service::public_endpoint(spec, text("endpoint"))) {
            wrong.push(format!(
                "manifest.yml: default_web_endpoint: {} has no public endpoint {}",
                text("service"),
                text("endpoint")
            ));
        }
    }
    wrong
}

/// The procedure of a callback, which must take so many arguments.
pub(crate) fn callback<'a>(
    app: &'a Application,
    key: &str,
    name: &str,
    arity: usize,
    granted: bool,
) -> Result<&'a Procedure, String> {
    let upper = name.to_uppercase();
    let (schema, last) = upper.split_once('.').ok_or_else(|| format!("manifest.yml: {key}: {name} has no schema"))?;
    let mut same: Vec<&Procedure> = app.procedures_named(schema, last).collect();
    if same.is_empty() {
        return Err(format!("manifest.yml: {key}: the procedure {name} does not exist"));
    }
    let known: Vec<String> = same.iter().map(|procedure| procedure.signature()).collect();
    same.retain(|procedure| procedure.arguments.len() == arity);
    let fits = same.into_iter().next();
    let fits = fits.ok_or_else(|| {
        format!("manifest.yml: {key}: {name} is called with {arity} arguments, and there is {}", known.join(", "))
    })?;
    if granted && fits.roles.is_empty() {
        return Err(format!("manifest.yml: {key}: {name} is granted to no application role, so nobody can call it"));
    }
    Ok(fits)
}
