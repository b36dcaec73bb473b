//! `[snowflake]`: where the account is, how to log in, and what a session sets.
//!
//! Promises: what an authenticator needs is there and what it would ignore is refused; the URL is `https` unless it stays
//! on this machine. What the file leaves out comes from its `connection`, and in a container service from the variables
//! that Snowflake sets there. Leaves logging in, and reading a token again, to the session.

use std::collections::BTreeMap;
use std::time::Duration;

use super::choice::choice;
use super::connection::Connection;
use super::credentials::{self, Credentials};
use super::name::SchemaName;
use super::problem::Refusal;
use super::reading::Section;
use super::rule;
use super::secret::Secret;

choice! {
    /// How a session proves who it is.
    Authenticator {
        Password = "password", "`user` and `password`";
        KeyPair = "key_pair", "`user` and `private_key`, whose public half the user has in Snowflake";
        Oauth = "oauth", "an OAuth access token in `token`";
        ProgrammaticAccessToken = "programmatic_access_token", "a programmatic access token in `token`";
        ContainerService = "container_service", "in a container service of Snowflake (SPCS): the token that it finds in `/snowflake/session/token`, with no user";
    }
}

choice! {
    /// The encoding asked of Snowflake for results.
    ResultFormat {
        Arrow = "arrow", "Arrow record batches: exact and fast";
        Json = "json", "JSON rows: for client ids that are not given Arrow";
    }
}

/// `[snowflake]`.
#[derive(Debug, Clone)]
pub struct Snowflake {
    /// Account identifier, `organisation-account` or a locator.
    pub account: String,
    /// Base URL without a trailing slash.
    pub url: String,
    /// How to log in.
    pub credentials: Credentials,
    /// The connection that what the file leaves out is taken from.
    pub connection: Option<String>,
    /// What somebody should know before a login, with its remedy.
    pub warnings: Vec<String>,
    /// Role of the session; default: the user's default role.
    pub role: Option<String>,
    /// Warehouse of the session; default: the user's default warehouse.
    pub warehouse: Option<String>,
    /// Schema that holds everything the publisher creates; there unless every
    /// table is read by windows.
    pub state_schema: Option<SchemaName>,
    /// `CLIENT_APP_ID` of the login; default `Go`.
    pub client_id: String,
    /// `CLIENT_APP_VERSION` of the login; default `1.19.0`.
    pub client_version: String,
    /// Query tag of the session; default `snowmelt/<name>`.
    pub query_tag: String,
    /// Default `arrow`.
    pub result_format: ResultFormat,
    /// Longest wait for one HTTP answer; default 120 s.
    pub request_timeout: Duration,
    /// Further session parameters, by name as written; default none.
    pub session_parameters: BTreeMap<String, String>,
    /// What hashes of masked columns are salted with; there if any table's
    /// `columns.hash` is.
    pub hash_salt: Option<Secret>,
}

/// A salt that is shorter could be found by trying.
const SHORTEST_SALT: usize = 16;

/// What the section is read with.
pub(super) struct Sources<'a> {
    pub(super) section: &'a Section<'a>,
    pub(super) connection: Option<Connection>,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

impl Snowflake {
    pub(super) fn build(
        section: &Section<'_>,
        name: Option<&str>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        check_salt(section);
        let query_tag = section.get::<Option<String>>("query_tag");
        // Without its connection nobody can tell what is missing.
        let connection = match section.get::<Option<String>>("connection")? {
            Some(name) => Some(refused(section, "connection", Connection::find(&name, env))?),
            None => None,
        };
        let mut warnings: Vec<String> = connection.iter().filter_map(|connection| connection.warning.clone()).collect();
        let sources = Sources { section, connection, env };
        let authenticator = sources.authenticator()?;
        let credentials = credentials::build(&sources, authenticator);
        let account = sources.account(authenticator);
        let url = sources.url(authenticator, account.as_deref(), &mut warnings);
        let role = sources.text("role", |connection| connection.get("role"));
        let warehouse = sources.text("warehouse", |connection| connection.get("warehouse"));
        Some(Self {
            account: account?,
            url: url?,
            credentials: credentials?,
            connection: sources.connection.map(|connection| connection.name),
            warnings,
            role: role?,
            warehouse: warehouse?,
            state_schema: section.get("state_schema")?,
            client_id: section.get("client_id")?,
            client_version: section.get("client_version")?,
            query_tag: query_tag?.or_else(|| Some(format!("snowmelt/{}", name?)))?,
            result_format: section.get("result_format")?,
            request_timeout: section.get("request_timeout")?,
            session_parameters: section.get("session_parameters")?,
            hash_salt: section.get("hash_salt")?,
        })
    }
}

