use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::{Config, Credentials};

const SECRET: &str = "correct-horse-battery-staple";

/// A home folder and its variables.
struct Home {
    folder: tempfile::TempDir,
    variables: BTreeMap<String, String>,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        Self { folder, variables: BTreeMap::from([("HOME".to_owned(), home)]) }
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        self.mode(&path, 0o600)
    }

    fn mode(self, path: &Path, mode: u32) -> Self {
        let path = self.folder.path().join(path);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        let value = value.replace("HOME", &self.variables["HOME"]);
        self.variables.insert(name.to_owned(), value);
        self
    }

    fn find(&self, name: &str) -> Result<Connection, String> {
        Connection::find(name, &|name| self.variables.get(name).cloned())
            .map_err(|refusal| format!("{}; {}", refusal.reason, refusal.remedy))
    }

    /// The whole way: `[snowflake]` with these lines.
    fn config(&self, lines: &str) -> Result<Config, String> {
        let text = format!(
            "name = \"x\"\n[snowflake]\nstate_schema = \"S.T\"\n{lines}\n[kafka]\nbootstrap_servers = [\"k:1\"]\n[[tables]]\nname = \"A.B.C\"\n"
        );
        let origin = self.folder.path().join("snowmelt.toml");
        let config = Config::parse(&text, origin.to_str().unwrap(), &|name| self.variables.get(name).cloned());
        config.map_err(|problems| problems.to_string())
    }
}

fn account(name: &str) -> String {
    format!("[dev]\naccount = \"{name}\"\nuser = \"U\"\npassword = \"{SECRET}\"\n")
}

#[test]
fn the_places_are_tried_in_the_order_of_the_other_tools() {
    let found = |home: &Home| home.find("dev").map(|found| found.account().unwrap());
    let home = Home::new().file(".config/snowflake/connections.toml", &account("system"));
    assert_eq!(found(&home).unwrap(), "system");
    let home = home.file("xdg/snowflake/connections.toml", &account("xdg")).set("XDG_CONFIG_HOME", "HOME/xdg");
    assert_eq!(found(&home).unwrap(), "xdg");
    let home = home.file(".snowflake/config.toml", &account("config").replace("[dev]", "[connections.dev]"));
    assert_eq!(found(&home).unwrap(), "config");
    let home = home.file(".snowflake/connections.toml", &account("dot"));
    assert_eq!(found(&home).unwrap(), "dot", "config.toml's connections are not looked at beside connections.toml");
    let home = home.set("SNOWFLAKE_HOME", "~/elsewhere");
    assert_eq!(found(&home).unwrap(), "xdg", "a SNOWFLAKE_HOME that is not there is passed over");
    let home = home.file("elsewhere/connections.toml", &account("named"));
    assert_eq!(found(&home).unwrap(), "named");
}

#[test]
fn a_variable_of_the_connection_counts_before_the_file() {
    let home = Home::new()
        .file(".snowflake/connections.toml", &account("file"))
        .set("SNOWFLAKE_CONNECTIONS_DEV_ACCOUNT", "variable")
        .set("SNOWFLAKE_CONNECTIONS_DEV_PRIVATE_KEY_PASSPHRASE", SECRET)
        .set("SNOWFLAKE_CONNECTIONS_DEVELOPMENT_USER", "another's")
        .set("SNOWFLAKE_USER", "generic");
    let found = home.find("dev").unwrap();
    assert_eq!((found.account().as_deref(), found.user()), (Some("variable"), Some("U")));
    assert_eq!(found.passphrase().unwrap().expose(), SECRET);
}

#[test]
fn what_is_missing_or_broken_is_said_without_the_files_text() {
    let home = Home::new();
    assert!(home.find("dev").unwrap_err().contains("neither connections.toml nor config.toml in"));
    let home = home.file(".snowflake/connections.toml", &account("a"));
    assert!(home.find("dve").unwrap_err().ends_with("did you mean \"dev\"?"));
    assert!(home.find("production").unwrap_err().ends_with("there are dev"));
    for text in [format!("[dev]\npassword = {SECRET}\n"), format!("[dev]\npassword = \"{SECRET}\n")] {
        let home = Home::new().file(".snowflake/connections.toml", &text);
        let error = home.find("dev").unwrap_err();
        assert!(error.contains("line 2") && error.contains("is not TOML") && !error.contains(SECRET), "{error}");
    }
    let home = Home::new().file(".snowflake/connections.toml", &format!("[dev]\npassword = [\"{SECRET}\"]\n"));
    let error = home.find("dev").unwrap_err();
    assert!(error.contains("whose password in") && !error.contains(SECRET), "{error}");
}

