//! `snowmelt demo` as a newcomer starts it: a child process, judged by what it prints and how it exits.
//!
//! That its ledger finds what is wrong is proved beside the ledger, in `cli/demo/ledger.rs`.

use std::process::{Command, Output};

fn demo(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_snowmelt")).arg("demo").args(arguments).env("NO_COLOR", "1").output();
    output.unwrap_or_else(|error| panic!("snowmelt demo does not start: {error}"))
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("not text: {error}"))
}

#[test]
fn the_demo_ends_with_nothing_lost_and_nothing_repeated() {
    let output = demo(&["--for", "5s", "--seed", "1", "--json"]);
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{errors}");
    assert_eq!(out.lines().count(), 1, "one line and nothing else: {out}");
    let report: serde_json::Value = serde_json::from_str(out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(report["ok"], true, "{report}");
    assert_eq!(report["seed"], 1);
    assert_eq!((report["lost"].as_u64(), report["repeated"].as_u64()), (Some(0), Some(0)), "{report}");
    // The initial rows alone are 1,500 events; with changes there are more.
    for (figure, least) in [("events", 1_501), ("changes", 1_501), ("rows", 1_501), ("table_rows", 1), ("batches", 3)] {
        assert!(report[figure].as_u64().is_some_and(|count| count >= least), "{figure}: {report}");
    }
    assert!(
        report["lag_ms_p50"].as_u64() <= report["lag_ms_p99"].as_u64() && report["lag_ms_p99"].is_u64(),
        "{report}"
    );
    assert!(report["warehouse_statements"].as_u64() < report["snowflake_statements"].as_u64(), "{report}");
}

#[test]
fn without_a_terminal_it_prints_plain_lines_that_say_where_and_how_it_went() {
    let output = demo(&["--for", "2s", "--seed", "2", "--rate", "500"]);
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{errors}");
    let first = out.lines().next().unwrap_or_default();
    assert!(first.contains("Snowflake http://127.0.0.1:") && first.contains("Kafka 127.0.0.1:"), "{first}");
    assert!(out.contains("(seed 2)") && out.contains("\nlost 0 · repeated 0\n"), "{out}");
    assert!(out.contains("docs/quickstart.md"), "{out}");
    assert!(!out.contains('\x1b'), "no escape sequences where there is no terminal: {out}");
}

#[test]
fn options_that_cannot_be_right_are_refused_before_anything_starts() {
    for (arguments, name) in [
        (["--for", "30"], "--for"),
        (["--rate", "0"], "--rate"),
        (["--bootstrap-servers", "no port"], "kafka.bootstrap_servers"),
    ] {
        let output = demo(&arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(errors.contains(name), "{arguments:?}: {errors}");
    }
}
