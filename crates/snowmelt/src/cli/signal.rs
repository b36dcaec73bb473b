//! SIGTERM and SIGINT ask for a graceful stop; a second one is obeyed at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that is cancelled by the first SIGTERM or SIGINT. The second ends the process with 130.
pub(crate) fn stop_token() -> CancellationToken {
    let stop = CancellationToken::new();
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::warn!("signals cannot be listened to; stop the process with kill -9, which loses nothing");
        return stop;
    };
    let token = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
            if token.is_cancelled() {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    stop
}
