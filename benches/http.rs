//! Requests per second of processor time, Drover's over the floor's.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::fill::{self, Filled, PROJECTS};
use super::load::{self, Run};
use super::machine::{Cores, Server, median};
use super::report::{Figure, Limit};
use super::{Options, floor, machine};

/// Requests in flight, unless a figure says otherwise.
const IN_FLIGHT: usize = 32;
/// A floor that wanders more than this between rounds says nothing.
const SPREAD: f64 = 0.15;

/// Starts Drover on a folder.
pub fn drover(folder: &Path, cores: Cores) -> Server {
    start_drover(folder, cores, &[])
}

/// The same with more arguments.
pub fn start_drover(folder: &Path, cores: Cores, more: &[&str]) -> Server {
    let folder = folder.display().to_string();
    let arguments = [
        "serve",
        "--listen",
        "{address}",
        "--data-dir",
        &folder,
        "--docker",
        "none",
        "--log",
        "error",
    ];
    Server::start(
        Path::new(env!("CARGO_BIN_EXE_drover")),
        &[&arguments[..], more].concat(),
        cores,
    )
}

/// Starts the floor on a database of its own.
pub fn start_floor(file: &Path) -> Server {
    let this = std::env::current_exe().expect("this program");
    Server::start(
        &this,
        &[
            "floor",
            "--listen",
            "{address}",
            "--database",
            &file.display().to_string(),
        ],
        Cores::One,
    )
}

/// Spreads requests over rows without a pattern that a cache would like.
pub fn scattered(n: u64, of: usize) -> usize {
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) as usize % of
}

pub struct Side<'a> {
    pub server: &'a Server,
    pub request: Box<dyn Fn(u64) -> Vec<u8> + 'a>,
}

/// What a side did in a round.
struct Measured {
    per_cpu_second: f64,
    run: Run,
}

fn measure(side: &Side<'_>, in_flight: usize, time: Duration) -> Measured {
    let before = side.server.cpu();
    let run = load::run(side.server.address, in_flight, time, &side.request);
    // What a request left behind is part of it.
    std::thread::sleep(Duration::from_millis(50));
    Measured {
        per_cpu_second: run.answers as f64 / (side.server.cpu() - before),
        run,
    }
}

/// Runs two sides in turn; the ratio is that of their medians.
pub fn compare(options: &Options, name: &str, ours: &Side<'_>, floor: &Side<'_>, limit: Limit) -> Figure {
    for side in [ours, floor] {
        measure(side, IN_FLIGHT, options.round / 4);
    }
    let (mut a, mut b, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let one = measure(floor, IN_FLIGHT, options.round);
        b.push(one.per_cpu_second);
        let one = measure(ours, IN_FLIGHT, options.round);
        a.push(one.per_cpu_second);
        waits.push((
            one.run.percentile(0.5),
            one.run.percentile(0.99),
            one.run.answers as f64 / one.run.seconds,
        ));
    }
    let (ours_median, floor_median) = (median(&mut a), median(&mut b));
    let spread = (b.last().unwrap_or(&0.0) - b.first().unwrap_or(&0.0)) / floor_median;
    let noisy = if spread > SPREAD {
        format!(", floor wandered {:.0} %", spread * 100.0)
    } else {
        String::new()
    };
    let (p50, p99, wall) = waits[waits.len() / 2];
    let figure = Figure {
        name: name.into(),
        value: Some(ours_median / floor_median),
        unit: "x",
        limit,
        from: format!(
            "{ours_median:.0} / {floor_median:.0} per CPU second; {wall:.0}/s, p50 {:.2} ms, p99 {:.2} ms{noisy}",
            p50 / 1000.0,
            p99 / 1000.0
        ),
    };
    eprintln!("{name}: {:.2}x  ({})", figure.value.unwrap_or_default(), figure.from);
    figure
}

fn body(server: &Server, path: &str) -> String {
    let (status, text) = load::once(server.address, &load::get(path));
    assert_eq!(status, 200, "{path}: {text}");
    text
}

pub fn container_path(filled: &Filled, n: u64) -> String {
    format!(
        "/v2-beta/containers/1i{}",
        filled.containers[scattered(n, filled.containers.len())]
    )
}

fn object_path(filled: &Filled, n: u64) -> String {
    format!(
        "/v2-beta/genericobjects/1go{}",
        filled.objects[scattered(n, filled.objects.len())]
    )
}

/// Lists of 100 of one project's rows with a filter.
pub fn list_path(filled: &Filled, kind: &str, state: &str, n: u64) -> String {
    let project = filled.projects[scattered(n, filled.projects.len())];
    format!("/v2-beta/projects/1a{project}/{kind}?limit=100&state={state}")
}

