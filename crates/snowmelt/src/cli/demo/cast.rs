//! The two that work beside the writer, publisher and reader: started together, watched, and ended in order.
//!
//! A failure of either ends the demo at once, with the reason; nothing waits for what can no longer come.

use std::sync::Arc;

use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::ledger::Ledger;
use super::reader::{ReadError, Reader, ToTheEnd};
use super::{DRAIN, Trouble};
use crate::config::Config;
use crate::error::ExitCode;
use crate::fleet;
use crate::status::{State, Status};

/// Publisher and reader. They end when dropped.
pub(super) struct Cast {
    config: Arc<Config>,
    status: Status,
    publisher: AbortOnDropHandle<ExitCode>,
    stop_publisher: CancellationToken,
    reader: AbortOnDropHandle<Result<Vec<Ledger>, ReadError>>,
    stop_reader: CancellationToken,
    to_the_end: ToTheEnd,
}

impl Cast {
    /// Starts both.
    pub(super) fn start(config: &Config, status: &Status, reader: Reader) -> Self {
        let (config, status) = (Arc::new(config.clone()), status.clone());
        let (stop_publisher, stop_reader) = (CancellationToken::new(), CancellationToken::new());
        let (to_the_end, reader) = reader.start(stop_reader.clone());
        let publisher = tokio::spawn(fleet::run(Arc::clone(&config), status.clone(), stop_publisher.clone()));
        Self {
            config,
            status,
            publisher: AbortOnDropHandle::new(publisher),
            stop_publisher,
            reader: AbortOnDropHandle::new(reader),
            stop_reader,
            to_the_end,
        }
    }

    /// Asks the reader to read to the end.
    pub(super) fn to_the_end(&self) -> ToTheEnd {
        self.to_the_end.clone()
    }

    /// Does `act`, unless publisher or reader end meanwhile, which they must not.
    pub(super) async fn beside<T>(&mut self, act: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
        tokio::select! {
            done = act => done,
            ended = &mut self.publisher => Err(Trouble::Publisher(self.why(ended?))),
            ended = &mut self.reader => match ended? {
                Err(error) => Err(error.into()),
                Ok(_) => Err(Trouble::Missing("the rest of the topics: the consumer ended early".to_owned())),
            },
        }
    }

    /// Stops the publisher as SIGTERM would, lets the reader read what is there, and takes its books.
    pub(super) async fn end(mut self) -> Result<Vec<Ledger>, Trouble> {
        self.stop_publisher.cancel();
        let limit = self.config.delivery.shutdown_timeout;
        match timeout(limit, &mut self.publisher).await {
            Ok(code) => match code? {
                ExitCode::Ok => {}
                code => return Err(Trouble::Publisher(self.why(code))),
            },
            Err(_) => return Err(Trouble::Publisher(format!("it did not stop within {limit:?}"))),
        }
        // What a publisher commits while it stops counts too.
        if timeout(DRAIN, self.to_the_end.read()).await.is_err() {
            return Err(Trouble::Missing("the end of the topics at the consumer".to_owned()));
        }
        self.stop_reader.cancel();
        Ok((&mut self.reader).await??)
    }

    fn why(&self, code: ExitCode) -> String {
        let reasons: Vec<String> = self
            .status
            .snapshot()
            .into_iter()
            .filter_map(|(table, capture)| match capture.state {
                State::Halted { reason } | State::Fenced { reason } => Some(format!("{table}: {reason}")),
                _ => None,
            })
            .collect();
        if reasons.is_empty() { format!("its exit code is {code:?}") } else { reasons.join("; ") }
    }
}
