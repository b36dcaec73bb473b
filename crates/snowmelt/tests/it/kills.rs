//! Exactly once under kill -9: the publisher is killed over and over while tables change and both sides misbehave.
//!
//! ```text
//! deal faults ─▶ start a publisher ─▶ it dies at a named place or at a random request ─▶ nothing wrong? ─▶ again
//!                                                     at the end: run until idle ─▶ everything there, once, in order
//! ```
//!
//! `SNOWMELT_KILLS` sets the number of kills over all campaigns (125), `SNOWMELT_SEED` repeats a schedule.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use snowmelt::failpoint;

use crate::chaos::{Deck, FENCE};
use crate::publisher::{Exit, Publisher};
use crate::snapshots;
use crate::tables::{self, Table};
use crate::verifier::Verifier;
use crate::windows;
use crate::workload::Workload;
use crate::world::{Settings, World, seed};

/// Campaigns that share the kills.
const CAMPAIGNS: u64 = 5;
/// A fail point that was not reached by then is given up, and the process killed where it is.
const PATIENCE: Duration = Duration::from_secs(6);
/// Everything must be in Kafka this long after the last fault.
const DRAIN: Duration = Duration::from_secs(60);

/// One campaign.
struct Campaign {
    transactions: i16,
    /// Kill at named places too, not only at random requests.
    places: bool,
    faults: bool,
    /// Rows that are too large for Kafka, and become dead letters.
    poison: bool,
    /// Columns are added, renamed and dropped meanwhile.
    reshaping: bool,
    /// Read by windows, with SELECT alone.
    windows: bool,
    /// Distinguishes campaigns of one seed.
    salt: u64,
}

