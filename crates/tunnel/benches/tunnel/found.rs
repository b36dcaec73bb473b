//! What the rounds gave, and the tables of it.

use std::collections::BTreeMap;

const PATHS: [&str; 4] = ["direct", "tls", "forwarded", "tunnel"];
pub(crate) const NODES: [&str; 4] = ["ends", "inlet", "relay", "outlet"];

/// What was found: by path and figure, a value of each round.
#[derive(Default)]
pub(crate) struct Found(BTreeMap<(&'static str, String), Vec<f64>>);

impl Found {
    pub(crate) fn note(&mut self, path: &'static str, figure: impl Into<String>, value: f64) {
        self.0.entry((path, figure.into())).or_default().push(value);
    }

    fn values(&self, path: &'static str, figure: &str) -> &[f64] {
        self.0.get(&(path, figure.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// What the tunnel has beside `other`, round by round.
    fn beside(&self, other: &'static str, figure: &str, of: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let (tunnel, other) = (self.values("tunnel", figure), self.values(other, figure));
        tunnel.iter().zip(other).map(|(tunnel, other)| of(*tunnel, *other)).collect()
    }

    pub(crate) fn print(&self) {
        println!(
            "| path | up MB/s | down MB/s | round trip µs | connect and first round trip ms |\n|---|---|---|---|---|"
        );
        for path in PATHS {
            let cell = |figure, digits| spread(self.values(path, figure), digits);
            println!(
                "| {path} | {} | {} | {} | {} |",
                cell("up", 0),
                cell("down", 0),
                cell("rtt", 0),
                cell("connect", 2)
            );
        }
        println!("\n| CPU-s/GB | up | down |\n|---|---|---|");
        for path in PATHS {
            for node in NODES.into_iter().chain(["nodes"]) {
                let [up, down] = ["up", "down"].map(|way| self.values(path, &format!("{way} {node}")));
                if !up.is_empty() {
                    println!("| {path}: {node} | {} | {} |", spread(up, 2), spread(down, 2));
                }
            }
        }
        println!();
        for other in ["direct", "forwarded"] {
            let [up, down] =
                ["up", "down"].map(|way| spread(&self.beside(other, way, |tunnel, other| tunnel / other), 2));
            let added = spread(&self.beside(other, "rtt", |tunnel, other| tunnel - other), 0);
            println!("tunnel / {other}: up {up}, down {down}; added to its round trip: {added} µs");
        }
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The median, and in brackets the least and the greatest.
pub(crate) fn spread(values: &[f64], digits: usize) -> String {
    let (least, greatest) =
        (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(0.0, f64::max));
    format!("{:.digits$} ({least:.digits$}–{greatest:.digits$})", median(values.to_vec()))
}
