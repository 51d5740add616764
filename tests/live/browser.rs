//! The pages of the server in a real browser: Debian's Chromium, driven by `browser.py`. No Docker is needed.

use std::process::Command;

use crate::support::{Server, beside, real_part};

fn check(scenario: &str) {
    let Some(python) = real_part("DROVER_TEST_PYTHON") else { return };
    let server = Server::start("none");
    let shots = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    let output = Command::new(python)
        .arg(beside("browser.py"))
        .arg(server.url(""))
        .arg(scenario)
        .arg(&shots)
        // A proxy of the machine's environment is not for the local server, nor for the browser's driver.
        .env("NO_PROXY", "*")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{scenario} failed: {}\n{}\n{}\nscreenshots are in {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
        shots.display(),
    );
}

#[test]
fn a_service_lives_its_life_by_forms() {
    check("service");
}

#[test]
fn a_thousand_rows_are_paged_by_mouse_keyboard_and_phone() {
    check("pages");
}

#[test]
fn access_control_is_turned_on_and_a_key_is_made() {
    check("access");
}
