//! The same requests to a real swarm and to the server: what differs otherwise than `swarm_on_purpose.txt` says is a failure.

use crate::balancers::world;
use crate::several::Another;
use crate::support::{beside, run_script};

#[test]
fn a_real_swarm_answers_as_this_server_does() {
    let Some(world) = world() else { return };
    world.remember_stack("default");
    let swarm = Another::start(6);
    swarm.docker.run(&["swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let socket = swarm.docker.url.trim_start_matches("unix://");
    let on_purpose = beside("swarm_on_purpose.txt");
    let arguments = [socket, &world.url("docker"), on_purpose.to_str().unwrap()];
    run_script("swarm_beside.py", &arguments);
}
