//! The shop without the rest of the demo: for a simulator that others look at (`sim --shop`).

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::shop::{DATABASE, STATE_SCHEMA, WAREHOUSE};
use super::writer::{WriteError, Writer};
use crate::config::Config;

/// Where the shop is kept, and who keeps it.
pub(in crate::cli) struct Keeper {
    /// The simulator's address.
    pub(in crate::cli) url: String,
    pub(in crate::cli) user: String,
    pub(in crate::cli) password: String,
    /// Row changes a second, about.
    pub(in crate::cli) rate: u32,
}

/// Makes the shop and changes it until `stop`.
///
/// # Errors
/// In words, when a statement fails.
pub(in crate::cli) async fn keep(keeper: Keeper, stop: &CancellationToken) -> Result<(), String> {
    let Keeper { url, user, password, rate } = keeper;
    // The settings of a session are read from a configuration, as a publisher's are; no table of it is captured.
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let text = format!(
        "name = \"shop\"\n[snowflake]\naccount = \"{DATABASE}\"\nurl = {}\nuser = {}\npassword = {{ env = \"SHOP\" }}\n\
         warehouse = \"{WAREHOUSE}\"\nstate_schema = \"{STATE_SCHEMA}\"\n[kafka]\nbootstrap_servers = [\"none:1\"]\n\
         [[tables]]\nname = \"{DATABASE}.SHOP.ORDERS\"\n",
        quoted(&url),
        quoted(&user),
    );
    let config = Config::parse(&text, "shop.toml", &|_| Some(password.clone())).map_err(|error| error.to_string())?;
    let words = |error: WriteError| format!("the shop cannot be kept: {error}");
    let board = Arc::new(Board::default());
    let mut writer = Writer::open(&config.snowflake, rand::random(), rate, board).await.map_err(words)?;
    tracing::info!(rate, "the shop is open: {DATABASE}.SHOP.CUSTOMERS and {DATABASE}.SHOP.ORDERS change");
    writer.work(stop).await.map_err(words)
}
