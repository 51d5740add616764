//! What is refused, and in which words; and that nothing a client sends is ever our fault.

use actix_web::http::{Method, header};
use actix_web::{App, test};
use drover::api::configure;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use crate::support::{World, lay_over, text};

/// What is refused: what is changed in a body that is right, the status, the code, and the field (empty for none).
type Refusal = (Value, u16, &'static str, &'static str);

/// The words for a service without an image, which stand where the field is named.
const NEEDS_IMAGE: &str = "Image is required when selectorContainer is not passed in";

async fn check(w: &World, method: Method, path: &str, right: &Value, cases: &[Refusal]) {
    for (change, status, code, field) in cases {
        let mut body = right.clone();
        lay_over(&mut body, change.clone());
        // "absent" takes a field away.
        if let Some(map) = body.as_object_mut() {
            map.retain(|_, value| value != "absent");
        }
        let refusal = w
            .send(method.clone(), path, Some(body))
            .await
            .expect(*status, json!({"type": "error", "code": code}));
        assert_eq!(
            refusal["fieldName"].as_str().unwrap_or_default(),
            *field,
            "{path} {change}: {refusal}"
        );
        assert_eq!(refusal["status"], *status);
    }
}

/// A body that creates once it is laid over a right one.
async fn accept(w: &World, path: &str, right: &Value, changes: &[Value]) {
    for (n, change) in changes.iter().enumerate() {
        let mut body = right.clone();
        body["name"] = json!(format!("ok{n}"));
        lay_over(&mut body, change.clone());
        let answer = w.post(path, body).await;
        assert_eq!(answer.status, 201, "{path} {change}: {}", answer.body);
    }
}

