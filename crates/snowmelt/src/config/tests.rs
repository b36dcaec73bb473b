//! The whole way from text to [`Config`] or [`Problems`], by example files.
//!
//! `tests/config/valid/*.toml` each stand beside the `Debug` of what they mean,
//! `tests/config/invalid/*.toml` beside exactly the problems they must give.
//! With `SNOWMELT_BLESS=1` the expectations and `docs/configuration.md` are
//! written instead of compared; read the difference before it is committed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::reading::Reading;
use super::setting::World;
use super::*;

const PASSWORD: &str = "correct-horse-battery-staple";

fn env(name: &str) -> Option<String> {
    match name {
        "SNOWMELT_PASSWORD" => Some(PASSWORD.to_owned()),
        "SNOWMELT_NODE_KEY" => Some("a key".to_owned()),
        "KAFKA_PASSWORD" => Some(format!("{PASSWORD}-2")),
        "SNOWMELT_PASSPHRASE" => Some("opensesame".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

/// A machine with a `connections.toml` that only its user can read, whatever the checkout's modes are.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("connections.toml");
        std::fs::copy(crate_path("tests/config/connections.toml"), &file).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self(folder)
    }

    fn env(&self, name: &str) -> Option<String> {
        match name {
            "SNOWFLAKE_HOME" => Some(self.0.path().to_str().unwrap().to_owned()),
            "SNOWFLAKE_CONNECTIONS_SHARED_ROLE" => Some("FROM_VARIABLE".to_owned()),
            _ => env(name),
        }
    }
}

fn crate_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The file's configuration or problems, without the place of this checkout.
fn read(path: &Path) -> (Result<Config, Problems>, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let home = Home::new();
    let result = Config::parse(&text, path.to_str().unwrap(), &|name| home.env(name));
    let shown = match &result {
        Ok(config) => format!("{config:#?}\n"),
        Err(problems) => format!("{problems}\n"),
    };
    let shown = shown.replace(&format!("{}/", home.0.path().display()), "HOME/");
    (result, shown.replace(&format!("{}/", path.parent().unwrap().display()), ""))
}

fn files(folder: &str, extension: &str) -> BTreeSet<PathBuf> {
    std::fs::read_dir(crate_path(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

fn compare(path: &Path, actual: &str) {
    if std::env::var("SNOWMELT_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} differs; if the new text is right, run the tests with SNOWMELT_BLESS=1\n--- expected\n{expected}\n--- actual\n{actual}",
        path.display(),
    );
}

fn compare_all(folder: &str, good: bool) {
    let inputs = files(folder, "toml");
    assert!(!inputs.is_empty());
    for input in &inputs {
        let (result, shown) = read(input);
        assert_eq!(result.is_ok(), good, "{}\n{shown}", input.display());
        assert!(!shown.contains(PASSWORD), "{} shows a secret", input.display());
        compare(&input.with_extension("expected"), &shown);
    }
    let answered = files(folder, "expected").iter().map(|path| path.with_extension("toml")).collect();
    assert_eq!(inputs, answered, "an expectation without its file");
}

#[test]
fn valid_files_mean_what_they_say() {
    compare_all("tests/config/valid", true);
}

#[test]
fn invalid_files_give_exactly_their_problems() {
    compare_all("tests/config/invalid", false);
}

#[test]
fn the_example_of_the_documents_parses() {
    let (result, shown) = read(&crate_path("../../docs/examples/snowmelt.toml"));
    assert!(result.is_ok(), "{shown}");
}

/// What is mounted as secrets where they run is made here beside a copy.
#[test]
fn the_configurations_that_are_deployed_parse() {
    for file in ["compose/publisher.toml", "kubernetes/publisher/snowmelt.toml"] {
        let folder = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(crate_path(&format!("../../deploy/{file}"))).unwrap();
        let text = text.replace("/run/snowmelt/", "");
        std::fs::copy(crate_path("tests/keys/plain.p8"), folder.path().join("private-key.p8")).unwrap();
        std::fs::write(folder.path().join("ticket"), "").unwrap();
        let env = |name: &str| (name == "SNOWMELT_PASSWORD").then(|| "any".to_owned());
        let parsed = Config::parse(&text, folder.path().join("x.toml").to_str().unwrap(), &env);
        assert!(parsed.is_ok(), "{file}: {}", parsed.unwrap_err());
    }
}

/// Every `[snowflake]` of the page about logging in, with the rest of a configuration around it.
#[test]
fn the_examples_of_logging_in_parse() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(crate_path("tests/keys/aes256.p8"), folder.path().join("rsa_key.p8")).unwrap();
    std::fs::write(folder.path().join("snowflake-token"), "content").unwrap();
    let home = Home::new();
    let env = |name: &str| match name {
        "SNOWFLAKE_HOST" | "SNOWFLAKE_ACCOUNT" => Some("xy12345".to_owned()),
        _ => home.env(name),
    };
    let page = std::fs::read_to_string(crate_path("../../docs/authentication.md")).unwrap();
    let mut ways = BTreeSet::new();
    for block in page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default()) {
        let rest = "[kafka]\nbootstrap_servers = [\"k:1\"]\n[[tables]]\nname = \"A.B.C\"\n";
        let text = format!("name = \"x\"\n{block}state_schema = \"S.T\"\n{rest}");
        match Config::parse(&text, folder.path().join("x.toml").to_str().unwrap(), &env) {
            Ok(config) => ways.insert(config.snowflake.credentials.authenticator().as_str()),
            Err(problems) => panic!("{block}{problems}"),
        };
    }
    let all: BTreeSet<&str> = Authenticator::WORDS.iter().map(|(word, _)| *word).collect();
    assert_eq!(ways, all, "each way has its example");
}

#[test]
fn the_reference_is_the_committed_page() {
    compare(&crate_path("../../docs/configuration.md"), &reference());
}

/// Leaving out any line of a file must change what the file means: so every
/// setting reaches a field. Together the files have all settings.
#[test]
fn every_setting_reaches_the_configuration() {
    let mut reached = BTreeSet::new();
    let home = Home::new();
    let env = |name: &str| home.env(name);
    for file in ["full", "tokens", "tunnel", "key-pair", "connection", "changes"] {
        let path = crate_path(&format!("tests/config/valid/{file}.toml"));
        let origin = path.to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let whole = format!("{:?}", Config::parse(&text, origin, &env).unwrap());
        let reading = Reading::of(&text, origin, &env).unwrap();
        for (setting, line) in reading.given_lines() {
            let without: String =
                text.lines().enumerate().filter(|(at, _)| at + 1 != line).flat_map(|(_, line)| [line, "\n"]).collect();
            let changed = match Config::parse(&without, origin, &env) {
                Ok(config) => format!("{config:?}") != whole,
                Err(_) => true,
            };
            assert!(changed, "{file}: {setting} on line {line} changes nothing");
            reached.insert(setting.replace("[1]", "[]").replace("[2]", "[]").replace("[3]", "[]"));
        }
    }
    for setting in SETTINGS {
        assert!(reached.contains(setting.path), "{} is in none of the files", setting.path);
    }
}

#[test]
fn every_default_and_every_example_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        "ca.pem",
        "client.pem",
        "client.key",
        "kafka-password",
        "snowflake-token",
        "passphrase",
        "rsa_key.p8",
        "hash-salt",
    ];
    for name in files {
        std::fs::write(folder.path().join(name), "content\n").unwrap();
    }
    let world = World { folder: folder.path().to_owned(), env: &env };
    let mut paths = BTreeSet::new();
    for setting in SETTINGS {
        assert!(paths.insert(setting.path), "{} is listed twice", setting.path);
        let default = match setting.fallback {
            Fallback::Value(text) => Some(text),
            Fallback::Required | Fallback::Otherwise(_) => None,
        };
        for text in default.into_iter().chain([setting.example]) {
            let value = toml::de::DeValue::parse(text).unwrap();
            if let Err(refusals) = setting.read(value.get_ref(), &world) {
                panic!("{} = {text}: {refusals:?}", setting.path);
            }
        }
    }
}

