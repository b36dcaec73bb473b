//! Rules for strings: what a text must look like to be a host, a name, an
//! account.
//!
//! Promises: a rule gives back the text in the one form that the rest of the
//! program uses. Rules look at the text alone; they resolve and connect nothing.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use reqwest::Url;
use tunnel::attribute::{Policy, RelayName};

use super::filter::Filter;
use super::name::{NameError, ObjectName, SchemaName, identifier};
use super::name_pattern::NamePattern;
use super::pattern::Pattern;
use super::problem::Refusal;
use super::topics::{TopicTemplate, legal_topic};
use super::tunnel::PortRange;

/// What a string must be.
pub struct Rule {
    /// What is wanted, for the reference.
    pub form: &'static str,
    check: fn(&str) -> Result<String, Refusal>,
}

impl Rule {
    pub(super) fn apply(&self, text: &str) -> Result<String, Refusal> {
        (self.check)(text)
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.form)
    }
}

pub(super) const FILLED: Rule = Rule { form: "string", check: filled };
pub(super) const PIPELINE: Rule = Rule { form: "1 to 64 of `a-z 0-9 -`", check: pipeline };
pub(super) const ACCOUNT: Rule = Rule { form: "account identifier", check: account };
pub(super) const BASE_URL: Rule = Rule { form: "URL", check: base_url };
pub(super) const SERVER: Rule = Rule { form: "`host:port`", check: server };
pub(super) const TOPIC: Rule = Rule { form: "topic name", check: legal_topic };
pub(super) const TOPIC_TEMPLATE: Rule = Rule { form: "topic name with placeholders", check: topic_template };
pub(super) const SCHEMA: Rule = Rule { form: "`DATABASE.SCHEMA`", check: schema };
pub(super) const OBJECT: Rule = Rule { form: "`DATABASE.SCHEMA.NAME`", check: object };
pub(super) const NAME_PATTERN: Rule = Rule { form: "`DATABASE.SCHEMA.NAME` with `*`", check: name_pattern };
pub(super) const NAME_PATTERN_TAIL: Rule =
    Rule { form: "`NAME`, `SCHEMA.NAME` or `DATABASE.SCHEMA.NAME`, with or without `*`", check: name_pattern_tail };
pub(super) const TABLE_TOPIC: Rule = Rule { form: "topic name, with or without placeholders", check: table_topic };
pub(super) const COLUMN: Rule = Rule { form: "column name", check: column };
pub(super) const PATTERN: Rule = Rule { form: "column name, or a pattern with `*`", check: pattern };
pub(super) const FILTER: Rule = Rule { form: "condition in SQL", check: filter };
pub(super) const RELAY_NAME: Rule = Rule { form: "relay name", check: relay_name };
pub(super) const POLICY: Rule = Rule { form: "attributes with `and`, `or`, `not` and parentheses", check: policy };
pub(super) const ENDPOINT: Rule = Rule { form: "IP address and port", check: endpoint };
pub(super) const PORTS: Rule = Rule { form: "`first-last`", check: ports };
pub(super) const PARAMETER: Rule = Rule { form: "parameter name", check: parameter };

fn filled(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        Err(Refusal::new("is empty", "give it a value, or remove it"))
    } else if text.chars().any(char::is_control) {
        Err(Refusal::new("has a control character in it", "write it on one line, without tabs"))
    } else {
        Ok(text.to_owned())
    }
}

fn pipeline(text: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "use 1 to 64 of the characters a-z 0-9 -";
    if text.is_empty() || text.len() > 64 {
        return Err(Refusal::new(format!("has {} characters", text.chars().count()), REMEDY));
    }
    match text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-')) {
        Some(c) => Err(Refusal::new(format!("{c:?} may not be in a pipeline's name"), REMEDY)),
        None => Ok(text.to_owned()),
    }
}

fn account(text: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "write the account identifier alone, such as \"myorg-myaccount\"";
    if text.contains("://") || text.to_ascii_lowercase().contains("snowflakecomputing") {
        return Err(Refusal::new("is an address, not an account identifier", REMEDY));
    }
    if text.is_empty() {
        return Err(Refusal::new("is empty", REMEDY));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
        Some(c) => Err(Refusal::new(format!("{c:?} may not be in an account identifier"), REMEDY)),
        None => Ok(text.to_owned()),
    }
}

