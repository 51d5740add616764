//! A project of twenty thousand services: its pages stay light, and come. Only with `DROVER_TEST_MANY=1`.

use std::io::Write as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::fuzz::number_in;
use crate::support::{Server, real_part, run_script};

const SERVICES: u64 = 20_000;
const STACKS: usize = 100;

/// Bytes over the network, for who was never here and for who was here a moment ago.
const WEIGHTS: [(&str, u64); 6] = [
    ("home cold", 120_000),
    ("home warm", 20_000),
    ("service cold", 120_000),
    ("service warm", 20_000),
    ("list cold", 150_000),
    ("list warm", 20_000),
];
/// Until a page can be used, in a build for tests beside other builds: what takes time with the number of services takes far longer.
const WAITS: [(&str, Duration); 3] = [
    ("home", Duration::from_secs(3)),
    ("100", Duration::from_secs(3)),
    ("1000", Duration::from_secs(8)),
];

#[test]
fn the_pages_of_twenty_thousand_services_are_light_and_come_soon() {
    if number_in("DROVER_TEST_MANY").unwrap_or(0) == 0 {
        let _ = writeln!(
            std::io::stderr(),
            "skipped twenty thousand services: DROVER_TEST_MANY is not set"
        );
        return;
    }
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let mut server = Server::start("none");
    let api = server.api("v2-beta/projects/1a5");
    let mut stack = Value::Null;
    for number in 0..STACKS {
        stack = api.post("/stacks", json!({ "name": format!("stack-{number:02}") }));
    }
    api.wait_state(&stack, "active");
    let body = json!({"name": "first", "stackId": stack["id"], "launchConfig": {"imageUuid": "sim:web"}});
    let service = api.wait_state(&api.post("/services", body), "inactive");
    let id = service["id"].as_str().unwrap();
    server.restart_after("none", |database| {
        let (row, count) = (id.trim_start_matches("1s"), SERVICES - 1);
        run_script("multiply.py", &[database.to_str().unwrap(), row, &count.to_string()]);
    });
    let counted = api.get("/services?counts=state");
    assert_eq!(counted["data"][0]["count"], SERVICES, "{counted:#}");

    let shots = tempfile::tempdir().unwrap();
    let said = run_script("weights.py", &[&server.url(""), id, shots.path().to_str().unwrap()]);
    println!("{said}");
    let told: Value = serde_json::from_str(&said).unwrap();
    for (page, most) in WEIGHTS {
        let bytes = told["weights"][page]["bytes"].as_u64().unwrap();
        assert!(bytes <= most, "{page}: {bytes} bytes");
    }
    for (page, most) in WAITS {
        let mut took: Vec<f64> = serde_json::from_value(told["usable"][page].clone()).unwrap();
        took.sort_by(f64::total_cmp);
        let median = Duration::from_secs_f64(took[took.len() / 2] / 1000.0);
        assert!(median <= most, "{page}: {median:?} of {took:?}");
    }
}
