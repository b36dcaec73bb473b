//! Serves a simulator until it is interrupted, and says where in one line of JSON: `{"url":"http://…"}`.
//!
//! `serve [ADDRESS:PORT] [KEY=VALUE …]` with the keys `data` (a directory), `user` (`name:password`, repeatable),
//! `token`, `hold_ms`, `chunk_bytes`, `inline_bytes`, `gzip_arrow`. The conformance checks drive it.

use std::io::Write;
use std::time::Duration;

use snowsim::{Options, Simulator};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut options = Options::default();
    let mut address = "127.0.0.1:0".to_owned();
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            None => address = argument,
            Some(("data", value)) => options.data = Some(value.into()),
            Some(("token", value)) => options.tokens.push(value.to_owned()),
            Some(("hold_ms", value)) => options.hold = Duration::from_millis(value.parse()?),
            Some(("chunk_bytes", value)) => options.chunk_bytes = Some(value.parse()?),
            Some(("inline_bytes", value)) => options.inline_bytes = value.parse()?,
            Some(("gzip_arrow", value)) => options.gzip_arrow = value.parse()?,
            Some(("user", value)) => {
                let (name, password) = value.split_once(':').ok_or("user is name:password")?;
                options.users.push((name.to_owned(), password.to_owned()));
            }
            Some((key, _)) => return Err(format!("unknown option '{key}'").into()),
        }
    }
    let simulator = Simulator::open(options)?;
    let listener = TcpListener::bind(&address).await?;
    let mut out = std::io::stdout();
    writeln!(out, "{{\"url\":\"http://{}\"}}", listener.local_addr()?)?;
    out.flush()?;
    let interrupted = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::warn!(%error, "no signal handler; runs until killed");
            std::future::pending::<()>().await;
        }
    };
    simulator.serve(listener, interrupted).await?;
    Ok(())
}
