//! CREATE, ALTER and DESCRIBE USER.
//!
//! Promises: a public key is one before it is kept. Leaves to others: what users are let in with (the server's login).

use super::answer::{rows, text};
use super::{Rows, Session, answer};
use crate::catalog::change::Change;
use crate::catalog::{User, public_key};
use crate::error::SqlError;
use crate::types::SnowType;

impl Session {
    pub(super) fn create_user(
        &self,
        name: String,
        or_replace: bool,
        if_not_exists: bool,
        options: Vec<(String, String)>,
    ) -> Result<Rows, SqlError> {
        let mut user = User { name: name.clone(), created: self.engine.now(), ..User::default() };
        for (option, value) in options {
            configure(&mut user, &option, value)?;
        }
        self.create(&name, "User", if_not_exists, |_, catalog| {
            if catalog.users.contains_key(&user.name) && !or_replace {
                return Ok(Err(SqlError::exists(&user.name)));
            }
            Ok(Ok(vec![Change::PutUser { user }]))
        })
    }

    pub(super) fn alter_user(
        &self,
        name: &str,
        if_exists: bool,
        set: Vec<(String, String)>,
        unset: &[String],
    ) -> Result<Rows, SqlError> {
        self.engine.commit(Vec::new(), |catalog| {
            let Some(mut user) = catalog.users.get(name).cloned() else {
                return if if_exists { Ok((Vec::new(), ())) } else { Err(SqlError::missing("User", name)) };
            };
            for (option, value) in set {
                configure(&mut user, &option, value)?;
            }
            for option in unset {
                let known = property(&mut user, option).ok_or_else(|| SqlError::unexpected(option))?;
                *known = None;
            }
            Ok((vec![Change::PutUser { user }], ()))
        })?;
        answer::status("Statement executed successfully.")
    }

    pub(super) fn describe_user(&self, name: &str) -> Result<Rows, SqlError> {
        let catalog = self.engine.catalog();
        let user = catalog.users.get(name).ok_or_else(|| SqlError::missing("User", name))?;
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
        let fingerprint = |key: &Option<String>| shown(&key.as_deref().map(public_key::fingerprint));
        let properties = [
            ("NAME", user.name.clone()),
            ("LOGIN_NAME", user.name.clone()),
            ("PASSWORD", shown(&user.password.as_ref().map(|_| "********".to_owned()))),
            ("DEFAULT_WAREHOUSE", shown(&user.warehouse)),
            ("DEFAULT_NAMESPACE", shown(&user.namespace)),
            ("DEFAULT_ROLE", shown(&user.role)),
            ("RSA_PUBLIC_KEY", shown(&user.rsa_public_key)),
            ("RSA_PUBLIC_KEY_FP", fingerprint(&user.rsa_public_key)),
            ("RSA_PUBLIC_KEY_2", shown(&user.rsa_public_key_2)),
            ("RSA_PUBLIC_KEY_2_FP", fingerprint(&user.rsa_public_key_2)),
        ];
        let columns = ["property", "value", "default", "description"].map(|name| (name, SnowType::TEXT));
        let row = |(name, value): (&str, String)| vec![text(name), text(value), text("null"), text("")];
        rows(&columns, properties.into_iter().map(row).collect())
    }
}

fn configure(user: &mut User, option: &str, value: String) -> Result<(), SqlError> {
    let value = match option {
        "RSA_PUBLIC_KEY" | "RSA_PUBLIC_KEY_2" => {
            public_key::der(&value)?;
            value
        }
        "DEFAULT_ROLE" | "DEFAULT_WAREHOUSE" | "DEFAULT_NAMESPACE" => value.to_uppercase(),
        _ => value,
    };
    // The others (LOGIN_NAME, TYPE, COMMENT …) change nothing that is simulated.
    if let Some(known) = property(user, option) {
        *known = Some(value);
    }
    Ok(())
}

fn property<'u>(user: &'u mut User, option: &str) -> Option<&'u mut Option<String>> {
    Some(match option {
        "PASSWORD" => &mut user.password,
        "DEFAULT_ROLE" => &mut user.role,
        "DEFAULT_WAREHOUSE" => &mut user.warehouse,
        "DEFAULT_NAMESPACE" => &mut user.namespace,
        "RSA_PUBLIC_KEY" => &mut user.rsa_public_key,
        "RSA_PUBLIC_KEY_2" => &mut user.rsa_public_key_2,
        _ => return None,
    })
}
