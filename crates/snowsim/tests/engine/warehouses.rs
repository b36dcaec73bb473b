//! Warehouses: when they run, what is billed, and what statements say of them.

use std::time::Duration;

use snowsim::WarehouseUse;

use crate::world::{World, attempt, refused, run};

fn used(world: &World) -> WarehouseUse {
    world.engine.warehouse_use().remove("W").unwrap()
}

#[tokio::test]
async fn statements_that_need_one_resume_it_and_it_suspends_itself() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE WAREHOUSE w WAREHOUSE_SIZE = 'MEDIUM' AUTO_SUSPEND = 120 INITIALLY_SUSPENDED = TRUE").await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    run(&mut s, "CREATE STREAM st ON TABLE t").await;
    run(&mut s, "SELECT SYSTEM$STREAM_HAS_DATA('ST')").await;
    run(&mut s, "SHOW STREAMS").await;
    run(&mut s, "SELECT CURRENT_TIMESTAMP()").await;
    assert_eq!((used(&world).resumes, used(&world).billed_seconds), (0, 0), "none of these needs a warehouse");
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    world.clock.advance(Duration::from_secs(100));
    assert!(used(&world).running);
    run(&mut s, "SELECT * FROM st").await;
    world.clock.advance(Duration::from_secs(121));
    let after = used(&world);
    assert!(!after.running);
    assert_eq!((after.resumes, after.statements), (1, 2));
    assert!((220..225).contains(&after.billed_seconds), "100 s, and 120 s of idling: {after:?}");
    let credits = f64::from(u32::try_from(after.billed_seconds).unwrap()) * 4.0 / 3_600.0;
    assert!((after.credits - credits).abs() < 1e-9, "a medium one costs 4 credits an hour: {after:?}");
}

#[tokio::test]
async fn show_tells_size_state_and_settings_under_snowflakes_names() {
    let world = World::new();
    let mut s = world.session().await;
    run(&mut s, "CREATE WAREHOUSE w AUTO_SUSPEND = NULL AUTO_RESUME = FALSE").await;
    let (columns, rows) = attempt(&mut s, "SHOW WAREHOUSES LIKE 'W'").await.unwrap();
    let cell = |name: &str| {
        let place = columns.iter().position(|column| column.name == name).unwrap_or_else(|| panic!("no {name}"));
        rows[0][place].as_str()
    };
    assert_eq!((cell("name"), cell("state"), cell("size"), cell("type")), ("W", "STARTED", "X-Small", "STANDARD"));
    assert_eq!((cell("auto_suspend"), cell("auto_resume"), cell("max_cluster_count")), ("NULL", "false", "1"));
    world.clock.advance(Duration::from_secs(86_400));
    assert!(used(&world).running, "it never suspends itself");
    run(&mut s, "ALTER WAREHOUSE w SUSPEND").await;
    run(&mut s, "CREATE TABLE t (id INT)").await;
    let error = refused(&mut s, "INSERT INTO t VALUES (1)").await;
    assert_eq!((error.code.as_ref(), error.message.contains("'W' is suspended")), ("000608", true), "{error}");
    assert_eq!(refused(&mut s, "ALTER WAREHOUSE w SUSPEND").await.code, "090064");
    run(&mut s, "ALTER WAREHOUSE w RESUME IF SUSPENDED").await;
    assert_eq!(refused(&mut s, "ALTER WAREHOUSE w RESUME").await.code, "090063");
    run(&mut s, "INSERT INTO t VALUES (1)").await;
    run(&mut s, "ALTER WAREHOUSE w SET WAREHOUSE_SIZE = '6X-LARGE', AUTO_SUSPEND = 60").await;
    let (_, rows) = attempt(&mut s, "SHOW WAREHOUSES LIKE 'W'").await.unwrap();
    assert!(rows[0].contains(&"6X-Large".to_owned()), "{rows:?}");
    assert_eq!(refused(&mut s, "ALTER WAREHOUSE w SET AUTO_SUSPEND = soon").await.code, "100038");
    assert_eq!(refused(&mut s, "ALTER WAREHOUSE w SET WAREHOUSE_SIZE = HUGE").await.code, "001003");
}
