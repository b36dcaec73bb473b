//! Who is at the relay: registered outlets, calls that wait for an answer, and how many connections each node has.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::SystemTime;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::attribute::RelayName;
use crate::credential::{Id, Node};
use crate::wire::CallId;

/// Calls that may wait for one outlet to look at them.
const CALLS: usize = 64;

/// Any connection to a node.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An outlet's own connection for one call.
pub(super) struct Answered {
    pub(super) stream: Box<dyn Stream>,
    /// When the outlet's credential ends.
    pub(super) not_after: SystemTime,
    /// Cancelled when the outlet's path has died.
    pub(super) path: CancellationToken,
    /// Dropped at the stream's end, which ends the outlet's task too.
    _ended: oneshot::Sender<()>,
}

struct Waiting {
    outlet: Id,
    to: oneshot::Sender<Answered>,
}

/// A registered outlet.
#[derive(Clone)]
pub(super) struct Outlet {
    number: u64,
    node: Id,
    calls: mpsc::Sender<CallId>,
    called: Arc<AtomicUsize>,
    lost: CancellationToken,
}

impl Outlet {
    /// Tells registrations apart, also those of one node.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn node(&self) -> &Id {
        &self.node
    }

    /// Waits until the connection of this registration is lost. One that was left in order has had all its calls, and
    /// answers them.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Hands it a call; false when it is gone or has too many to look at.
    pub(super) fn call(&self, call: CallId) -> bool {
        self.called.fetch_add(1, Ordering::Relaxed);
        self.calls.try_send(call).is_ok()
    }
}

#[derive(Default)]
struct Shared {
    outlets: Mutex<HashMap<RelayName, Vec<Outlet>>>,
    calls: Mutex<HashMap<CallId, Waiting>>,
    places: Mutex<HashMap<Id, Present>>,
}

/// A node that has connections here.
#[derive(Default)]
struct Present {
    connections: usize,
    path: CancellationToken,
}

/// See the module.
pub(super) struct Registry {
    shared: Arc<Shared>,
    numbers: AtomicU64,
    per_node: usize,
    streams: Arc<Semaphore>,
}

/// A node's connection; counts until dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    node: Id,
    path: CancellationToken,
}

impl Place {
    /// The path to this node has died; its connections that are there now learn of it, those that it makes next do not.
    pub(super) fn dies(&self) {
        if let Some(present) = self.shared.places.lock().get_mut(&self.node) {
            present.path = CancellationToken::new();
        }
        self.path.cancel();
    }

    /// Waits until the path has died.
    pub(super) async fn died(&self) {
        self.path.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.shared.places.lock();
        if let Some(present) = places.get_mut(&self.node) {
            present.connections -= 1;
            if present.connections == 0 {
                places.remove(&self.node);
            }
        }
    }
}

/// A registration; ends when dropped, as one whose connection is lost.
pub(super) struct Registered {
    shared: Arc<Shared>,
    name: RelayName,
    number: u64,
    lost: Option<DropGuard>,
}

impl Registered {
    /// Ends it in order: no call comes any more, and those that `calls` has are to be handed over still.
    pub(super) fn leave(mut self, calls: &mut mpsc::Receiver<CallId>) {
        if let Some(lost) = self.lost.take() {
            lost.disarm();
        }
        drop(self);
        calls.close();
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut outlets = self.shared.outlets.lock();
        if let Some(list) = outlets.get_mut(&self.name) {
            list.retain(|outlet| outlet.number != self.number);
            if list.is_empty() {
                outlets.remove(&self.name);
            }
        }
    }
}

impl Registry {
    pub(super) fn new(per_node: usize, streams: usize) -> Self {
        Self {
            shared: Arc::default(),
            numbers: AtomicU64::new(0),
            per_node,
            streams: Arc::new(Semaphore::new(streams)),
        }
    }

    /// Counts a connection of `node`; none when it has as many as it may.
    pub(super) fn enter(&self, node: &Id) -> Option<Place> {
        let mut places = self.shared.places.lock();
        let present = places.entry(node.clone()).or_default();
        if present.connections >= self.per_node {
            return None;
        }
        present.connections += 1;
        Some(Place { shared: Arc::clone(&self.shared), node: node.clone(), path: present.path.clone() })
    }

