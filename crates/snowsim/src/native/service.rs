//! Service specifications of Snowpark Container Services.
//!
//! Promises: keys and forms are those of the specification reference
//! (docs.snowflake.com/en/developer-guide/snowpark-container-services/specification-reference); the undocumented
//! singular `container` and `endpoint` are refused. Volumes mounted are volumes declared, images are listed in the
//! manifest, secrets are the app's, template variables are those given.
//! Leaves to others: running anything.

use std::collections::BTreeSet;

use serde_json::Value;

use super::schema::{Form, Key, check, optional, required};
use super::{Application, yaml};

const PROBE: Form = Form::Map(&[
    required("port", Form::Number(1, 65_535)),
    required("path", Form::Text),
    optional("periodSeconds", Form::Number(1, 3_600)),
    optional("failureThreshold", Form::Number(1, 1_000)),
]);

const AMOUNTS: Form = Form::Map(&[
    optional("cpu", Form::Quantity),
    optional("memory", Form::Text),
    optional("nvidia.com/gpu", Form::Quantity),
]);

const SECRET: Form = Form::Map(&[
    required(
        "snowflakeSecret",
        Form::Map(&[optional("objectName", Form::Text), optional("objectReference", Form::Text)]),
    ),
    optional("directoryPath", Form::Text),
    optional("envVarName", Form::Text),
    optional("secretKeyRef", Form::OneOf(&["secret_string", "username", "password", "access_token"])),
]);

const CONTAINER: Form = Form::Map(&[
    required("name", Form::Text),
    required("image", Form::Text),
    optional("command", Form::List(&Form::Text)),
    optional("args", Form::List(&Form::Text)),
    optional("env", Form::Named(&Form::Quantity)),
    optional("readinessProbe", PROBE),
    optional("livenessProbe", PROBE),
    optional(
        "volumeMounts",
        Form::List(&Form::Map(&[required("name", Form::Text), required("mountPath", Form::Text)])),
    ),
    optional("resources", Form::Map(&[optional("requests", AMOUNTS), optional("limits", AMOUNTS)])),
    optional("secrets", Form::List(&SECRET)),
    optional("mountSessionToken", Form::Flag),
    optional("sessionTokenConfig", Form::Any),
]);

const ENDPOINT: Form = Form::Map(&[
    required("name", Form::Text),
    optional("port", Form::Number(1, 65_535)),
    optional("portRange", Form::Text),
    optional("public", Form::Flag),
    optional("protocol", Form::OneOf(&["TCP", "HTTP"])),
    optional("corsSettings", Form::Any),
]);

const VOLUME: Form = Form::Map(&[
    required("name", Form::Text),
    required("source", Form::OneOf(&["local", "stage", "memory", "block"])),
    optional("size", Form::Text),
    optional("uid", Form::Number(0, 4_294_967_294)),
    optional("gid", Form::Number(0, 4_294_967_294)),
    optional("blockConfig", Form::Any),
    optional("stageConfig", Form::Any),
]);

const METRICS: &[&str] = &["system", "system_limits", "status", "network", "storage"];

const KEYS: &[Key] = &[
    required(
        "spec",
        Form::Map(&[
            required("containers", Form::List(&CONTAINER)),
            optional("endpoints", Form::List(&ENDPOINT)),
            optional("volumes", Form::List(&VOLUME)),
            optional(
                "logExporters",
                Form::Map(&[required(
                    "eventTableConfig",
                    Form::Map(&[required("logLevel", Form::OneOf(&["INFO", "ERROR", "NONE"]))]),
                )]),
            ),
            optional(
                "platformMonitor",
                Form::Map(&[required(
                    "metricConfig",
                    Form::Map(&[required("groups", Form::List(&Form::OneOf(METRICS)))]),
                )]),
            ),
            optional("resourceManagement", Form::Any),
        ]),
    ),
    optional(
        "capabilities",
        Form::Map(&[optional(
            "securityContext",
            Form::Map(&[optional("executeAsCaller", Form::Flag), optional("enableCustomCredentials", Form::Flag)]),
        )]),
    ),
    optional(
        "serviceRoles",
        Form::List(&Form::Map(&[required("name", Form::Text), required("endpoints", Form::List(&Form::Text))])),
    ),
];

