//! The script for several configurations against files, and the documents against the list.

use std::path::{Path, PathBuf};

use super::*;

fn place(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn compare(path: &Path, actual: &str) {
    if std::env::var("SNOWMELT_BLESS").is_ok_and(|value| value == "1") {
        std::fs::write(path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(expected == actual, "{} differs; SNOWMELT_BLESS=1 rewrites it\n{actual}", path.display());
}

fn config(text: &str) -> Config {
    let head = "name = \"shop-cdc\"\n[kafka]\nbootstrap_servers = [\"k:1\"]\n[snowflake]\naccount = \"a\"\nuser = \"snowmelt\"\n\
                password = { env = \"P\" }\n";
    match Config::parse(&format!("{head}{text}"), "x.toml", &|_| Some("secret".to_owned())) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    }
}

fn object(kind: Kind, tracked: Option<bool>) -> Object {
    Object { kind, owner: "OWNER".to_owned(), change_tracking: tracked, retention_days: Some(1), created_ms: None }
}

fn named(name: &str) -> ObjectName {
    name.parse().unwrap()
}

#[test]
fn scripts_are_the_committed_ones() {
    let mixed = config(
        "role = \"snowmelt\"\nwarehouse = \"Load_WH\"\nstate_schema = 'OPS.\"state\"'\n\
         [[tables]]\nname = \"SHOP.PUBLIC.ORDER\"\n\
         [[tables]]\nname = 'SHOP.PUBLIC.\"Größe \"\"x\"\"\"'\n\
         [[tables]]\nname = \"CRM.SALES.LEADS\"\nstream = \"CRM.STREAMS.LEADS_S\"\nsnapshot = \"never\"\n",
    );
    let kinds = config(
        "role = '\"my role\"'\nstate_schema = \"OPS.STATE\"\n\
         [[tables]]\nname = \"S.P.T\"\n[[tables]]\nname = \"S.P.TRACKED\"\n[[tables]]\nname = \"S.P.V\"\n\
         [[tables]]\nname = \"S.P.DYN\"\n[[tables]]\nname = \"S.P.EXT\"\nkey = [\"ID\"]\nsnapshot = \"never\"\n\
         [[tables]]\nname = \"S.P.EV\"\n[[tables]]\nname = \"S.P.ICE\"\n[[tables]]\nname = \"S.P.THEIRS\"\n\
         [[tables]]\nname = \"S.P.INBOX\"\nsnapshot = \"never\"\n[[tables]]\nname = \"S.P.OUTSIDE\"\nsnapshot = \"never\"\n\
         [[tables]]\nname = \"S.P.UNSEEN\"\n",
    );
    let asked = Known {
        asked: true,
        objects: [
            ("S.P.T", object(Kind::Table("table".to_owned()), Some(false))),
            ("S.P.TRACKED", object(Kind::Table("table".to_owned()), Some(true))),
            ("S.P.V", object(Kind::View { secure: false }, Some(false))),
            (
                "S.P.DYN",
                object(
                    Kind::DynamicTable { refresh_mode: "INCREMENTAL".to_owned(), reason: None, initialized: true },
                    Some(true),
                ),
            ),
            ("S.P.EXT", object(Kind::ExternalTable, None)),
            ("S.P.EV", object(Kind::EventTable, Some(false))),
            ("S.P.ICE", object(Kind::IcebergTable { managed: true }, Some(false))),
            ("S.P.THEIRS", object(Kind::IcebergTable { managed: false }, Some(false))),
            ("S.P.INBOX", object(Kind::Stage { directory: true, external: false }, None)),
            ("S.P.OUTSIDE", object(Kind::Stage { directory: true, external: true }, None)),
        ]
        .into_iter()
        .map(|(name, object)| (named(name), object))
        .collect(),
        found: Vec::new(),
        open: vec!["S.P.ODD_*: a reason".to_owned()],
    };
    let patterns = config(
        "warehouse = \"WH\"\nstate_schema = \"OPS.STATE\"\n\
         [[tables]]\nmatch = \"SHOP.PUBLIC.ORDERS_*\"\n[[tables]]\nmatch = \"CRM.*.LEADS_*\"\n[[tables]]\nmatch = \"*.P.T_*\"\n",
    );
    let found = ["SHOP.PUBLIC.ORDERS_EU", "CRM.X.\"LEADS_1\""].map(|name| {
        let name = named(name);
        let pattern = patterns.table_patterns.iter().find(|pattern| pattern.fits(&name)).unwrap();
        patterns.found(pattern, &name, []).unwrap()
    });
    let plain = object(Kind::Table("table".to_owned()), Some(false));
    let objects = found.iter().map(|table| (table.name.clone(), plain.clone())).collect();
    let adopted = config(
        "role = \"R\"\nwarehouse = \"WH\"\nstate_schema = \"OPS.STATE\"\n\
         [[tables]]\nname = \"S.P.V\"\nstream = \"S.P.VS\"\nsnapshot = \"never\"\n",
    );
    // Neither a state schema nor a stream: what is read by windows needs SELECT alone.
    let windows = config(
        "role = \"READER\"\nwarehouse = \"WH\"\n\
         [[tables]]\nname = \"S.P.T\"\nread = \"changes\"\n[[tables]]\nmatch = \"S.P.V_*\"\nread = \"changes\"\n",
    );
    for (name, script) in [
        ("windows", script(&windows, &Known::default(), "READER", None)),
        ("mixed", script(&mixed, &Known::default(), &stored("snowmelt"), Some("snowmelt"))),
        ("kinds", script(&kinds, &asked, &stored("\"my role\""), None)),
        ("patterns", script(&patterns, &Known::default(), "R", Some("\"u\""))),
        (
            "patterns-connected",
            script(&patterns, &Known { asked: true, objects, found: found.to_vec(), open: Vec::new() }, "R", None),
        ),
        ("adopted", script(&adopted, &Known::default(), "R", None)),
    ] {
        compare(&place(&format!("tests/grants/{name}.sql")), &script);
    }
}

#[test]
fn the_page_is_the_committed_one() {
    compare(&place("../../docs/privileges.md"), &page());
}

#[test]
fn the_list_has_each_need_once_and_in_order() {
    for (at, entry) in LIST.iter().enumerate() {
        assert_eq!(entry.need.entry(), entry);
        assert!(LIST[..at].iter().all(|earlier| earlier.need < entry.need), "{:?}", entry.need);
    }
}

/// The quickstart shows the script's statements for its own example, in whatever layout.
#[test]
fn the_quickstart_grants_what_the_script_grants() {
    let page = std::fs::read_to_string(place("../../docs/quickstart.md")).unwrap();
    let example = config(
        "role = \"SNOWMELT\"\nwarehouse = \"SNOWMELT\"\nstate_schema = \"SNOWMELT.STATE\"\n[[tables]]\nname = \"SHOP.PUBLIC.ORDERS\"\n",
    );
    let wanted = required(&example, &Known::default(), Some("SNOWMELT"));
    let mut shown: Vec<&str> =
        page.lines().filter(|line| line.starts_with("GRANT ") || line.starts_with("ALTER TABLE")).collect();
    let mut wanted: Vec<String> =
        wanted.iter().map(|privilege| privilege.statement("SNOWMELT").replace('"', "")).collect();
    shown.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(shown, wanted);
}