    /// Counts a stream; none when there are as many as there may be.
    pub(super) fn stream(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.streams).try_acquire_owned().ok()
    }

    /// Registers an outlet. Several may share a name; calls go round among them, also when one comes later: it begins with
    /// as many calls as the others had at least, or else all would go to it until it had had as many.
    pub(super) fn register(&self, name: &RelayName, node: &Id) -> (Registered, mpsc::Receiver<CallId>) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (calls, receiver) = mpsc::channel(CALLS);
        let mut outlets = self.shared.outlets.lock();
        let list = outlets.entry(name.clone()).or_default();
        let least = list.iter().map(|outlet| outlet.called.load(Ordering::Relaxed)).min().unwrap_or_default();
        let lost = CancellationToken::new();
        let called = Arc::new(AtomicUsize::new(least));
        list.push(Outlet { number, node: node.clone(), calls, called, lost: lost.clone() });
        drop(outlets);
        let lost = Some(lost.drop_guard());
        (Registered { shared: Arc::clone(&self.shared), name: name.clone(), number, lost }, receiver)
    }

    /// The outlet of this name that was called least, but for those tried already. Of two that were called alike the
    /// newer: the older may be the same one before its connection was lost.
    pub(super) fn outlet(&self, name: &RelayName, tried: &BTreeSet<u64>) -> Option<Outlet> {
        let outlets = self.shared.outlets.lock();
        let left = outlets.get(name)?.iter().filter(|outlet| !tried.contains(&outlet.number));
        left.min_by_key(|outlet| (outlet.called.load(Ordering::Relaxed), u64::MAX - outlet.number)).cloned()
    }

    /// Where the answer to `call` will come, from `outlet` and nobody else.
    pub(super) fn wait_for(&self, call: &CallId, outlet: &Id) -> oneshot::Receiver<Answered> {
        let (to, answered) = oneshot::channel();
        self.shared.calls.lock().insert(call.clone(), Waiting { outlet: outlet.clone(), to });
        answered
    }

    /// Nobody waits for this call any more.
    pub(super) fn forget(&self, call: &CallId) {
        self.shared.calls.lock().remove(call);
    }

    /// Hands `stream` to whoever waits for `call`, and returns what ends with it; gives the stream back when nobody waits.
    pub(super) fn answer(
        &self,
        call: &CallId,
        node: &Node,
        place: &Place,
        stream: Box<dyn Stream>,
    ) -> Result<oneshot::Receiver<()>, Box<dyn Stream>> {
        let mut calls = self.shared.calls.lock();
        if calls.get(call).is_none_or(|waiting| waiting.outlet != node.id) {
            return Err(stream);
        }
        let Some(waiting) = calls.remove(call) else { return Err(stream) };
        let (_ended, ended) = oneshot::channel();
        let answered = Answered { stream, not_after: node.not_after, path: place.path.clone(), _ended };
        match waiting.to.send(answered) {
            Ok(()) => Ok(ended),
            Err(answered) => Err(answered.stream),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credential::Fingerprint;

    #[test]
    fn one_that_comes_later_gets_its_share_of_the_calls_and_no_more() {
        let registry = Registry::new(10, 10);
        let (name, node) = ("kafka".parse().unwrap(), |key: &[u8]| Id::of(&Fingerprint::of(key)));
        let call = || {
            let outlet = registry.outlet(&name, &BTreeSet::new()).unwrap();
            outlet.call(CallId::random());
            outlet.number()
        };
        let (_one, _calls) = registry.register(&name, &node(b"one"));
        for _ in 0..100 {
            assert_eq!(call(), 0);
        }
        let (_two, _calls_too) = registry.register(&name, &node(b"two"));
        let called: Vec<u64> = (0..6).map(|_| call()).collect();
        assert_eq!(called, [1, 0, 1, 0, 1, 0], "the newer first, and then in turn");
    }

    #[tokio::test]
    async fn one_that_leaves_has_the_calls_it_was_handed_and_no_others() {
        let registry = Registry::new(10, 10);
        let (name, node) = ("kafka".parse().unwrap(), Id::of(&Fingerprint::of(b"node")));
        let (registered, mut calls) = registry.register(&name, &node);
        let outlet = registry.outlet(&name, &BTreeSet::new()).unwrap();
        let call = CallId::random();
        assert!(outlet.call(call.clone()));
        registered.leave(&mut calls);
        assert!(registry.outlet(&name, &BTreeSet::new()).is_none());
        assert!(!outlet.call(CallId::random()), "so that the caller looks for another");
        assert_eq!((calls.recv().await, calls.recv().await), (Some(call), None));
        assert!(!outlet.lost.is_cancelled(), "it will answer");

        let (registered, _calls) = registry.register(&name, &node);
        let outlet = registry.outlet(&name, &BTreeSet::new()).unwrap();
        drop(registered);
        outlet.lost().await;
    }

    #[tokio::test]
    async fn a_path_that_dies_ends_what_is_there_and_not_what_comes_next() {
        let registry = Registry::new(10, 10);
        let node = Id::of(&Fingerprint::of(b"node"));
        let (standing, stream) = (registry.enter(&node).unwrap(), registry.enter(&node).unwrap());
        let other = registry.enter(&Id::of(&Fingerprint::of(b"other"))).unwrap();
        standing.dies();
        stream.died().await;
        let next = registry.enter(&node).unwrap();
        for place in [&next, &other] {
            assert!(!place.path.is_cancelled());
        }
    }
}
