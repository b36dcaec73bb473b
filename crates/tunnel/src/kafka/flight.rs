//! The requests of one connection that are not answered yet, oldest first: Kafka answers in the order it is asked.

use std::collections::VecDeque;

use super::Error;

/// What must be remembered of a request to read its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) correlation: i32,
    pub(crate) key: i16,
    pub(crate) version: i16,
}

pub(crate) struct Flight {
    asked: VecDeque<Asked>,
    most: usize,
    over: bool,
}

impl Flight {
    /// At most `most` requests are noted at a time.
    pub(crate) fn new(most: usize) -> Self {
        Self { asked: VecDeque::new(), most: most.max(1), over: false }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.asked.len() >= self.most
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.asked.len()
    }

    /// No answer will come any more.
    pub(crate) fn end(&mut self) {
        self.over = true;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn ask(&mut self, asked: Asked) {
        self.asked.push_back(asked);
    }

    /// The request that a response with this correlation id answers.
    pub(crate) fn answer(&self, correlation: i32) -> Result<Asked, Error> {
        match self.asked.front() {
            None => Err(Error::Unasked { found: correlation }),
            Some(asked) if asked.correlation != correlation => {
                Err(Error::OutOfOrder { expected: asked.correlation, found: correlation })
            }
            Some(asked) => Ok(*asked),
        }
    }

    #[cfg(test)]
    pub(crate) fn oldest(&self) -> Option<Asked> {
        self.asked.front().copied()
    }

    pub(crate) fn answered(&mut self) {
        self.asked.pop_front();
    }
}
