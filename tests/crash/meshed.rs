//! A life of a service with ports of the mesh: what publishes them comes, changes and goes with it.

use serde_json::{Value, json};

use crate::scenarios::{activate, create, matrix, simply, stack, upgrade};
use crate::world::Step;

/// A launch configuration with these ports of the mesh.
fn meshed(image: &str, ports: &str) -> Value {
    json!({"imageUuid": image, "labels": {"io.drover.mesh.ports": ports}})
}

#[test]
fn what_publishes_ports_lives_with_its_service() {
    let then = vec![
        create("web", json!({"scale": 2, "launchConfig": meshed("sim:one", "80")})),
        Step::Rest,
        activate(),
        Step::Rest,
        upgrade(json!({"launchConfig": meshed("sim:two", "8080:80, 81:81")})),
        Step::Rest,
        simply("rollback", &["upgraded"]),
        Step::Rest,
        Step::Delete {
            path: "services",
            name: "web",
        },
        Step::Rest,
    ];
    matrix("meshed", vec![stack()], then);
}