#[actix_web::test]
async fn services_are_refused_in_the_words_of_the_wire() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.service(
        &stack,
        "taken",
        json!({"secondaryLaunchConfigs": [{"name": "side", "imageUuid": "sim:x"}]}),
    )
    .await;
    let right = json!({"name": "web", "stackId": stack, "launchConfig": {"imageUuid": "sim:web"}});
    let long = "a".repeat(64);
    let launch = |config: Value| json!({"launchConfig": config});
    let side = |list: Value| json!({"secondaryLaunchConfigs": list});
    let cases = [
        // Names.
        (json!({"name": "absent"}), 422, "MissingRequired", "name"),
        (json!({"name": null}), 422, "MissingRequired", "name"),
        (json!({"name": ""}), 422, "MinLengthExceeded", "name"),
        (json!({"name": long}), 422, "MaxLengthExceeded", "name"),
        (json!({"name": "-a"}), 422, "InvalidCharacters", "name"),
        (json!({"name": "a-"}), 422, "InvalidCharacters", "name"),
        (json!({"name": "a--b"}), 422, "InvalidCharacters", "name"),
        (json!({"name": "a_b"}), 422, "InvalidCharacters", "name"),
        (json!({"name": "a b"}), 422, "InvalidCharacters", "name"),
        (json!({"name": "ä"}), 422, "InvalidCharacters", "name"),
        (json!({"name": ["a"]}), 422, "InvalidFormat", "name"),
        (json!({"name": "TAKEN"}), 422, "NotUnique", "name"),
        (json!({"name": "Side"}), 422, "NotUnique", "name"),
        // Stacks.
        (json!({"stackId": "absent"}), 422, "InvalidState", "stackId"),
        (json!({"stackId": "1st999999"}), 422, "InvalidReference", "stackId"),
        (json!({"stackId": "nonsense"}), 422, "InvalidReference", "stackId"),
        (json!({"stackId": 5}), 422, "InvalidReference", "stackId"),
        (json!({"stackId": "1a5"}), 422, "InvalidReference", "stackId"),
        // Numbers and texts.
        (json!({"scale": -1}), 422, "MinLimitExceeded", "scale"),
        (json!({"scale": "many"}), 422, "InvalidFormat", "scale"),
        (json!({"scale": 1.5}), 422, "InvalidFormat", "scale"),
        (json!({"scale": 1_000_000_000}), 422, "MaxLimitExceeded", "scale"),
        (
            json!({"description": "x".repeat(1025)}),
            422,
            "MaxLengthExceeded",
            "description",
        ),
        (
            json!({"externalId": "x".repeat(256)}),
            422,
            "MaxLengthExceeded",
            "externalId",
        ),
        (json!({"startOnCreate": 5}), 422, "InvalidFormat", "startOnCreate"),
        (json!({"metadata": "text"}), 422, "InvalidFormat", "metadata"),
        (json!({"metadata": ["text"]}), 422, "InvalidFormat", "metadata"),
        (
            json!({"scalePolicy": {"min": 5, "max": 2}}),
            422,
            "MaxLimitExceeded",
            "Min scale can't exceed scale",
        ),
        (json!({"scalePolicy": {"min": 0}}), 422, "MinLimitExceeded", "min"),
        (
            json!({"selectorContainer": "a b c"}),
            422,
            "InvalidFormat",
            "selectorContainer",
        ),
        (json!({"selectorLink": "x y=z"}), 422, "InvalidFormat", "selectorLink"),
        (
            json!({"selectorLink": "x".repeat(4097)}),
            422,
            "MaxLengthExceeded",
            "selectorLink",
        ),
        // Launch configurations.
        (launch(json!({"imageUuid": null})), 422, "InvalidOption", NEEDS_IMAGE),
        (
            launch(json!({"imageUuid": "nocolon"})),
            422,
            "InvalidReference",
            "imageUuid",
        ),
        (
            launch(json!({"imageUuid": "rancher/none"})),
            422,
            "InvalidOption",
            NEEDS_IMAGE,
        ),
        (launch(json!({"ports": ["a"]})), 422, "PortWrongFormat", ""),
        (launch(json!({"ports": [":45677"]})), 422, "PortWrongFormat", ""),
        (launch(json!({"ports": ["0:80"]})), 422, "PortInvalidPublicPort", ""),
        (launch(json!({"ports": ["65536:80"]})), 422, "PortInvalidPublicPort", ""),
        (launch(json!({"ports": ["80:0"]})), 422, "PortInvalidPrivatePort", ""),
        (
            launch(json!({"ports": ["80:65536"]})),
            422,
            "PortInvalidPrivatePort",
            "",
        ),
        (launch(json!({"ports": ["80/icmp"]})), 422, "PortInvalidProtocol", ""),
        (launch(json!({"ports": [null]})), 422, "NotNullable", "ports"),
        (launch(json!({"ports": [{}]})), 422, "InvalidFormat", "ports"),
        (launch(json!({"ports": ["80:80", "80:81"]})), 422, "NotUnique", "ports"),
        (
            json!({"launchConfig": {"ports": ["80:80"]}, "secondaryLaunchConfigs": [{"name": "a", "imageUuid": "sim:x", "ports": ["80:81"]}]}),
            422,
            "NotUnique",
            "ports",
        ),
        (
            launch(json!({"networkMode": "container"})),
            422,
            "MissingRequired",
            "networkContainerId",
        ),
        (launch(json!({"capAdd": ["FLY"]})), 422, "InvalidOption", "capAdd"),
        (launch(json!({"pidMode": "other"})), 422, "InvalidOption", "pidMode"),
        (launch(json!({"memory": "much"})), 422, "InvalidFormat", "memory"),
        (launch(json!({"labels": "text"})), 422, "InvalidFormat", "labels"),
        (
            launch(json!({"labels": {"io.rancher.container.volume_cleanup_strategy": "some"}})),
            400,
            "InvalidOption",
            "labels",
        ),
        (launch(json!({"healthCheck": {}})), 422, "MissingRequired", "port"),
        (
            launch(json!({"healthCheck": {"port": 0}})),
            422,
            "MinLimitExceeded",
            "port",
        ),
        (
            launch(json!({"healthCheck": {"port": 65536}})),
            422,
            "MaxLimitExceeded",
            "port",
        ),
        (
            launch(json!({"healthCheck": {"port": 80, "strategy": "pray"}})),
            422,
            "InvalidOption",
            "strategy",
        ),
        (
            launch(json!({"requestedHostId": "1h999999"})),
            422,
            "InvalidReference",
            "requestedHostId",
        ),
        (
            launch(json!({"networkLaunchConfig": "nobody"})),
            422,
            "InvalidReference",
            "network_from of service web is referencing a service nobody that either does not exist or is not properly labeled as a sidekick",
        ),
        (
            launch(json!({"networkLaunchConfig": "web"})),
            422,
            "InvalidReference",
            "CircularReference",
        ),
        // Sidekicks.
        (side(json!([{"imageUuid": "sim:x"}])), 422, "MissingRequired", "name"),
        (
            side(json!([{"name": "a--b", "imageUuid": "sim:x"}])),
            422,
            "InvalidCharacters",
            "name",
        ),
        (
            side(json!([{"name": "web", "imageUuid": "sim:x"}])),
            422,
            "NotUnique",
            "name",
        ),
        (
            side(json!([{"name": "a", "imageUuid": "sim:x"}, {"name": "A", "imageUuid": "sim:x"}])),
            422,
            "NotUnique",
            "name",
        ),
        (
            side(json!([{"name": "taken", "imageUuid": "sim:x"}])),
            422,
            "NotUnique",
            "name",
        ),
        (
            side(json!([{"name": "side", "imageUuid": "sim:x"}])),
            422,
            "NotUnique",
            "name",
        ),
        (side(json!([null])), 422, "NotNullable", "secondaryLaunchConfigs"),
        (
            side(json!([
                {"name": "a", "imageUuid": "sim:x", "dataVolumesFromLaunchConfigs": ["b"]},
                {"name": "b", "imageUuid": "sim:x", "networkLaunchConfig": "a"},
            ])),
            422,
            "InvalidReference",
            "CircularReference",
        ),
    ];
    check(&w, Method::POST, "services", &right, &cases).await;
    let before = w.list("services").await.len();
    assert_eq!(before, 1, "a refused request left something behind");
    let diamond = json!([
        {"name": "a", "imageUuid": "sim:x", "dataVolumesFromLaunchConfigs": ["b", "c"]},
        {"name": "b", "imageUuid": "sim:x", "dataVolumesFromLaunchConfigs": ["d"]},
        {"name": "c", "imageUuid": "sim:x", "dataVolumesFromLaunchConfigs": ["d"]},
        {"name": "d", "imageUuid": "sim:x", "dataVolumesFromLaunchConfigs": ["e"]},
        {"name": "e", "imageUuid": "sim:x"},
    ]);
    accept(
        &w,
        "services",
        &right,
        &[
            json!({"name": "a".repeat(63)}),
            json!({"scale": null}),
            json!({"scale": "2"}),
            json!({"scale": 0}),
            json!({"metadata": {"deep": [{"a": null}]}, "unknown": "field", "id": "1s1", "state": "active"}),
            launch(json!({"ports": [80, "81/UDP", "1.2.3.4:82:83", "[::1]:84:85"]})),
            launch(json!({"ports": "5419", "dataVolumes": "foo:/bar", "groupAdd": "root"})),
            launch(json!({"imageUuid": null}))
                .as_object()
                .map(|_| json!({"launchConfig": {"imageUuid": null}, "selectorContainer": "a=b"}))
                .unwrap_or_default(),
            launch(json!({"imageUuid": "docker:rancher/none"})),
            side(diamond),
            json!({"selectorLink": "a in (b, c), d notin (e), f, g != h"}),
        ],
    )
    .await;
    // Nobody takes the name of a sidekick, its own service neither.
    let pair = json!({"name": "pair", "stackId": stack, "launchConfig": {"imageUuid": "sim:x"},
        "secondaryLaunchConfigs": [{"name": "helper", "imageUuid": "sim:x"}]});
    let pair = text(&w.post("services", pair).await.ok(), "id").to_owned();
    w.settle().await;
    w.put(&pair, json!({"name": "Helper"})).await.refused(422, "NotUnique");
    // A name is free again when its service is gone, and is checked on renames.
    let id = text(&w.list("services?name=taken").await[0], "id").to_owned();
    for (name, code) in [
        ("ok1", "NotUnique"),
        ("OK1", "NotUnique"),
        ("-", "InvalidCharacters"),
        ("", "MinLengthExceeded"),
    ] {
        w.put(&id, json!({"name": name})).await.refused(422, code);
    }
    w.put(&id, json!({"name": "Taken"}))
        .await
        .expect(200, json!({"name": "Taken"}));
    w.settle().await;
    w.put(&id, json!({"name": null})).await.refused(422, "NotNullable");
    w.put(&id, json!({"scale": -1})).await.refused(422, "MinLimitExceeded");
    w.put(&id, json!({"selectorLink": "x y"}))
        .await
        .refused(422, "InvalidFormat");
    w.put(&id, json!({"scalePolicy": {"min": 3, "max": 1}}))
        .await
        .refused(422, "MaxLimitExceeded");
    w.settle().await;
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    w.post(
        "services",
        json!({"name": "taken", "stackId": stack, "launchConfig": {"imageUuid": "sim:x"}}),
    )
    .await
    .expect(201, json!({}));
}

