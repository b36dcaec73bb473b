//! What can be said of an app when its setup script has run, without running its procedures.
//!
//! Promises: every procedure that is called exists with as many arguments, every table, role, integration, pool and
//! file that is named exists, every service's specification is one. Stricter than Snowflake, which finds out when
//! a procedure runs, if at all: what is told here are mistakes that were made in published apps.
//! Leaves to others: the procedures' own logic.

use std::collections::BTreeSet;

use serde_json::Value;

use super::setup::durable;
use crate::catalog::{Catalog, Name};
use crate::native::body::{Deed, deeds};
use crate::native::parse::{self, Service, Statement as Order};
use crate::native::{Application, Procedure, manifest, service};
use crate::sql::cursor::Cursor;
use crate::sql::{self, Command};

/// System functions that an app's procedures may use.
const SYSTEM: [&str; 9] = [
    "SYSTEM$ADD_REFERENCE",
    "SYSTEM$SET_REFERENCE",
    "SYSTEM$REMOVE_REFERENCE",
    "SYSTEM$REMOVE_ALL_REFERENCES",
    "SYSTEM$GET_ALL_REFERENCES",
    "SYSTEM$GET_REFERENCED_OBJECT_ID_HASH",
    "SYSTEM$WAIT_FOR_SERVICES",
    "SYSTEM$GET_SERVICE_LOGS",
    "SYSTEM$STREAM_HAS_DATA",
];

/// Account-level objects that the script or a procedure makes.
#[derive(Debug, Default)]
pub(super) struct Made {
    integrations: BTreeSet<String>,
    pools: BTreeSet<String>,
    warehouses: BTreeSet<String>,
    rules: BTreeSet<String>,
    services: BTreeSet<String>,
}

impl Made {
    /// Those of the setup script.
    pub(super) fn by_script(app: &Application) -> Self {
        Self {
            integrations: app.integrations.keys().cloned().collect(),
            pools: app.pools.clone(),
            warehouses: BTreeSet::new(),
            rules: app.rules.keys().cloned().collect(),
            services: app.services.keys().cloned().collect(),
        }
    }
}

/// What a statement of a procedure is.
enum Read {
    Native(Box<Order>),
    Plain(Box<Command>),
}

/// A procedure, what it does, and the statements among that, read.
type Body<'a> = (&'a Procedure, Vec<Deed>, Vec<(String, Read)>);

/// All that is wrong with an app.
pub(super) fn judge(catalog: &Catalog, name: &str, app: &Application) -> Vec<String> {
    let mut wrong = manifest::agrees(app);
    let mut made = Made::by_script(app);
    let mut bodies: Vec<Body<'_>> = Vec::new();
    for procedure in &app.procedures {
        let at = procedure.signature();
        let deeds = match deeds(&procedure.body) {
            Ok(deeds) => deeds,
            Err(error) => {
                wrong.push(format!("{at}: {}", error.message));
                continue;
            }
        };
        let mut read = Vec::new();
        for text in deeds.iter().filter_map(|deed| if let Deed::Sql(text) = deed { Some(text) } else { None }) {
            match statement(text) {
                Ok(Some(found)) => read.push((text.clone(), found)),
                Ok(None) => {}
                Err(error) => wrong.push(format!("{at}: {text}: {error}")),
            }
        }
        for (_, found) in &read {
            match found {
                Read::Native(order) => match order.as_ref() {
                    Order::CreateIntegration { name, .. } => drop(made.integrations.insert(name.clone())),
                    Order::CreatePool { name } => drop(made.pools.insert(name.clone())),
                    Order::CreateRule { name, alter: false, .. } => drop(made.rules.insert(name.join("."))),
                    Order::CreateService(service) => drop(made.services.insert(service.name.join("."))),
                    _ => {}
                },
                Read::Plain(command) => {
                    if let Command::CreateWarehouse { name, .. } = command.as_ref() {
                        made.warehouses.insert(name.clone());
                    }
                }
            }
        }
        bodies.push((procedure, deeds, read));
    }
    let mut called: BTreeSet<(String, usize)> = BTreeSet::new();
    let mut specs: Vec<Value> = app.services.values().cloned().collect();
    for (procedure, deeds, read) in &bodies {
        let at = procedure.signature();
        for deed in deeds {
            if let Deed::Call { name, arguments } = deed {
                called.insert((name.clone(), *arguments));
            }
            if let Some(error) = undefined(catalog, name, app, deed) {
                wrong.push(format!("{at}: {error}"));
            }
        }
        for (text, found) in read {
            match found {
                Read::Plain(command) => wrong.extend(plain(app, command).map(|error| format!("{at}: {text}: {error}"))),
                Read::Native(order) => match native(app, &made, order) {
                    Ok(spec) => specs.extend(spec),
                    Err(errors) => wrong.extend(errors.iter().map(|error| format!("{at}: {text}: {error}"))),
                },
            }
        }
    }
    let turns = bodies.iter().flat_map(|(_, _, read)| read).filter_map(|(_, found)| match found {
        Read::Native(order) => match order.as_ref() {
            Order::TurnService { name, resume } => Some((name.join("."), *resume)),
            _ => None,
        },
        Read::Plain(_) => None,
    });
    let turns: BTreeSet<(String, bool)> = turns.collect();
    for (service, (resume, verb)) in
        made.services.iter().flat_map(|service| [(service, (false, "suspends")), (service, (true, "resumes"))])
    {
        if !turns.contains(&(service.clone(), resume)) {
            wrong.push(format!("nothing in the app {verb} the service {service}"));
        }
    }
    wrong.extend(unreachable(app, &called));
    wrong.extend(callbacks(app));
    wrong.extend(unused(app, &specs));
    wrong
}

