//! What goes on without anybody asking for it at that moment, as scenarios: schedules, services that wait, receivers.

use serde_json::json;

use crate::scenarios::{act, activate, active, create, matrix, simply, stack};
use crate::world::Step;

#[test]
fn a_service_with_a_schedule() {
    // The clock begins at 22:13:20. There is one time today, and a pass that is repeated after a death meets no other.
    let labels = json!({"io.rancher.container.start_once": "true", "io.drover.schedule": "15 22 * * *"});
    let job = json!({"scale": 2, "launchConfig": {"imageUuid": "sim:exit:3:5000", "labels": labels}});
    let before = vec![stack(), create("web", job), Step::Rest];
    let then = vec![
        activate(),
        Step::Pass(10),
        // The engine says how the containers ended.
        Step::Hear,
        Step::Pass(100),
        Step::Hear,
        Step::Settle,
        simply("deactivate", &["active"]),
        Step::Rest,
    ];
    matrix("schedule", before, then);
}

#[test]
fn a_service_that_waits_for_what_it_is_linked_to() {
    let check =
        json!({"port": 80, "interval": 2000, "healthyThreshold": 2, "unhealthyThreshold": 3, "responseTimeout": 2000});
    let waiting = json!({"imageUuid": "sim:one", "labels": {"io.drover.depends_on": "healthy"}});
    let before = vec![
        stack(),
        create("web", json!({"scale": 2, "launchConfig": waiting})),
        create(
            "db",
            json!({"launchConfig": {"imageUuid": "sim:one", "healthCheck": check}}),
        ),
        Step::Rest,
        act(
            "web",
            "setservicelinks",
            &["inactive"],
            json!({"serviceLinks": [{"serviceId": "$db", "name": "db"}]}),
        ),
    ];
    let then = vec![
        activate(),
        Step::Pass(6),
        act("db", "activate", &["inactive"], json!({})),
        Step::Rest,
    ];
    matrix("waits", before, then);
}

#[test]
fn a_receiver_that_scales() {
    let mut before = active(json!({}));
    let config = json!({"serviceId": "$web", "action": "up", "amount": 2, "min": 1, "max": 3});
    before.push(Step::Create {
        path: "genericobjects",
        name: "grow",
        body: json!({"kind": "webhookReceiver", "resourceData": {"driver": "scaleService", "config": config}}),
    });
    before.push(Step::Rest);
    matrix("receiver", before, vec![Step::Call("grow"), Step::Rest]);
}

#[test]
fn a_container_that_ended_is_started_again_as_often_as_its_rule_says() {
    let rule = json!({"io.drover.restart.condition": "on-failure", "io.drover.restart.delay": "30s",
        "io.drover.restart.max_attempts": "1", "io.drover.restart.window": "1h"});
    let ends = || {
        vec![
            Step::Kill("front-web-1"),
            Step::Hear,
            Step::Settle,
            Step::Pass(60),
            Step::Rest,
        ]
    };
    let config = json!({"imageUuid": "sim:one", "labels": rule});
    // Once it comes back; the second time it stays as it is.
    let then = [ends(), ends()].concat();
    matrix("ended", active(json!({"launchConfig": config})), then);
}

#[test]
fn a_job_runs_each_of_its_containers_once() {
    let labels = json!({"io.drover.job": "true", "io.drover.job.max_concurrent": "1"});
    let job = json!({"scale": 2, "launchConfig": {"imageUuid": "sim:one", "labels": labels}});
    let before = vec![stack(), create("web", job), Step::Rest];
    let then = vec![
        activate(),
        Step::Settle,
        Step::Exit("front-web-1"),
        Step::Hear,
        Step::Settle,
        Step::Exit("front-web-2"),
        Step::Hear,
        Step::Rest,
    ];
    matrix("job", before, then);
}