/// Passwords travel in the body of a login, so clear text is for this machine
/// only.
fn base_url(text: &str) -> Result<String, Refusal> {
    const REMEDY: &str =
        "write scheme, host and port alone, such as \"https://myorg-myaccount.snowflakecomputing.com\"";
    let Ok(url) = Url::parse(text) else {
        return Err(Refusal::new("is not a URL", REMEDY));
    };
    let Some(host) = url.host_str() else {
        return Err(Refusal::new("has no host", REMEDY));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refusal::new("has credentials in it", "use user, password and token"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(Refusal::new("has a path, a query or a fragment", REMEDY));
    }
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(host) => {}
        "http" => {
            return Err(Refusal::new(
                "would send the login in clear text over the network",
                "use https; http is allowed for localhost and loopback addresses only",
            ));
        }
        _ => return Err(Refusal::new("is neither https nor http", REMEDY)),
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn server(text: &str) -> Result<String, Refusal> {
    const REMEDY: &str = "write it as \"host:port\", such as \"broker-1:9092\"";
    let refuse = |reason: &str| Err(Refusal::new(format!("\"{text}\" {reason}"), REMEDY));
    if text.contains("://") {
        return refuse("is a URL");
    }
    if text.contains(',') {
        return Err(Refusal::new(format!("\"{text}\" holds several servers"), "write each as a string of its own"));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return refuse("has no port");
    };
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return refuse("has no port between 1 and 65535");
    }
    let ok = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')),
    };
    if ok { Ok(text.to_owned()) } else { refuse("has no valid host") }
}

/// The tunnel's own words have reason and remedy already, parted by a semicolon.
fn as_the_tunnel<T: FromStr>(text: &str) -> Result<String, Refusal>
where
    T::Err: std::fmt::Display,
{
    match text.parse::<T>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => {
            let words = error.to_string();
            let (reason, remedy) = words.split_once("; ").unwrap_or((&words, "see docs/tunnel.md"));
            Err(Refusal::new(format!("is not valid: {reason}"), remedy))
        }
    }
}

fn relay_name(text: &str) -> Result<String, Refusal> {
    as_the_tunnel::<RelayName>(text)
}

fn policy(text: &str) -> Result<String, Refusal> {
    as_the_tunnel::<Policy>(text)
}

fn endpoint(text: &str) -> Result<String, Refusal> {
    text.parse::<SocketAddr>().map(|address| address.to_string()).map_err(|_| {
        Refusal::new(format!("\"{text}\" is no IP address with a port"), "write it like \"127.0.0.1:9092\"")
    })
}

fn ports(text: &str) -> Result<String, Refusal> {
    as_the_tunnel::<PortRange>(text)
}

fn topic_template(text: &str) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(Refusal::new("is empty", "remove it, or write a template such as \"{database}.{schema}.{table}\""));
    }
    TopicTemplate::parse(text).map(|_| text.to_owned())
}

fn table_topic(text: &str) -> Result<String, Refusal> {
    if text.contains(['{', '}']) { topic_template(text) } else { legal_topic(text) }
}

const NAME_REMEDY: &str =
    "quote an identifier that has other characters than letters, digits, _ and $, such as 'SHOP.PUBLIC.\"My table\"'";

fn name_refusal(error: NameError, remedy: &str) -> Refusal {
    Refusal::new(error.reason, remedy)
}

fn schema(text: &str) -> Result<String, Refusal> {
    text.parse::<SchemaName>()
        .map(|name| name.to_string())
        .map_err(|error| name_refusal(error, "write it as \"DATABASE.SCHEMA\""))
}

fn object(text: &str) -> Result<String, Refusal> {
    text.parse::<ObjectName>().map(|name| name.to_string()).map_err(|error| {
        let remedy =
            if error.reason.starts_with("has ") { "write it as \"DATABASE.SCHEMA.NAME\"" } else { NAME_REMEDY };
        name_refusal(error, remedy)
    })
}

