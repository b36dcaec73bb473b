//! `docs/privileges.md`, made from the list.

use std::fmt::Write as _;

use super::LIST;

const INTRODUCTION: &str = "\
<!-- Made from the list of privileges in crates/snowmelt/src/privilege/list.rs; change it there. -->

# Privileges

What the publisher's role needs in Snowflake, and nothing more. `snowmelt sql grants` prints it as a script for one
configuration; `snowmelt check` tries all of it and names what is missing, each as the statement that mends it.

```console
$ snowmelt sql grants --config snowmelt.toml              # offline: every object is taken for a table
$ snowmelt sql grants --config snowmelt.toml --connect    # asks what each object is, and which tables patterns find
$ snowmelt sql grants --config snowmelt.toml --connect admin --role SNOWMELT --user SNOWMELT
```

| Option | Meaning | Without it |
|---|---|---|
| `--role` | the role to grant to | `snowflake.role`; with `--connect` the role of the session |
| `--user` | the user to grant the role to | the user who logs in; none in a container service |
| `--connect` | ask Snowflake, with the login of the configuration, or with a connection of `connections.toml` | work offline |

The login of the configuration sees only what its role may see already, which before the script ran is little: then
name an administrator's connection. Nothing is changed in Snowflake, and no warehouse is used.

| Privilege | On | Needed | When |
|---|---|---|---|
";

const NOTES: &str = "
- The role owns what it makes in the state schema, so it needs no privilege to read or to drop that.
- **Change tracking** is switched on by the first stream on a table, if the role owns the table. Otherwise its owner
  switches it on, once; the script has the statements at its end. For a view it must be on for the view and for every
  table below it; `ALTER VIEW … SET CHANGE_TRACKING = TRUE` does both where one role owns all of them. Dynamic tables are
  always tracked; external tables, externally managed Iceberg tables and directory tables have no such switch.
- **A database, a schema, an object**: who holds nothing on one of them is told that it does not exist. `check` then says
  both: create it, or grant this. What an object is that the role cannot see, it cannot know, and takes it for a table.
- `FUTURE TABLES` are ordinary tables. Dynamic, external, event and Iceberg tables to come have grants of their own
  (`FUTURE DYNAMIC TABLES` and so on). `check` warns where it finds no future grant for a pattern.
- Masking and row access policies apply to what the role reads.
- Inherited privileges count: `check` tries statements and does not read grants, but for those on tables to come, which
  cannot be tried.
";

/// The text of `docs/privileges.md`.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for entry in &LIST {
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {} | {} | {} | {} |", entry.privilege, entry.on, entry.why, entry.when);
    }
    page.push_str(NOTES);
    page
}