#[actix_web::test]
async fn other_kinds_of_services_are_refused_for_what_they_cannot_be() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let external = json!({"name": "ext", "stackId": stack});
    let both = (
        json!({"externalIpAddresses": ["1.2.3.4"], "hostname": "x.example"}),
        422,
        "InvalidOption",
        "externalIpAddresses and hostname are mutually exclusive",
    );
    check(&w, Method::POST, "externalservices", &external, &[both]).await;
    accept(
        &w,
        "externalservices",
        &external,
        &[
            json!({"hostname": "x.example"}),
            json!({"externalIpAddresses": ["1.2.3.4"]}),
        ],
    )
    .await;
    let answer = w
        .post("loadbalancerservices", json!({"name": "lb", "stackId": stack}))
        .await;
    assert!(matches!(answer.status, 422 | 501), "{}", answer.body);
    // A service of another kind cannot be made under the wrong name.
    w.post(
        "services",
        json!({"name": "x", "stackId": stack, "kind": "dnsService", "launchConfig": {"imageUuid": "sim:x"}}),
    )
    .await
    .expect(201, json!({"type": "service", "kind": "service"}));
}

#[actix_web::test]
async fn actions_are_refused_in_the_words_of_the_wire() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "web", json!({"retainIp": true})).await;
    let other = w.service(&stack, "other", json!({})).await;
    let new = json!({"imageUuid": "sim:new"});
    let upgrade = |strategy: Value| json!({"inServiceStrategy": strategy});
    let to = |strategy: Value| json!({"toServiceStrategy": strategy});
    let restart = |strategy: Value| json!({"rollingRestartStrategy": strategy});
    let link = |link: Value| json!({"serviceLink": link});
    let links = |list: Value| json!({"serviceLinks": list});
    let cases = [
        ("nope", json!({}), 422, "InvalidAction", "action"),
        ("", json!({}), 422, "InvalidAction", "action"),
        ("activate", json!({}), 422, "ActionNotAvailable", "action"),
        ("finishupgrade", json!({}), 422, "ActionNotAvailable", "action"),
        ("upgrade", json!({}), 422, "MissingRequired", ""),
        (
            "upgrade",
            json!({"inServiceStrategy": null}),
            422,
            "MissingRequired",
            "",
        ),
        ("upgrade", upgrade(json!({})), 422, "InvalidOption", ""),
        (
            "upgrade",
            upgrade(json!({"batchSize": 0, "launchConfig": new})),
            422,
            "MinLimitExceeded",
            "batchSize",
        ),
        (
            "upgrade",
            upgrade(json!({"intervalMillis": 99, "launchConfig": new})),
            422,
            "MinLimitExceeded",
            "intervalMillis",
        ),
        (
            "upgrade",
            upgrade(json!({"batchSize": "x", "launchConfig": new})),
            422,
            "InvalidFormat",
            "batchSize",
        ),
        (
            "upgrade",
            upgrade(json!({"startFirst": true, "launchConfig": new})),
            422,
            "InvalidOption",
            "",
        ),
        (
            "upgrade",
            upgrade(json!({"launchConfig": {"imageUuid": null}})),
            422,
            "InvalidOption",
            NEEDS_IMAGE,
        ),
        (
            "upgrade",
            upgrade(json!({"secondaryLaunchConfigs": [{"name": "side"}]})),
            422,
            "InvalidOption",
            "secondaryLaunchConfigs",
        ),
        (
            "upgrade",
            upgrade(json!({"launchConfig": {"imageUuid": "sim:x", "ports": ["x"]}})),
            422,
            "PortWrongFormat",
            "",
        ),
        (
            "upgrade",
            upgrade(json!({"launchConfig": {"imageUuid": "sim:x", "labels": {"io.rancher.scheduler.global": "true"}}})),
            422,
            "InvalidOption",
            "",
        ),
        (
            "upgrade",
            upgrade(json!({"launchConfig": {"imageUuid": "sim:x", "networkLaunchConfig": "nobody"}})),
            422,
            "InvalidReference",
            "",
        ),
        ("upgrade", to(json!({})), 422, "MissingRequired", "toServiceId"),
        (
            "upgrade",
            to(json!({"toServiceId": "1s999999"})),
            422,
            "InvalidReference",
            "toServiceId",
        ),
        (
            "upgrade",
            to(json!({"toServiceId": other, "finalScale": 0})),
            422,
            "MinLimitExceeded",
            "finalScale",
        ),
        ("restart", json!({}), 422, "MissingRequired", "rollingRestartStrategy"),
        (
            "restart",
            restart(json!({"batchSize": 0})),
            422,
            "MinLimitExceeded",
            "batchSize",
        ),
        (
            "restart",
            restart(json!({"intervalMillis": 1})),
            422,
            "MinLimitExceeded",
            "intervalMillis",
        ),
        ("addservicelink", json!({}), 422, "MissingRequired", "serviceLink"),
        ("addservicelink", link(json!({})), 422, "MissingRequired", "serviceId"),
        (
            "addservicelink",
            link(json!({"serviceId": "1s999999"})),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            "addservicelink",
            link(json!({"serviceId": stack})),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            "addservicelink",
            link(json!({"serviceId": other, "name": ".x"})),
            422,
            "InvalidCharacters",
            "name",
        ),
        (
            "addservicelink",
            link(json!({"serviceId": other, "name": "x..y"})),
            422,
            "InvalidCharacters",
            "name",
        ),
        (
            "addservicelink",
            link(json!({"serviceId": other, "name": "a--b"})),
            422,
            "InvalidCharacters",
            "name",
        ),
        (
            "addservicelink",
            link(json!({"serviceId": other, "name": "x".repeat(64)})),
            422,
            "MaxLengthExceeded",
            "name",
        ),
        (
            "removeservicelink",
            link(json!({"serviceId": other})),
            422,
            "InvalidReference",
            "serviceId",
        ),
        (
            "setservicelinks",
            links(json!([{"serviceId": other, "name": "a"}, {"serviceId": other, "name": "a"}])),
            422,
            "NotUnique",
            "serviceId and link name combination",
        ),
        (
            "setservicelinks",
            links(json!([{"name": "a"}])),
            422,
            "MissingRequired",
            "serviceId",
        ),
        (
            "setservicelinks",
            links(json!([null])),
            422,
            "NotNullable",
            "serviceLinks",
        ),
    ];
    let before = w.show(&id).await;
    for (action, body, status, code, field) in cases {
        let what = format!("{action} {body}");
        let refusal = w.act(&id, action, body).await.expect(status, json!({"code": code}));
        let named = refusal["fieldName"].as_str().unwrap_or_default();
        // Where the rule is about several fields the sentence says so, and any of them may be named.
        assert!(field.is_empty() || named == field, "{what}: {refusal}");
    }
    assert_eq!(w.show(&id).await, before, "a refused action changed something");
    w.act(&id, "addservicelink", link(json!({"serviceId": other})))
        .await
        .expect(200, json!({"linkedServices": {"other": other}}));
    w.act(
        &id,
        "addservicelink",
        link(json!({"serviceId": other, "name": "again"})),
    )
    .await
    .refused(422, "NotUnique");
    w.act("1s999999", "activate", json!({})).await.refused(404, "Not Found");
    w.act(&stack, "addservicelink", json!({}))
        .await
        .refused(422, "InvalidAction");
}

