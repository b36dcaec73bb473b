//! A relay in a process of its own hears from the authority which nodes are revoked.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use crate::credential::Id;
use crate::node::{Node, NodeError, backoff};
use crate::wire::{self, FromAuthority};

/// Longer than the authority's repeat; then it is not there any more.
const SILENT: Duration = Duration::from_secs(9);

/// Follows the list for as long as the future is kept. While the authority is away the last list stays in force.
///
/// # Errors
/// When the authority says that this node is no relay, or no member any more.
pub async fn follow(node: &Node, revoked: &watch::Sender<Arc<BTreeSet<Id>>>) -> Result<Infallible, NodeError> {
    let mut failures = 0_u32;
    loop {
        let ended = listen(node, revoked, &mut failures).await;
        if !ended.is_passing() {
            return Err(ended);
        }
        failures = failures.saturating_add(1);
        tracing::warn!(error = %ended, "the authority was lost; the last list of revoked nodes stays in force");
        tokio::time::sleep(backoff(failures, Duration::from_millis(200), Duration::from_secs(5))).await;
    }
}

async fn listen(node: &Node, revoked: &watch::Sender<Arc<BTreeSet<Id>>>, failures: &mut u32) -> NodeError {
    let mut stream = match node.watch().await {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    loop {
        match timeout(SILENT, wire::receive::<_, FromAuthority>(&mut stream)).await {
            Ok(Ok(FromAuthority::Revoked { nodes })) => {
                *failures = 0;
                revoked.send_replace(Arc::new(nodes.into_iter().collect()));
            }
            Ok(Ok(FromAuthority::Refused(refusal))) => return NodeError::Refused(refusal),
            Ok(Ok(FromAuthority::Credential { .. })) => {}
            Ok(Err(error)) => return node.authority_lost(error.to_string()),
            Err(_) => return node.authority_lost("it is silent".to_owned()),
        }
    }
}
