//! The faults a publisher meets while it is being killed: a deck of cards, each dealt again until it has struck.
//!
//! ```text
//! Deck::deal ─▶ rules in the simulator, plans in the brokers ─▶ a publisher runs and dies ─▶ Deck::collect
//! ```
//!
//! A suite whose faults never strike proves nothing, so the deck counts what really struck, by name.

use std::collections::BTreeMap;
use std::time::Duration;

use krafka::error::ErrorCode;
use krafka::testing::{ApiKey, Control};
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use snowsim::fault::{Action, Match, Moment, Rule, RuleId};

use crate::tables;
use crate::world::{PIPELINE, World};

/// One fault.
#[derive(Clone)]
enum Card {
    /// A request to the simulator: path prefix, part of the statement, what happens.
    Snowflake { name: &'static str, path: &'static str, sql: Option<&'static str>, action: Action },
    /// A request to a broker.
    Kafka { name: &'static str, api: ApiKey, control: Control },
    /// The coordinator of every transactional id moves to another broker.
    CoordinatorMoves,
    /// A broker goes away for a moment.
    BrokerCrashes,
}

/// The deck.
pub(crate) struct Deck {
    cards: Vec<Card>,
    next: usize,
    dealt: Vec<(&'static str, RuleId)>,
    struck: BTreeMap<&'static str, u64>,
    /// Brokers' strikes counted so far.
    brokers: BTreeMap<&'static str, u64>,
    crashed: Option<i32>,
}

/// The fault that makes a publisher give way.
pub(crate) const FENCE: &str = "commit: fenced";

const QUERIES: &str = "/queries/v1/query-request";
const STAGING: &str = "create transient table";
const READING: &str = "order by \"snowmelt$row\"";
const PROBE: &str = "system$last_change_commit_time";
const LOOK: &str = "select count(*), coalesce(sum(";
const RELEASE: &str = "drop table if exists";
const STREAM: &str = "show streams";
const CLAIM: &str = "create table if not exists";

impl Deck {
    /// All cards for publishers that read streams, shuffled.
    pub(crate) fn shuffled(dice: &mut StdRng) -> Self {
        Self::of(snowflake_cards(), dice)
    }

    /// All cards for publishers that read windows, shuffled.
    pub(crate) fn of_windows(dice: &mut StdRng) -> Self {
        Self::of(window_cards(), dice)
    }

    fn of(mut cards: Vec<Card>, dice: &mut StdRng) -> Self {
        cards.extend(kafka_cards());
        cards.extend([Card::CoordinatorMoves, Card::BrokerCrashes]);
        cards.shuffle(dice);
        Self { cards, next: 0, dealt: Vec::new(), struck: BTreeMap::new(), brokers: BTreeMap::new(), crashed: None }
    }

    /// Arms the next `count` cards; those that have not struck yet come first.
    pub(crate) fn deal(&mut self, world: &World, count: usize, dice: &mut StdRng) {
        let struck = &self.struck;
        let turn = self.next % self.cards.len();
        self.cards.rotate_left(turn);
        self.cards.sort_by_key(|card| struck.contains_key(card.name()));
        self.next = count;
        for card in self.cards.iter().take(count).cloned().collect::<Vec<_>>() {
            // Rare requests are struck at once, frequent ones at a random one.
            let passing = match &card {
                Card::Snowflake { sql: None, .. } => dice.random_range(0..11),
                Card::Snowflake { .. } => 0,
                _ => dice.random_range(0..6),
            };
            self.arm(world, card, passing, dice);
        }
    }

    /// Arms one card, to strike as soon as it can.
    pub(crate) fn play(&mut self, world: &World, name: &str, dice: &mut StdRng) {
        let card = self.cards.iter().find(|card| card.name() == name).expect("a card of the deck").clone();
        self.arm(world, card, 0, dice);
    }

    /// Arms a card to strike once `passing` requests it means have passed.
    fn arm(&mut self, world: &World, card: Card, passing: u32, dice: &mut StdRng) {
        match card {
            Card::Snowflake { name, path, sql, action } => {
                let matches = Match { path: Some(path.to_owned()), sql: sql.map(str::to_owned) };
                let nth = u64::from(passing) + 1;
                let rule = Rule { matches, nth, times: Some(1), probability: 1.0, seed: 0, action };
                self.dealt.push((name, world.snowflake.sim.faults().add(rule)));
            }
            Card::Kafka { name, api, control } => world.kafka.plan(name, api, passing, control),
            Card::CoordinatorMoves => {
                for table in tables::ALL {
                    let id = format!("snowmelt/{PIPELINE}/{}", table.topic());
                    world.kafka.cluster.set_txn_coordinator(&id, dice.random_range(0..crate::brokers::COUNT));
                }
                *self.struck.entry(card.name()).or_default() += 1;
            }
            Card::BrokerCrashes => {
                let broker = dice.random_range(0..crate::brokers::COUNT);
                world.kafka.cluster.crash(broker);
                self.crashed = Some(broker);
                *self.struck.entry(card.name()).or_default() += 1;
            }
        }
    }

    /// Whether a fault that was armed has struck by now.
    pub(crate) fn has_struck(&self, world: &World, name: &str) -> bool {
        let faults = world.snowflake.sim.faults();
        let armed = self.dealt.iter().filter(|(dealt, _)| *dealt == name);
        let in_snowflake = armed.filter_map(|(_, id)| faults.counters(*id)).any(|counters| counters.struck > 0);
        let before = self.brokers.get(name).copied().unwrap_or_default();
        let in_kafka = world.kafka.fired().get(name).is_some_and(|count| *count > before);
        in_snowflake || in_kafka || self.struck.contains_key(name)
    }

    /// The faults of Snowflake's side, or of Kafka's.
    pub(crate) fn names(&self, of_snowflake: bool) -> Vec<&'static str> {
        let wanted = self.cards.iter().filter(|card| matches!(card, Card::Snowflake { .. }) == of_snowflake);
        wanted.map(Card::name).collect()
    }

    /// Whether a crashed broker has not come back yet.
    pub(crate) fn broker_is_away(&self) -> bool {
        self.crashed.is_some()
    }

    /// Brings a crashed broker back.
    pub(crate) fn restart_broker(&mut self, world: &World) {
        if let Some(broker) = self.crashed.take() {
            world.kafka.cluster.restart(broker);
        }
    }

    /// Counts what struck and disarms the rest. What is already delayed still happens.
    pub(crate) fn collect(&mut self, world: &World) {
        self.restart_broker(world);
        let faults = world.snowflake.sim.faults();
        for (name, id) in self.dealt.drain(..) {
            let struck = faults.counters(id).map_or(0, |counters| counters.struck);
            if struck > 0 {
                *self.struck.entry(name).or_default() += struck;
            }
            faults.remove(id);
        }
        world.kafka.forget_plans();
        for (name, count) in world.kafka.fired() {
            let before = self.brokers.insert(name, count).unwrap_or_default();
            if count > before {
                *self.struck.entry(name).or_default() += count - before;
            }
        }
    }

    /// How often each fault struck.
    pub(crate) fn struck(&self) -> &BTreeMap<&'static str, u64> {
        &self.struck
    }

    /// Faults that never struck.
    pub(crate) fn idle(&self) -> Vec<&'static str> {
        self.cards.iter().map(Card::name).filter(|name| !self.struck.contains_key(name)).collect()
    }
}

