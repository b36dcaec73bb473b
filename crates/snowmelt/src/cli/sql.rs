//! `snowmelt sql`: what somebody else has to run in Snowflake.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output;
use crate::config::Config;
use crate::discovery::{self, named};
use crate::error::{Error, ExitCode};
use crate::privilege::{Known, script, stored};
use crate::source::SourceError;
use crate::source::object::Object;
use crate::source::session::Session;

/// Print SQL that somebody has to run beforehand.
#[derive(Debug, Subcommand)]
pub(crate) enum Sql {
    /// Print the statements that give a role what the configuration needs, and nothing more
    Grants(Grants),
}

/// Print the statements that give a role what the configuration needs, and nothing more. Nothing is changed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  snowmelt sql grants --config snowmelt.toml --connect admin > grants.sql")]
pub(crate) struct Grants {
    /// The publisher's configuration file (docs/configuration.md)
    #[arg(long, short, default_value = "snowmelt.toml")]
    config: PathBuf,
    /// The role to grant to, as an identifier [default: snowflake.role]
    #[arg(long)]
    role: Option<String>,
    /// The user to grant the role to, as an identifier [default: the user who logs in]
    #[arg(long)]
    user: Option<String>,
    /// Ask Snowflake what each object is, and which tables patterns find: with the login of the configuration, or with
    /// this connection of connections.toml. Without it each object is taken for a table
    #[arg(long, value_name = "CONNECTION", num_args = 0..=1, default_missing_value = "")]
    connect: Option<String>,
}

impl Sql {
    pub(crate) async fn run(self) -> ExitCode {
        match self {
            Self::Grants(grants) => grants.run().await,
        }
    }
}

impl Grants {
    async fn run(self) -> ExitCode {
        let config = match Config::load(&self.config) {
            Ok(config) => config,
            Err(problems) => {
                output::problem(problems);
                return ExitCode::Usage;
            }
        };
        let (known, of_session) = match self.ask(&config).await {
            Ok(answer) => answer,
            Err(code) => return code,
        };
        let named = self.role.as_deref().or(config.snowflake.role.as_deref()).map(stored);
        let Some(role) = named.or(of_session) else {
            output::problem("the configuration names no role; set snowflake.role, or name one with --role");
            return ExitCode::Usage;
        };
        if role == "PUBLIC" {
            output::problem(
                "the login has role PUBLIC, which everybody has; set snowflake.role, or name another with --role",
            );
            return ExitCode::Usage;
        }
        let user = self.user.as_deref().or(config.snowflake.credentials.user());
        output::text(&script(&config, &known, &role, user));
        ExitCode::Ok
    }

    /// What Snowflake says, if it is to be asked; and the role of the publisher's own login.
    async fn ask(&self, config: &Config) -> Result<(Known, Option<String>), ExitCode> {
        let through = match self.connect.as_deref() {
            None => return Ok((Known::default(), None)),
            Some("") => config.clone(),
            Some(connection) => Config::load_through(&self.config, connection).map_err(|problems| {
                output::problem(problems);
                ExitCode::Usage
            })?,
        };
        let own = self.connect.as_deref() == Some("");
        match look(&through).await {
            Ok((known, role)) => Ok((known, own.then_some(role))),
            Err(error) => {
                output::problem(&error);
                Err(Error::from(error).exit_code())
            }
        }
    }
}

async fn look(config: &Config) -> Result<(Known, String), SourceError> {
    let session = Session::connect(&config.snowflake).await?;
    let looked = discovery::look(&session, config, &named(config), &[]).await?;
    let mut objects = BTreeMap::new();
    for table in config.tables.iter().chain(&looked.tables) {
        if let Some(object) = Object::find(&session, &table.name).await? {
            objects.insert(table.name.clone(), object);
        }
    }
    let role = session.role();
    session.close().await;
    let unlisted = looked.unlisted.iter().map(|unlisted| format!("{}: {}", unlisted.pattern, unlisted.error));
    let refused = looked.refused.iter().map(|refused| format!("{}: {}", refused.name, refused.reason));
    let open = unlisted.chain(refused).map(|text| text.replace('\n', " ")).collect();
    Ok((Known { asked: true, objects, found: looked.tables, open }, role))
}
