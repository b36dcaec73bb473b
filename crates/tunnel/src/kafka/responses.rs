//! Follows the responses of one connection: which bytes pass, and which frames must be read whole. No socket is owned
//! here.

use super::apis::{self, Answer, Kind};
use super::error::{Error, Side};
use super::flight::{Asked, Flight};
use super::wire::Cursor;

/// Length and correlation id.
const HEAD: usize = 8;
/// The shortest response: a correlation id.
const SHORTEST: i32 = 4;

/// What to do next with the bytes that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Send on the first so many; nothing is known of the rest yet.
    Pass(usize),
    /// The first so many are one answer to be read. It counts as answered already.
    Read { length: usize, kind: Kind, asked: Asked },
    /// Come again with at least so many.
    More(usize),
}

/// The place within the stream of responses.
#[derive(Default)]
pub(crate) struct Responses {
    /// Bytes of the current frame still to come.
    left: usize,
}

impl Responses {
    /// Whether the next byte begins a frame.
    pub(crate) fn between_frames(&self) -> bool {
        self.left == 0
    }

    /// Looks at the bytes that come next in the stream. `limit` bounds an answer that is read whole.
    pub(crate) fn follow(&mut self, bytes: &[u8], flight: &mut Flight, limit: usize) -> Result<Step, Error> {
        let mut at = 0;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let passing = self.left.min(rest.len());
            self.left -= passing;
            at += passing;
            let step = if passing == rest.len() {
                Ok(Some(Step::More(HEAD)))
            } else {
                self.begin(rest.get(passing..).unwrap_or_default(), at > 0, flight, limit)
            };
            match step {
                Ok(None) => {}
                // What passes goes first, so that a frame to be read, or an error, is always met alone.
                _ if at > 0 => return Ok(Step::Pass(at)),
                Ok(Some(step)) => return Ok(step),
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the frame that begins here: `None` if it passes. With `only_pass`, any other frame is left untouched.
    fn begin(
        &mut self,
        bytes: &[u8],
        only_pass: bool,
        flight: &mut Flight,
        limit: usize,
    ) -> Result<Option<Step>, Error> {
        let mut cursor = Cursor::new(bytes);
        let Ok(length) = cursor.i32() else { return Ok(Some(Step::More(HEAD))) };
        if length < SHORTEST {
            return Err(Error::Length { side: Side::Broker, length });
        }
        let Ok(correlation) = cursor.i32() else { return Ok(Some(Step::More(HEAD))) };
        let asked = flight.answer(correlation)?;
        let length = usize::try_from(length).map_err(|_| Error::Length { side: Side::Broker, length })? + 4;
        match answer(asked) {
            Answer::Passes => {
                flight.answered();
                self.left = length;
                Ok(None)
            }
            Answer::Read(_) if length > limit => Err(Error::TooLarge { key: asked.key, length, limit }),
            Answer::Read(_) if only_pass || length > bytes.len() => Ok(Some(Step::More(length))),
            Answer::Read(kind) => {
                flight.answered();
                Ok(Some(Step::Read { length, kind, asked }))
            }
        }
    }
}

/// A request that was let through has an answer that is known, but for the one kind whose version was changed to one
/// that no table holds.
fn answer(asked: Asked) -> Answer {
    if asked.key == apis::API_VERSIONS {
        return Answer::Read(Kind::ApiVersions);
    }
    apis::answer(asked.key, asked.version).unwrap_or(Answer::Passes)
}

#[cfg(test)]
mod tests;
