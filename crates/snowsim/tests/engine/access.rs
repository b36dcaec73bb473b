//! Roles: what is enforced, what is shown.

use snowsim::engine::Login;

use crate::world::{World, attempt, refused, run, sorted};

#[tokio::test]
async fn a_role_may_do_what_was_granted_and_nothing_else() {
    let world = World::new();
    let mut admin = world.session().await;
    for sql in [
        "CREATE TABLE t (id INT)",
        "CREATE TABLE hidden (id INT)",
        "INSERT INTO t VALUES (1)",
        "ALTER TABLE t SET CHANGE_TRACKING = TRUE",
        "CREATE SCHEMA state",
        "CREATE ROLE reader COMMENT = 'r'",
        "GRANT USAGE ON DATABASE d TO ROLE reader",
        "GRANT USAGE ON SCHEMA d.public TO ROLE reader",
        "GRANT SELECT ON TABLE d.public.t TO ROLE reader",
        "GRANT ROLE reader TO USER bob",
    ] {
        run(&mut admin, sql).await;
    }
    let login = |role: &str| Login {
        user: "BOB".to_owned(),
        role: Some(role.to_owned()),
        database: Some("D".to_owned()),
        schema: Some("PUBLIC".to_owned()),
        warehouse: Some("COMPUTE_WH".to_owned()),
        ..Login::default()
    };
    assert_eq!(world.engine.session(login("ACCOUNTADMIN")).unwrap_err().code, "390189");
    let mut bob = world.engine.session(login("READER")).unwrap();
    assert_eq!(refused(&mut bob, "SELECT * FROM t").await.code, "000606", "no USAGE on the warehouse");
    assert_eq!(refused(&mut bob, "USE WAREHOUSE compute_wh").await.code, "002043");
    run(&mut admin, "GRANT USAGE ON WAREHOUSE compute_wh TO ROLE reader").await;
    run(&mut bob, "USE WAREHOUSE compute_wh").await;
    assert_eq!(run(&mut bob, "SELECT * FROM t").await, [["1"]]);
    let denied = refused(&mut bob, "INSERT INTO t VALUES (2)").await;
    assert_eq!(denied.code, "003001");
    assert!(denied.message.contains("'T'"), "{denied}");
    assert_eq!(refused(&mut bob, "SELECT * FROM hidden").await.code, "002003");
    assert_eq!(sorted(&mut bob, "SHOW TABLES IN SCHEMA d.public").await.len(), 1);
    assert_eq!(refused(&mut bob, "CREATE STREAM d.state.s ON TABLE t").await.code, "002003");
    run(&mut admin, "GRANT USAGE, CREATE TABLE ON SCHEMA d.state TO ROLE reader").await;
    let denied = refused(&mut bob, "CREATE STREAM d.state.s ON TABLE t").await;
    assert_eq!(denied.code, "003001", "{denied}");
    run(&mut admin, "GRANT CREATE STREAM ON SCHEMA d.state TO ROLE reader").await;
    run(&mut bob, "CREATE STREAM d.state.s ON TABLE t SHOW_INITIAL_ROWS = TRUE").await;
    run(&mut bob, "CREATE TRANSIENT TABLE d.state.x AS SELECT * FROM d.state.s").await;
    assert_eq!(run(&mut bob, "SELECT COUNT(*) FROM d.state.x").await, [["1"]]);
    run(&mut admin, "REVOKE SELECT ON TABLE d.public.t FROM ROLE reader").await;
    assert_eq!(refused(&mut bob, "SELECT * FROM d.state.s").await.code, "003001");
    let grants: Vec<_> = run(&mut bob, "SHOW GRANTS TO ROLE reader").await;
    assert!(grants.iter().any(|row| row[1] == "CREATE STREAM" && row[2] == "SCHEMA" && row[3] == "D.STATE"));
    assert!(grants.iter().any(|row| row[1] == "OWNERSHIP" && row[3] == "D.STATE.S"));
    run(&mut admin, "GRANT SELECT ON FUTURE TABLES IN SCHEMA d.public TO ROLE reader").await;
    run(&mut admin, "CREATE TABLE d.public.later (id INT)").await;
    assert_eq!(run(&mut bob, "SELECT COUNT(*) FROM later").await, [["0"]]);
}

