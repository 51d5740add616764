//! MedStack Control's API, asked for by schemathesis: a document of all its operations, made of `tests/contract/medstack.json` by
//! `medstack.py`, with simulated hosts. No Docker is needed.

use std::io::Write;

use crate::fuzz::{number_in, seed};
use crate::support::{Server, real_part, run_script};

/// How many values an ordinary run draws for each operation; `DROVER_TEST_FUZZ` says another number.
const EXAMPLES: u32 = 25;
/// The key that `medstack.py` uses.
const FLAGS: &[&str] = &[
    "--access-control",
    "on",
    "--simulator",
    // Each request says that it comes from somebody else.
    "--trusted-proxy",
    "127.0.0.1",
    "--bootstrap-key",
    "admin=FUZZADMIN:secret-of-the-admin",
];

#[test]
fn all_operations_of_medstack_control_are_answered_as_it_documents_them() {
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let server = Server::start_with("none", FLAGS);
    let examples = number_in("DROVER_TEST_FUZZ").unwrap_or(EXAMPLES);
    let seed = seed(examples, EXAMPLES);
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/contract/medstack.json");
    let said = run_script(
        "medstack.py",
        &[&server.url(""), contract, &seed.to_string(), &examples.to_string()],
    );
    let _ = writeln!(std::io::stderr(), "{said}");
    let log = server.log();
    assert_eq!(
        log.lines().find(|line| line.contains("panicked at")),
        None,
        "seed {seed}"
    );
}
