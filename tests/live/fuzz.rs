//! Requests that nobody would think of: schemathesis over the server's own OpenAPI documents, driven by `fuzz.py`, with
//! simulated hosts. No Docker is needed.

use std::io::Write;
use std::time::Duration;

use serde_json::Value;

use crate::support::{Server, real_part, run_script};

/// How many requests an ordinary run makes; `DROVER_TEST_FUZZ` says another number.
const REQUESTS: u32 = 4000;
/// The keys that `fuzz.py` uses.
const FLAGS: &[&str] = &[
    "--access-control",
    "on",
    "--bootstrap-key",
    "admin=FUZZADMIN:secret-of-the-admin",
    "--bootstrap-key",
    "1a5=FUZZPROJECT:secret-of-the-project",
];

pub fn number_in(variable: &str) -> Option<u32> {
    let text = std::env::var(variable).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable}={text} is no number")),
    )
}

/// The same in an ordinary run, which is to say of a change whether it broke something; another one at each longer run.
/// `DROVER_TEST_FUZZ_SEED` asks for one.
pub fn seed(requests: u32, ordinary: u32) -> u32 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let usual = if requests == ordinary { 1 } else { now.subsec_micros() };
    number_in("DROVER_TEST_FUZZ_SEED").unwrap_or(usual)
}

#[test]
fn requests_that_nobody_would_think_of_are_answered_as_the_documents_say() {
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let mut server = Server::start_with("none", FLAGS);
    let requests = number_in("DROVER_TEST_FUZZ").unwrap_or(REQUESTS);
    let seed = seed(requests, REQUESTS);
    // Not `eprintln!`, whose text the harness keeps to itself when a test passes.
    let _ = writeln!(
        std::io::stderr(),
        "{requests} requests, to be repeated with DROVER_TEST_FUZZ_SEED={seed}"
    );
    let said = run_script("fuzz.py", &[&server.url(""), &seed.to_string(), &requests.to_string()]);
    let _ = writeln!(std::io::stderr(), "{said}");
    let log = server.log();
    let panic = log.lines().find(|line| line.contains("panicked at"));
    assert_eq!(panic, None, "seed {seed}");
    // Whatever was stored can be read by a server that finds it.
    server.restart("none");
    let client = reqwest::blocking::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();
    let get = |url: &str| {
        let answer = client
            .get(url)
            .basic_auth("FUZZADMIN", Some("secret-of-the-admin"))
            .send()
            .unwrap();
        assert_eq!(answer.status().as_u16(), 200, "seed {seed}: {url} after a restart");
        answer.json::<Value>().unwrap()
    };
    for version in ["v1", "v2-beta"] {
        let index = get(&server.url(&format!("/{version}")));
        for (name, url) in index["links"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != "subscribe")
        {
            let list = get(url.as_str().unwrap_or_else(|| panic!("{name} is no link")));
            assert!(list["data"].is_array() || name == "self", "{name}: {list:#}");
        }
    }
}
