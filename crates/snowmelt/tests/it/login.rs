//! Logins of the real program: the token of the moment, connections of other tools, and a stop while a statement runs.

use std::time::Duration;

use snowsim::access::{TokenGrant, TokenKind};
use snowsim::fault::{Action, Rule};

use crate::check::check_with;
use crate::publisher::Publisher;
use crate::tables::ALL;
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{PASSWORD, Settings, World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(60);

fn service_token(token: &str) -> TokenGrant {
    TokenGrant {
        kind: TokenKind::Service,
        user: "SF$SERVICE$PROOF".to_owned(),
        role: Some("ACCOUNTADMIN".to_owned()),
        lifetime_seconds: Some(3_600),
        clients: Vec::new(),
        token: Some(token.to_owned()),
    }
}

fn in_a_container_service(world: &World) -> Settings {
    let settings = world.settings().without("snowflake.user").without("snowflake.password").without("snowflake.role");
    settings.set("snowflake.authenticator", "\"container_service\"").set("snowflake.token", "{ file = \"token\" }")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_in_a_container_service_goes_on_with_the_token_of_the_moment() {
    let world = World::start().await;
    let sim = &world.snowflake.sim;
    let mut workload = Workload::new(&world, seed());
    workload.fill(60).await;
    sim.issue_token(service_token(PASSWORD));
    std::fs::write(world.path("token"), PASSWORD).expect("the token file");
    let publisher = Publisher::spawn(&world, &in_a_container_service(&world), None);
    world.drained(LIMIT).await;
    // The session outlives its token, and renews; no login is made.
    let logins = sim.stats().logins;
    sim.clock().advance(Duration::from_secs(3_601));
    workload.burst().await;
    world.drained(LIMIT).await;
    assert_eq!(sim.stats().logins, logins);
    assert!(sim.stats().renewals > 0);
    // The session ends before the file has its next token: refused until it has.
    sim.issue_token(service_token("the-next-one"));
    sim.faults().add(Rule::on_path("/queries", Action::SessionGone));
    workload.burst().await;
    publisher.says("OAuth access token expired", LIMIT).await;
    std::fs::write(world.path("token"), "the-next-one\n").expect("the token file");
    world.drained(LIMIT).await;
    assert!(sim.stats().logins > logins);
    assert!(!publisher.log().contains("the-next-one"), "the token is shown");
    publisher.stop().await;
    Verifier::read(&world).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_a_statement_runs_aborts_it_in_snowflake() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    let settings = world.settings().only("CUSTOMERS");
    // While the capture is claimed, and while it stages.
    for sql in ["create table if not exists", "create transient table"] {
        let before = world.snowflake.sim.stats();
        let stall = world.snowflake.sim.faults().add(Rule::on_sql(sql, Action::Stall { ms: 600_000 }));
        let publisher = Publisher::spawn(&world, &settings, None);
        workload.touch(&ALL[0]).await;
        let struck = || world.snowflake.sim.faults().counters(stall).is_some_and(|counters| counters.struck == 1);
        eventually("the statement runs", LIMIT, struck).await;
        publisher.stop().await;
        let after = world.snowflake.sim.stats();
        assert_eq!(after.aborts, before.aborts + 1, "{sql}");
        assert_eq!(after.open_sessions, 0, "{sql}");
        let ended = || world.snowflake.sim.stats().failed_statements > before.failed_statements;
        eventually("the statement ends", LIMIT, ended).await;
    }
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&ALL[..1], LIMIT).await;
    publisher.stop().await;
    Verifier::read_tables(&world, &ALL[..1]).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_how_it_logs_in_by_the_connection_of_other_tools() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::start().await;
    let keys = format!("{}/tests/keys", env!("CARGO_MANIFEST_DIR"));
    let public = std::fs::read_to_string(format!("{keys}/public.pem")).expect("the public key");
    let public: String = public.lines().filter(|line| !line.starts_with("--")).collect();
    let fingerprint = std::fs::read_to_string(format!("{keys}/fingerprint.txt")).expect("its fingerprint");
    let mut account = world.account();
    account.run(&format!("CREATE USER KEYED RSA_PUBLIC_KEY = '{public}'")).await;
    account.run("GRANT ROLE ACCOUNTADMIN TO USER KEYED").await;
    let connections = format!(
        "[proof]\naccount = \"sim\"\nhost = \"127.0.0.1\"\nport = {}\nprotocol = \"http\"\nuser = \"keyed\"\n\
         authenticator = \"SNOWFLAKE_JWT\"\nprivate_key_file = \"{keys}/aes256.p8\"\nrole = \"ACCOUNTADMIN\"\n\
         warehouse = \"WH\"\n",
        world.snowflake.addr.port()
    );
    let file = world.path("connections.toml");
    std::fs::write(&file, connections).expect("the connections");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("its mode");
    let mut settings = world.settings().only("CUSTOMERS").set("snowflake.connection", "\"proof\"");
    for key in ["account", "url", "user", "password", "role", "warehouse"] {
        settings = settings.without(&format!("snowflake.{key}"));
    }
    let home = world.path("");
    let env = [("SNOWFLAKE_HOME", home.to_str().expect("a path")), ("PRIVATE_KEY_PASSPHRASE", "opensesame")];
    let checked = check_with(&world, &settings, &[], &env).await;
    let by = format!("keyed by key pair SHA256:{}, role ACCOUNTADMIN, at http://127.0.0.1:", fingerprint.trim());
    checked.says("ok", "login", &[&by]);
    checked.says("warning", "login", &["connections.toml can be read by others (mode 640)", "chmod 600"]);
    checked.says("ok", "warehouse", &["WH"]);

    account.run("ALTER USER KEYED UNSET RSA_PUBLIC_KEY").await;
    let checked = check_with(&world, &settings, &[], &env).await;
    let told = ["390144", fingerprint.trim(), "RSA_PUBLIC_KEY_FP", "SELECT SYSTEM$GET_LOGIN_FAILURE_DETAILS('"];
    checked.says("problem", "login", &told);
}
