//! Upgrades that are watched over, as scenarios.

use serde_json::json;

use crate::scenarios::{active, matrix, simply, upgrade};
use crate::world::Step;

#[test]
fn an_upgrade_that_is_given_up() {
    let labels = json!({"io.drover.upgrade.failure_action": "rollback", "io.drover.upgrade.max_failure_ratio": "0.4"});
    let strategy = json!({"launchConfig": {"imageUuid": "sim:fail", "labels": labels}});
    matrix(
        "given up",
        active(json!({"scale": 3})),
        vec![upgrade(strategy), Step::Rest],
    );
}

#[test]
fn a_canary_that_is_let_go() {
    let labels = json!({"io.drover.upgrade.canary": "1", "io.drover.upgrade.monitor": "2s"});
    let then = vec![
        upgrade(json!({"launchConfig": {"imageUuid": "sim:two", "labels": labels}})),
        Step::Settle,
        simply("cancelupgrade", &["upgrading"]),
        Step::Rest,
        simply("continueupgrade", &["canceled-upgrade"]),
        Step::Rest,
    ];
    matrix("canary", active(json!({"scale": 3})), then);
}
