//! The pages of the server in a real browser: Debian's Chromium, driven by `browser.py`. One of them needs Docker.

use crate::support::{Server, free_port, real_part, run_script};

/// Where the browser puts its pictures.
fn screenshots() -> std::path::PathBuf {
    let shots = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
    std::fs::create_dir_all(&shots).unwrap();
    shots
}

fn check(scenario: &str) {
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let server = Server::start("none");
    let shots = screenshots();
    run_script("browser.py", &[&server.url(""), scenario, shots.to_str().unwrap()]);
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

/// All points of `explorer.py`, with one server and one browser.
#[test]
fn the_explorer_is_one_that_one_would_choose() {
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let server = Server::start("none");
    let shots = screenshots();
    let points = std::env::var("DROVER_TEST_POINTS").unwrap_or_else(|_| "all".to_owned());
    let said = run_script("explorer.py", &[&server.url(""), &points, shots.to_str().unwrap()]);
    println!("{said}");
}

#[test]
fn three_services_behind_a_balancer_live_by_the_mouse() {
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let Some(world) = crate::balancers::world() else { return };
    world.remember_stack("app");
    let (shots, port) = (screenshots(), free_port());
    run_script(
        "browser.py",
        &[&world.url(""), "files", shots.to_str().unwrap(), &port.to_string()],
    );
    world.wait_gone("app");
}
