//! The tunnel: membership, and the whole way to the outlet's brokers. What is beyond it is looked at through it.

use super::Findings;
use crate::config::Config;
use crate::inlet::{Authority, Passage};

/// Looks at the tunnel, if there is one, and then at `beyond`, unless there is no way there.
pub(super) async fn through(
    mut config: Config,
    findings: &mut Findings,
    beyond: impl AsyncFnOnce(&Config, &mut Findings),
) {
    let passage = match Passage::open(&mut config, Authority::MustAnswer).await {
        Ok(Some(passage)) => passage,
        Ok(None) => return beyond(&config, findings).await,
        Err(error) => {
            return findings.problem(
                "tunnel",
                error,
                "this node must be a member of the project first; docs/tunnel.md has each refusal with its remedy",
            );
        }
    };
    let node = passage.node();
    findings.ok("tunnel", format!("node {} is a member of project {}", node.id, node.project));
    match passage.reach().await {
        Ok(outlet) => {
            let attributes: Vec<&str> = outlet.attributes.iter().map(|name| name.as_str()).collect();
            findings
                .ok("tunnel", format!("outlet {} answers, with the attributes {}", outlet.id, attributes.join(", ")));
        }
        Err(error) => {
            return findings.problem(
                "tunnel",
                error,
                "see that relay and outlet run, and that tunnel.to and tunnel.allow name what the outlet has",
            );
        }
    }
    let ended = tokio::select! {
        () = beyond(&config, findings) => None,
        Err(error) = passage.run() => Some(error),
    };
    if let Some(error) = ended {
        findings.problem("tunnel", error, "the way to Kafka closed while it was looked at; try again");
    }
}
