//! `snowmelt project create`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use tunnel::address::Address;
use tunnel::attribute::RELAY;
use tunnel::authority::{Project, Settings};
use tunnel::ticket::RelayTrust;

use super::super::duration::duration;
use super::super::output;
use super::project::Place;
use super::trouble::Trouble;

/// Between these a credential can last: shorter, it would end while it is renewed; longer, a revoked node would be
/// believed by its peers for too long.
const LIFETIMES: std::ops::RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(90 * 24 * 3600);

/// Make a project: the authority's key and settings, in a directory.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  snowmelt project create --relay relay.example.com:443")]
pub(crate) struct Create {
    #[command(flatten)]
    place: Place,
    /// Where nodes will find the relay: the one public address that everybody dials
    #[arg(long, value_name = "HOST:PORT")]
    relay: Address,
    /// Where nodes will find the authority; without it, at the relay's address, as `project serve` has it
    #[arg(long, value_name = "HOST:PORT")]
    authority: Option<Address>,
    /// How nodes know the relay's certificate
    #[arg(long, value_enum, default_value = "project")]
    relay_trust: Trust,
    /// How long a credential lasts; nodes renew theirs after half of it
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lifetime)]
    credential_lifetime: Duration,
    /// Do nothing when the directory holds a project already, so that this may run at every start
    #[arg(long)]
    if_missing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Trust {
    /// It is the project's own, pinned by the ticket
    Project,
    /// It is for the relay's host name, by a certificate authority that the machines believe
    System,
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = duration(text)?;
    if LIFETIMES.contains(&lifetime) && lifetime.subsec_nanos() == 0 {
        Ok(lifetime)
    } else {
        Err("a credential lasts whole seconds, from 10s to 2160h (90 days)".to_owned())
    }
}

impl Create {
    pub(super) fn run(self) -> Result<(), Trouble> {
        let passphrase = self.place.passphrase.read()?;
        if self.if_missing && Project::is_in(&self.place.dir) {
            return self.is_there();
        }
        let settings = Settings {
            authority: self.authority.unwrap_or_else(|| self.relay.clone()),
            relay: self.relay,
            relay_trust: match self.relay_trust {
                Trust::Project => RelayTrust::Project,
                Trust::System => RelayTrust::System,
            },
            credential_lifetime_seconds: self.credential_lifetime.as_secs(),
        };
        let project = Project::create(&self.place.dir, settings, passphrase.as_ref().map(|text| text.as_str()))?;
        output::line(what_next(&project));
        Ok(())
    }
}

impl Create {
    /// The project that is there must be the one that was meant: nodes would look for its relay elsewhere.
    fn is_there(&self) -> Result<(), Trouble> {
        let project = self.place.open()?;
        let found = &project.settings().relay;
        if *found != self.relay {
            return Err(Trouble::Usage(format!(
                "the project in {dir} has its relay at {found}, not at {}; give that address, or another --dir",
                self.relay,
                dir = self.place.dir.display(),
            )));
        }
        output::line(format_args!("project {} is in {} already", project.id(), self.place.dir.display()));
        Ok(())
    }
}

/// What to type next. `{dir}` stands in the commands, so that they can be copied as they are.
fn what_next(project: &Project) -> String {
    let dir = project.directory().display();
    let Settings { relay, authority, relay_trust, .. } = project.settings();
    let files = match relay_trust {
        RelayTrust::Project => "",
        RelayTrust::System => " --tls-certificate FILE --tls-key FILE",
    };
    let serve = if relay == authority {
        format!(
            "On the host of {relay}, authority and relay in one process:\n\
             \x20  snowmelt project serve --dir {dir} --listen 0.0.0.0:{port}{files}\n",
            port = relay.port(),
        )
    } else {
        format!(
            "On the host of {authority}, the authority:\n\
             \x20  snowmelt project serve --dir {dir} --listen 0.0.0.0:{authority_port} --no-relay\n\
             \x20 On the host of {relay}, the relay, with a ticket that is made here:\n\
             \x20  snowmelt project ticket --dir {dir} --attribute {RELAY}\n\
             \x20  SNOWMELT_TICKET=… snowmelt relay --listen 0.0.0.0:{relay_port}{files}\n",
            authority_port = authority.port(),
            relay_port = relay.port(),
        )
    };
    format!(
        "project {id} is made in {dir}\n\
         \n\
         1 {serve}\
         2 Beside Kafka, with a ticket that is made here:\n\
         \x20  snowmelt project ticket --dir {dir} --attribute snowflake-kafka-outlet --relay kafka\n\
         \x20  SNOWMELT_TICKET=… snowmelt outlet --relay kafka --bootstrap-server kafka:9092 --allow snowflake-kafka-inlet\n\
         3 Beside the publisher, with another ticket:\n\
         \x20  snowmelt project ticket --dir {dir} --attribute snowflake-kafka-inlet\n\
         \x20  SNOWMELT_TICKET=… snowmelt inlet --from 127.0.0.1:9092 --to kafka --allow snowflake-kafka-outlet\n\
         \n\
         docs/tunnel.md has it all",
        id = project.id(),
    )
}