impl Card {
    fn name(&self) -> &'static str {
        match self {
            Self::Snowflake { name, .. } | Self::Kafka { name, .. } => name,
            Self::CoordinatorMoves => "coordinator moves",
            Self::BrokerCrashes => "broker crashes",
        }
    }
}

fn snowflake_cards() -> Vec<Card> {
    let card = |name, path, sql, action| Card::Snowflake { name, path, sql, action };
    let late = |ms| Action::Delay { moment: Moment::Before, ms };
    let status = |status, retry_after| Action::Status { status, retry_after };
    vec![
        card("any query: 503", QUERIES, None, status(503, None)),
        card("any query: 429", QUERIES, None, status(429, Some(0))),
        card("login: 503", "/session/v1/login-request", None, status(503, None)),
        card("staging: lost before", QUERIES, Some(STAGING), Action::DropBefore),
        card("staging: answer lost", QUERIES, Some(STAGING), Action::DropAfter),
        card("staging: late", QUERIES, Some(STAGING), late(700)),
        card("staging: very late", QUERIES, Some(STAGING), late(2_000)),
        card("staging: answer late", QUERIES, Some(STAGING), Action::Delay { moment: Moment::After, ms: 500 }),
        card("reading: lost before", QUERIES, Some(READING), Action::DropBefore),
        card("reading: answer lost", QUERIES, Some(READING), Action::DropAfter),
        card("release: lost before", QUERIES, Some(RELEASE), Action::DropBefore),
        card("release: answer lost", QUERIES, Some(RELEASE), Action::DropAfter),
        card("release: late", QUERIES, Some(RELEASE), late(700)),
        card("claim: answer lost", QUERIES, Some(CLAIM), Action::DropAfter),
        card("claim: late", QUERIES, Some(CLAIM), late(700)),
        card("stream: answer lost", QUERIES, Some(STREAM), Action::DropAfter),
        card("session expires", QUERIES, None, Action::ExpireSession),
        card("session is gone", QUERIES, None, Action::SessionGone),
        card("session is gone at staging", QUERIES, Some(STAGING), Action::SessionGone),
        card("master token expires", QUERIES, None, Action::MasterExpired),
        card("chunk: cut", "/results/", None, Action::CutChunk { after: 100 }),
        card("chunk: slow", "/results/", None, Action::SlowChunk { bytes: 500, every_ms: 5 }),
        card("chunk: forbidden", "/results/", None, Action::ChunkForbidden),
    ]
}

