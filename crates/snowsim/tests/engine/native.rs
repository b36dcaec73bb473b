//! Native Apps: the one in `deploy/native-app` is installed, and refused with each of the mistakes that published
//! apps were seen to make.

use std::collections::BTreeMap;
use std::path::Path;

use snowsim::session::Session;

use crate::world::{World, attempt, refused, run};

type Files = BTreeMap<String, String>;

/// The files of our own app, by their path on the stage.
fn app() -> Files {
    fn gather(root: &Path, folder: &Path, found: &mut Files) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(root, &path, found);
            } else {
                let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/native-app/app");
    let mut found = Files::new();
    gather(&root, &root, &mut found);
    found
}

/// Puts files into a new stage of the package, as a client does: it is told where, and copies.
async fn put(session: &mut Session, stage: &str, files: &Files) {
    run(session, &format!("CREATE STAGE pkg.src.{stage}")).await;
    let client = tempfile::tempdir().unwrap();
    for (path, content) in files {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let local = client.path().join(name);
        std::fs::write(&local, content).unwrap();
        let at = if folder.is_empty() { String::new() } else { format!("/{folder}") };
        let sql = format!("put file://{} @pkg.src.{stage}{at} auto_compress=false parallel=4", local.display());
        let outcome = session.execute(&sql, &[], false).await.unwrap();
        let told = outcome.transfer.unwrap();
        assert_eq!(told["command"], "UPLOAD");
        let place = told["stageInfo"]["location"].as_str().unwrap();
        std::fs::copy(&local, Path::new(place).join(name)).unwrap();
    }
}

async fn provider(world: &World) -> Session {
    let mut session = world.session().await;
    run(&mut session, "CREATE APPLICATION PACKAGE pkg COMMENT = c DISTRIBUTION = INTERNAL").await;
    run(&mut session, "CREATE SCHEMA pkg.src").await;
    session
}

#[tokio::test]
async fn our_app_is_installed_upgraded_and_dropped_without_a_trace() {
    let world = World::new();
    let mut session = provider(&world).await;
    put(&mut session, "v1", &app()).await;
    let listed = run(&mut session, "ls @pkg.src.v1").await;
    assert_eq!(listed.len(), app().len());
    let valid = run(&mut session, "CALL SYSTEM$VALIDATE_NATIVE_APP_SETUP('@pkg.src.v1')").await;
    assert!(valid[0][0].contains("SUCCESS"), "{valid:?}");

    run(&mut session, "CREATE APPLICATION app FROM APPLICATION PACKAGE pkg USING @pkg.src.v1").await;
    let grants = run(&mut session, "SHOW GRANTS TO ROLE accountadmin").await;
    assert!(grants.iter().any(|row| row[3] == "APP.APP_ADMIN"), "{grants:?}");
    let asked = run(&mut session, "SHOW CONFIGURATIONS IN APPLICATION app").await;
    let secret = |name: &str| asked.iter().find(|row| row[0] == name).unwrap()[4].clone();
    assert_eq!((secret("TICKET"), secret("RELAY")), ("true".to_owned(), "false".to_owned()));
    run(&mut session, "ALTER APPLICATION app SET CONFIGURATION ticket VALUE = 'snowmelt1.secret'").await;
    let shown = format!("{:?}", run(&mut session, "SHOW CONFIGURATIONS IN APPLICATION app").await);
    assert!(!shown.contains("snowmelt1.secret"), "{shown}");
    let references = run(&mut session, "SHOW REFERENCES IN APPLICATION app").await;
    assert_eq!((references[0][0].as_str(), references[0][3].as_str()), ("TABLES", "TABLE"));
    assert_eq!(run(&mut session, "SELECT prefix, running FROM app.state.service").await, [["APP", "false"]]);

    // What a version made stays: the one row, and what the consumer has set.
    run(&mut session, "UPDATE app.state.service SET relay = 'kept:443'").await;
    run(&mut session, "ALTER APPLICATION app UPGRADE USING @pkg.src.v1").await;
    assert_eq!(run(&mut session, "SELECT relay FROM app.state.service").await, [["kept:443"]]);

    // Nobody calls what is not granted, and nobody runs what the simulator cannot run.
    assert_eq!(refused(&mut session, "CALL app.core.reconcile()").await.code, "002140");
    assert_eq!(refused(&mut session, "CALL app.core.start(1)").await.code, "002140");
    let honest = refused(&mut session, "CALL app.core.start()").await;
    assert!(honest.message.contains("running the body of CORE.START()"), "{honest}");

    let used = refused(&mut session, "DROP APPLICATION PACKAGE pkg").await;
    assert!(used.message.contains("APP is installed from PKG"), "{used}");
    run(&mut session, "DROP APPLICATION app CASCADE").await;
    assert!(run(&mut session, "SHOW APPLICATIONS").await.is_empty());
    let roles = run(&mut session, "SHOW ROLES").await;
    assert!(roles.iter().all(|row| !row[1].contains("APP")), "{roles:?}");
    run(&mut session, "DROP APPLICATION PACKAGE pkg").await;
    assert!(run(&mut session, "SHOW APPLICATION PACKAGES").await.is_empty());
}