/// The statement in a text; `None` for listings, which have no effect.
fn statement(text: &str) -> Result<Option<Read>, String> {
    if text.to_uppercase().starts_with("SHOW ") {
        return Ok(None);
    }
    let mut cursor = Cursor::new(text).map_err(|error| error.message)?;
    if let Some(order) = parse::statement(&mut cursor).map_err(|error| error.message)? {
        cursor.end().map_err(|error| error.message)?;
        return Ok(Some(Read::Native(Box::new(order))));
    }
    let command = sql::parse(text).map_err(|error| error.message)?;
    Ok(Some(Read::Plain(Box::new(command))))
}

/// What neither a setup script nor a procedure of an app may do.
pub(super) fn forbidden(command: &Command) -> Option<&'static str> {
    match command {
        Command::Use { .. } => Some("an app may not USE a database, schema, role or warehouse"),
        Command::CreateTable(create) if !durable(create.kind) => Some("an app may have no temporary tables"),
        _ => None,
    }
}

fn plain(app: &Application, command: &Command) -> Option<String> {
    if let Some(what) = forbidden(command) {
        return Some(what.to_owned());
    }
    match command {
        Command::CreateWarehouse { .. } if !manifest::asks(&app.manifest, "CREATE WAREHOUSE") => {
            Some("CREATE WAREHOUSE is not in the manifest".to_owned())
        }
        _ => None,
    }
}

fn native(app: &Application, made: &Made, order: &Order) -> Result<Option<Value>, Vec<String>> {
    let asked = |privilege: &str| match manifest::asks(&app.manifest, privilege) {
        true => Ok(None),
        false => Err(vec![format!("{privilege} is not in the manifest")]),
    };
    match order {
        Order::CreateIntegration { rules, .. } => {
            if let Some(rule) = rules.iter().find(|rule| !made.rules.contains(*rule)) {
                return Err(vec![format!("the network rule {rule} does not exist")]);
            }
            asked("CREATE EXTERNAL ACCESS INTEGRATION")
        }
        Order::Specification { .. } => asked("CREATE EXTERNAL ACCESS INTEGRATION"),
        Order::CreatePool { .. } => asked("CREATE COMPUTE POOL"),
        Order::CreateService(found) => service(app, made, found, true).map(Some),
        Order::AlterService(found) if !made.services.contains(&found.name.join(".")) => {
            Err(vec![format!("the service {} does not exist", found.name.join("."))])
        }
        Order::AlterService(found) if found.file.is_some() => service(app, made, found, false).map(Some),
        Order::AlterService(found) => match unbound(app, made, &found.integrations) {
            Some(error) => Err(vec![error]),
            None => Ok(None),
        },
        Order::AlterSecret { name } | Order::CreateSecret { name } if name.iter().any(|part| part == "X") => Ok(None),
        Order::AlterSecret { name } if !app.secrets.contains(&name.join(".")) => {
            Err(vec![format!("the secret {} does not exist", name.join("."))])
        }
        Order::CreateRule { name, alter: true, .. } if !made.rules.contains(&name.join(".")) => {
            Err(vec![format!("the network rule {} does not exist", name.join("."))])
        }
        Order::TurnService { name, .. } if !made.services.contains(&name.join(".")) => {
            Err(vec![format!("the service {} does not exist", name.join("."))])
        }
        Order::Grant(grant) if !grant.application && !app.roles.contains(&grant.to) => {
            Err(vec![format!("the application role {} does not exist", grant.to)])
        }
        _ => Ok(None),
    }
}

