//! `cargo bench`: how Drover does against a floor, the same stack with nothing else, measured in the same run.
//!
//! docs/performance.md says what each figure means. `floor` as first argument is the floor itself.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    reason = "the rules are for the program"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a benchmark that goes wrong ends with a panic"
)]
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures are rounded anyway"
)]

mod access;
mod around;
mod engines;
mod fill;
mod floor;
mod grown;
mod http;
mod life;
mod load;
mod machine;
mod names;
mod pages;
#[cfg(feature = "postgres")]
mod postgres;
mod report;
#[cfg(feature = "postgres")]
mod stored;
mod subscribers;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde_json::json;

/// What to measure, and how long.
#[derive(Debug, Clone, Parser)]
#[command(name = "drover-bench", about = "Measures Drover against a floor of the same stack.")]
pub struct Options {
    /// Rows of the large database.
    #[arg(long, default_value_t = 100_000)]
    rows: u64,
    /// The large database has a million rows.
    #[arg(long)]
    full: bool,
    /// Rows of the small database.
    #[arg(long, default_value_t = 10_000)]
    small: u64,
    /// Rounds of each comparison.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// How long a round takes.
    #[arg(long, default_value = "1500", value_parser = milliseconds, value_name = "MS")]
    round: Duration,
    /// Only these parts: http, access, scale, subscribers, names, start, simulated, import, telling, engines, pages, docker, around, postgres (where one is named), grown (this one only if it is named).
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Who listens.
    #[arg(long, default_value_t = subscribers::SUBSCRIBERS)]
    subscribers: usize,
    /// Where databases are made; removed at the end. [default: a temporary folder]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// The sizes of the part `grown`, in containers.
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000")]
    grown: Vec<u32>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn milliseconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_millis)
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("floor") {
        let rest: Vec<String> = arguments.collect();
        let value = |name: &str| {
            rest.iter()
                .position(|a| a == name)
                .and_then(|at| rest.get(at + 1))
                .expect("an argument")
                .clone()
        };
        return floor::serve(
            value("--listen").parse().expect("an address"),
            value("--database").into(),
        );
    }
    let mut options = Options::parse();
    if options.full {
        options.rows = 1_000_000;
    }
    let temporary = tempfile::tempdir().expect("a temporary folder");
    let folder = options.folder.clone().unwrap_or_else(|| temporary.path().to_owned());
    let wants = |part: &str| options.only.is_empty() || options.only.iter().any(|o| o == part);
    let mut figures = vec![http::disk(&folder)];
    let small = (wants("http") || wants("scale") || wants("access") || wants("postgres"))
        .then(|| fill(&folder, "small", options.small));
    let large = (wants("scale") || wants("start")).then(|| fill(&folder, "large", options.rows));
    machine::pin_loader();
    if let Some(small) = small.as_ref().filter(|_| wants("http")) {
        figures.extend(http::against_floor(&options, &folder, small));
    }
    #[cfg(feature = "postgres")]
    if let Some(small) = small.as_ref().filter(|_| wants("postgres")) {
        figures.extend(postgres::beside_sqlite(&options, &folder, small));
    }
    if let Some(small) = small.as_ref().filter(|_| wants("access")) {
        figures.extend(access::with_keys(&options, &folder, small));
    }
    if let (Some(small), Some(large), true) = (&small, &large, wants("scale")) {
        figures.extend(http::at_scale(&options, &folder, small, large));
    }
    if wants("subscribers") {
        figures.extend(subscribers::listen(&folder, options.subscribers));
    }
    if wants("names") {
        figures.extend(names::name_server(&folder.join("names")));
    }
    machine::unpin_loader();
    if let Some(large) = large.as_ref().filter(|_| wants("start")) {
        figures.extend(life::cold_start(&folder.join("large"), large));
    }
    if wants("simulated") {
        figures.extend(life::simulated(&folder.join("simulated")));
    }
    if wants("telling") {
        figures.extend(engines::telling(&folder.join("telling")));
    }
    if wants("engines") {
        figures.extend(engines::at_rest(&folder.join("engines")));
    }
    if wants("pages") {
        figures.extend(pages::pages(&folder.join("pages")));
    }
    if wants("import") {
        figures.extend(around::import(&folder));
    }
    if wants("around") {
        figures.extend(around::real(&folder.join("around")));
    }
    if options.only.iter().any(|part| part == "grown") {
        for size in &options.grown {
            figures.extend(grown::grown(&folder.join(format!("grown-{size}")), *size));
        }
    }
    if wants("docker") {
        figures.extend(life::real(&folder.join("docker")));
    }
    let about = json!({
        "rows": options.rows, "small": options.small, "rounds": options.rounds, "round_ms": options.round.as_millis() as u64,
        "load_average": machine::load_average(), "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "arguments": std::env::args().skip(1).filter(|a| a != "--bench").collect::<Vec<_>>(),
    });
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("the target folder")
        .to_owned();
    report::publish(&figures, &about, &target);
    for part in [
        "small",
        "large",
        "subscribers",
        "names",
        "simulated",
        "telling",
        "engines",
        "pages",
        "postgres",
        "docker",
        "import-100",
        "import-400",
        "around",
    ]
    .iter()
    .filter(|_| options.folder.is_some())
    {
        let _ = std::fs::remove_dir_all(folder.join(part));
    }
}

fn fill(folder: &Path, name: &str, rows: u64) -> fill::Filled {
    let filled = fill::drover(&folder.join(name), rows);
    eprintln!("{rows} rows in {:.1} s", filled.took.as_secs_f64());
    filled
}