/// Everything that is measured against the floor, on a small database.
pub fn against_floor(options: &Options, folder: &Path, filled: &Filled) -> Vec<Figure> {
    let ours = drover(&folder.join("small"), Cores::One);
    let file = folder.join("floor.db");
    let container = body(&ours, &container_path(filled, 0));
    let object = body(&ours, &object_path(filled, 0));
    let rows = filled.containers.len() as u64;
    // The same bytes on the wire: the floor keeps what Drover answers.
    let documents = (0..rows * 2).map(|n| {
        let project = (n / 2 / 100 % PROJECTS) as i64;
        match n % 2 {
            0 => ("container".to_owned(), project, "stopped".to_owned(), container.clone()),
            _ => ("genericObject".to_owned(), project, "active".to_owned(), object.clone()),
        }
    });
    let ids = floor::fill(&file, documents);
    let of_kind = |kind: &str| {
        ids.iter()
            .filter(|(k, _)| k == kind)
            .map(|(_, id)| *id)
            .collect::<Vec<_>>()
    };
    let base = start_floor(&file);
    let mut figures = Vec::new();
    type Path = fn(&Filled, u64) -> String;
    let cases: [(&str, &str, &str, &str, Path, usize); 2] = [
        (
            "container",
            "containers",
            "stopped",
            "container",
            container_path,
            container.len(),
        ),
        (
            "plain object",
            "genericobjects",
            "active",
            "genericObject",
            object_path,
            object.len(),
        ),
    ];
    for (what, plural, state, kind, path, size) in cases {
        let stored = of_kind(kind);
        let by_id = compare(
            options,
            &format!("GET {what} by id ({size} B)"),
            &Side {
                server: &ours,
                request: Box::new(move |n| load::get(&path(filled, n))),
            },
            &Side {
                server: &base,
                request: Box::new(|n| load::get(&format!("/documents/{}", stored[scattered(n, stored.len())]))),
            },
            Limit::AtLeast(1.0, 1.2),
        );
        figures.push(by_id);
        let list = compare(
            options,
            &format!("list of 100 with filter, {what}"),
            &Side {
                server: &ours,
                request: Box::new(move |n| load::get(&list_path(filled, plural, state, n))),
            },
            &Side {
                server: &base,
                request: Box::new(|n| {
                    load::get(&format!(
                        "/documents?kind={kind}&account={}&state={state}",
                        scattered(n, PROJECTS as usize)
                    ))
                }),
            },
            Limit::AtLeast(0.6, 0.85),
        );
        figures.push(list);
    }
    let sent = serde_json::to_string(&fill::object(7)).expect("plain values");
    let create = compare(
        options,
        "POST create, durable, 32 in flight",
        &Side {
            server: &ours,
            request: Box::new(|_| load::post("/v2-beta/projects/1a5/genericobjects", &sent)),
        },
        &Side {
            server: &base,
            request: Box::new(|_| load::post("/documents", &object)),
        },
        Limit::AtLeast(0.3, 0.45),
    );
    figures.push(create);
    let written = |server: &Server, request: &dyn Fn(u64) -> Vec<u8>| {
        std::thread::sleep(Duration::from_millis(300));
        let before = server.written();
        let run = load::run(server.address, 64, options.round, request);
        std::thread::sleep(Duration::from_millis(300));
        (server.written() - before) as f64 / run.answers as f64
    };
    let floor_bytes = written(&base, &|_| load::post("/documents", &object));
    let our_bytes = written(&ours, &|_| load::post("/v2-beta/projects/1a5/genericobjects", &sent));
    figures.push(Figure {
        name: "bytes written per byte of a created object, 64 in flight".into(),
        value: Some(our_bytes / object.len() as f64),
        unit: "x",
        limit: Limit::AtMost(6.0, 4.0),
        from: format!(
            "{our_bytes:.0} B for {} B; floor {:.1}x",
            object.len(),
            floor_bytes / object.len() as f64
        ),
    });
    figures
}

/// What many rows cost: the same requests on a small and on a large database, and deep pages.
pub fn at_scale(options: &Options, folder: &Path, small: &Filled, large: &Filled) -> Vec<Figure> {
    let few = drover(&folder.join("small"), Cores::One);
    let many = drover(&folder.join("large"), Cores::One);
    // The first reads bring the file into the kernel's memory.
    let ratio = |name: &str, path: &dyn Fn(&Filled, u64) -> String| {
        compare(
            options,
            name,
            &Side {
                server: &many,
                request: Box::new(|n| load::get(&path(large, n))),
            },
            &Side {
                server: &few,
                request: Box::new(|n| load::get(&path(small, n))),
            },
            Limit::AtLeast(0.6, 0.9),
        )
    };
    let rows = large.containers.len() + large.objects.len();
    let mut figures = vec![
        ratio(&format!("GET by id, {rows} rows / {}", options.small), &container_path),
        ratio(
            &format!("list of 100, {rows} rows / {}", options.small),
            &|filled, n| list_path(filled, "containers", "stopped", n),
        ),
    ];
    let marker = deep_marker(&many, large.containers.len() * 95 / 100);
    let page = |path: String| Side {
        server: &many,
        request: Box::new(move |_| load::get(&path)),
    };
    figures.push(compare(
        options,
        "page at 95 % / first page",
        &page(format!("/v2-beta/containers?limit=100&marker={marker}")),
        &page("/v2-beta/containers?limit=100".into()),
        Limit::AtLeast(0.8, 0.95),
    ));
    figures
}

/// Walks to the marker after so many containers.
fn deep_marker(server: &Server, after: usize) -> String {
    let mut path = "/v2-beta/containers?limit=3000".to_owned();
    for _ in 0..(after / 3000).max(1) {
        let page: Value = serde_json::from_str(&body(server, &path)).expect("JSON");
        let next = page["pagination"]["next"].as_str().expect("more pages").to_owned();
        path = next
            .split_once("/v2-beta")
            .map(|(_, rest)| format!("/v2-beta{rest}"))
            .expect("a URL of this server");
    }
    path.split_once("marker=")
        .map(|(_, marker)| marker.to_owned())
        .expect("a marker")
}

/// The disk's own pace, without which a write figure says nothing.
pub fn disk(folder: &Path) -> Figure {
    let (rate, median) = machine::sync_rate(folder);
    Figure {
        name: "fsync of this disk".into(),
        value: Some(rate),
        unit: "/s",
        limit: Limit::None,
        from: format!("4 KiB each, median {median:.0} µs"),
    }
}