#[tokio::test]
async fn the_first_stream_needs_the_owner_or_tracking() {
    let world = World::new();
    let mut admin = world.session().await;
    for sql in [
        "CREATE TABLE t (id INT)",
        "CREATE ROLE maker",
        "GRANT USAGE ON DATABASE d TO ROLE maker",
        "GRANT USAGE, CREATE STREAM ON SCHEMA d.public TO ROLE maker",
        "GRANT SELECT ON ALL TABLES IN SCHEMA d.public TO ROLE maker",
    ] {
        run(&mut admin, sql).await;
    }
    let mut maker = world.session().await;
    run(&mut maker, "USE ROLE maker").await;
    assert_eq!(refused(&mut maker, "CREATE STREAM s ON TABLE t").await.code, "003001");
    run(&mut admin, "ALTER TABLE t SET CHANGE_TRACKING = TRUE").await;
    run(&mut maker, "CREATE STREAM s ON TABLE t").await;
    let shown = run(&mut maker, "SHOW TABLES LIKE 't'").await;
    assert_eq!(shown[0][12], "ON");
}

/// What is hidden is named from the outside in: first the database, then the schema, then the object.
#[tokio::test]
async fn the_first_part_of_a_name_that_is_hidden_is_the_one_that_is_named() {
    let world = World::new();
    let mut admin = world.session().await;
    for sql in ["CREATE TABLE t (id INT)", "CREATE STAGE g DIRECTORY = (ENABLE = TRUE)", "CREATE SCHEMA state"] {
        run(&mut admin, sql).await;
    }
    for sql in ["CREATE ROLE reader", "GRANT CREATE STREAM ON SCHEMA d.state TO ROLE reader"] {
        run(&mut admin, sql).await;
    }
    run(&mut admin, "ALTER TABLE d.public.t SET CHANGE_TRACKING = TRUE").await;
    let mut reader = world.session().await;
    run(&mut reader, "USE ROLE reader").await;
    for (grant, words) in [
        ("USAGE ON DATABASE d", "Database 'D' does not exist or not authorized."),
        ("USAGE ON SCHEMA d.public", "Schema 'D.PUBLIC' does not exist or not authorized."),
        ("SELECT ON TABLE d.public.t", "'D.PUBLIC.T' does not exist or not authorized."),
    ] {
        let compiled = reader.execute("SELECT * FROM d.public.t", &[], true).await.map(drop);
        let made = attempt(&mut reader, "CREATE STREAM d.state.s ON TABLE d.public.t").await.map(drop);
        for error in [compiled.expect_err(grant), made.expect_err(grant)] {
            assert!(error.message.contains(words), "without {grant}: {error}");
            assert_eq!(error.code, "002003", "without {grant}");
        }
        if grant.starts_with("USAGE") {
            for sql in ["USE SCHEMA d.public", "SHOW TABLES IN SCHEMA d.public"] {
                assert_eq!(refused(&mut reader, sql).await.code, "002043", "{sql} without {grant}");
            }
        }
        run(&mut admin, &format!("GRANT {grant} TO ROLE reader")).await;
    }
    run(&mut reader, "CREATE STREAM d.state.s ON TABLE d.public.t").await;
    let unused = refused(&mut reader, "SELECT SYSTEM$STREAM_HAS_DATA('d.state.s')").await;
    assert!(unused.code == "003001" && unused.message.contains("schema 'STATE'"), "no USAGE: {unused}");
    run(&mut admin, "GRANT USAGE ON SCHEMA d.state TO ROLE reader").await;
    run(&mut reader, "SELECT SYSTEM$STREAM_HAS_DATA('d.state.s')").await;
    assert_eq!(refused(&mut reader, "CREATE STREAM d.state.g ON STAGE d.public.g").await.code, "002003");
    run(&mut admin, "GRANT READ ON STAGE d.public.g TO ROLE reader").await;
    run(&mut reader, "CREATE STREAM d.state.g ON STAGE d.public.g").await;
    assert_eq!(refused(&mut reader, "CREATE TABLE d.state.x (i INT)").await.code, "003001");
}

#[tokio::test]
async fn a_listing_goes_on_behind_a_name() {
    let world = World::new();
    let mut admin = world.session().await;
    for name in ["b", "a", "\"b2\"", "c"] {
        run(&mut admin, &format!("CREATE TABLE {name} (id INT)")).await;
    }
    let names = async |session: &mut _, sql: &str| {
        run(session, sql).await.into_iter().map(|row| row[1].clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(&mut admin, "SHOW TABLES IN SCHEMA d.public LIMIT 2").await, ["A", "B"]);
    assert_eq!(names(&mut admin, "SHOW TABLES IN SCHEMA d.public LIMIT 2 FROM 'B'").await, ["C", "b2"]);
    assert_eq!(names(&mut admin, "SHOW TABLES IN SCHEMA d.public STARTS WITH 'B' LIMIT 5").await, ["B"]);
    assert!(names(&mut admin, "SHOW TABLES IN SCHEMA d.public LIMIT 2 FROM 'b2'").await.is_empty());
}
