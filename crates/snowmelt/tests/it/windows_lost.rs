//! Windows that are lost, or are not what they were: said, and answered as `on_stale` says.

use std::time::Duration;

use crate::publisher::{Exit, Publisher};
use crate::snapshots::snapshot;
use crate::verifier::Verifier;
use crate::windows::{KEYED, alone, fill, idle, selecting, windows};

const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_beyond_retention_halt_the_table_until_a_snapshot_is_ordered() {
    let world = selecting().await;
    fill(&world).await;
    let publisher = Publisher::spawn(&world, &windows(&world), None);
    world.drained_of(&KEYED, LIMIT).await;
    publisher.stop().await;
    world.account().run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 2").await;
    world.snowflake.sim.clock().advance(Duration::from_secs(25 * 3600));
    // The other tables lost nothing, but nobody can know that either.
    let mut publisher = Publisher::spawn(&world, &windows(&world), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    publisher.says("cannot be read any more", LIMIT).await;
    publisher.says("Time travel data is not available", LIMIT).await;
    publisher.says("snowmelt snapshot SHOP.PUBLIC.CUSTOMERS", LIMIT).await;
    for name in ["CUSTOMERS", "LINES", "VISITS"] {
        assert!(snapshot(&world, &windows(&world), &[name]).await.status.success());
    }
    let publisher = Publisher::spawn(&world, &windows(&world), None);
    world.drained_of(&KEYED[1..], LIMIT).await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'again'").await;
    world.drained_of(&KEYED[1..], LIMIT).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resnapshot_answers_lost_history_and_a_replaced_table_by_itself() {
    let world = selecting().await;
    fill(&world).await;
    let settings = alone(&world, "resnapshot");
    let customers = &KEYED[..1];
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(customers, LIMIT).await;
    publisher.stop().await;
    world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'late'").await;
    world.snowflake.sim.clock().advance(Duration::from_secs(25 * 3600));
    let publisher = Publisher::spawn(&world, &settings, None);
    publisher.says("taking a new snapshot, as on_stale says", LIMIT).await;
    world.drained_of(customers, LIMIT).await;
    // Another table takes the name while windows are read.
    let mut account = world.account();
    let ddl = customers[0].ddl;
    account.run(&format!("CREATE TABLE SHOP.PUBLIC.OTHERS ({ddl}) CHANGE_TRACKING = TRUE")).await;
    account.run("GRANT SELECT ON TABLE SHOP.PUBLIC.OTHERS TO ROLE READER").await;
    account
        .run("INSERT INTO SHOP.PUBLIC.OTHERS (ID, NAME) VALUES (1, 'Ada'), (2, 'late'), (3, 'new'), (4, 'Di')")
        .await;
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SWAP WITH SHOP.PUBLIC.OTHERS").await;
    publisher.says("it was replaced or swapped", LIMIT).await;
    world.drained_of(customers, LIMIT).await;
    publisher.stop().await;
    let report = Verifier::read_tables(&world, customers).await.approve();
    assert_eq!(report.generations, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracking_that_is_off_is_refused_in_words() {
    let world = selecting().await;
    fill(&world).await;
    world.account().run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SET CHANGE_TRACKING = FALSE").await;
    let words = "ALTER TABLE SHOP.PUBLIC.CUSTOMERS SET CHANGE_TRACKING = TRUE";
    let mut publisher = Publisher::spawn(&world, &alone(&world, "halt"), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    assert!(
        publisher.log().contains(words) && publisher.log().contains("its owner (ACCOUNTADMIN)"),
        "{}",
        publisher.log()
    );
    world.account().run(words).await;
    let publisher = Publisher::spawn(&world, &alone(&world, "halt"), None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    // Switched off and on: what happened in between is lost.
    publisher.stop().await;
    let mut account = world.account();
    account.run("ALTER TABLE SHOP.PUBLIC.CUSTOMERS SET CHANGE_TRACKING = FALSE").await;
    account.run("DELETE FROM SHOP.PUBLIC.CUSTOMERS WHERE ID = 1").await;
    account.run(words).await;
    let mut publisher = Publisher::spawn(&world, &alone(&world, "halt"), None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
    publisher.says("Change tracking is not enabled or has been missing", LIMIT).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_shows_later_than_the_lag_halts_the_table() {
    let world = selecting().await;
    fill(&world).await;
    let settings = alone(&world, "halt").set("changes.lag", "\"1s\"");
    let mut publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    let mut account = world.account();
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'one' WHERE ID = 1").await;
    world.drained_of(&KEYED[..1], LIMIT).await;
    idle(&world).await;
    // Dated right after the update before, which lies in a window that has been read.
    let engine = world.snowflake.sim.engine();
    engine.commit_late(Duration::from_secs(3600));
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'unseen' WHERE ID = 2").await;
    engine.commit_late(Duration::ZERO);
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'seen' WHERE ID = 3").await;
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3), "{}", publisher.log());
    publisher.says("became visible more than changes.lag after its time", LIMIT).await;
    publisher.says("snowmelt snapshot SHOP.PUBLIC.CUSTOMERS", LIMIT).await;
    assert!(snapshot(&world, &settings, &["CUSTOMERS"]).await.status.success());
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_that_comes_back_with_other_rows_halts_the_table() {
    let world = selecting().await;
    let mut account = world.account();
    let rows: Vec<String> = (0..60).map(|id| format!("({id}, 'x')")).collect();
    account.run(&format!("INSERT INTO SHOP.PUBLIC.CUSTOMERS (ID, NAME) VALUES {}", rows.join(", "))).await;
    let settings = alone(&world, "halt").set("delivery.slice_rows", "7");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'y'").await;
    // The claim is a commit too; so is the one of the rest of time before the update.
    let mut publisher = Publisher::spawn(&world, &settings, Some("after-commit:5"));
    assert_eq!(publisher.end(LIMIT).await, Exit::Killed);
    let last = Verifier::read_tables(&world, &KEYED[..1]).await;
    assert!(last.missing().iter().any(|found| found.contains("stands at row")), "{:?}", last.missing());
    // As many rows, with another content: dated into the window that was begun.
    world.snowflake.sim.engine().commit_late(Duration::from_secs(3600));
    account.run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = 'z'").await;
    let mut publisher = Publisher::spawn(&world, &settings, None);
    assert_eq!(publisher.end(LIMIT).await, Exit::Code(3), "{}", publisher.log());
    publisher.says("sum of hashes", LIMIT).await;
    publisher.says("snowmelt snapshot SHOP.PUBLIC.CUSTOMERS", LIMIT).await;
    let settings = alone(&world, "resnapshot");
    let publisher = Publisher::spawn(&world, &settings, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_two_ways_do_not_continue_each_other() {
    let world = selecting().await;
    fill(&world).await;
    let through_a_stream = world.settings().only("CUSTOMERS").set("snowflake.role", "\"ACCOUNTADMIN\"");
    world.account().run("GRANT ROLE ACCOUNTADMIN TO USER PUBLISHER").await;
    let publisher = Publisher::spawn(&world, &through_a_stream, None);
    world.drained_of(&KEYED[..1], LIMIT).await;
    publisher.stop().await;
    for (settings, words) in [
        (alone(&world, "halt"), "was read with read = \"stream\" and the configuration says \"changes\""),
        (through_a_stream, "was read with read = \"changes\" and the configuration says \"stream\""),
    ] {
        world.account().run("UPDATE SHOP.PUBLIC.CUSTOMERS SET NAME = NAME || '!'").await;
        let mut publisher = Publisher::spawn(&world, &settings, None);
        assert_eq!(publisher.end(LIMIT).await, Exit::Code(3));
        publisher.says(words, LIMIT).await;
        assert!(snapshot(&world, &settings, &["CUSTOMERS"]).await.status.success());
        let publisher = Publisher::spawn(&world, &settings, None);
        world.drained_of(&KEYED[..1], LIMIT).await;
        publisher.stop().await;
        Verifier::read_tables(&world, &KEYED[..1]).await.approve();
    }
}