const PATTERN_REMEDY: &str = "write it like \"SHOP.PUBLIC.ORDERS_*\", and what is case-sensitive or has other characters \
                              than letters, digits, _ and $ in quotes: 'SHOP.PUBLIC.\"Orders \"*'";

fn name_pattern(text: &str) -> Result<String, Refusal> {
    text.parse::<NamePattern>().map(|pattern| pattern.to_string()).map_err(|error| name_refusal(error, PATTERN_REMEDY))
}

fn name_pattern_tail(text: &str) -> Result<String, Refusal> {
    NamePattern::parse_tail(text)
        .map(|pattern| pattern.to_string())
        .map_err(|error| name_refusal(error, PATTERN_REMEDY))
}

fn column(text: &str) -> Result<String, Refusal> {
    identifier(text)
        .map_err(|error| name_refusal(error, "write one column's name, quoted if it is case-sensitive: '\"Id\"'"))
}

fn pattern(text: &str) -> Result<String, Refusal> {
    text.parse::<Pattern>().map(|_| text.to_owned()).map_err(|error| {
        name_refusal(error, "write a column's name, a pattern such as \"PII_*\", or a quoted name: '\"Id\"'")
    })
}

fn filter(text: &str) -> Result<String, Refusal> {
    Filter::parse(text).map(|filter| filter.as_sql().to_owned())
}

/// These three are the publisher's own: the first two have settings, and the
/// promise that a batch is staged exactly once rests on autocommit.
fn parameter(text: &str) -> Result<String, Refusal> {
    let name = text.to_ascii_uppercase();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(Refusal::new(
            "is not a parameter's name",
            "use letters, digits and _, such as STATEMENT_TIMEOUT_IN_SECONDS",
        ));
    }
    if name == "QUERY_TAG" {
        return Err(Refusal::new("has a setting of its own", "set snowflake.query_tag"));
    }
    if name.ends_with("QUERY_RESULT_FORMAT") {
        return Err(Refusal::new("has a setting of its own", "set snowflake.result_format"));
    }
    if name == "AUTOCOMMIT" {
        return Err(Refusal::new("may not be changed: staging rests on autocommit", "remove it"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_https_or_stay_here() {
        for (text, url) in [
            ("https://a-b.snowflakecomputing.com", "https://a-b.snowflakecomputing.com"),
            ("https://a-b.snowflakecomputing.com/", "https://a-b.snowflakecomputing.com"),
            ("https://a-b.example:8443/", "https://a-b.example:8443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://127.9.9.9", "http://127.9.9.9"),
            ("http://localhost:1", "http://localhost:1"),
            ("http://[::1]:8080", "http://[::1]:8080"),
        ] {
            assert_eq!(base_url(text).unwrap(), url);
        }
        for text in [
            "http://example.com",
            "http://localhost.example.com",
            "http://10.0.0.1",
            "http://[fe80::1]",
            "ftp://localhost",
            "https://u:p@example.com",
            "https://example.com/x",
            "https://example.com/?a",
            "https://",
            "example.com",
            "",
        ] {
            assert!(base_url(text).is_err(), "{text}");
        }
    }

    #[test]
    fn servers_have_host_and_port() {
        for text in ["a:1", "broker-1.kafka_x.svc:9092", "10.0.0.1:65535", "[::1]:9092"] {
            assert_eq!(server(text).unwrap(), text);
        }
        for text in ["a", ":1", "a:0", "a:65536", "a:b", "SSL://a:1", "a:1,b:1", "::1:9092", "[x]:1", "a b:1"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn accounts_are_not_addresses() {
        for text in ["myorg-acct", "xy12345.eu-central-1", "MY_ORG-A1"] {
            assert_eq!(account(text).unwrap(), text);
        }
        for text in ["", "https://x", "x.snowflakecomputing.com", "a/b", "a b"] {
            assert!(account(text).is_err(), "{text}");
        }
    }

    #[test]
    fn own_parameters_are_reserved() {
        assert_eq!(parameter("Timezone").unwrap(), "Timezone");
        for text in ["", "a b", "query_tag", "GO_QUERY_RESULT_FORMAT", "autocommit"] {
            assert!(parameter(text).is_err(), "{text}");
        }
    }
}
