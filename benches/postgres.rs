//! The same server on PostgreSQL and on SQLite, on the same rows, in turn: what a database beside it costs.
//!
//! `DROVER_TEST_DATABASE` names the PostgreSQL: `DROVER_TEST_FSYNC=on scripts/lib/postgres-env cargo bench -- --only postgres`.

use std::path::Path;
use std::process::Command;

use super::Options;
use super::fill::{self, Filled};
use super::http::{self, start_drover};
use super::load::{self, Run};
use super::machine::{Cores, Server, median};
use super::report::{Figure, Limit};
use super::stored;

/// What is measured of a round.
type Value = fn(&Run) -> f64;

/// A request, by its number.
type Request<'r> = &'r dyn Fn(u64) -> Vec<u8>;

struct Pair {
    sqlite: Server,
    postgres: Server,
}

/// Everything that the two are compared by; nothing where no PostgreSQL is named.
pub fn beside_sqlite(options: &Options, folder: &Path, filled: &Filled) -> Vec<Figure> {
    let Ok(url) = std::env::var("DROVER_TEST_DATABASE") else {
        eprintln!("left out: DROVER_TEST_DATABASE names no PostgreSQL");
        return Vec::new();
    };
    let (own, other) = (folder.join("small"), folder.join("postgres"));
    std::fs::create_dir_all(&other).expect("a writable folder");
    std::fs::copy(own.join("secret.key"), other.join("secret.key")).expect("the key");
    let moved = Command::new(env!("CARGO_BIN_EXE_drover"))
        .arg("migrate-database")
        .args([own.join("drover.db").as_os_str(), url.as_ref()])
        .status();
    assert!(moved.expect("the program runs").success());
    let pair = Pair {
        postgres: start_drover(&other, Cores::One, &["--database", &url]),
        sqlite: http::drover(&own, Cores::One),
    };
    let sent = serde_json::to_string(&fill::object(7)).expect("plain values");
    let create = |_| load::post("/v2-beta/projects/1a5/genericobjects", &sent);
    let get = |n| load::get(&http::container_path(filled, n));
    let list = |n| load::get(&http::list_path(filled, "containers", "stopped", n));
    let (per_second, median_us): (Value, Value) = (|run| run.answers as f64 / run.seconds, |run| run.percentile(0.5));
    let mut figures = vec![
        pair.compare(
            options,
            "POST create, durable, 32 in flight: a second",
            32,
            &create,
            per_second,
            Limit::AtLeast(0.5, 0.8),
        ),
        pair.compare(
            options,
            "POST create, durable, alone: a second",
            1,
            &create,
            per_second,
            Limit::AtLeast(0.3, 0.5),
        ),
        pair.compare(
            options,
            "GET container by id, alone: microseconds",
            1,
            &get,
            median_us,
            Limit::AtMost(4.0, 2.0),
        ),
        pair.compare(
            options,
            "list of 100 containers with filter, alone: microseconds",
            1,
            &list,
            median_us,
            Limit::AtMost(4.0, 2.0),
        ),
        pair.compare(
            options,
            "GET container by id, 32 in flight: a second",
            32,
            &get,
            per_second,
            Limit::AtLeast(0.2, 0.5),
        ),
        pair.compare(
            options,
            "list of 100 containers, 32 in flight: a second",
            32,
            &list,
            per_second,
            Limit::AtLeast(0.2, 0.5),
        ),
    ];
    drop(pair);
    figures.extend(stored::both(options, &url, &own.join("drover.db"), filled));
    figures
}

impl Pair {
    fn compare(
        &self,
        options: &Options,
        name: &str,
        in_flight: usize,
        request: Request<'_>,
        value: Value,
        limit: Limit,
    ) -> Figure {
        let measure = |server: &Server, time| load::run(server.address, in_flight, time, request);
        for server in [&self.sqlite, &self.postgres] {
            measure(server, options.round / 4);
        }
        let (mut here, mut there) = (Vec::new(), Vec::new());
        for _ in 0..options.rounds {
            here.push(value(&measure(&self.sqlite, options.round)));
            there.push(value(&measure(&self.postgres, options.round)));
        }
        let (here, there) = (median(&mut here), median(&mut there));
        let figure = Figure {
            name: format!("on PostgreSQL: {name}"),
            value: Some(there / here),
            unit: "x",
            limit,
            from: format!("{there:.0}, on SQLite {here:.0}"),
        };
        eprintln!("{}: {:.2}x  ({})", figure.name, there / here, figure.from);
        figure
    }
}
