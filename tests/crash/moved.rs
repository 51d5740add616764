//! Units of a service that move to a host that came later, and units that have something where they are.

use serde_json::json;

use crate::scenarios::{active, matrix, scale, simply, upgrade};
use crate::world::Step;

#[test]
fn units_move_to_another_host() {
    let add = Step::Create {
        path: "/v2-beta/hosts",
        name: "east",
        body: json!({"hostname": "east", "dockerUrl": "tcp://10.9.8.7:2375"}),
    };
    // With a check it takes until somebody looks: whoever asks again finds it on its way.
    let check = json!({"port": 80, "interval": 2000, "responseTimeout": 2000});
    let mut before = active(json!({"scale": 4, "launchConfig": {"imageUuid": "sim:one", "healthCheck": check}}));
    before.extend([add, Step::Rest]);
    matrix("moved", before, vec![simply("rebalance", &["active"]), Step::Rest]);
}

#[test]
fn units_with_volumes_of_their_own() {
    let template = Step::Create {
        path: "volumetemplates",
        name: "data",
        body: json!({"stackId": "$front", "perContainer": true}),
    };
    let launch = json!({"imageUuid": "sim:one", "dataVolumes": ["data:/data"]});
    let mut service = active(json!({"scale": 2, "launchConfig": launch}));
    service.insert(1, template);
    let gone = Step::Delete {
        path: "services",
        name: "web",
    };
    let then = vec![
        Step::Forget("front-web-2"),
        Step::Hear,
        Step::Rest,
        upgrade(json!({"launchConfig": {"imageUuid": "sim:two", "dataVolumes": ["data:/data"]}})),
        Step::Rest,
        simply("finishupgrade", &["upgraded"]),
        Step::Rest,
        scale(1),
        Step::Rest,
        gone,
        Step::Rest,
    ];
    matrix("own volumes", service, then);
}
