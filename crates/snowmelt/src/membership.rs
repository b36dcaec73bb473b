//! Becoming a member of a project, for every verb that is a node.

use std::sync::Arc;
use std::time::Duration;

use tunnel::node::{Node, NodeError, NodeOptions};

use crate::backoff::Backoff;

/// First and longest wait between two tries to join.
const AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// Becomes a member, however long the authority is away.
///
/// # Errors
/// What waiting does not mend.
pub(crate) async fn join(options: NodeOptions) -> Result<Arc<Node>, NodeError> {
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1);
    loop {
        match Node::join(options.clone()).await {
            Ok(node) => {
                let claims = node.claims();
                let attributes: Vec<&str> = claims.attributes.iter().map(|name| name.as_str()).collect();
                tracing::info!(node = %claims.id, project = %claims.project, ?attributes, "member of the project");
                return Ok(Arc::new(node));
            }
            Err(error) if error.is_passing() => {
                let wait = backoff.next_wait();
                tracing::warn!(%error, again_in = ?wait, "not a member yet; trying again");
                tokio::time::sleep(wait).await;
            }
            Err(error) => return Err(error),
        }
    }
}
