//! Services by MedStack Control's interface, as scenarios.

use serde_json::json;

use crate::scenarios::matrix;
use crate::world::Step;

const NAME: &str = "web";

#[test]
fn a_service_that_is_made_changed_and_removed_by_medstack_control() {
    let made = Step::Serve {
        name: NAME,
        body: json!({"image": "sim:one", "replicas": 2, "environment_variables": [{"key": "A", "value": "1"}]}),
    };
    let scaled = Step::Change {
        name: NAME,
        body: json!({"replicas": 3}),
    };
    let changed = Step::Change {
        name: NAME,
        body: json!({"image": "sim:two", "update_parallelism": 0, "update_monitor": 1}),
    };
    let steps = vec![
        made,
        Step::Rest,
        scaled,
        Step::Settle,
        changed,
        Step::Rest,
        Step::End(NAME),
        Step::Rest,
    ];
    matrix("served", vec![], steps);
}