/// Fills in the variables of a template.
pub(crate) fn fill(file: &str, template: &str, variables: &[(String, String)]) -> Result<String, String> {
    let mut text = template.to_owned();
    let mut used = BTreeSet::new();
    let mut filled = String::new();
    while let Some((before, rest)) = text.split_once("{{") {
        let (name, after) = rest.split_once("}}").ok_or_else(|| format!("{file}: '{{{{' is not closed"))?;
        let name = name.trim();
        let value = variables.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let (known, value) = value.ok_or_else(|| format!("{file}: USING does not give the variable '{name}'"))?;
        used.insert(known.clone());
        filled.push_str(before);
        filled.push_str(value);
        text = after.to_owned();
    }
    match variables.iter().find(|(name, _)| !used.contains(name)) {
        Some((name, _)) => Err(format!("{file}: USING gives '{name}', which the template does not have")),
        None => Ok(filled + &text),
    }
}

/// Reads a specification and checks it against the app it belongs to.
pub(crate) fn read(file: &str, text: &str, app: &Application) -> Result<Value, Vec<String>> {
    let spec = yaml::read(file, text).map_err(|error| vec![error])?;
    let mut wrong = check(file, &spec, &Form::Map(KEYS));
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let body = spec.get("spec").cloned().unwrap_or_default();
    let volumes: BTreeSet<String> = list(&body, "volumes").iter().map(name).collect();
    let images: Vec<Value> = app
        .manifest
        .pointer("/artifacts/container_services/images")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let containers = list(&body, "containers");
    let mut names = BTreeSet::new();
    for container in &containers {
        let label = name(container);
        let at = format!("{file}: container '{label}'");
        if !names.insert(label.clone()) {
            wrong.push(format!("{at} is there twice"));
        }
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if label.is_empty() || label.len() > 63 || !label.chars().all(fits) {
            wrong.push(format!("{at}: a name is 1 to 63 of a-z 0-9 -"));
        }
        if let Some(image) = container.get("image").filter(|image| !images.contains(image)) {
            wrong
                .push(format!("{at}: the image {image} is not in artifacts.container_services.images of the manifest"));
        }
        for mount in list(container, "volumeMounts").iter().map(name).filter(|mount| !volumes.contains(mount)) {
            wrong.push(format!("{at} mounts the volume '{mount}', which is not declared"));
        }
        for secret in list(container, "secrets") {
            let object = secret.pointer("/snowflakeSecret/objectName").and_then(Value::as_str).map(str::to_uppercase);
            if let Some(object) = object.filter(|object| !app.secrets.contains(object)) {
                wrong.push(format!("{at} mounts the secret '{object}', which the setup script does not make"));
            }
            if secret.get("directoryPath").is_some() == secret.get("envVarName").is_some() {
                wrong.push(format!("{at}: a secret has either directoryPath or envVarName"));
            }
        }
        for amount in ["/resources/requests/memory", "/resources/limits/memory"] {
            let amount = container.pointer(amount).and_then(Value::as_str);
            if let Some(amount) = amount.filter(|amount| !amount.ends_with(['M', 'i', 'G'])) {
                wrong.push(format!("{at}: memory {amount} has no unit (M, Mi, G, Gi)"));
            }
        }
    }
    if containers.is_empty() {
        wrong.push(format!("{file}: there is no container"));
    }
    match wrong.is_empty() {
        true => Ok(spec),
        false => Err(wrong),
    }
}

/// Whether a service of this specification has a public endpoint of a name.
pub(crate) fn public_endpoint(spec: &Value, name: &str) -> bool {
    let endpoints = spec.pointer("/spec/endpoints").and_then(Value::as_array);
    endpoints.into_iter().flatten().any(|endpoint| {
        endpoint.get("name").and_then(Value::as_str) == Some(name)
            && endpoint.get("public").and_then(Value::as_bool) == Some(true)
    })
}