#[test]
fn what_is_left_out_has_its_default() {
    let (config, _) = read(&crate_path("tests/config/valid/minimal.toml"));
    let config = config.unwrap();
    assert_eq!(config.snowflake.url, "https://my-org-account1.snowflakecomputing.com");
    let Credentials::Password { user, password } = &config.snowflake.credentials else { panic!("no password") };
    assert_eq!((user.as_str(), password.expose()), ("snowmelt", PASSWORD));
    assert_eq!(config.snowflake.query_tag, "snowmelt/shop");
    assert_eq!(config.snowflake.request_timeout, Duration::from_secs(120));
    assert_eq!(config.kafka.client_id, "snowmelt-shop");
    assert_eq!(config.kafka.batch_bytes, 1_000_000);
    assert_eq!(config.kafka.max_message_bytes, 1_048_576);
    assert!(config.kafka.sasl.is_none());
    assert_eq!((config.checkpoint.topic.as_str(), config.checkpoint.replication_factor), ("snowmelt-checkpoints", -1));
    assert_eq!(config.delivery.memory, 64 << 20);
    assert_eq!(config.delivery.slice_interval, Duration::from_millis(250));
    assert_eq!(config.tables.len(), 1);
    assert_eq!(config.tables[0].topic, "SHOP.PUBLIC.ORDERS");
    assert_eq!(config.tables[0].snapshot, Snapshot::Initial);
}

