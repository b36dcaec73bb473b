//! `snowmelt sim`: the simulated Snowflake, and an embedded Kafka, as a playground for any client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use krafka::testing::FakeBroker;
use serde::Serialize;
use snowsim::{Options, Simulator};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::demo::open::Keeper;
use super::{demo, output, signal};
use crate::{embedded, error::ExitCode};

/// Run the simulated Snowflake (and an embedded Kafka) as a playground for any client.
#[derive(Debug, Args)]
pub(crate) struct Sim {
    /// Address of the simulated Snowflake; port 0 picks a free one
    #[arg(long, default_value = "127.0.0.1:8085")]
    listen: SocketAddr,
    /// Also run an embedded Kafka and take its clients' first connection here
    #[arg(long, value_name = "ADDRESS")]
    kafka: Option<SocketAddr>,
    /// Where the account is kept; without it, in a temporary directory that goes away at the end
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Users as NAME:PASSWORD; without any, every user and password fits
    #[arg(long = "user", value_name = "NAME:PASSWORD", value_parser = user)]
    users: Vec<(String, String)>,
    /// Make the demo's two tables (DEMO.SHOP.CUSTOMERS, DEMO.SHOP.ORDERS) and change about so many of their rows a second,
    /// at random. What is in them at the start goes
    #[arg(long, value_name = "CHANGES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    shop: Option<u32>,
    /// Say where it listens as one JSON line
    #[arg(long)]
    json: bool,
}

fn user(text: &str) -> Result<(String, String), String> {
    let (name, password) = text.split_once(':').ok_or("write it as NAME:PASSWORD")?;
    Ok((name.to_owned(), password.to_owned()))
}

#[derive(Serialize)]
struct Listening {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    bootstrap_servers: Option<String>,
}

impl Sim {
    pub(crate) async fn run(self) -> ExitCode {
        match self.serve(signal::stop_token()).await {
            Ok(()) => ExitCode::Ok,
            Err(reason) => {
                output::problem(reason);
                ExitCode::Usage
            }
        }
    }

    async fn serve(self, stop: CancellationToken) -> Result<(), String> {
        let (user, password) = self.users.first().cloned().unwrap_or_else(|| ("SHOP".to_owned(), "any".to_owned()));
        let simulator = Simulator::open(Options { data: self.data, users: self.users, ..Options::default() })
            .map_err(|error| error.to_string())?;
        let listener = bind(self.listen, "--listen").await?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let kafka = match self.kafka {
            Some(address) => Some(embedded_kafka(address, stop.clone()).await?),
            None => None,
        };
        let listening =
            Listening { url: format!("http://{address}"), bootstrap_servers: kafka.as_ref().map(|k| k.1.clone()) };
        if self.json {
            output::json(&listening);
        } else {
            output::line(format_args!("simulated Snowflake at {}", listening.url));
            output::line("  any account name; any user and password, unless --user was given");
            if let Some(servers) = &listening.bootstrap_servers {
                output::line(format_args!(
                    "embedded Kafka at      {servers}  (in memory, for tests: no retention, no compaction)"
                ));
            }
            output::line("Ctrl-C ends it");
        }
        let ended = stop.clone();
        let serving = simulator.serve(listener, async move { ended.cancelled().await });
        let Some(rate) = self.shop else { return serving.await.map_err(|error| error.to_string()) };
        // It listens on every address perhaps, which is none to dial.
        let url = format!("http://{}", SocketAddr::new(dialled(address.ip()), address.port()));
        let keeper = Keeper { url, user, password, rate };
        let keeping = async {
            demo::open::keep(keeper, &stop).await?;
            // Others may go on reading until the end.
            stop.cancelled().await;
            Ok(())
        };
        tokio::select! {
            served = serving => served.map_err(|error| error.to_string()),
            kept = keeping => kept,
        }
    }
}

/// The address under which this machine reaches a listener of `ip`.
fn dialled(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}

async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("{option} {address} cannot be listened on: {error}; choose another port, or port 0"))
}

/// Starts the embedded cluster and joins `address` to its first broker. The cluster picks its own ports and advertises
/// them, as any Kafka does; the given address is where a client makes its first connection.
async fn embedded_kafka(address: SocketAddr, stop: CancellationToken) -> Result<(FakeBroker, String), String> {
    let broker = embedded::start(1).await.map_err(|error| format!("the embedded Kafka cannot start: {error}"))?;
    let to = broker.bootstrap_servers();
    let listener = bind(address, "--kafka").await?;
    let at = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        while let Some(Ok((mut client, _))) = stop.run_until_cancelled(listener.accept()).await {
            let to = to.clone();
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(to).await {
                    // Only slower where it fails.
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    // Either side hanging up ends both; nobody waits for the result.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
    Ok((broker, at.to_string()))
}
