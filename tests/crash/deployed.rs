//! Services that Docker's clients update, as scenarios.

use serde_json::json;

use crate::scenarios::{active, matrix};
use crate::world::Step;

const SERVICE: &str = "front_web";

#[test]
fn an_update_by_docker_finishes_by_itself_and_gives_way_to_the_next() {
    let to = |image| Step::Deploy {
        service: SERVICE,
        image,
    };
    let then = vec![to("sim:two"), Step::Settle, to("sim:three"), Step::Rest];
    matrix("deployed", active(json!({"scale": 2})), then);
}

#[test]
fn an_update_by_docker_that_fails_leads_back() {
    let bad = Step::Deploy {
        service: SERVICE,
        image: "sim:fail",
    };
    matrix(
        "deployed and failed",
        active(json!({"scale": 2})),
        vec![bad, Step::Rest],
    );
}