#[actix_web::test]
async fn other_types_are_refused_in_the_words_of_the_wire() {
    let w = World::new().await;
    let container = json!({"imageUuid": "sim:x", "name": "c"});
    let cases = [
        (json!({"imageUuid": "absent"}), 422, "MissingRequired", "imageUuid"),
        (json!({"name": "x".repeat(300)}), 422, "MaxLengthExceeded", "name"),
        (json!({"hostname": ""}), 422, "MinLengthExceeded", "hostname"),
        (json!({"ports": ["99999"]}), 422, "PortInvalidPrivatePort", ""),
        (
            json!({"restartPolicy": {"name": 5, "maximumRetryCount": "x"}}),
            422,
            "InvalidFormat",
            "maximumRetryCount",
        ),
        (
            json!({"environment": {"A": {"b": 1}}}),
            422,
            "InvalidFormat",
            "environment",
        ),
        (json!({"environment": null}), 422, "NotNullable", "environment"),
        (
            json!({"dataVolumesFrom": ["1i999999"]}),
            422,
            "InvalidReference",
            "dataVolumesFrom",
        ),
        (
            json!({"instanceLinks": {"a": "1i999999"}}),
            422,
            "InvalidReference",
            "instanceLinks",
        ),
        (
            json!({"dataVolumeMounts": {"/a": "1v999999"}}),
            422,
            "InvalidReference",
            "dataVolumeMounts",
        ),
        (
            json!({"instanceTriggeredStop": "explode"}),
            422,
            "InvalidOption",
            "instanceTriggeredStop",
        ),
        (json!({"dataVolumes": [""]}), 422, "InvalidFormat", "dataVolumes"),
    ];
    check(&w, Method::POST, "containers", &container, &cases).await;
    assert!(w.list("containers").await.is_empty());
    check(
        &w,
        Method::POST,
        "volumes",
        &json!({"name": "v", "driver": "local"}),
        &[(json!({"name": "absent"}), 422, "MissingRequired", "name")],
    )
    .await;
    check(
        &w,
        Method::POST,
        "genericobjects",
        &json!({"name": "g", "kind": "k"}),
        &[
            (json!({"key": "x".repeat(256)}), 422, "MaxLengthExceeded", "key"),
            (json!({"resourceData": 5}), 422, "InvalidFormat", "resourceData"),
        ],
    )
    .await;
    for (method, path, status, code) in [
        (Method::PUT, "services", 405, "Method not allowed"),
        (Method::DELETE, "services", 405, "Method not allowed"),
        (Method::POST, "ports", 405, "Method not allowed"),
        (Method::POST, "schemas", 405, "Method not allowed"),
        (Method::PUT, "services/1s999999", 404, "Not Found"),
        (Method::DELETE, "services/1s999999", 404, "Not Found"),
        (Method::GET, "nothings", 404, "Not Found"),
    ] {
        w.send(method, path, Some(json!({}))).await.refused(status, code);
    }
}

