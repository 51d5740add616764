//! Lives in which a balancer is told what to do, and waited for.

use serde_json::json;

use crate::matrix::{Scenario, check};
use crate::scenarios::{active, simply, upgrade};
use crate::world::{Mode, Step};

#[test]
fn what_is_behind_a_balancer_is_left_before_it_is_stopped() {
    let balancer = Step::Create {
        path: "loadbalancerservices",
        name: "lb",
        body: json!({"stackId": "$front", "startOnCreate": true, "launchConfig": {"imageUuid": "sim:lb", "ports": ["8090:8090/tcp"]},
            "lbConfig": {"portRules": [{"sourcePort": 8090, "targetPort": 80, "serviceId": "$web"}]}}),
    };
    let drained = json!({"imageUuid": "sim:one", "drainTimeoutMs": 2000});
    let then = vec![
        balancer,
        Step::Rest,
        upgrade(json!({"launchConfig": {"imageUuid": "sim:two", "drainTimeoutMs": 2000}})),
        Step::Rest,
        simply("finishupgrade", &["upgraded"]),
        Step::Rest,
        simply("deactivate", &["active"]),
        Step::Rest,
        Step::Delete {
            path: "services",
            name: "web",
        },
        Step::Rest,
        Step::Delete {
            path: "services",
            name: "lb",
        },
        Step::Rest,
    ];
    let scenario = Scenario {
        name: "balancers",
        before: active(json!({"scale": 2, "launchConfig": drained})),
        then,
    };
    check(&scenario, Mode::Balancers);
}