#[tokio::test]
async fn a_token_file_is_found_beside_the_configuration_and_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snowmelt.toml");
    let minimal = std::fs::read_to_string(crate_path("tests/config/valid/minimal.toml")).unwrap();
    let text = minimal
        .replace("user = \"snowmelt\"", "authenticator = \"oauth\"")
        .replace("password = { env = \"SNOWMELT_PASSWORD\" }", "token = { file = \"token\" }");
    assert_ne!(text, minimal);
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.path().join("token"), "one\n").unwrap();
    let credentials = Config::load(&path).unwrap().snowflake.credentials;
    let Credentials::Oauth { user: None, token } = credentials else { panic!("not by token: {credentials:?}") };
    assert_eq!(token.read().await.unwrap().expose(), "one");
    assert_eq!(token.origin(), format!("in file {}", folder.path().join("token").display()));
    std::fs::write(folder.path().join("token"), "two\n").unwrap();
    assert_eq!(token.read().await.unwrap().expose(), "two");
}

#[test]
fn a_file_that_cannot_be_read_is_one_problem() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.toml");
    let problems = Config::load(&path).unwrap_err();
    assert_eq!(problems.as_slice().len(), 1);
    let shown = problems.to_string();
    assert!(shown.starts_with(&format!("{}: cannot be read: ", path.display())), "{shown}");

    std::fs::write(&path, b"name = \"\xff\"").unwrap();
    let problems = Config::load(&path).unwrap_err();
    assert_eq!(problems.as_slice()[0].reason, "is not UTF-8 text");
}

#[test]
fn lines_are_counted_over_carriage_returns_and_wide_characters() {
    let text = "# ä ❄\r\nname = \"shop\"\r\n\r\n\"ключ\" = 1\r\n";
    let problems = Config::parse(text, "x.toml", &env).unwrap_err();
    let lines: Vec<_> = problems
        .as_slice()
        .iter()
        .filter(|problem| problem.setting.as_deref() == Some("ключ"))
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [Some(4)]);
}

#[test]
fn a_secret_in_broken_text_is_not_repeated() {
    for text in [
        format!("[snowflake]\npassword = {PASSWORD}\n"),
        format!("[snowflake]\npassword = \"{PASSWORD}\n"),
        format!("[snowflake]\npassword = \"{PASSWORD}\"\n"),
        format!("[snowflake]\npassword = {{ env = \"{PASSWORD}\", env = \"x\" }}\n"),
        format!("[snowflake]\npassword = {{ env = \"{PASSWORD}\" }}\n"),
        format!("[snowflake]\npasword = \"{PASSWORD}\"\ntoken = [\"{PASSWORD}\"]\n"),
    ] {
        let problems = Config::parse(&text, "x.toml", &env).unwrap_err().to_string();
        assert!(!problems.contains(PASSWORD), "{problems}");
    }
}

proptest! {
    /// Whatever happens to a file, it gives a configuration or problems with
    /// lines that the file has, and never a panic.
    #[test]
    fn a_damaged_file_is_read_or_refused(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), "[\\[\\]{}=\"'.,\na-z0-9#é-]{0,3}"), 1..6)
    ) {
        let path = crate_path("tests/config/valid/full.toml");
        let mut text: Vec<char> = std::fs::read_to_string(&path).unwrap().chars().collect();
        for (at, replacement) in cuts {
            let at = at.index(text.len());
            text.splice(at..(at + 2).min(text.len()), replacement.chars());
        }
        let text: String = text.into_iter().collect();
        if let Err(problems) = Config::parse(&text, path.to_str().unwrap(), &env) {
            prop_assert!(!problems.as_slice().is_empty());
            for problem in problems.as_slice() {
                let line = problem.line.unwrap_or_default();
                prop_assert!((1..=text.matches('\n').count() + 1).contains(&line), "{}", problem);
                prop_assert!(!problem.remedy.is_empty() && !problem.reason.is_empty());
            }
        }
    }
}