/// Texts that programs stumble over, beside ordinary ones.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        "\\PC{0,12}",
        any::<String>(),
        Just("\u{0}".to_owned()),
        Just("1s1007".to_owned()),
        Just("1st1006".to_owned()),
        Just("'; DROP TABLE resource; --".to_owned()),
        Just("$.x\"')]".to_owned()),
        Just("%_\\".to_owned()),
        Just("-1".to_owned()),
        Just("9223372036854775808".to_owned()),
        Just("now".to_owned()),
        Just("2020-02-30T25:61:61Z".to_owned()),
        Just("sim:fail".to_owned()),
        Just("x".repeat(5_000)),
    ]
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-3_i64..100_000).prop_map(Value::from),
        any::<f64>().prop_map(|f| json!(f)),
        any_text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((any_name(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Names of fields that mean something somewhere, and some that do not.
fn any_name() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "name",
        "scale",
        "stackId",
        "launchConfig",
        "secondaryLaunchConfigs",
        "imageUuid",
        "ports",
        "labels",
        "environment",
        "healthCheck",
        "port",
        "metadata",
        "inServiceStrategy",
        "toServiceStrategy",
        "toServiceId",
        "batchSize",
        "intervalMillis",
        "serviceLink",
        "serviceLinks",
        "serviceId",
        "rollingRestartStrategy",
        "count",
        "command",
        "dataVolumes",
        "networkMode",
        "networkContainerId",
        "scalePolicy",
        "min",
        "max",
        "selectorContainer",
        "selectorLink",
        "outputs",
        "key",
        "kind",
        "resourceData",
        "value",
        "remove",
        "timeout",
        "dataVolumesFrom",
        "instanceLinks",
        "requestedHostId",
        "restartPolicy",
        "logConfig",
        "ulimits",
        "networkLaunchConfig",
        "dataVolumesFromLaunchConfigs",
        "startOnCreate",
        "retainIp",
        "lbConfig",
        "portRules",
        "externalIpAddresses",
        "hostname",
        "id",
        "uuid",
        "state",
        "type",
        "accountId",
        "description",
        "environmentId",
        "externalId",
        "vip",
        "driver",
        "driverOpts",
        "created",
    ];
    prop_oneof![8 => prop::sample::select(KNOWN).prop_map(str::to_owned), 1 => any_text()]
}

/// A right body with some of it replaced or added.
fn any_body() -> impl Strategy<Value = Value> {
    let right = prop_oneof![
        Just(json!({"name": "web", "stackId": "1st1006", "launchConfig": {"imageUuid": "sim:web"}})),
        // Without a name, as no two containers have the same.
        Just(json!({"imageUuid": "sim:web"})),
        Just(json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:new"}}})),
        Just(json!({})),
    ];
    let changes = prop::collection::vec((any_name(), any_json(), any::<bool>()), 0..4);
    (right, changes).prop_map(|(mut body, changes)| {
        for (name, value, is_inside) in changes {
            match body
                .get_mut("launchConfig")
                .and_then(Value::as_object_mut)
                .filter(|_| is_inside)
            {
                Some(config) => config.insert(name, value),
                None => body.as_object_mut().and_then(|b| b.insert(name, value)),
            };
        }
        body
    })
}

fn any_path() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        8 => prop::sample::select(
            &["v1", "v2-beta", "projects", "1a5", "services", "containers", "stacks", "environments", "1s1007", "1st1006", "1e1006", "1h1005", "hosts",
              "volumes", "genericobjects", "ports", "schemas", "service", "settings", "processinstances", "1pi1", "instances", "labels",
              "typedocumentations", "serviceexposemaps", "accounts", "1a1", "networks", "subscribe", "register", "identities", "..", "api.host",
              "serviceconsumemaps", "auditlogs", "instancelinks", "credentials", "stack", "account"][..],
        )
        .prop_map(str::to_owned),
        2 => any_text().prop_map(|t| encoded(&t)),
    ];
    prop_oneof![
        3 => prop::collection::vec(part.clone(), 0..4).prop_map(|parts| format!("/v2-beta/projects/1a5/{}", parts.join("/"))),
        1 => prop::collection::vec(part, 0..6).prop_map(|parts| format!("/{}", parts.join("/"))),
    ]
}

