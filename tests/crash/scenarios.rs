//! Whole lives of stacks, services and containers, each as data.

use serde_json::{Value, json};

use crate::matrix::{Scenario, check, containers};
use crate::world::{Mode, Step};

pub fn stack() -> Step {
    Step::Create {
        path: "stacks",
        name: "front",
        body: json!({}),
    }
}

pub fn create(name: &'static str, more: Value) -> Step {
    let mut body = json!({"stackId": "$front", "launchConfig": {"imageUuid": "sim:one"}});
    merge(&mut body, more);
    Step::Create {
        path: "services",
        name,
        body,
    }
}

fn merge(body: &mut Value, more: Value) {
    if let (Some(body), Value::Object(more)) = (body.as_object_mut(), more) {
        body.extend(more);
    }
}

pub fn act(name: &'static str, action: &'static str, from: &'static [&'static str], body: Value) -> Step {
    Step::Act {
        path: "services",
        name,
        action,
        from,
        body,
    }
}

pub fn activate() -> Step {
    act("web", "activate", &["inactive"], json!({}))
}

pub fn upgrade(more: Value) -> Step {
    let mut strategy = json!({"batchSize": 1, "intervalMillis": 1000, "launchConfig": {"imageUuid": "sim:two"}});
    merge(&mut strategy, more);
    act("web", "upgrade", &["active"], json!({"inServiceStrategy": strategy}))
}

