//! A session's life, each turn of it through the real client against the simulator with a fault.

mod login;
mod recorder;

use std::sync::Arc;
use std::time::Duration;

use snowsim::fault::{Action, Moment, Rule, RuleId};
use snowsim::{Options, Running, Simulator};

use super::*;
use crate::config::Config;
use crate::error::Next;

/// What the variable `SECRET` holds; no error may show it.
const PASSWORD: &str = "correct-horse-7";
const LIMIT: Duration = Duration::from_secs(30);
const QUERY: &str = "/queries/v1/query-request";

/// A simulator with an administrator's session beside the client's.
struct World {
    running: Running,
    folder: tempfile::TempDir,
    admin: tokio::sync::Mutex<snowsim::session::Session>,
}

impl World {
    async fn start() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let running = Simulator::start_with(options).await.unwrap();
        let login = snowsim::engine::Login {
            user: "ADMIN".to_owned(),
            role: Some("ACCOUNTADMIN".to_owned()),
            ..Default::default()
        };
        let admin = tokio::sync::Mutex::new(running.sim.engine().session(login).unwrap());
        let world = Self { running, folder: tempfile::tempdir().unwrap(), admin };
        for sql in ["CREATE WAREHOUSE WH", "CREATE DATABASE D", "CREATE TABLE D.PUBLIC.T (A INT)"] {
            world.admin(sql).await;
        }
        world
    }

    async fn admin(&self, sql: &str) {
        use futures::TryStreamExt as _;
        let outcome = self.admin.lock().await.execute(sql, &[], false).await.unwrap();
        let _: Vec<_> = outcome.batches.try_collect().await.unwrap();
    }

    /// `[snowflake]` with these lines, which say how to log in.
    fn settings(&self, lines: &str) -> Snowflake {
        let text = format!(
            "name = \"x\"\n[snowflake]\naccount = \"acct\"\nurl = \"{}\"\nstate_schema = \"S.T\"\n{lines}\n\
             [kafka]\nbootstrap_servers = [\"k:1\"]\n[[tables]]\nname = \"A.B.C\"\n",
            self.running.url()
        );
        let origin = self.folder.path().join("snowmelt.toml");
        let env = |name: &str| (name == "SECRET").then(|| PASSWORD.to_owned());
        match Config::parse(&text, origin.to_str().unwrap(), &env) {
            Ok(config) => config.snowflake,
            Err(problems) => panic!("{problems}"),
        }
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    async fn session(&self) -> Arc<Session> {
        let lines = "user = \"U\"\npassword = { env = \"SECRET\" }\nwarehouse = \"WH\"";
        Session::connect(&self.settings(lines)).await.unwrap()
    }

    fn strike(&self, rule: Rule) -> RuleId {
        self.running.sim.faults().add(rule)
    }

    fn struck(&self, id: RuleId) -> u64 {
        self.running.sim.faults().counters(id).map_or(0, |counters| counters.struck)
    }

    fn stats(&self) -> snowsim::Stats {
        self.running.sim.stats()
    }

    async fn eventually(&self, what: &str, mut holds: impl FnMut(&snowsim::Stats) -> bool) {
        let deadline = tokio::time::Instant::now() + LIMIT;
        while !holds(&self.stats()) {
            assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", self.stats());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn scalar(session: &Arc<Session>, sql: &str) -> String {
    session.table("a question", sql).await.unwrap().scalar().unwrap_or_default().to_owned()
}

const INSERT: &str = "INSERT INTO D.PUBLIC.T VALUES (1)";
const COUNT: &str = "SELECT COUNT(*) FROM D.PUBLIC.T";

#[tokio::test]
async fn an_expired_session_token_is_renewed_and_the_statement_runs_once() {
    let world = World::start().await;
    let session = world.session().await;
    world.strike(Rule::on_sql("insert", Action::ExpireSession));
    session.table("an insert", INSERT).await.unwrap();
    assert_eq!((world.stats().renewals, world.stats().logins), (1, 1));
    assert_eq!(scalar(&session, COUNT).await, "1");
}

#[tokio::test]
async fn statements_side_by_side_renew_once() {
    let world = World::start().await;
    let session = world.session().await;
    world.running.sim.clock().advance(Duration::from_secs(3_601));
    let all = (0..8).map(|_| session.table("an insert", INSERT));
    for inserted in futures::future::join_all(all).await {
        inserted.unwrap();
    }
    assert_eq!(world.stats().renewals, 1);
    assert_eq!(scalar(&session, COUNT).await, "8");
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_with_the_same_id_and_the_drivers_words() {
    let world = World::start().await;
    let session = world.session().await;
    world.strike(Rule::on_sql("insert", Action::DropAfter));
    session.table("an insert", INSERT).await.unwrap();
    let stats = world.stats();
    assert_eq!((stats.replays, stats.declared_retries), (1, 1));
    world.strike(Rule {
        times: Some(2),
        ..Rule::on_sql("insert", Action::Status { status: 503, retry_after: Some(0) })
    });
    session.table("an insert", INSERT).await.unwrap();
    assert_eq!(world.stats().declared_retries, 2, "a struck request counts only when it comes through");
    assert_eq!(scalar(&session, COUNT).await, "2");
}

#[tokio::test]
async fn a_statement_sent_once_is_not_sent_again_but_after_a_renewal() {
    let world = World::start().await;
    let session = world.session().await;
    world.strike(Rule::on_sql("insert", Action::DropAfter));
    let error = session.once("the staging of changes", INSERT).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, SourceError::Unreachable { .. }), "{error}");
    assert_eq!((error.next(), world.stats().replays), (Next::Restart, 0));
    let busy = world.strike(Rule::on_sql("insert", Action::Status { status: 503, retry_after: None }));
    assert!(session.once("the staging of changes", INSERT).await.is_err());
    assert_eq!(world.struck(busy), 1);
    // 390112 says that it did not run; the session goes on, and so does the request's id.
    world.strike(Rule::on_sql("insert", Action::ExpireSession));
    session.once("the staging of changes", INSERT).await.unwrap();
    assert_eq!(scalar(&session, COUNT).await, "2");
}

#[tokio::test]
async fn a_session_that_is_over_ends_the_capture_s_run_and_never_sends_again() {
    let world = World::start().await;
    let mut over = vec![("390111", Action::SessionGone), ("390114", Action::MasterExpired)];
    for code in ["390103", "390104", "390114", "390195", "390303", "390318"] {
        let message = "made up by a fault".to_owned();
        over.push((code, Action::Error { code: code.to_owned(), message, sql_state: "08001".to_owned() }));
    }
    for (code, action) in over {
        let session = world.session().await;
        let before = world.stats();
        world.strike(Rule::on_sql("insert", action));
        let error = session.table("an insert", INSERT).await.map(|_| ()).unwrap_err();
        assert!(matches!(&error, SourceError::SessionOver { code: found, .. } if found == code), "{code}: {error}");
        assert_eq!(error.next(), Next::Restart);
        let after = world.stats();
        assert_eq!(
            (after.logins, after.by_kind.get("insert")),
            (before.logins, before.by_kind.get("insert")),
            "{code}"
        );
    }
    assert_eq!(scalar(&world.session().await, COUNT).await, "0");
}

#[tokio::test]
async fn a_long_statement_is_polled_through_every_trouble_and_runs_once() {
    let world = World::with(Options { hold: Duration::from_millis(20), ..Options::default() }).await;
    let session = world.session().await;
    world.strike(Rule::on_sql("insert", Action::Stall { ms: 1_500 }));
    let polls = "/queries/";
    let result = |nth, action| Rule { nth, ..Rule::on_path(polls, action) };
    // The first request under the path is the statement itself.
    let troubles = [
        world.strike(result(2, Action::DropBefore)),
        world.strike(result(4, Action::ExpireSession)),
        world.strike(result(6, Action::Status { status: 503, retry_after: Some(0) })),
        world.strike(result(8, Action::DropAfter)),
        world.strike(result(9, Action::Delay { moment: Moment::Before, ms: 30 })),
    ];
    session.table("an insert", INSERT).await.unwrap();
    for trouble in troubles {
        assert_eq!(world.struck(trouble), 1);
    }
    assert_eq!((world.stats().renewals, world.stats().replays), (1, 0));
    assert_eq!(scalar(&session, COUNT).await, "1");
}

#[tokio::test]
async fn a_statement_nobody_waits_for_is_aborted_before_the_session_ends() {
    let world = World::start().await;
    for expired in [false, true] {
        let session = world.session().await;
        let before = world.stats();
        let stall = world.strike(Rule::on_sql("insert", Action::Stall { ms: 600_000 }));
        let statement = tokio::spawn({
            let session = Arc::clone(&session);
            async move { session.once("the staging of changes", INSERT).await.map(|_| ()) }
        });
        world.eventually("the statement runs", |_| world.struck(stall) == 1).await;
        if expired {
            // A statement may run longer than a token lives.
            world.strike(Rule::on_path("/queries/v1/abort-request", Action::ExpireSession));
        }
        statement.abort();
        assert!(statement.await.unwrap_err().is_cancelled());
        session.close().await;
        let after = world.stats();
        assert_eq!(after.aborts, before.aborts + 1, "expired: {expired}");
        assert_eq!(after.renewals, before.renewals + u64::from(expired));
        assert_eq!(after.open_sessions, 0);
        world.eventually("the statement ends", |stats| stats.failed_statements > before.failed_statements).await;
    }
    assert_eq!(scalar(&world.session().await, COUNT).await, "0");
}

#[tokio::test]
async fn the_heart_beats_and_renews_what_has_expired() {
    // A sixteenth of the master token's life, as the drivers do.
    let world = World::with(Options { master_lifetime: Duration::from_secs(20), ..Options::default() }).await;
    let session = world.session().await;
    world.eventually("the heart beats", |stats| stats.heartbeats >= 1).await;
    world.strike(Rule::on_path("/session/heartbeat", Action::ExpireSession));
    world.eventually("the heartbeat renews", |stats| stats.renewals == 1).await;
    world.eventually("it beats on", |stats| stats.heartbeats >= 2).await;
    drop(session);
}

#[tokio::test]
async fn role_warehouse_tag_and_client_are_what_the_settings_say() {
    let world = World::start().await;
    for sql in ["CREATE ROLE READER", "GRANT USAGE ON WAREHOUSE WH TO ROLE READER"] {
        world.admin(sql).await;
    }
    let password = "user = \"U\"\npassword = { env = \"SECRET\" }\nwarehouse = \"wh\"\nrole = \"reader\"\n";
    let connect = async |lines: &str| Session::connect(&world.settings(&format!("{password}{lines}"))).await.unwrap();
    let parameter = async |session: &Arc<Session>, name: &str| {
        let shown = session.table("a parameter", &format!("SHOW PARAMETERS LIKE '{name}'")).await.unwrap();
        shown.rows().next().and_then(|row| row.text("value")).unwrap_or_default()
    };
    let session = connect("").await;
    let info = session.info();
    assert_eq!((info.role_name.as_deref(), info.warehouse_name.as_deref()), (Some("READER"), Some("WH")));
    assert_eq!(parameter(&session, "QUERY_TAG").await, "snowmelt/x");
    assert_eq!(parameter(&session, "TIMEZONE").await, "UTC");
    assert_eq!(parameter(&session, "GO_QUERY_RESULT_FORMAT").await, "ARROW");
    let other = "client_id = \"PythonConnector\"\nquery_tag = \"mine\"\nresult_format = \"json\"\n\
                 session_parameters = { TIMEZONE = \"Asia/Tokyo\" }";
    let session = connect(other).await;
    assert_eq!(parameter(&session, "QUERY_TAG").await, "mine");
    assert_eq!(parameter(&session, "TIMEZONE").await, "Asia/Tokyo");
    assert_eq!(parameter(&session, "PYTHON_CONNECTOR_QUERY_RESULT_FORMAT").await, "JSON");
}
