//! Real clients, unmodified: PyPI's `cattle` drives a service through its whole life, and asks as every role.

use crate::support::{Server, World, real_part, run_script};

fn check_life(version: &str, stack: &str) {
    let Some(world) = World::start() else { return };
    world.remember_stack(stack);
    run_script(
        "cattle_client.py",
        &[&world.url(&format!("{version}/projects/1a5")), stack],
    );
    world.wait_gone(stack);
}

fn check_roles(version: &str) {
    if real_part("DROVER_TEST_PYTHON").is_none() {
        return;
    }
    let keys = [
        "superadmin=superadmin:secret-of-the-superadmin",
        "admin=admin:secret-of-the-admin",
    ];
    let flags = [
        "--access-control",
        "on",
        "--bootstrap-key",
        keys[0],
        "--bootstrap-key",
        keys[1],
    ];
    let server = Server::start_with("none", &flags);
    run_script("cattle_roles.py", &[&server.url("/"), version]);
}

#[test]
fn the_cattle_client_drives_a_service_on_v1() {
    check_life("v1", "python-one");
}

#[test]
fn the_cattle_client_drives_a_service_on_v2_beta() {
    check_life("v2-beta", "python-two");
}

#[test]
fn the_cattle_client_may_do_what_its_role_may_on_v1() {
    check_roles("v1");
}

#[test]
fn the_cattle_client_may_do_what_its_role_may_on_v2_beta() {
    check_roles("v2-beta");
}
