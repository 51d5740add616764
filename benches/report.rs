//! The table, and the same as JSON.

use std::path::Path;

use serde_json::{Value, json};

/// What is asked of a figure.
#[derive(Clone, Copy)]
pub enum Limit {
    /// At least `(must, aim)`.
    AtLeast(f64, f64),
    /// At most `(must, aim)`.
    AtMost(f64, f64),
    /// Nothing: it explains the others.
    None,
}

/// A line of the table.
#[derive(Clone)]
pub struct Figure {
    pub name: String,
    /// Ratio, milliseconds …; none if it was not measured.
    pub value: Option<f64>,
    pub unit: &'static str,
    pub limit: Limit,
    /// What the value was made from.
    pub from: String,
}

impl Figure {
    fn verdict(&self) -> &'static str {
        let Some(value) = self.value else { return "skipped" };
        let (must, aim) = match self.limit {
            Limit::AtLeast(must, aim) => (value >= must, value >= aim),
            Limit::AtMost(must, aim) => (value <= must, value <= aim),
            Limit::None => return "",
        };
        match (must, aim) {
            (true, true) => "aim",
            (true, false) => "ok",
            (false, _) => "MISSED",
        }
    }

    fn limits(&self) -> (String, String) {
        match self.limit {
            Limit::AtLeast(must, aim) => (format!("≥ {must}"), format!("≥ {aim}")),
            Limit::AtMost(must, aim) => (format!("≤ {must}"), format!("≤ {aim}")),
            Limit::None => (String::new(), String::new()),
        }
    }

    fn shown(&self) -> String {
        match self.value {
            None => "–".into(),
            Some(value) if value >= 100.0 => format!("{value:.0}{}", self.unit),
            Some(value) => format!("{value:.2}{}", self.unit),
        }
    }
}

/// Prints the table as Markdown and writes `drover-bench.json`.
pub fn publish(figures: &[Figure], about: &Value, folder: &Path) {
    println!("\n| figure | measured | must | aim | verdict | from |\n|---|---|---|---|---|---|");
    for figure in figures {
        let (must, aim) = figure.limits();
        println!(
            "| {} | {} | {must} | {aim} | {} | {} |",
            figure.name,
            figure.shown(),
            figure.verdict(),
            figure.from
        );
    }
    let lines: Vec<Value> = figures
        .iter()
        .map(|f| {
            let (must, aim) = f.limits();
            json!({"name": f.name, "value": f.value, "unit": f.unit, "must": must, "aim": aim, "verdict": f.verdict(), "from": f.from})
        })
        .collect();
    let file = folder.join("drover-bench.json");
    let text = serde_json::to_string_pretty(&json!({"about": about, "figures": lines})).expect("plain values");
    std::fs::write(&file, text).expect("a writable folder");
    println!("\n{} written", file.display());
}
