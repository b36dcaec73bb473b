//! The embedded Kafka cluster with faults that are planned, struck and counted by name.
//!
//! One hook per request type counts every request and strikes those a plan is waiting for, so that a test can ask
//! whether a fault really happened. The cluster's sockets are real; its transaction rules are a broker's.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use krafka::testing::{ApiKey, Control, FakeBroker};

/// Requests a publisher sends that a fault can strike.
const STRUCK: [ApiKey; 10] = [
    ApiKey::Produce,
    ApiKey::EndTxn,
    ApiKey::InitProducerId,
    ApiKey::AddPartitionsToTxn,
    ApiKey::FindCoordinator,
    ApiKey::Metadata,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::CreateTopics,
    ApiKey::ApiVersions,
];

/// What happens to one request of a type, once `after` more of them have passed.
struct Planned {
    name: &'static str,
    after: u32,
    control: Control,
}

#[derive(Default)]
struct Plans {
    waiting: HashMap<ApiKey, VecDeque<Planned>>,
    fired: BTreeMap<&'static str, u64>,
}

/// Three brokers.
pub(crate) struct Brokers {
    pub(crate) cluster: FakeBroker,
    plans: Arc<Mutex<Plans>>,
    requests: Arc<AtomicU64>,
}

/// Brokers of the cluster.
pub(crate) const COUNT: i32 = 3;
/// Partitions of the topics of events.
pub(crate) const PARTITIONS: i32 = 3;

impl Brokers {
    /// Starts the cluster; `transaction_version` 2 is Kafka 4's (KIP-890), 1 is Kafka 3.9's.
    pub(crate) async fn start(transaction_version: i16) -> Self {
        let cluster = snowmelt::embedded::start(usize::try_from(COUNT).unwrap()).await.expect("the cluster starts");
        cluster.set_transaction_version(transaction_version);
        let plans: Arc<Mutex<Plans>> = Arc::default();
        let requests: Arc<AtomicU64> = Arc::default();
        for api in STRUCK {
            let (plans, requests) = (Arc::clone(&plans), Arc::clone(&requests));
            cluster.on(api, move |_| {
                requests.fetch_add(1, Ordering::Relaxed);
                plans.lock().unwrap().strike(api)
            });
        }
        Self { cluster, plans, requests }
    }

    /// Plans a fault for the request of type `api` that comes after `after` others of it.
    pub(crate) fn plan(&self, name: &'static str, api: ApiKey, after: u32, control: Control) {
        let planned = Planned { name, after, control };
        self.plans.lock().unwrap().waiting.entry(api).or_default().push_back(planned);
    }

    /// Forgets the faults that have not struck, and the log of requests, which every request is compared with.
    pub(crate) fn forget_plans(&self) {
        self.plans.lock().unwrap().waiting.clear();
        self.cluster.clear_requests();
    }

    /// How often each fault struck so far.
    pub(crate) fn fired(&self) -> BTreeMap<&'static str, u64> {
        self.plans.lock().unwrap().fired.clone()
    }

    /// Changes whenever something was written to one of these topics or became readable in it.
    pub(crate) fn stamp(&self, topics: &[String]) -> Vec<(Option<i64>, Option<i64>)> {
        let cluster = &self.cluster;
        let partitions = topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)));
        partitions.map(|(topic, at)| (cluster.next_offset(topic, at), cluster.last_stable_offset(topic, at))).collect()
    }

    /// Requests served so far.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Plans {
    fn strike(&mut self, api: ApiKey) -> Control {
        let Some(queue) = self.waiting.get_mut(&api) else { return Control::Pass };
        match queue.front_mut() {
            None => Control::Pass,
            Some(planned) if planned.after > 0 => {
                planned.after -= 1;
                Control::Pass
            }
            Some(_) => {
                let Some(planned) = queue.pop_front() else { return Control::Pass };
                *self.fired.entry(planned.name).or_default() += 1;
                planned.control
            }
        }
    }
}
