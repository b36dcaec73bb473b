//! Every way to log in, and every way to be refused.

use snowsim::access::{TokenGrant, TokenKind};

use super::*;

const TOKEN: &str = "correct-horse-battery-staple-1";

fn key_file(name: &str) -> String {
    format!("{}/tests/keys/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The public half as `ALTER USER` wants it.
fn public_key() -> String {
    let pem = std::fs::read_to_string(key_file("public.pem")).unwrap();
    pem.lines().filter(|line| !line.starts_with("--")).collect()
}

fn grant(kind: TokenKind, token: &str) -> TokenGrant {
    TokenGrant {
        kind,
        user: "SVC".to_owned(),
        role: None,
        lifetime_seconds: Some(3_600),
        clients: Vec::new(),
        token: Some(token.to_owned()),
    }
}

/// What the login came to: who, or the code with what happens next.
async fn attempt(settings: &Snowflake) -> Result<String, (String, Next, String)> {
    match Session::connect(settings).await {
        Ok(session) => {
            let who = session.who().to_owned();
            session.close().await;
            Ok(who)
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains(TOKEN) && !text.contains(PASSWORD), "{text}");
            match &error {
                SourceError::Login { code, .. } => Err((code.clone(), error.next(), text)),
                _ => Err((String::new(), error.next(), text)),
            }
        }
    }
}

async fn refused(settings: &Snowflake) -> (String, Next, String) {
    attempt(settings).await.expect_err("the login is refused")
}

const KEY_PAIR: &str = "user = \"snowmelt\"\nauthenticator = \"key_pair\"\nprivate_key = { file = \"key\" }\n";

#[tokio::test]
async fn a_key_pair_opens_the_door_and_the_wrong_one_says_where_the_reason_is() {
    let world = World::start().await;
    world.admin(&format!("CREATE USER SNOWMELT RSA_PUBLIC_KEY = '{}'", public_key())).await;
    std::fs::copy(key_file("plain.p8"), world.folder.path().join("key")).unwrap();
    let settings = world.settings(KEY_PAIR);
    let fingerprint = std::fs::read_to_string(key_file("fingerprint.txt")).unwrap();
    let fingerprint = format!("SHA256:{}", fingerprint.trim());
    assert_eq!(attempt(&settings).await.unwrap(), format!("snowmelt by key pair {fingerprint}"));
    let session = Session::connect(&settings).await.unwrap();
    assert_eq!(scalar(&session, "SELECT CURRENT_USER()").await, "SNOWMELT");

    // The file is read at each login: here an encrypted key, for which there is no passphrase.
    std::fs::copy(key_file("aes256.p8"), world.folder.path().join("key")).unwrap();
    let (_, next, text) = refused(&settings).await;
    assert!(text.contains("is encrypted; give its passphrase") && next == Next::Halt, "{text}");
    world.write("passphrase", "opensesame\n");
    let settings = world.settings(&format!("{KEY_PAIR}private_key_passphrase = {{ file = \"passphrase\" }}"));
    attempt(&settings).await.unwrap();

    // Rotation: the other property, then the first one goes.
    world.admin(&format!("ALTER USER SNOWMELT SET RSA_PUBLIC_KEY_2 = '{}'", public_key())).await;
    world.admin("ALTER USER SNOWMELT UNSET RSA_PUBLIC_KEY").await;
    attempt(&settings).await.unwrap();
    world.admin("ALTER USER SNOWMELT UNSET RSA_PUBLIC_KEY_2").await;
    let (code, next, text) = refused(&settings).await;
    assert_eq!((code.as_str(), next), ("390144", Next::Halt));
    assert!(text.contains(&fingerprint) && text.contains("RSA_PUBLIC_KEY_FP"), "{text}");
    let details = text.split("SELECT SYSTEM$").nth(1).unwrap().trim_end_matches(';');
    let details = scalar(&world.session().await, &format!("SELECT SYSTEM${details}")).await;
    assert!(details.contains("JWT_TOKEN_INVALID_PUBLIC_KEY_FINGERPRINT_MISMATCH"), "{details}");
}

#[tokio::test]
async fn a_clock_that_is_wrong_is_told_from_a_key_that_is() {
    let world = World::start().await;
    world.admin(&format!("CREATE USER SNOWMELT RSA_PUBLIC_KEY = '{}'", public_key())).await;
    std::fs::copy(key_file("plain.p8"), world.folder.path().join("key")).unwrap();
    world.running.sim.clock().advance(Duration::from_secs(300));
    let (code, _, text) = refused(&world.settings(KEY_PAIR)).await;
    assert!(code == "390144" && text.contains("this machine's clock"), "{text}");
}

#[tokio::test]
async fn each_attempt_of_a_login_has_a_token_of_its_own() {
    let busy = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let gone = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (url, bodies) = recorder::record(vec![busy, gone]).await;
    let world = World::start().await;
    std::fs::copy(key_file("plain.p8"), world.folder.path().join("key")).unwrap();
    let settings = Snowflake { url, ..world.settings(KEY_PAIR) };
    assert!(Session::connect(&settings).await.is_err());
    let bodies = bodies.lock().unwrap();
    let [first, second] = bodies.as_slice() else { panic!("{} requests", bodies.len()) };
    for body in [first, second] {
        assert_eq!(body["data"]["AUTHENTICATOR"], "SNOWFLAKE_JWT");
        assert_eq!(body["data"]["LOGIN_NAME"], "snowmelt");
        assert!(body["data"].get("PASSWORD").is_none());
    }
    assert_ne!(first["data"]["TOKEN"], second["data"]["TOKEN"]);
}

#[tokio::test]
async fn a_container_service_logs_in_without_a_user_and_with_the_token_of_the_moment() {
    let world = World::start().await;
    let sim = &world.running.sim;
    world.write("token", &format!("{TOKEN}\n"));
    sim.issue_token(grant(TokenKind::Service, TOKEN));
    let settings = world.settings("authenticator = \"container_service\"\ntoken = { file = \"token\" }");
    let session = Session::connect(&settings).await.unwrap();
    assert!(session.who().starts_with("SVC by the container service's token in file "), "{}", session.who());
    // An established session is not cut when its token ends; the next login wants another one, which is on its way.
    sim.clock().advance(Duration::from_secs(3_500));
    sim.issue_token(grant(TokenKind::Service, "other"));
    sim.clock().advance(Duration::from_secs(101));
    assert_eq!(scalar(&session, "SELECT 7").await, "7");
    let (code, next, text) = refused(&settings).await;
    assert_eq!((code.as_str(), next), ("390318", Next::Restart), "{text}");
    assert!(text.contains("asked again at each login"), "{text}");
    world.write("token", "other");
    attempt(&settings).await.unwrap();
    sim.revoke_token("other");
    let (code, next, _) = refused(&settings).await;
    assert_eq!((code.as_str(), next), ("390303", Next::Restart));
    world.write("token", "");
    let (_, next, text) = refused(&settings).await;
    assert!(text.contains("is empty") && next == Next::Restart, "{text}");
    std::fs::remove_file(world.folder.path().join("token")).unwrap();
    assert_eq!(refused(&settings).await.1, Next::Restart);
}

#[tokio::test]
async fn a_container_services_token_is_not_for_every_client_nor_for_a_user() {
    let world = World::start().await;
    let clients = vec!["PythonConnector".to_owned()];
    world.running.sim.issue_token(TokenGrant { clients, ..grant(TokenKind::Service, TOKEN) });
    world.write("token", TOKEN);
    let lines = "authenticator = \"container_service\"\ntoken = { file = \"token\" }\n";
    let (code, next, text) = refused(&world.settings(lines)).await;
    assert_eq!((code.as_str(), next), ("395092", Next::Halt));
    assert!(text.contains("snowflake.client_id") && text.contains("SNOWFLAKE_HOST"), "{text}");
    attempt(&world.settings(&format!("{lines}client_id = \"PythonConnector\""))).await.unwrap();
    let with_user =
        "authenticator = \"oauth\"\nuser = \"SVC\"\ntoken = { file = \"token\" }\nclient_id = \"PythonConnector\"";
    let (code, next, text) = refused(&world.settings(with_user)).await;
    assert_eq!((code.as_str(), next), ("390309", Next::Halt));
    assert!(text.contains("remove snowflake.user"), "{text}");
}

#[tokio::test]
async fn an_oauth_token_comes_from_a_file_a_variable_or_a_command() {
    let world = World::start().await;
    let sim = &world.running.sim;
    sim.issue_token(grant(TokenKind::Oauth, TOKEN));
    sim.issue_token(grant(TokenKind::Oauth, PASSWORD));
    world.write("token", TOKEN);
    let oauth = |rest: &str| world.settings(&format!("authenticator = \"oauth\"\n{rest}"));
    let command = oauth("token = { command = [\"cat\", \"token\"] }");
    assert_eq!(attempt(&command).await.unwrap(), "SVC by the OAuth token that cat prints");
    assert!(
        attempt(&oauth("user = \"svc\"\ntoken = { file = \"token\" }")).await.unwrap().starts_with("svc by the OAuth")
    );
    let variable = oauth("token = { env = \"SECRET\" }");
    assert_eq!(attempt(&variable).await.unwrap(), "SVC by the OAuth token in variable SECRET");
    sim.clock().advance(Duration::from_secs(3_601));
    // What may change is tried again, what cannot is for a person.
    assert_eq!(refused(&command).await.1, Next::Restart);
    assert_eq!(refused(&variable).await.1, Next::Halt);
    sim.issue_token(grant(TokenKind::Oauth, "fresh"));
    world.write("token", "fresh");
    attempt(&command).await.unwrap();
    std::fs::remove_file(world.folder.path().join("token")).unwrap();
    let (_, next, text) = refused(&command).await;
    assert!(next == Next::Restart && text.contains("the command cat failed (exit status: 1)"), "{text}");
    let (_, next, text) = refused(&oauth("token = { command = [\"./absent\"] }")).await;
    assert!(next == Next::Halt && text.contains("absent cannot be run"), "{text}");
}

#[tokio::test]
async fn a_programmatic_access_token_is_a_token_and_a_password() {
    let world = World::start().await;
    world.admin("CREATE USER SVC").await;
    world.running.sim.issue_token(grant(TokenKind::ProgrammaticAccess, PASSWORD));
    let token = "authenticator = \"programmatic_access_token\"\nuser = \"SVC\"\ntoken = { env = \"SECRET\" }";
    assert!(attempt(&world.settings(token)).await.unwrap().contains("programmatic access token in variable SECRET"));
    let password = "user = \"SVC\"\npassword = { env = \"SECRET\" }";
    assert_eq!(attempt(&world.settings(password)).await.unwrap(), "SVC by password");
    world.running.sim.clock().advance(Duration::from_secs(3_601));
    let (code, next, text) = refused(&world.settings(token)).await;
    assert_eq!((code.as_str(), next), ("394400", Next::Halt));
    assert!(text.contains("ADD PROGRAMMATIC ACCESS TOKEN"), "{text}");
    assert_eq!(refused(&world.settings(password)).await.0, "390100");
}

#[tokio::test]
async fn every_code_of_a_refused_login_has_its_remedy() {
    let world = World::start().await;
    let settings = world.settings("user = \"U\"\npassword = { env = \"SECRET\" }");
    for (code, next, remedy) in [
        ("390100", Next::Halt, "snowflake.user"),
        ("390111", Next::Restart, "new session"),
        ("390114", Next::Restart, "new session"),
        ("390144", Next::Halt, "RSA_PUBLIC_KEY_FP"),
        ("394300", Next::Halt, "LOGIN_NAME"),
        ("394301", Next::Halt, "report this fault"),
        ("394302", Next::Halt, "clock"),
        ("394303", Next::Halt, "clock"),
        ("394304", Next::Halt, "SET RSA_PUBLIC_KEY"),
        ("394305", Next::Halt, "report this fault"),
        ("394306", Next::Halt, "new key pair"),
        ("394307", Next::Halt, "snowflake.account and snowflake.url"),
        ("390186", Next::Halt, "GRANT ROLE"),
        ("390189", Next::Halt, "GRANT ROLE"),
        ("390190", Next::Halt, "authenticator"),
        ("390303", Next::Halt, "another token"),
        ("390309", Next::Halt, "remove snowflake.user"),
        ("390318", Next::Halt, "expired"),
        ("390422", Next::Halt, "network policy"),
        ("390505", Next::Restart, "again by itself"),
        ("394400", Next::Halt, "ADD PROGRAMMATIC ACCESS TOKEN"),
        ("395092", Next::Halt, "client_id"),
        ("399999", Next::Halt, "snowflake.account, snowflake.role"),
    ] {
        let error =
            Action::Error { code: code.to_owned(), message: "made up".to_owned(), sql_state: "08001".to_owned() };
        world.strike(Rule::on_path("/session/v1/login-request", error));
        let (found, found_next, text) = refused(&settings).await;
        assert_eq!((found.as_str(), found_next), (code, next), "{text}");
        assert!(text.starts_with("snowflake refused the login of U by password at http://127.0.0.1:"), "{text}");
        let (finding, told) = text.split_once(&format!("made up (error {code}); ")).unwrap();
        assert!(!finding.is_empty() && told.contains(remedy), "{code}: {told}");
    }
    attempt(&settings).await.unwrap();
}

#[tokio::test]
async fn a_login_is_tried_again_through_an_outage() {
    let world = World::start().await;
    let busy = Action::Status { status: 429, retry_after: Some(0) };
    let outage = world.strike(Rule { times: Some(3), ..Rule::on_path("/session/v1/login-request", busy) });
    let settings = world.settings("user = \"U\"\npassword = { env = \"SECRET\" }");
    assert_eq!(attempt(&settings).await.unwrap(), "U by password");
    assert_eq!((world.struck(outage), world.stats().logins), (3, 1));
    world.strike(Rule::on_path(QUERY, Action::SessionGone));
    let session = Session::connect(&settings).await.unwrap();
    assert!(session.table("a question", "SELECT 1").await.is_err());
}