/// What was wrong, in which file, what stood there and what stands there instead, and what the refusal names. The
/// numbers are those of the mistakes found in the example that this project began with.
const MISTAKES: &[(&str, &str, &str, &str, &str)] = &[
    ("1: container", "service.yaml", "  containers:", "  container:", "unknown key 'container'"),
    (
        "2: callback",
        "manifest.yml",
        "register_callback: core.",
        "register_callback: application.",
        "application.register_table does not exist",
    ),
    (
        "2: arity",
        "setup/tables.sql",
        "register_table(ref_name STRING, operation STRING, ref_or_alias STRING)",
        "register_table(ref_name STRING, ref_or_alias STRING)",
        "CORE.REGISTER_TABLE(VARCHAR, VARCHAR, VARCHAR)",
    ),
    (
        "2: arity of a callback of the life cycle",
        "manifest.yml",
        "version_initializer: core.initialize",
        "version_initializer: core.deploy",
        "core.deploy is called with 0 arguments, and there is CORE.DEPLOY(VARCHAR)",
    ),
    (
        "3: no way out",
        "setup/service.sql",
        "      || ' EXTERNAL_ACCESS_INTEGRATIONS = (' || prefix || '_RELAY)'\n",
        "",
        "the service has no EXTERNAL_ACCESS_INTEGRATIONS",
    ),
    (
        "3: unbound integration",
        "setup/service.sql",
        "SET EXTERNAL_ACCESS_INTEGRATIONS = (' || prefix || '_RELAY)'",
        "SET EXTERNAL_ACCESS_INTEGRATIONS = (CDC_EXTERNAL_ACCESS)'",
        "the integration CDC_EXTERNAL_ACCESS is neither made by the app nor bound to it",
    ),
    (
        "4: the ticket reaches no container",
        "service.yaml",
        "        - snowflakeSecret: {objectName: state.ticket}\n          directoryPath: /run/snowmelt/ticket\n",
        "",
        "the secret STATE.TICKET reaches no container",
    ),
    (
        "4: nobody reads a configuration",
        "setup/settings.sql",
        "core.setting('outlet',",
        "core.setting('relay_name',",
        "no procedure reads the configuration OUTLET",
    ),
    (
        "6: temporary table",
        "setup/operation.sql",
        "  UPDATE state.service SET running = TRUE;",
        "  CREATE TEMPORARY TABLE state.tmp (a INTEGER);",
        "an app may have no temporary tables",
    ),
    (
        "6: temporary table, in the script",
        "setup/state.sql",
        "CREATE TABLE IF NOT EXISTS state.tables",
        "CREATE TEMPORARY TABLE state.tables",
        "an app may have no temporary tables",
    ),
    (
        "10: stop that deploys",
        "setup/service.sql",
        "    ALTER SERVICE IF EXISTS state.snowmelt SUSPEND;\n",
        "",
        "nothing in the app suspends the service STATE.SNOWMELT",
    ),
    (
        "10: start that resumes nothing",
        "setup/service.sql",
        "  ALTER SERVICE state.snowmelt RESUME;\n",
        "",
        "nothing in the app resumes",
    ),
    ("11: CLEAR", "setup/tables.sql", "WHEN 'CLEAR' THEN", "WHEN 'DROP' THEN", "does not know CLEAR"),
    (
        "11: several tables, one binding",
        "setup/tables.sql",
        "SYSTEM$ADD_REFERENCE(",
        "SYSTEM$SET_REFERENCE(",
        "bound by SYSTEM$ADD_REFERENCE, not by SYSTEM$SET_REFERENCE",
    ),
    (
        "14: file left behind",
        "setup.sql",
        "./setup/state.sql",
        "./setup/states.sql",
        "/setup/states.sql is not among the app's files",
    ),
    (
        "15: no warehouse",
        "setup/service.sql",
        " QUERY_WAREHOUSE = ' || prefix || '_WAREHOUSE'",
        "'",
        "needs QUERY_WAREHOUSE",
    ),
    (
        "15: the provider's warehouse",
        "setup/service.sql",
        "QUERY_WAREHOUSE = ' || prefix || '_WAREHOUSE'",
        "QUERY_WAREHOUSE = cdc_warehouse'",
        "the warehouse CDC_WAREHOUSE is not made by the app",
    ),
    (
        "16: privilege that nothing needs",
        "manifest.yml",
        "  - CREATE EXTERNAL ACCESS INTEGRATION:\n",
        "  - CREATE DATABASE:\n",
        "BIND SERVICE ENDPOINT is asked for, and nothing needs it",
    ),
    (
        "17: never granted",
        "setup/operation.sql",
        "GRANT USAGE ON PROCEDURE core.status() TO APPLICATION ROLE app_viewer;",
        "",
        "CORE.STATUS() is granted to no application role, and nothing in the app calls it",
    ),
    (
        "17: deprecated",
        "setup/operation.sql",
        "SYSTEM$GET_SERVICE_LOGS(",
        "SYSTEM$GET_SERVICE_STATUS(",
        "SYSTEM$GET_SERVICE_STATUS is deprecated",
    ),
    (
        "20: the account",
        "setup/state.sql",
        "CREATE SCHEMA IF NOT EXISTS state;",
        "ALTER ACCOUNT SET EVENT_TABLE = a.b.c;",
        "unexpected 'ACCOUNT'",
    ),
    (
        "20: CREATE WAREHOUSE OR REPLACE",
        "setup/state.sql",
        "CREATE SCHEMA IF NOT EXISTS sources;",
        "CREATE WAREHOUSE OR REPLACE cdc_warehouse;",
        "unexpected 'REPLACE'",
    ),
    (
        "undefined role",
        "setup/operation.sql",
        "core.stop() TO APPLICATION ROLE app_admin",
        "core.stop() TO APPLICATION ROLE app_owner",
        "Application role 'APP_OWNER' does not exist",
    ),
    (
        "undefined signature",
        "setup/operation.sql",
        "core.logs(STRING, INTEGER) TO",
        "core.logs(STRING) TO",
        "Procedure 'CORE.LOGS(VARCHAR)' does not exist",
    ),
    (
        "undefined procedure",
        "setup/callbacks.sql",
        "CALL core.deploy(:deployed);",
        "CALL core.deployed(:deployed);",
        "the procedure CORE.DEPLOYED does not exist",
    ),
    (
        "arity of a call",
        "setup/callbacks.sql",
        "CALL core.deploy(:deployed);",
        "CALL core.deploy();",
        "CORE.DEPLOY is called with 0 arguments",
    ),
    (
        "undefined table",
        "setup/tables.sql",
        "DELETE FROM state.tables",
        "DELETE FROM state.table_list",
        "the object STATE.TABLE_LIST does not exist",
    ),
    ("undefined secret", "service.yaml", "state.inlet", "state.relay", "mounts the secret 'STATE.RELAY'"),
    (
        "undefined service",
        "setup/service.sql",
        "ALTER SERVICE state.snowmelt RESUME",
        "ALTER SERVICE state.publisher RESUME",
        "the service STATE.PUBLISHER does not exist",
    ),
    (
        "image of nowhere",
        "service.yaml",
        "repository/snowmelt:0.1.0",
        "repository/snowmelt:0.1.1",
        "is not in artifacts.container_services.images",
    ),
    (
        "full registry URL",
        "manifest.yml",
        "- /snowmelt_provider/",
        "- a.registry.snowflakecomputing.com/snowmelt_provider/",
        "is not /database/schema/repository/image:tag",
    ),
    (
        "bad spec key",
        "service.yaml",
        "readinessProbe: {port: 9464, path",
        "readinessProbe: {port: 9464, pathname",
        "unknown key 'pathname'",
    ),
    ("bad spec value", "service.yaml", "logLevel: INFO", "logLevel: DEBUG", "is not one of INFO, ERROR, NONE"),
    (
        "memory without a unit",
        "service.yaml",
        "memory: 256Mi}\n        limits: {cpu: \"1\", memory: 1Gi}",
        "memory: \"268435456\"}",
        "has no unit",
    ),
    (
        "template variable",
        "service.yaml",
        "{{ generation }}",
        "{{ ticket }}",
        "USING does not give the variable 'ticket'",
    ),
    (
        "volume",
        "service.yaml",
        "{name: node, mountPath",
        "{name: state, mountPath",
        "mounts the volume 'state', which is not declared",
    ),
    (
        "missing privilege",
        "manifest.yml",
        "  - CREATE COMPUTE POOL:",
        "  - CREATE SHARE:",
        "CREATE COMPUTE POOL is not in the manifest",
    ),
    (
        "unknown privilege",
        "manifest.yml",
        "  - CREATE WAREHOUSE:",
        "  - CREATE USER:",
        "cannot ask for the privilege 'CREATE USER'",
    ),
    (
        "description beside the name",
        "manifest.yml",
        "  - CREATE WAREHOUSE:\n      description",
        "  - CREATE WAREHOUSE:\n    description",
        "is not a map",
    ),
    (
        "reference that writes",
        "manifest.yml",
        "privileges: [SELECT]",
        "privileges: [OWNERSHIP]",
        "a reference to a TABLE cannot carry OWNERSHIP",
    ),
    (
        "both callbacks",
        "manifest.yml",
        "  version_initializer:",
        "  specification_action: core.deploy\n  version_initializer:",
        "only one of specification_action",
    ),
    ("manifest version 1", "manifest.yml", "manifest_version: 2", "manifest_version: 1", "manifest_version: 1 is not"),
    (
        "callers' rights",
        "setup/operation.sql",
        "LANGUAGE SQL\nAS",
        "LANGUAGE SQL\nEXECUTE AS CALLER\nAS",
        "EXECUTE AS CALLER",
    ),
    ("USE", "setup/state.sql", "CREATE SCHEMA IF NOT EXISTS sources;", "USE SCHEMA state;", "an app may not USE"),
    (
        "OR REPLACE of a role",
        "setup/roles.sql",
        "CREATE APPLICATION ROLE IF NOT EXISTS app_admin",
        "CREATE OR REPLACE APPLICATION ROLE app_admin",
        "OR REPLACE of an application role",
    ),
    (
        "service in a versioned schema",
        "setup/service.sql",
        "CREATE SERVICE IF NOT EXISTS state.",
        "CREATE SERVICE IF NOT EXISTS core.",
        "a service cannot be in a versioned schema",
    ),
    ("sensitivity left open", "setup/configurations.sql", "  SENSITIVE = TRUE;", ";", "needs SENSITIVE"),
    (
        "IF NOT EXISTS that is not there",
        "setup/egress.sql",
        "CREATE OR REPLACE EXTERNAL ACCESS INTEGRATION '",
        "CREATE EXTERNAL ACCESS INTEGRATION IF NOT EXISTS '",
        "unexpected 'IF'",
    ),
    (
        "undefined network rule",
        "setup/egress.sql",
        "ALLOWED_NETWORK_RULES = (state.relay)",
        "ALLOWED_NETWORK_RULES = (state.egress)",
        "the network rule STATE.EGRESS does not exist",
    ),
];