/// The integration of a list that neither the app makes nor a reference stands for.
fn unbound(app: &Application, made: &Made, integrations: &[String]) -> Option<String> {
    let references = manifest::entries(&app.manifest, "references");
    integrations.iter().find_map(|name| {
        let inner = name.strip_prefix("REFERENCE('").and_then(|rest| rest.strip_suffix("')"));
        match inner {
            Some(inner) if references.iter().any(|(known, _)| known.eq_ignore_ascii_case(inner)) => None,
            Some(inner) => Some(format!("the manifest has no reference {inner}")),
            None if made.integrations.contains(name) => None,
            None => Some(format!("the integration {name} is neither made by the app nor bound to it")),
        }
    })
}

/// A service's checked specification.
pub(super) fn service(app: &Application, made: &Made, found: &Service, new: bool) -> Result<Value, Vec<String>> {
    let mut wrong = Vec::new();
    if new {
        match &found.pool {
            Some(pool) if made.pools.contains(pool) => {}
            Some(pool) => wrong.push(format!("the compute pool {pool} is not made by the app")),
            None => wrong.push("a service needs IN COMPUTE POOL".to_owned()),
        }
        let warehouse = found.options.iter().find(|(option, _)| option == "QUERY_WAREHOUSE");
        match warehouse {
            Some((_, name)) if made.warehouses.contains(name) || name.starts_with("REFERENCE") => {}
            Some((_, name)) => wrong.push(format!("the warehouse {name} is not made by the app")),
            None => wrong.push("a service whose containers query needs QUERY_WAREHOUSE".to_owned()),
        }
        // An integration that is made and given to no service leaves the service without a way out.
        if found.integrations.is_empty() && !made.integrations.is_empty() {
            wrong.push("the app makes an integration, and the service has no EXTERNAL_ACCESS_INTEGRATIONS".to_owned());
        }
        if app.versioned.contains(found.name.first().map_or("", String::as_str)) {
            wrong.push("a service cannot be in a versioned schema".to_owned());
        }
    }
    wrong.extend(unbound(app, made, &found.integrations));
    let Some((file, template)) = &found.file else {
        wrong.push("a service needs a specification".to_owned());
        return Err(wrong);
    };
    let path = file.trim_start_matches('/');
    let Some(text) = app.files.get(path) else {
        wrong.push(format!("the specification {file} is not among the app's files"));
        return Err(wrong);
    };
    let text = match template {
        true => service::fill(path, text, &found.variables),
        false => Ok(text.clone()),
    };
    match text.map_err(|error| vec![error]).and_then(|text| service::read(path, &text, app)) {
        Ok(spec) if wrong.is_empty() => Ok(spec),
        Ok(_) => Err(wrong),
        Err(errors) => {
            wrong.extend(errors);
            Err(wrong)
        }
    }
}

