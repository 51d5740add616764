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

/// Where rollbacks can be cancelled.
const V1: &str = "/v1/projects/1a5/services";

#[test]
fn a_rollback_that_pauses() {
    let check = json!({"port": 80, "interval": 2000, "unhealthyThreshold": 2, "strategy": "none"});
    let mut before = active(json!({"scale": 2, "launchConfig": {"imageUuid": "sim:one", "healthCheck": check}}));
    let labels = json!({"io.drover.rollback.failure_action": "pause", "io.drover.rollback.monitor": "1m"});
    let launch = json!({"imageUuid": "sim:two", "labels": labels});
    before.extend([upgrade(json!({"launchConfig": launch})), Step::Rest]);
    let on_v1 = |action, from| Step::Act {
        path: V1,
        name: "web",
        action,
        from,
        body: json!({}),
    };
    let then = vec![
        simply("rollback", &["upgraded"]),
        Step::Pass(6),
        Step::Ail("front-web-1"),
        Step::Pass(30),
        on_v1("cancelrollback", &["rolling-back"]),
        Step::Rest,
        on_v1("finishupgrade", &["canceled-rollback"]),
        Step::Rest,
    ];
    matrix("paused rollback", before, then);
}
