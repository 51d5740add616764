//! Real clients, unmodified: PyPI's `cattle` drives a service through its whole life.

use std::process::Command;

use crate::support::{World, beside, real_part};

/// Runs the client's script against one version of the API.
fn check_cattle_client(version: &str, stack: &str) {
    let Some(python) = real_part("DROVER_TEST_PYTHON") else { return };
    let Some(world) = World::start() else { return };
    world.remember_stack(stack);
    let output = Command::new(python)
        .arg(beside("cattle_client.py"))
        .arg(world.url(&format!("{version}/projects/1a5")))
        .arg(stack)
        // A proxy of the machine's environment is not for the local server.
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the client failed: {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    world.wait_gone(stack);
}

#[test]
fn the_cattle_client_drives_a_service_on_v1() {
    check_cattle_client("v1", "python-one");
}

#[test]
fn the_cattle_client_drives_a_service_on_v2_beta() {
    check_cattle_client("v2-beta", "python-two");
}