impl Sources<'_> {
    /// The file's value, else the connection's; `None` if the file's was refused.
    pub(super) fn text(&self, key: &str, of: impl FnOnce(&Connection) -> Option<&str>) -> Option<Option<String>> {
        let own = self.section.get::<Option<String>>(key)?;
        Some(own.or_else(|| self.connection.as_ref().and_then(of).map(str::to_owned)))
    }

    fn authenticator(&self) -> Option<Authenticator> {
        match (self.section.get::<Option<Authenticator>>("authenticator")?, &self.connection) {
            (Some(own), _) => Some(own),
            (None, Some(connection)) => refused(self.section, "connection", connection.authenticator()),
            (None, None) => Some(Authenticator::Password),
        }
    }

    fn account(&self, authenticator: Authenticator) -> Option<String> {
        if let Some(own) = self.section.get::<Option<String>>("account")? {
            return Some(own);
        }
        let service = || (self.env)("SNOWFLAKE_ACCOUNT").filter(|_| authenticator == Authenticator::ContainerService);
        if let Some(account) = self.connection.as_ref().and_then(Connection::account).or_else(service) {
            return refused(self.section, "account", rule::ACCOUNT.apply(&account));
        }
        let remedy = match (&self.connection, authenticator) {
            (Some(connection), _) => format!("add it to the connection \"{}\", or here", connection.name),
            (None, Authenticator::ContainerService) => {
                "set it, or run where SNOWFLAKE_ACCOUNT is set: in a container service".to_owned()
            }
            (None, _) => "add account = \"myorg-myaccount\"".to_owned(),
        };
        self.section.refuse("account", "is missing".to_owned(), remedy);
        None
    }

    fn url(&self, authenticator: Authenticator, account: Option<&str>, warnings: &mut Vec<String>) -> Option<String> {
        let own = self.section.get::<Option<String>>("url")?;
        let service = (self.env)("SNOWFLAKE_HOST")
            .filter(|host| authenticator == Authenticator::ContainerService && !host.is_empty());
        if let (Some(own), Some(host)) = (&own, &service)
            && own.strip_prefix("https://").is_none_or(|own| !own.eq_ignore_ascii_case(host))
        {
            warnings.push(format!(
                "snowflake.url is {own} and SNOWFLAKE_HOST is {host}, where alone the token of a container service is valid; remove url"
            ));
        }
        if own.is_some() {
            return own;
        }
        let given = self.connection.as_ref().and_then(|connection| connection.url(account.unwrap_or_default()));
        if let Some(url) = given.or_else(|| service.map(|host| format!("https://{host}"))) {
            return refused(self.section, "url", rule::BASE_URL.apply(&url));
        }
        if authenticator == Authenticator::ContainerService {
            self.section.refuse(
                "url",
                "is missing, and SNOWFLAKE_HOST, which a container service has, is not set".to_owned(),
                "set url, or run in a container service".to_owned(),
            );
            return None;
        }
        account.map(|account| format!("https://{}", default_host(account)))
    }

    /// Where the authenticator was chosen, for whoever wonders.
    pub(super) fn chosen(&self) -> String {
        match &self.connection {
            Some(connection) if !self.section.given("authenticator") => {
                format!(" (chosen by connection \"{}\")", connection.name)
            }
            _ => String::new(),
        }
    }
}

/// The value, or the refusal reported at `key`.
pub(super) fn refused<T>(section: &Section<'_>, key: &str, result: Result<T, Refusal>) -> Option<T> {
    result.map_err(|refusal| section.refuse(key, refusal.reason, refusal.remedy)).ok()
}

/// Host names may not hold underscores, and Snowflake answers to the account
/// with hyphens in their place.
pub(super) fn default_host(account: &str) -> String {
    format!("{}.snowflakecomputing.com", account.to_ascii_lowercase().replace('_', "-"))
}

fn check_salt(section: &Section<'_>) {
    let salt = section.get::<Option<Secret>>("hash_salt").flatten();
    if salt.is_some_and(|salt| salt.expose().len() < SHORTEST_SALT) {
        section.refuse(
            "hash_salt",
            format!("is shorter than {SHORTEST_SALT} characters, and could be found by trying"),
            "draw a random one, for instance with `openssl rand -hex 32`, and keep it".to_owned(),
        );
    }
}