#[test]
fn a_file_for_others_eyes_is_a_warning_and_for_others_hands_refused() {
    let path = Path::new(".snowflake/connections.toml");
    let home = Home::new().file(".snowflake/connections.toml", &account("a"));
    assert_eq!(home.find("dev").unwrap().warning, None);
    let home = home.mode(path, 0o644);
    let warning = home.find("dev").unwrap().warning.unwrap();
    assert!(warning.contains("can be read by others (mode 644); run `chmod 600 "), "{warning}");
    assert_eq!(home.config("connection = \"dev\"").unwrap().snowflake.warnings, [warning]);
    let home = home.set("SF_SKIP_WARNING_FOR_READ_PERMISSIONS_ON_CONFIG_FILE", "true");
    assert_eq!(home.find("dev").unwrap().warning, None);
    let error = home.mode(path, 0o660).find("dev").map(|_| ()).unwrap_err();
    assert!(error.contains("which others can write (mode 660); run `chmod 600"), "{error}");
}

#[test]
fn the_files_own_values_count_first_and_the_connections_fill_in() {
    let text = format!(
        "{}host = \"127.0.0.1\"\nport = 8085\nprotocol = \"http\"\nrole = \"R\"\nwarehouse = \"W\"\ndatabase = \"D\"\n\
         authenticator = \"SNOWFLAKE\"\nclient_session_keep_alive = true\n",
        account("acct")
    );
    let home = Home::new().file(".snowflake/connections.toml", &text);
    let config = home.config("connection = \"dev\"").unwrap().snowflake;
    assert_eq!((config.account.as_str(), config.url.as_str()), ("acct", "http://127.0.0.1:8085"));
    assert_eq!((config.role.as_deref(), config.warehouse.as_deref()), (Some("R"), Some("W")));
    let Credentials::Password { user, password } = &config.credentials else { panic!("{config:?}") };
    assert_eq!((user.as_str(), password.expose()), ("U", SECRET));
    assert!(!format!("{config:?}").contains(SECRET));

    let own = "connection = \"dev\"\naccount = \"own\"\nurl = \"https://own.example\"\nuser = \"V\"\nrole = \"O\"";
    let config = home.config(own).unwrap().snowflake;
    assert_eq!((config.account.as_str(), config.url.as_str()), ("own", "https://own.example"));
    assert_eq!((config.credentials.user(), config.role.as_deref()), (Some("V"), Some("O")));

    let clear = home.set("SNOWFLAKE_CONNECTIONS_DEV_HOST", "db.example").config("connection = \"dev\"").unwrap_err();
    assert!(clear.contains("snowflake.url: would send the login in clear text"), "{clear}");
}