#[tokio::test]
async fn each_mistake_of_published_apps_is_refused_by_name() {
    let world = World::new();
    let mut session = provider(&world).await;
    let mut missed = Vec::new();
    for (number, (mistake, file, right, wrong, named)) in MISTAKES.iter().enumerate() {
        let mut files = app();
        let text = files.get_mut(*file).unwrap();
        assert!(text.contains(right), "{mistake}: {file} has no {right:?} any more");
        *text = text.replacen(right, wrong, if *mistake == "undefined table" { usize::MAX } else { 1 });
        let stage = format!("s{number}");
        put(&mut session, &stage, &files).await;
        let sql = format!("CREATE APPLICATION app FROM APPLICATION PACKAGE pkg USING @pkg.src.{stage}");
        match attempt(&mut session, &sql).await {
            Ok(_) => {
                missed.push(format!("{mistake}: installed"));
                run(&mut session, "DROP APPLICATION app").await;
            }
            Err(refusal) if !refusal.message.contains(named) => missed.push(format!("{mistake}: {refusal}")),
            Err(_) => {}
        }
        assert!(run(&mut session, "SHOW APPLICATIONS").await.is_empty(), "{mistake}: left behind");
        let databases = run(&mut session, "SHOW DATABASES LIKE 'APP'").await;
        assert!(databases.is_empty(), "{mistake}: {databases:?}");
        let roles = run(&mut session, "SHOW ROLES LIKE '%APP%'").await;
        assert!(roles.is_empty(), "{mistake}: {roles:?}");
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
