//! Two publishers of one pipeline at once: one goes on, the other gives way, and no event comes twice.

use std::time::Duration;

use crate::publisher::{Exit, Publisher};
use crate::verifier::Verifier;
use crate::workload::Workload;
use crate::world::{World, seed};

const LIMIT: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newer_one_goes_on_and_the_older_one_gives_way() {
    let world = World::start().await;
    let mut workload = Workload::new(&world, seed());
    workload.fill(100).await;
    let mut older = Publisher::spawn(&world, &world.settings(), None);
    older.says("claimed the transactional id", LIMIT).await;
    let working = workload.start();
    let newer = Publisher::spawn(&world, &world.settings(), None);
    assert_eq!(older.end(LIMIT).await, Exit::Code(5), "the older publisher must give way");
    assert!(older.log().contains("gives way"), "the log says so:\n{}", older.log());
    newer.says("claimed the transactional id", LIMIT).await;
    let mut workload = working.stop().await;
    world.drained(LIMIT).await;
    newer.kill().await;
    workload.run(10).await;
    let third = Publisher::spawn(&world, &world.settings(), None);
    world.drained(LIMIT).await;
    third.stop().await;
    Verifier::read(&world).await.approve();
}