/// Hosts of a network rule or a specification: names with ports.
pub(super) fn hosts(hosts: &[String]) -> Result<(), String> {
    let fits = |host: &String| {
        let port = host.rsplit_once(':').map_or(Some(443), |(_, port)| port.parse::<u16>().ok());
        port.is_some_and(|port| matches!(port, 22 | 80 | 443) || port >= 1_024)
    };
    match hosts.iter().find(|host| !fits(host)) {
        Some(host) => Err(format!("{host} is no host with a port that may be dialled (22, 80, 443, 1024 and above)")),
        None if hosts.is_empty() => Err("a list of hosts may not be empty".to_owned()),
        None => Ok(()),
    }
}

fn undefined(catalog: &Catalog, database: &str, app: &Application, deed: &Deed) -> Option<String> {
    match deed {
        Deed::Call { name, arguments } => {
            let (schema, last) = name.split_once('.').unwrap_or(("", name));
            let mut same = app.procedures_named(schema, last).peekable();
            if same.peek().is_none() {
                return Some(format!("the procedure {name} does not exist"));
            }
            let known: Vec<String> = app.procedures_named(schema, last).map(Procedure::signature).collect();
            let fits = same.any(|procedure| procedure.arguments.len() == *arguments);
            (!fits).then(|| format!("{name} is called with {arguments} arguments, and there is {}", known.join(", ")))
        }
        Deed::Object(name) => {
            let (schema, object) = name.split_once('.')?;
            let full = Name { database: database.to_owned(), schema: schema.to_owned(), name: object.to_owned() };
            (!catalog.names.contains_key(&full)).then(|| format!("the object {name} does not exist"))
        }
        Deed::System(name) if name == "SYSTEM$GET_SERVICE_STATUS" => {
            Some(format!("{name} is deprecated: SHOW SERVICE CONTAINERS IN SERVICE"))
        }
        Deed::System(name) if SYSTEM.contains(&name.as_str()) => None,
        Deed::System(name) => Some(format!("the function {name} is not known")),
        Deed::Sql(_) => None,
    }
}

/// Procedures that nobody may call and nothing calls.
fn unreachable(app: &Application, called: &BTreeSet<(String, usize)>) -> Vec<String> {
    let callbacks = manifest::callbacks(&app.manifest);
    let lost = app.procedures.iter().filter(|procedure| {
        let name = format!("{}.{}", procedure.schema, procedure.name);
        procedure.roles.is_empty() && !callbacks.contains(&name) && !called.contains(&(name, procedure.arguments.len()))
    });
    lost.map(|procedure| {
        format!("{} is granted to no application role, and nothing in the app calls it", procedure.signature())
    })
    .collect()
}

/// A reference's callback is asked to add, to remove and to clear.
fn callbacks(app: &Application) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, reference) in manifest::entries(&app.manifest, "references") {
        let named = reference.get("register_callback").and_then(Value::as_str).unwrap_or_default();
        let Ok(procedure) = manifest::callback(app, "register_callback", named, 3, true) else { continue };
        for operation in ["ADD", "REMOVE", "CLEAR"] {
            if !procedure.body.contains(&format!("'{operation}'")) {
                wrong.push(format!("{named}, the callback of the reference {name}, does not know {operation}"));
            }
        }
        let several = reference.get("multi_valued") == Some(&Value::Bool(true));
        let (right, other) = match several {
            true => ("SYSTEM$ADD_REFERENCE", "SYSTEM$SET_REFERENCE"),
            false => ("SYSTEM$SET_REFERENCE", "SYSTEM$ADD_REFERENCE"),
        };
        if procedure.body.contains(other) {
            wrong.push(format!("{named}: the reference {name} is bound by {right}, not by {other}"));
        }
    }
    wrong
}

/// What the consumer gives, and nothing takes.
fn unused(app: &Application, specs: &[Value]) -> Vec<String> {
    let mut wrong = Vec::new();
    for name in app.configurations.keys() {
        let literal = format!("'{}'", name.to_lowercase());
        if !app.procedures.iter().any(|procedure| procedure.body.contains(&literal)) {
            wrong.push(format!("no procedure reads the configuration {name}"));
        }
    }
    let text = specs.iter().map(Value::to_string).collect::<String>().to_uppercase();
    for secret in &app.secrets {
        if !text.contains(&format!("\"{secret}\"")) {
            wrong.push(format!("the secret {secret} reaches no container"));
        }
    }
    wrong
}