pub fn simply(action: &'static str, from: &'static [&'static str]) -> Step {
    act("web", action, from, json!({}))
}

pub fn scale(to: u32) -> Step {
    Step::Put {
        path: "services",
        name: "web",
        body: json!({"scale": to}),
    }
}

/// An active service `web` of a stack `front`.
pub fn active(more: Value) -> Vec<Step> {
    vec![stack(), create("web", more), Step::Rest, activate(), Step::Rest]
}

/// The same, upgraded.
fn upgraded(more: Value, strategy: Value) -> Vec<Step> {
    let mut steps = active(more);
    steps.extend([upgrade(strategy), Step::Rest]);
    steps
}

fn sidekick(image: &str) -> Value {
    json!([{"name": "log", "imageUuid": image, "networkLaunchConfig": "web", "networkMode": "container"}])
}

pub fn matrix(name: &'static str, before: Vec<Step>, then: Vec<Step>) {
    check(&Scenario { name, before, then }, Mode::Plain);
}

#[test]
fn creating_a_stack_a_service_and_a_container() {
    let container = Step::Create {
        path: "containers",
        name: "alone",
        body: json!({"imageUuid": "sim:one", "networkMode": "managed", "ports": ["8080:80/tcp"], "dataVolumes": ["/data"]}),
    };
    let with_port = json!({"startOnCreate": true, "launchConfig": {"imageUuid": "sim:one", "ports": ["80/tcp"]}});
    matrix(
        "create",
        vec![],
        vec![stack(), create("web", with_port), Step::Settle, container, Step::Rest],
    );
}

#[test]
fn activating_a_service_with_a_sidekick() {
    let body = json!({"secondaryLaunchConfigs": sidekick("sim:log"), "launchConfig": {"imageUuid": "sim:one", "ports": ["8081:80/tcp"]}});
    let before = vec![
        stack(),
        create("web", body),
        create("db", json!({"scale": 2})),
        Step::Rest,
    ];
    let link = act(
        "web",
        "setservicelinks",
        &["inactive"],
        json!({"serviceLinks": [{"serviceId": "$db", "name": "db"}]}),
    );
    let both = Step::Act {
        path: "stacks",
        name: "front",
        action: "activateservices",
        from: &["active"],
        body: json!({}),
    };
    matrix("activate", before, vec![link, both, Step::Rest]);
}

#[test]
fn a_service_with_health_checks() {
    let config = json!({"scale": 2, "launchConfig": {"imageUuid": "sim:one", "healthCheck": {"port": 80, "interval": 2000,
        "healthyThreshold": 2, "unhealthyThreshold": 3, "responseTimeout": 2000}}});
    let new = json!({"launchConfig": {"imageUuid": "sim:two", "healthCheck": {"port": 80, "interval": 2000}}});
    let then = vec![
        stack(),
        create("web", config),
        Step::Rest,
        activate(),
        Step::Rest,
        upgrade(new),
        Step::Rest,
    ];
    matrix("health", vec![], then);
}

#[test]
fn scaling_up_and_down() {
    let then = vec![scale(4), Step::Rest, scale(1), Step::Settle, scale(2), Step::Rest];
    matrix(
        "scale",
        active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")})),
        then,
    );
}

#[test]
fn upgrading_in_batches() {
    matrix(
        "upgrade",
        active(json!({"scale": 3})),
        vec![upgrade(json!({"batchSize": 2})), Step::Rest],
    );
}

/// A life with everything in it that crosses a death: parked containers, shared namespaces, addresses, removals.
fn everything() -> Scenario {
    let then = vec![
        upgrade(json!({"batchSize": 2})),
        Step::Rest,
        simply("rollback", &["upgraded"]),
        Step::Rest,
        upgrade(json!({"batchSize": 2, "startFirst": true})),
        Step::Rest,
        simply("finishupgrade", &["upgraded"]),
        Step::Settle,
        scale(1),
        Step::Rest,
        simply("deactivate", &["active"]),
        Step::Rest,
    ];
    Scenario {
        name: "everything",
        before: active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")})),
        then,
    }
}

#[test]
fn many_hands_lose_no_more_than_one() {
    check(&everything(), Mode::ManyHands);
}

#[test]
fn a_simulator_that_dies_with_its_server_is_told_all_it_needs() {
    check(&everything(), Mode::NewSimulator);
}

#[test]
fn a_server_that_dies_while_it_recovers_is_recovered_from() {
    check(&everything(), Mode::DiesTwice);
}

#[test]
fn scaling_up_by_more_than_one_write_holds() {
    let scenario = Scenario {
        name: "many",
        before: active(json!({"secondaryLaunchConfigs": sidekick("sim:log")})),
        then: vec![scale(16), Step::Rest],
    };
    check(&scenario, Mode::ManyHands);
}

#[test]
fn moving_to_another_service() {
    let mut before = active(json!({"scale": 2}));
    let link = act(
        "user",
        "setservicelinks",
        &["inactive"],
        json!({"serviceLinks": [{"serviceId": "$web", "name": "backend"}]}),
    );
    before.extend([
        create("other", json!({"launchConfig": {"imageUuid": "sim:two"}})),
        create("user", json!({})),
        Step::Rest,
        link,
        Step::Rest,
    ]);
    let strategy = json!({"toServiceStrategy": {"toServiceId": "$other", "finalScale": 2, "batchSize": 1, "intervalMillis": 1000, "updateLinks": true}});
    let move_over = act("web", "upgrade", &["active"], strategy);
    matrix(
        "to service",
        before,
        vec![
            move_over,
            Step::Rest,
            simply("finishupgrade", &["upgraded"]),
            Step::Rest,
        ],
    );
}

#[test]
fn addresses_and_ports_that_are_kept() {
    let config = json!({"imageUuid": "sim:one", "ports": ["8083:80/tcp", "81/tcp"]});
    let new = json!({"launchConfig": {"imageUuid": "sim:two", "ports": ["8083:80/tcp", "81/tcp"]}});
    let before = active(json!({"retainIp": true, "launchConfig": config}));
    let then = vec![
        upgrade(new),
        Step::Rest,
        simply("finishupgrade", &["upgraded"]),
        Step::Rest,
        scale(0),
        Step::Rest,
        scale(1),
        Step::Rest,
    ];
    matrix("kept", before, then);
}

#[test]
fn a_container_that_never_starts() {
    let body = json!({"imageUuid": "sim:fail"});
    matrix(
        "fail",
        vec![],
        vec![
            Step::Create {
                path: "containers",
                name: "bad",
                body,
            },
            Step::Rest,
        ],
    );
}

#[test]
fn a_container_that_starts_at_the_third_try() {
    let flaky =
        json!({"imageUuid": "sim:one", "labels": {"sim.fail": "create,start,stop,remove", "sim.fail.times": "2"}});
    let then = vec![
        create("web", json!({"startOnCreate": true, "launchConfig": flaky})),
        Step::Rest,
        scale(0),
        Step::Rest,
    ];
    matrix("flaky", vec![stack()], then);
}

#[test]
fn what_is_slow_to_stop_is_waited_for_in_both_directions() {
    let slow = |image: &str| json!({"imageUuid": image, "labels": {"sim.fail": "stop", "sim.fail.times": "2"}});
    let before = active(json!({"retainIp": true, "launchConfig": slow("sim:one")}));
    let then = vec![
        upgrade(json!({"launchConfig": slow("sim:two")})),
        Step::Rest,
        simply("rollback", &["upgraded"]),
        Step::Rest,
    ];
    let scenario = Scenario {
        name: "slow-stop",
        before,
        then,
    };
    check(&scenario, Mode::Plain);
    let (was, is) = containers(&scenario);
    assert_eq!(was, is, "a rollback brings the same container back");
}

#[test]
fn containers_that_die_or_vanish_are_replaced() {
    let then = vec![
        Step::Kill("front-web-1"),
        Step::Hear,
        Step::Rest,
        Step::Forget("front-web-2"),
        Step::Hear,
        Step::Rest,
    ];
    matrix(
        "heal",
        active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")})),
        then,
    );
}

#[test]
fn an_ill_container_is_replaced_by_another_and_a_healthy_one_stays() {
    let config = json!({"imageUuid": "sim:one", "healthCheck": {"port": 80, "interval": 2000, "strategy": "recreate"}});
    let mut before = active(json!({"scale": 2, "launchConfig": config}));
    before.push(Step::Rest);
    let scenario = Scenario {
        name: "ill",
        before,
        then: vec![Step::Ail("front-web-1"), Step::Pass(12), Step::Rest],
    };
    check(&scenario, Mode::Plain);
    // A name tells nothing: the new one has the old one's.
    let (was, is) = containers(&scenario);
    assert_eq!(is.keys().collect::<Vec<_>>(), ["front-web-1", "front-web-2"]);
    assert_ne!(is["front-web-1"], was["front-web-1"]);
    assert_eq!(is["front-web-2"], was["front-web-2"]);
}

#[test]
fn containers_that_end_by_themselves() {
    let once = json!({"imageUuid": "sim:exit:0:3000", "labels": {"io.rancher.container.start_once": "true"}});
    let gone = json!({"imageUuid": "sim:exit:3:3000", "instanceTriggeredStop": "remove"});
    let then = vec![
        create("web", json!({"startOnCreate": true, "launchConfig": once})),
        Step::Create {
            path: "containers",
            name: "alone",
            body: gone,
        },
        Step::Settle,
        Step::Pass(4),
        Step::Hear,
        Step::Rest,
    ];
    matrix("end", vec![stack()], then);
}

#[test]
fn removing_in_the_middle_of_an_upgrade() {
    let then = vec![
        upgrade(json!({"intervalMillis": 5000})),
        Step::Pass(2),
        Step::Delete {
            path: "services",
            name: "web",
        },
        Step::Rest,
    ];
    matrix(
        "remove early",
        active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")})),
        then,
    );
}

#[test]
fn scaling_in_the_middle_of_an_upgrade() {
    let then = vec![
        upgrade(json!({"intervalMillis": 5000})),
        Step::Settle,
        scale(3),
        Step::Settle,
        scale(1),
        Step::Rest,
    ];
    matrix("scale early", active(json!({"scale": 2})), then);
}

#[test]
fn an_image_that_comes_late() {
    let new = json!({"launchConfig": {"imageUuid": "sim:fail:pull:2"}});
    matrix("late", active(json!({"scale": 2})), vec![upgrade(new), Step::Rest]);
}

#[test]
fn a_global_service() {
    let config = json!({"imageUuid": "sim:one", "labels": {"io.rancher.scheduler.global": "true"}});
    let then = vec![
        create("web", json!({"startOnCreate": true, "launchConfig": config})),
        Step::Rest,
        simply("deactivate", &["active"]),
        Step::Rest,
    ];
    matrix("global", vec![stack()], then);
}

#[test]
fn upgrading_a_sidekick() {
    let only = json!({"launchConfig": null, "secondaryLaunchConfigs": sidekick("sim:log2")});
    let before = active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")}));
    matrix(
        "sidekick",
        before,
        vec![
            upgrade(only),
            Step::Rest,
            simply("finishupgrade", &["upgraded"]),
            Step::Rest,
        ],
    );
}

#[test]
fn upgrading_with_the_new_ones_started_first() {
    let strategy = json!({"startFirst": true, "launchConfig": {"imageUuid": "sim:two"}});
    matrix(
        "start first",
        active(json!({"scale": 2})),
        vec![upgrade(strategy), Step::Rest],
    );
}

#[test]
fn finishing_an_upgrade() {
    let before = upgraded(json!({"scale": 3}), json!({}));
    matrix(
        "finish",
        before,
        vec![simply("finishupgrade", &["upgraded"]), Step::Rest],
    );
}

#[test]
fn rolling_back() {
    let before = upgraded(
        json!({"scale": 3, "secondaryLaunchConfigs": sidekick("sim:log")}),
        json!({"batchSize": 3}),
    );
    matrix("rollback", before, vec![simply("rollback", &["upgraded"]), Step::Rest]);
}

#[test]
fn rolling_back_in_the_middle_of_an_upgrade() {
    let then = vec![
        upgrade(json!({"intervalMillis": 5000})),
        Step::Settle,
        simply("rollback", &["upgrading"]),
        Step::Rest,
    ];
    matrix("early rollback", active(json!({"scale": 3})), then);
}

#[test]
fn cancelling_and_going_on() {
    let then = vec![
        upgrade(json!({"intervalMillis": 5000})),
        Step::Settle,
        simply("cancelupgrade", &["upgrading"]),
        Step::Rest,
        simply("continueupgrade", &["canceled-upgrade"]),
        Step::Rest,
    ];
    matrix("cancel", active(json!({"scale": 3})), then);
}

#[test]
fn deactivating_and_activating() {
    let then = vec![simply("deactivate", &["active"]), Step::Rest, activate(), Step::Rest];
    let body = json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")});
    matrix("deactivate", active(body), then);
}

#[test]
fn restarting_a_service() {
    let restart = act(
        "web",
        "restart",
        &["active"],
        json!({"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}}),
    );
    matrix("restart", active(json!({"scale": 2})), vec![restart, Step::Rest]);
}

#[test]
fn restarting_what_others_live_in() {
    let restart = act(
        "web",
        "restart",
        &["active"],
        json!({"rollingRestartStrategy": {"batchSize": 1, "intervalMillis": 1000}}),
    );
    matrix(
        "restart unit",
        active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")})),
        vec![restart, Step::Rest],
    );
}

#[test]
fn removing_a_service() {
    let remove = Step::Delete {
        path: "services",
        name: "web",
    };
    matrix(
        "remove",
        active(json!({"scale": 2, "secondaryLaunchConfigs": sidekick("sim:log")})),
        vec![remove, Step::Rest],
    );
}

#[test]
fn removing_a_stack() {
    let before = vec![
        stack(),
        create("web", json!({"startOnCreate": true})),
        create("db", json!({"startOnCreate": true})),
        Step::Rest,
    ];
    matrix(
        "remove stack",
        before,
        vec![
            Step::Delete {
                path: "stacks",
                name: "front",
            },
            Step::Rest,
        ],
    );
}

#[test]
fn the_life_of_a_container_of_no_service() {
    let on = |action, from, body| Step::Act {
        path: "containers",
        name: "alone",
        action,
        from,
        body,
    };
    let then = vec![
        Step::Create {
            path: "containers",
            name: "alone",
            body: json!({"imageUuid": "sim:one", "networkMode": "managed", "ports": ["80/tcp"]}),
        },
        Step::Rest,
        on("stop", &["running"], json!({})),
        Step::Rest,
        on("start", &["stopped"], json!({})),
        Step::Rest,
        Step::Delete {
            path: "containers",
            name: "alone",
        },
        Step::Rest,
    ];
    matrix("container", vec![], then);
}

#[test]
fn making_a_key_and_letting_a_registry_go_with_its_credential() {
    let key = |action, from| Step::Act {
        path: "apikeys",
        name: "ci",
        action,
        from,
        body: json!({}),
    };
    let registry = |action, from| Step::Act {
        path: "registries",
        name: "reg",
        action,
        from,
        body: json!({}),
    };
    let steps = vec![
        Step::Create {
            path: "apikeys",
            name: "ci",
            body: json!({}),
        },
        Step::Create {
            path: "registries",
            name: "reg",
            body: json!({"serverAddress": "reg.example"}),
        },
        Step::Rest,
        key("deactivate", &["active"]),
        registry("deactivate", &["active"]),
        Step::Rest,
        key("remove", &["inactive"]),
        Step::Delete {
            path: "registries",
            name: "reg",
        },
        Step::Rest,
    ];
    matrix("credentials", vec![], steps);
}

/// A registration in a project whose agent is simulated and brings up a host there.
fn registration(account: &'static str) -> Step {
    let body = json!({"key": "k", "accountId": account, "agentUriFormat": "sim://%s"});
    Step::Create {
        path: "/v2-beta/register",
        name: "joining",
        body,
    }
}

#[test]
fn a_host_registers() {
    matrix("register", vec![], vec![registration("1a5"), Step::Rest]);
}

/// A project with a host of its own, and what runs on it.
fn project() -> Vec<Step> {
    let stack = Step::Create {
        path: "/v2-beta/projects/$shop/stacks",
        name: "front",
        body: json!({}),
    };
    let body = json!({"stackId": "$front", "startOnCreate": true, "launchConfig": {"imageUuid": "sim:one", "ports": ["80/tcp"]}});
    vec![
        Step::Create {
            path: "/v2-beta/projects",
            name: "shop",
            body: json!({}),
        },
        Step::Rest,
        registration("$shop"),
        stack,
        Step::Rest,
        Step::Create {
            path: "/v2-beta/projects/$shop/services",
            name: "web",
            body,
        },
        Step::Create {
            path: "/v2-beta/projects/$shop/containers",
            name: "alone",
            body: json!({"imageUuid": "sim:one", "dataVolumes": ["d:/d"]}),
        },
        Step::Rest,
    ]
}

#[test]
fn a_project_is_removed() {
    matrix(
        "project",
        project(),
        vec![
            Step::Delete {
                path: "/v2-beta/projects",
                name: "shop",
            },
            Step::Rest,
        ],
    );
}

#[test]
fn a_host_of_an_agent_is_removed() {
    let hosts = |action, from| Step::Act {
        path: "/v2-beta/agents",
        name: "mine",
        action,
        from,
        body: json!({}),
    };
    let agent = json!({"uri": "sim://mine", "agentResourcesAccountId": "1a5"});
    let before = vec![
        Step::Create {
            path: "/v2-beta/agents",
            name: "mine",
            body: agent,
        },
        Step::Rest,
    ];
    let then = vec![
        hosts("deactivate", &["active"]),
        Step::Rest,
        hosts("remove", &["inactive"]),
        Step::Rest,
    ];
    matrix("agent", before, then);
}

#[test]
fn services_that_bring_drivers() {
    let infra = Step::Create {
        path: "stacks",
        name: "front",
        body: json!({"system": true}),
    };
    let network = json!({"stackId": "$front", "startOnCreate": true, "networkDriver": {"cniConfig": {"a": 1},
        "defaultNetwork": {"name": "net", "subnets": [{"networkAddress": "10.42.0.0/16"}, {"networkAddress": "10.43.0.0/16"}]}}});
    let storage = json!({"stackId": "$front", "startOnCreate": true, "storageDriver": {"name": "nfs"}});
    let then = vec![
        infra,
        Step::Create {
            path: "networkdriverservices",
            name: "web",
            body: network,
        },
        Step::Create {
            path: "storagedriverservices",
            name: "db",
            body: storage,
        },
        Step::Rest,
        Step::Create {
            path: "containers",
            name: "alone",
            body: json!({"imageUuid": "sim:one", "dataVolumes": ["d:/d"], "volumeDriver": "nfs"}),
        },
        Step::Rest,
        Step::Delete {
            path: "containers",
            name: "alone",
        },
        Step::Rest,
        Step::Delete {
            path: "services",
            name: "web",
        },
        Step::Rest,
    ];
    matrix("drivers", vec![], then);
}

/// The first container waits for its name server, a link comes and goes while both run, an upgrade and a container that
/// vanishes are told. Death before and after each call of making and feeding it, the lines of the feed among them.
#[test]
fn services_that_find_each_other_by_a_name_server() {
    let link = act(
        "web",
        "setservicelinks",
        &["active"],
        json!({"serviceLinks": [{"serviceId": "$db", "name": "data"}]}),
    );
    let alone = Step::Create {
        path: "containers",
        name: "alone",
        body: json!({"imageUuid": "sim:one", "networkMode": "managed"}),
    };
    let then = vec![
        stack(),
        create("web", json!({"startOnCreate": true})),
        create("db", json!({"startOnCreate": true})),
        Step::Rest,
        link,
        Step::Rest,
        scale(2),
        Step::Rest,
        Step::Forget("front-web-1"),
        Step::Hear,
        Step::Rest,
        alone,
        Step::Rest,
        Step::Delete {
            path: "services",
            name: "db",
        },
        Step::Rest,
    ];
    let scenario = Scenario {
        name: "name servers",
        before: vec![],
        then,
    };
    check(&scenario, Mode::NameServers);
}