#[test]
fn each_authenticator_of_a_connection_is_one_of_ours_or_refused_by_name() {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys");
    let home = |lines: &str| {
        let text = format!("[dev]\naccount = \"a\"\nuser = \"U\"\n{}", lines.replace("KEYS", keys.to_str().unwrap()));
        Home::new().file(".snowflake/connections.toml", &text).file("token", "tok\n")
    };
    let tried = |lines: &str| home(lines).config("connection = \"dev\"").map(|config| config.snowflake.credentials);
    for lines in [
        "authenticator = \"SNOWFLAKE_JWT\"\nprivate_key_file = \"KEYS/plain.p8\"",
        "private_key_path = \"KEYS/plain.p8\"",
        "private_key_file = \"KEYS/aes256.p8\"\nprivate_key_file_pwd = \"opensesame\"",
        "private_key_file = \"KEYS/aes256.p8\"\nprivate_key_passphrase = \"opensesame\"",
    ] {
        let credentials = tried(lines).unwrap_or_else(|error| panic!("{lines}: {error}"));
        assert!(matches!(credentials, Credentials::KeyPair { .. }), "{lines}");
    }
    let raw = std::fs::read_to_string(keys.join("plain.p8")).unwrap();
    assert!(tried(&format!("private_key_raw = \"\"\"{raw}\"\"\"")).is_ok());
    let named = home("private_key_file = \"KEYS/aes256.p8\"").set("PRIVATE_KEY_PASSPHRASE", "opensesame");
    assert!(named.config("connection = \"dev\"").is_ok());

    let oauth =
        home("authenticator = \"oauth\"\ntoken_file_path = \"~/token\"").config("connection = \"dev\"").unwrap();
    assert!(matches!(&oauth.snowflake.credentials, Credentials::Oauth { user: Some(user), .. } if user == "U"));
    let pat = tried("authenticator = \"PROGRAMMATIC_ACCESS_TOKEN\"\ntoken = \"tok\"").unwrap();
    assert!(matches!(pat, Credentials::ProgrammaticAccessToken { .. }));

    for (lines, said) in [
        (
            "authenticator = \"externalbrowser\"",
            "for people at a screen or not known here; set snowflake.authenticator",
        ),
        (
            "authenticator = \"oauth\"",
            "snowflake.token: is missing, and authenticator \"oauth\" (chosen by connection \"dev\") needs it",
        ),
        ("authenticator = \"oauth\"\ntoken = \"t\"\ntoken_file_path = \"f\"", "gives both token and token_file_path"),
        ("authenticator = \"oauth\"\ntoken_file_path = \"/nowhere/at/all\"", "/nowhere/at/all cannot be read"),
        ("private_key_file = \"KEYS/aes256.p8\"", "gives a private key that is encrypted; give its passphrase"),
        ("private_key_file = \"KEYS/pkcs1.pem\"", "gives a private key that is in PKCS #1 form"),
        ("authenticator = \"snowflake_jwt\"", "snowflake.private_key: is missing"),
        ("", "snowflake.password: is missing"),
    ] {
        let error = tried(lines).map(|_| ()).unwrap_err();
        assert!(error.contains(said), "{lines}: {error}");
    }
    let unused = home("authenticator = \"oauth\"\ntoken = \"t\"")
        .config("connection = \"dev\"\npassword = { file = \"token\" }");
    let unused = unused.map(|_| ()).unwrap_err();
    let said =
        "snowflake.password: is not used by authenticator \"oauth\" (chosen by connection \"dev\"); remove password";
    assert!(unused.contains(said), "{unused}");
}

#[test]
fn a_container_service_is_found_by_its_variables() {
    let service = Home::new().set("SNOWFLAKE_ACCOUNT", "XY12345").set("SNOWFLAKE_HOST", "xy.snowflake.internal");
    let config = service.config("authenticator = \"container_service\"").unwrap().snowflake;
    assert_eq!((config.account.as_str(), config.url.as_str()), ("XY12345", "https://xy.snowflake.internal"));
    let Credentials::ContainerService { token } = &config.credentials else { panic!("{config:?}") };
    assert_eq!(token.origin(), "in file /snowflake/session/token");
    assert!(token.may_change() && config.warnings.is_empty());
    let other = service.config("authenticator = \"container_service\"\nurl = \"https://other.example\"").unwrap();
    assert!(other.snowflake.warnings[0].contains("SNOWFLAKE_HOST is xy.snowflake.internal"));
    let user = service.config("authenticator = \"container_service\"\nuser = \"U\"").map(|_| ()).unwrap_err();
    assert!(
        user.contains("snowflake.user: is not used") && user.contains("Snowflake refuses a user beside it"),
        "{user}"
    );
    let outside = Home::new().config("authenticator = \"container_service\"").map(|_| ()).unwrap_err();
    for said in [
        "snowflake.account: is missing; set it, or run where SNOWFLAKE_ACCOUNT",
        "SNOWFLAKE_HOST, which a container service has",
    ] {
        assert!(outside.contains(said), "{outside}");
    }
    let password = service.config("user = \"U\"\npassword = { env = \"HOME\" }").map(|_| ()).unwrap_err();
    assert!(
        password.contains("snowflake.account: is missing"),
        "variables count in a container service only: {password}"
    );
}
