//! The same requests to a real swarm and to the server: what differs otherwise than `swarm_on_purpose.txt` says is a failure.

use crate::balancers::world;
use crate::several::Another;
use crate::support::{Docker, beside, run_script};

#[test]
fn a_real_swarm_answers_as_this_server_does() {
    let Some(world) = world() else { return };
    world.remember_stack("default");
    forget_names(&world.docker);
    let swarm = Another::start(6);
    swarm.docker.run(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let socket = swarm.docker.url.trim_start_matches("unix://");
    let on_purpose = beside("swarm_on_purpose.txt");
    let arguments = [socket, &world.url("docker"), on_purpose.to_str().unwrap()];
    run_script("swarm_beside.py", &arguments);
}

/// Takes from the engine's images the names that other tests gave them, and those away that have none: the swarm has none of these.
fn forget_names(docker: &Docker) {
    let format = "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}";
    let listed = docker.run(&["images", "--digests", "--format", format]);
    for line in listed.lines().filter(|line| !line.starts_with("drover-test/")) {
        for name in line.split(' ').filter(|name| !name.contains("<none>")) {
            // A digest goes with the last name of its registry, so it may be gone.
            drop(docker.output(&["rmi", name]));
        }
    }
    docker.run(&["image", "prune", "--force"]);
}
