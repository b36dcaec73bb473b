//! What a person can do about a refusal, where Snowflake's code tells.
//!
//! Codes of logins: user-guide/key-pair-auth-troubleshooting (390144, 3943xx), the drivers' sources (390100 to 390318), and
//! reports of users (390309, 395092, 394400, 390422), of Snowflake's documentation and repositories.

/// About a statement.
pub(super) struct OfStatement<'a>(pub(super) &'a str);

impl std::fmt::Display for OfStatement<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            "000606" => "; set snowflake.warehouse and grant the role USAGE on it",
            "000608" => "; ALTER WAREHOUSE … SET AUTO_RESUME = TRUE, or resume it: what waits is then read by itself",
            "003001" => "; `snowmelt check` names the missing grant",
            "002003" | "002043" => "; create the object or grant the role access to it, `snowmelt check` tells which",
            "000604" => "; it was cancelled or ran into STATEMENT_TIMEOUT_IN_SECONDS",
            // Only staging statements work on values.
            "100038" | "100039" | "100046" | "100072" | "100132" => {
                "; rows that wait in the stream do not fit the table's columns as they are now, or its filter: undo the \
                 change of the columns, and the capture goes on; or order a new snapshot with `snowmelt snapshot`"
            }
            _ => return Ok(()),
        })
    }
}

/// About a login that was refused with `code` and `message`.
pub(super) fn of_login(code: &str, message: &str) -> String {
    let ask = match failure_id(message) {
        Some(id) => format!("an administrator learns why by SELECT SYSTEM$GET_LOGIN_FAILURE_DETAILS('{id}')"),
        None => "Snowflake's LOGIN_HISTORY may tell more".to_owned(),
    };
    match code {
        "390100" => "check snowflake.user and the secret it is given; the value itself is never shown".to_owned(),
        "390144" => format!(
            "compare the fingerprint above with RSA_PUBLIC_KEY_FP of DESCRIBE USER, snowflake.user with its LOGIN_NAME, \
             snowflake.account with the account's identifier, and this machine's clock with the time; {ask}"
        ),
        "394300" => "set snowflake.user to the LOGIN_NAME of DESCRIBE USER, which may differ from the user's NAME".to_owned(),
        "394301" | "394305" => "report this fault of snowmelt: its token is not what Snowflake wants".to_owned(),
        "394302" | "394303" => {
            "set this machine's clock (NTP): the token was more than a minute old when Snowflake got it".to_owned()
        }
        "394304" => "give the user the public half of this key: ALTER USER <user> SET RSA_PUBLIC_KEY = '…' with what \
                     `openssl rsa -in rsa_key.p8 -pubout` prints between its first and last line"
            .to_owned(),
        "394306" => "make a new key pair and give the user its public half (docs/authentication.md)".to_owned(),
        "394307" => "set snowflake.account and snowflake.url to the same account".to_owned(),
        "390303" => format!("give another token: this one is unknown here, or made for another account; {ask}"),
        "390318" => "the token has expired: give a fresh one. A token file and a token command are asked again at each \
                     login, a variable is not"
            .to_owned(),
        "390309" => "remove snowflake.user, or set it to the user that the token was made for".to_owned(),
        "395092" => "use this token inside its container service only, at SNOWFLAKE_HOST; if it is, Snowflake does not \
                     take it from this client: set snowflake.client_id and snowflake.client_version to those of a driver \
                     that it takes it from"
            .to_owned(),
        "394400" => "the programmatic access token is unknown, disabled or expired: make another with ALTER USER <user> ADD \
                     PROGRAMMATIC ACCESS TOKEN <name>"
            .to_owned(),
        "390190" => "choose an authenticator that works without a person (docs/authentication.md)".to_owned(),
        "390186" | "390189" => "check snowflake.role, and GRANT ROLE <role> TO USER <user>".to_owned(),
        "390422" | "403" => "let this machine's address through the account's network policy, and check the URL".to_owned(),
        "390505" => "Snowflake is busy; it is tried again by itself".to_owned(),
        "390111" | "390112" | "390114" | "390195" => "it passes by itself: the next login begins a new session".to_owned(),
        _ => "check snowflake.account, snowflake.role and snowflake.warehouse".to_owned(),
    }
}

/// The id that Snowflake puts behind a message about a token, in brackets.
fn failure_id(message: &str) -> Option<&str> {
    let (_, rest) = message.rsplit_once('[')?;
    let (id, _) = rest.split_once(']')?;
    uuid::Uuid::try_parse(id).is_ok().then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_failure_is_handed_on_and_nothing_else_in_brackets() {
        let id = "0ce9eb56-821d-4ca9-a774-04ae89a0cf5a";
        let with = of_login("390144", &format!("JWT token is invalid. [{id}]"));
        assert!(with.contains(&format!("SYSTEM$GET_LOGIN_FAILURE_DETAILS('{id}')")), "{with}");
        for message in ["JWT token is invalid.", "[']; DROP TABLE x --]", "[", "]["] {
            let without = of_login("390144", message);
            assert!(without.contains("LOGIN_HISTORY") && !without.contains("DROP"), "{without}");
        }
    }
}