fn window_cards() -> Vec<Card> {
    let card = |name, path, sql, action| Card::Snowflake { name, path, sql, action };
    let status = |status, retry_after| Action::Status { status, retry_after };
    vec![
        card("any query: 503", QUERIES, None, status(503, None)),
        card("any query: 429", QUERIES, None, status(429, Some(0))),
        card("login: 503", "/session/v1/login-request", None, status(503, None)),
        card("window: lost before", QUERIES, Some(READING), Action::DropBefore),
        card("window: answer lost", QUERIES, Some(READING), Action::DropAfter),
        card("window: late", QUERIES, Some(READING), Action::Delay { moment: Moment::Before, ms: 700 }),
        card("window: answer late", QUERIES, Some(READING), Action::Delay { moment: Moment::After, ms: 500 }),
        card("probe: answer lost", QUERIES, Some(PROBE), Action::DropAfter),
        card("second look: answer lost", QUERIES, Some(LOOK), Action::DropAfter),
        card("session expires", QUERIES, None, Action::ExpireSession),
        card("session is gone", QUERIES, None, Action::SessionGone),
        card("session is gone at a window", QUERIES, Some(READING), Action::SessionGone),
        card("master token expires", QUERIES, None, Action::MasterExpired),
        card("chunk: cut", "/results/", None, Action::CutChunk { after: 100 }),
        card("chunk: slow", "/results/", None, Action::SlowChunk { bytes: 500, every_ms: 5 }),
        card("chunk: forbidden", "/results/", None, Action::ChunkForbidden),
    ]
}

fn kafka_cards() -> Vec<Card> {
    let card = |name, api, control| Card::Kafka { name, api, control };
    let applied = |then| Control::ApplyThen(Box::new(then));
    let error = Control::Error;
    vec![
        card("commit: answer lost", ApiKey::EndTxn, applied(Control::Disconnect)),
        card("commit: lost before", ApiKey::EndTxn, Control::Disconnect),
        card("commit: applied, never answered", ApiKey::EndTxn, applied(Control::Silence)),
        card("commit: late", ApiKey::EndTxn, Control::Delay(Duration::from_millis(400))),
        card("commit: coordinator moved", ApiKey::EndTxn, error(ErrorCode::NotCoordinator)),
        card("commit: coordinator loading", ApiKey::EndTxn, error(ErrorCode::CoordinatorLoadInProgress)),
        card(FENCE, ApiKey::EndTxn, error(ErrorCode::ProducerFenced)),
        card("produce: answer lost", ApiKey::Produce, applied(Control::Disconnect)),
        card("produce: lost before", ApiKey::Produce, Control::Disconnect),
        card("produce: never answered", ApiKey::Produce, Control::Silence),
        card("produce: leader moved", ApiKey::Produce, error(ErrorCode::NotLeaderForPartition)),
        card("claim of the id: answer lost", ApiKey::InitProducerId, applied(Control::Disconnect)),
        card("claim of the id: concurrent", ApiKey::InitProducerId, error(ErrorCode::ConcurrentTransactions)),
        card("claim of the id: loading", ApiKey::InitProducerId, error(ErrorCode::CoordinatorLoadInProgress)),
        card("coordinator lookup: lost", ApiKey::FindCoordinator, Control::Disconnect),
        card("metadata: lost", ApiKey::Metadata, Control::Disconnect),
        card("checkpoint reading: lost", ApiKey::Fetch, Control::Disconnect),
        card("checkpoint end: lost", ApiKey::ListOffsets, Control::Disconnect),
    ]
}
