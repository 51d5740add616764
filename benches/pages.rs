//! The explorer's pages in a real browser: what they weigh, and how long until their rows can be used.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::http::drover;
use super::life::Client;
use super::machine::{Cores, median};
use super::report::{Figure, Limit};

/// So many services there are, in so many stacks.
const SERVICES: usize = 1000;
const STACKS: usize = 40;
/// Containers of the service whose page is weighed.
const SCALE: u32 = 3;
/// Pages, with `(must, aim)` in KB for who was never here.
const PAGES: [(&str, &str, f64, f64); 3] = [
    ("home", "home with 1,000 services", 120.0, 100.0),
    ("service", "a service's page", 120.0, 100.0),
    ("list", "a list of 100", 150.0, 110.0),
];
/// The same for who was here a moment ago, whichever page.
const AGAIN: (f64, f64) = (20.0, 10.0);

/// Fills a server by its API, and has a browser look at it.
pub fn pages(folder: &Path) -> Vec<Figure> {
    let Some(python) = std::env::var("DROVER_TEST_PYTHON").ok().filter(|p| !p.is_empty()) else {
        return vec![Figure {
            name: "the explorer's pages".into(),
            value: None,
            unit: "",
            limit: Limit::None,
            from: "skipped, no browser (DROVER_TEST_PYTHON is not set)".into(),
        }];
    };
    std::fs::create_dir_all(folder).expect("a writable folder");
    let server = drover(folder, Cores::All);
    let service = fill(&Client(server.address));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/weights.py");
    // A proxy of the machine's environment is not for the local server, nor for the browser's driver.
    let output = Command::new(python)
        .arg(script)
        .args([&format!("http://{}", server.address), &service])
        .arg(folder)
        .env("NO_PROXY", "*")
        .output()
        .expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    [weights(&told["weights"]), usable(&told["usable"])].concat()
}

/// Makes the services; the id of one that runs.
fn fill(client: &Client) -> String {
    let id = |row: &Value| row["id"].as_str().expect("an id").to_owned();
    let stacks: Vec<String> = (0..STACKS)
        .map(|n| id(&client.post("stacks", &json!({"name": format!("stack-{n:02}")}))))
        .collect();
    let body = |n: usize| json!({"name": format!("service-{n:04}"), "stackId": stacks[n % STACKS], "launchConfig": {"imageUuid": "sim:web"}});
    let mut running = body(0);
    running["scale"] = json!(SCALE);
    running["startOnCreate"] = json!(true);
    let service = id(&client.post("services", &running));
    for n in 1..SERVICES {
        client.post("services", &body(n));
    }
    let pause = Duration::from_millis(50);
    client.wait(&format!("services/{service}"), "active", pause);
    let waiting = |state| {
        let left = client.get(&format!("services?state={state}&limit=1"));
        !left["data"].as_array().expect("rows").is_empty()
    };
    while waiting("registering") || waiting("requested") {
        std::thread::sleep(pause);
    }
    service
}

fn weights(told: &Value) -> Vec<Figure> {
    let figure = |key: String, name: String, (must, aim)| {
        let bytes = told[&key]["bytes"].as_f64().expect("bytes");
        Figure {
            name,
            value: Some(bytes / 1000.0),
            unit: " KB",
            limit: Limit::AtMost(must, aim),
            from: format!("{} requests, as they came over the network", told[&key]["requests"]),
        }
    };
    let both = |(page, name, must, aim): (&str, &str, f64, f64)| {
        [
            figure(
                format!("{page} cold"),
                format!("{name}, for the first time"),
                (must, aim),
            ),
            figure(format!("{page} warm"), format!("{name}, once more"), AGAIN),
        ]
    };
    PAGES.into_iter().flat_map(both).collect()
}

/// Against the same page without rows, for a wall clock says more of the machine than of the page.
fn usable(told: &Value) -> Vec<Figure> {
    let took = |page: &str| {
        let all = told[page].as_array().expect("rounds");
        median(
            &mut all
                .iter()
                .map(|ms| ms.as_f64().expect("milliseconds"))
                .collect::<Vec<_>>(),
        )
    };
    let empty = took("0");
    let figure = |page: &str, what: &str| {
        let all = took(page);
        Figure {
            name: format!("{what} to be used / a list without rows"),
            value: Some(all / empty),
            unit: "x",
            limit: Limit::None,
            from: format!("{all:.0} ms / {empty:.0} ms in the browser, its files kept"),
        }
    };
    vec![
        figure("100", "100 rows"),
        figure("1000", "1,000 rows"),
        figure("home", "home"),
    ]
}
