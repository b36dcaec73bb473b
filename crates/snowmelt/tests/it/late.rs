//! Statements that outlive their publisher: it dies while Snowflake still holds its statement, and its successor has
//! moved on, or is just moving on, when the statement runs.

use std::time::Duration;

use snowsim::fault::{Action, Moment, Rule};

use crate::publisher::Publisher;
use crate::tables;
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{World, eventually, seed};

const LIMIT: Duration = Duration::from_secs(90);
const STAGING: &str = "create transient table";
const DROP: &str = "drop table if exists";

/// A rule that holds the next statement containing `sql` back for so long.
fn held_back(sql: &str, ms: u64) -> Rule {
    Rule::on_sql(sql, Action::Delay { moment: Moment::Before, ms })
}

/// Kills a publisher while its staging statement is held back for `ms`.
async fn dies_while_staging(world: &World, workload: &mut Workload, ms: u64) {
    let settings = world.settings().only("CUSTOMERS");
    let publisher = Publisher::spawn(world, &settings, None);
    workload.burst().await;
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    let faults = world.snowflake.sim.faults();
    let staging = faults.add(held_back(STAGING, ms));
    workload.touch(&tables::ALL[0]).await;
    let struck = || faults.counters(staging).is_some_and(|counters| counters.struck == 1);
    eventually("the staging statement is held back", LIMIT, struck).await;
    publisher.kill().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staging_statement_that_comes_after_its_claim_is_gone_moves_nothing() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    let settings = world.settings().only("CUSTOMERS");
    dies_while_staging(&world, &mut workload, 4_000).await;
    let failed = world.snowflake.sim.stats().failed_statements;
    let successor = Publisher::spawn(&world, &settings, None);
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    assert_eq!(
        world.snowflake.sim.stats().failed_statements,
        failed,
        "the late statement came too early for this test"
    );
    eventually("the late statement fails", LIMIT, || world.snowflake.sim.stats().failed_statements == failed + 1).await;
    workload.burst().await;
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    successor.stop().await;
    Verifier::read_tables(&world, &tables::ALL[..1]).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_staging_statement_that_runs_while_its_claim_is_being_dropped_is_found() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    let settings = world.settings().only("CUSTOMERS");
    dies_while_staging(&world, &mut workload, 2_500).await;
    // The successor has listed the tables, and drops the old claim only after the late statement has run. No change
    // comes any more that would make it look again.
    let faults = world.snowflake.sim.faults();
    let drop = faults.add(held_back(DROP, 5_000));
    let successor = Publisher::spawn(&world, &settings, None);
    eventually("the claim's drop is held back", LIMIT, || {
        faults.counters(drop).is_some_and(|counters| counters.struck == 1)
    })
    .await;
    let staged = Verifier::read_tables(&world, &tables::ALL[..1]).await.staged().to_vec();
    assert_eq!(staged, Vec::<String>::new(), "the late statement came too early for this test");
    world.drained_of(&tables::ALL[..1], LIMIT).await;
    successor.stop().await;
    Verifier::read_tables(&world, &tables::ALL[..1]).await.approve();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_comes_late_drops_nothing_new() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    let settings = world.settings().only("CUSTOMERS");
    let faults = world.snowflake.sim.faults();
    let release = faults.add(held_back(DROP, 5_000));
    // Before it starts, so that its first release is of rows and not of nothing.
    workload.burst().await;
    let publisher = Publisher::spawn(&world, &settings, None);
    let struck = || faults.counters(release).is_some_and(|counters| counters.struck == 1);
    eventually("the release is held back", LIMIT, struck).await;
    publisher.kill().await;
    let successor = Publisher::spawn(&world, &settings, None);
    let dropped = || world.snowflake.sim.stats().by_kind.get("drop").copied().unwrap_or_default();
    let before = dropped();
    for _ in 0..5 {
        workload.burst().await;
        world.drained_of(&tables::ALL[..1], LIMIT).await;
    }
    // One drop for each of five batches, the dead publisher's claim, its release again and its own late one.
    eventually("the late release runs", LIMIT, || dropped() >= before + 7).await;
    successor.stop().await;
    Verifier::read_tables(&world, &tables::ALL[..1]).await.approve();
}