#[derive(Default)]
struct Tally {
    kills: u64,
    at: BTreeMap<&'static str, u64>,
    fenced: u64,
    starts: u64,
    /// Snapshots that were ordered.
    orders: u64,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_places_and_faults() {
    Campaign { transactions: 2, places: true, faults: true, poison: true, reshaping: false, windows: false, salt: 1 }
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn named_places_on_kafka_before_4() {
    Campaign { transactions: 1, places: true, faults: true, poison: false, reshaping: false, windows: false, salt: 2 }
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_moments_and_faults() {
    Campaign { transactions: 2, places: false, faults: true, poison: false, reshaping: false, windows: false, salt: 3 }
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_alone() {
    Campaign { transactions: 2, places: true, faults: false, poison: true, reshaping: false, windows: false, salt: 4 }
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn columns_that_change_and_faults() {
    Campaign { transactions: 2, places: true, faults: true, poison: false, reshaping: true, windows: false, salt: 5 }
        .run()
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_of_tables_that_may_only_be_selected_from() {
    Campaign { transactions: 2, places: true, faults: true, poison: false, reshaping: false, windows: true, salt: 6 }
        .run()
        .await;
}

fn kills() -> u64 {
    std::env::var("SNOWMELT_KILLS").map_or(125, |text| text.parse().expect("SNOWMELT_KILLS is a number"))
}

impl Campaign {
    async fn run(self) {
        let started = Instant::now();
        let mut dice = StdRng::seed_from_u64(seed().wrapping_add(self.salt));
        let wanted = kills().div_ceil(CAMPAIGNS);
        let world = World::with_transactions(self.transactions).await;
        if self.windows {
            windows::granting(&world).await;
        }
        let captured = self.captured();
        let mut workload = Workload::new(&world, dice.random());
        if self.poison {
            workload = workload.poisonous();
        }
        if self.reshaping {
            workload = workload.reshaping();
        }
        workload.fill(150).await;
        let working = workload.start();
        let mut deck = if self.windows { Deck::of_windows(&mut dice) } else { Deck::shuffled(&mut dice) };
        let mut tally = Tally::default();
        let mut places = self.schedule(wanted, &mut dice);
        while tally.kills < wanted {
            assert!(tally.starts < wanted * 3, "too few of {} publishers could be killed", tally.starts);
            let place = places.pop().flatten();
            // A new generation needs an order; now and then one comes at any other moment too.
            let needed = place.as_deref().is_some_and(|place| place.starts_with("after-generation"));
            if needed || tally.starts % 6 == 5 {
                let table = tables::ALL.choose(&mut dice).unwrap_or(&tables::ALL[0]);
                snapshots::order(&world, table).await;
                tally.orders += 1;
            }
            if self.faults {
                let hand = dice.random_range(1..=4);
                deck.deal(&world, hand, &mut dice);
            }
            self.life(&world, place, &mut deck, &mut tally, &mut dice).await;
            deck.collect(&world);
            if tally.kills % 5 == 0 {
                let wrong = Verifier::read_tables(&world, &captured).await.wrong();
                assert!(wrong.is_empty(), "after {} kills:\n  {}", tally.kills, wrong.join("\n  "));
            }
        }
        let transactions = working.transactions();
        drop(working.stop().await);
        let last = Publisher::spawn(&world, &self.settings(&world), None);
        world.drained_and_read(&captured, DRAIN).await;
        last.stop().await;
        let report = Verifier::read_tables(&world, &captured).await.approve();
        let reshaped = world.evolution.changes();
        let Tally { kills, at, fenced, starts, orders } = tally;
        eprintln!(
            "{kills} kills {at:?}, {starts} starts, {fenced} fenced, {orders} snapshots ordered, {transactions} transactions, {reshaped} changes of columns, {report:?}, {:?}\n  struck: {:?}\n  never struck: {:?}",
            started.elapsed(),
            deck.struck(),
            deck.idle(),
        );
        self.demand(wanted, &at, &deck);
        assert!(report.events > 500, "so few events prove little");
        assert!(report.generations > 3, "no snapshot was taken again");
        assert!(!self.poison || report.dead_letters > 20, "so few dead letters prove little");
        let shapes = if self.reshaping { wanted } else { 0 };
        assert!(reshaped as u64 >= shapes, "so few changes of columns prove little");
        assert!(report.reshaped >= shapes / 4, "so few changes of columns between batches prove little");
        assert!(self.poison || report.dead_letters == 0, "dead letters that nobody asked for");
        assert!(
            ['c', 'u', 'd', 'r'].iter().all(|op| report.by_op.contains_key(op)),
            "not every kind of event was seen"
        );
    }

    fn settings(&self, world: &World) -> Settings {
        let settings = match self.windows {
            true => windows::windows(world).set("changes.lag", "\"100ms\""),
            false => world.settings(),
        };
        if self.poison { settings.with_dead_letters() } else { settings }
    }

    fn captured(&self) -> [Table; 3] {
        if self.windows { windows::KEYED } else { tables::ALL }
    }

    /// The places where its publishers pass.
    fn known(&self) -> &'static [&'static str] {
        if self.windows { &failpoint::OF_WINDOWS } else { &failpoint::ALL }
    }

    /// The places to die at, last first; `None` is a random request.
    fn schedule(&self, kills: u64, dice: &mut StdRng) -> Vec<Option<String>> {
        let mut schedule: Vec<Option<String>> = Vec::new();
        if self.places {
            // Each place in turn, so that a quarter of the kills visits all of them twice; the rest at random.
            for turn in 0..kills.div_ceil(10).max(2) {
                let mut round: Vec<Option<String>> = Vec::new();
                for name in self.known().iter().filter(|name| **name != "after-create-stream") {
                    let most = match *name {
                        "after-fence" | "after-claim" => 3,
                        "after-generation" => 1,
                        _ if turn == 0 => 2,
                        _ => 8,
                    };
                    round.push(Some(format!("{name}:{}", dice.random_range(1..=most))));
                }
                round.extend([None, None]);
                round.shuffle(dice);
                schedule.extend(round);
            }
        }
        schedule.reverse();
        if self.places && !self.windows {
            // Streams are only made at the very beginning.
            schedule.extend([Some("after-create-stream:1".to_owned()), Some("after-create-stream:1".to_owned())]);
        }
        schedule
    }

    /// One publisher from its start to its violent end.
    async fn life(&self, world: &World, place: Option<String>, deck: &mut Deck, tally: &mut Tally, dice: &mut StdRng) {
        let fences = deck.struck().get(FENCE).copied().unwrap_or_default();
        let mut publisher = Publisher::spawn(world, &self.settings(world), place.as_deref());
        tally.starts += 1;
        let calm = Instant::now();
        let deadline = calm + PATIENCE;
        // Half of the random deaths come while the publisher is still finding its feet.
        let span = *[30, 120, 500, 1500].choose(dice).unwrap_or(&100);
        let until = requests(world) + dice.random_range(1..span);
        let ended = loop {
            if let Some(exit) = publisher.ended() {
                break Some(exit);
            }
            let due = place.is_none() && requests(world) >= until;
            if due || Instant::now() > deadline {
                break None;
            }
            if calm.elapsed() > Duration::from_millis(400) {
                deck.restart_broker(world);
            }
            tokio::time::sleep(Duration::from_micros(300)).await;
        };
        match ended {
            None => {
                publisher.kill().await;
                tally.kills += 1;
                *tally.at.entry("anywhere").or_default() += 1;
            }
            Some(Exit::Killed) => {
                tally.kills += 1;
                let name = place.as_deref().and_then(|place| place.split(':').next());
                let name = self.known().iter().find(|known| Some(**known) == name).expect("only fail points kill");
                *tally.at.entry(name).or_default() += 1;
            }
            Some(Exit::Code(5)) => {
                deck.collect(world);
                let fenced = deck.struck().get(FENCE).copied().unwrap_or_default() > fences;
                assert!(fenced, "a publisher gave way though nobody fenced it");
                tally.fenced += 1;
            }
            Some(Exit::Code(code)) => panic!("a publisher ended by itself with code {code}"),
        }
    }

    /// The campaign did what it is for.
    fn demand(&self, wanted: u64, at: &BTreeMap<&'static str, u64>, deck: &Deck) {
        if wanted < 25 {
            return;
        }
        if self.places {
            let missed: Vec<_> = self.known().iter().filter(|name| !at.contains_key(**name)).collect();
            assert!(missed.is_empty(), "nobody died at {missed:?}");
        }
        if self.faults {
            let (struck, idle) = (deck.struck().len(), deck.idle().len());
            assert!(struck > idle, "only {struck} kinds of faults struck, {idle} never did: {:?}", deck.idle());
        }
    }
}

/// Requests that both sides have served: the clock that random deaths go by.
fn requests(world: &World) -> u64 {
    world.kafka.requests() + world.snowflake.sim.stats().statements
}