fn any_query() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        4 => prop::sample::select(
            &["limit", "marker", "sort", "order", "include", "action", "_method", "_removed", "projectId", "name", "name_like", "name_prefix",
              "id_gt", "created_lt", "state_ne", "removed_null", "stackId", "scale", "createIndex_gte", "resourceId", "endTime_null", "_role", "_format"][..],
        )
        .prop_map(str::to_owned),
        1 => any_name(),
        1 => any_text(),
    ];
    let value = prop_oneof![
        2 => any_text(),
        1 => prop::sample::select(&["upgrade", "activate", "addservicelink", "stop", "remove", "name", "created", "desc", "PUT", "DELETE", "POST", "5", "0", "mkW10"][..])
            .prop_map(str::to_owned),
    ];
    prop::collection::vec((name, value), 0..4).prop_map(|pairs| {
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        pairs.join("&")
    })
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-_.".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02x}")
            }
        })
        .collect()
}

#[actix_web::test]
async fn nothing_that_is_sent_is_our_fault() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let service = w.running(&stack, "web", json!({})).await;
    // The generators know neither: they write the ids of an imagined world.
    let real = |text: &str| {
        let number = stack.trim_start_matches("1st");
        text.replace("1st1006", &stack)
            .replace("1e1006", &format!("1e{number}"))
            .replace("1s1007", &service)
    };
    let app = test::init_service(App::new().configure(|c| configure(c, w.api()))).await;
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let method = prop::sample::select(vec![
        Method::GET,
        Method::POST,
        Method::POST,
        Method::PUT,
        Method::DELETE,
    ]);
    let target = prop_oneof![
        3 => (any_path(), any_query()).prop_map(|(path, query)| format!("{path}?{query}")),
        1 => Just("/v2-beta/projects/1a5/services".to_owned()),
        1 => Just("/v1/projects/1a5/services".to_owned()),
        1 => Just("/v2-beta/projects/1a5/containers".to_owned()),
        1 => Just("/v2-beta/projects/1a5/services/1s1007".to_owned()),
        1 => prop::sample::select(vec!["upgrade", "restart", "addservicelink", "setservicelinks", "removeservicelink", "rollback", "deactivate"])
            .prop_map(|action| format!("/v2-beta/projects/1a5/services/1s1007?action={action}")),
    ];
    let strategy = (method, target, any_body());
    let mut seen = std::collections::BTreeMap::new();
    for n in 0..2_200 {
        let (method, path, body) = strategy.new_tree(&mut runner).expect("a case can be made").current();
        let (path, body) = (real(&path), real(&body.to_string()));
        let request = test::TestRequest::default()
            .method(method.clone())
            .uri(&path)
            .insert_header((header::HOST, "localhost"))
            .set_payload(body.clone());
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status().as_u16();
        let what = || format!("{method} {path} {body}");
        assert!(status < 500 || status == 501, "{}: {status}", what());
        let bytes = test::read_body(response).await;
        if path.starts_with("/v2-beta") {
            let answer: Value = serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{}: {e}", what()));
            assert!(status < 400 || answer["type"] == "error", "{}: {answer}", what());
        }
        *seen.entry(status).or_insert(0) += 1;
        // What was taken is done as well: a body that is let in must not break the work behind it.
        if n % 10 == 0 {
            w.settle().await;
        }
    }
    w.advance(std::time::Duration::from_secs(5)).await;
    let ended = w.list("processinstances?message=internal%20error").await;
    assert!(ended.is_empty(), "{ended:#?}");
    assert!(
        seen.get(&200) > Some(&100) && seen.get(&201) > Some(&20) && seen.get(&422) > Some(&100),
        "{seen:?}"
    );
}
