//! Services that bring a driver of networks or of storage: its rows, and that it stays while it is used.

use serde_json::{Value, json};

use crate::support::{World, text};

async fn system_stack(w: &World) -> String {
    let made = w
        .post("stacks", json!({"name": "infra", "system": true}))
        .await
        .expect(201, json!({"system": true}));
    let id = text(&made, "id").to_owned();
    w.wait(&id, "active").await;
    id
}

async fn driver_service(w: &World, kind: &str, body: Value) -> String {
    let made = w.post(&format!("{kind}services"), body).await;
    let made = made.expect(
        201,
        json!({"state": "registering", "type": format!("{}Service", camel(kind))}),
    );
    w.settle().await;
    text(&made, "id").to_owned()
}

fn camel(kind: &str) -> &str {
    if kind == "networkdriver" {
        "networkDriver"
    } else {
        "storageDriver"
    }
}

async fn the_only(w: &World, path: &str) -> Value {
    let mut rows = w.list(path).await;
    assert_eq!(rows.len(), 1, "{path}: {rows:#?}");
    rows.remove(0)
}

fn network_driver(stack: &str, start: bool) -> Value {
    json!({"name": "net", "stackId": stack, "startOnCreate": start, "selectorContainer": "none", "networkDriver": {
        "name": "ipsec", "networkMetadata": {"a": {"b": 1}}, "cniConfig": {"10-rancher.conf": {"name": "rancher-cni-network"}},
        "defaultNetwork": {"name": "overlay", "dns": ["169.254.169.250"], "dnsSearch": ["rancher.internal"], "hostPorts": true,
            "metadata": {"own": true}, "subnets": [{"networkAddress": "10.42.0.0/16"}, {"networkAddress": "192.168.7.0"}]}}})
}

#[actix_web::test]
async fn a_network_driver_comes_with_its_service_and_goes_with_it() {
    let mut w = World::new().await;
    let stack = system_stack(&w).await;
    w.post("networkdriverservices", json!({"name": "x", "stackId": stack}))
        .await
        .refused(422, "MissingRequired");
    let service = driver_service(&w, "networkdriver", network_driver(&stack, false)).await;
    assert_eq!(w.show(&service).await["state"], "inactive");
    // It is there while its service is still inactive.
    let driver = the_only(&w, &format!("networkdrivers?serviceId={service}&name=ipsec")).await;
    crate::support::has(
        &driver,
        &json!({"state": "active", "kind": "networkDriver", "serviceId": service}),
        "the driver",
    );
    let id = text(&driver, "id").to_owned();
    assert!(id.starts_with("1nd"), "{id}");
    let network = the_only(&w, &format!("networkdrivers/{id}/networks")).await;
    let expected = json!({"state": "active", "kind": "cni", "name": "overlay", "networkDriverId": id, "hostPorts": true,
        "dns": ["169.254.169.250"], "dnsSearch": ["rancher.internal"],
        "metadata": {"own": true, "a": {"b": 1}, "cniConfig": {"10-rancher.conf": {"name": "rancher-cni-network"}}}});
    crate::support::has(&network, &expected, "the network");
    let subnets = w.list(&format!("subnets?networkId={}", text(&network, "id"))).await;
    let seen: Vec<_> = subnets
        .iter()
        .map(|s| {
            (
                text(s, "networkAddress"),
                &s["cidrSize"],
                text(s, "gateway"),
                text(s, "state"),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("10.42.0.0", &json!(16), "10.42.0.1", "active"),
            ("192.168.7.0", &json!(24), "192.168.7.1", "active")
        ]
    );
    assert_eq!(
        (text(&subnets[0], "startAddress"), text(&subnets[0], "endAddress")),
        ("10.42.0.2", "10.42.255.250")
    );
    the_only(&w, &format!("services/{service}/networkdrivers")).await;
    assert_eq!(
        w.show(&format!("networkdrivers/{id}/service")).await["id"],
        json!(service)
    );

    // v1 has no type for it.
    let old = w.get(&format!("/v1/projects/1a5/services/{service}")).await;
    old.expect(
        200,
        json!({"type": "service", "kind": "networkDriverService", "environmentId": stack.replace("1st", "1e")}),
    );

    // Nothing is made twice, not by activating and not by another start.
    w.act(&service, "activate", json!({}))
        .await
        .expect(202, json!({"state": "activating"}));
    w.wait(&service, "active").await;
    w.restart().await;
    w.put(&service, json!({"networkDriver": {"name": "other"}})).await.ok();
    w.wait(&service, "active").await;
    assert_eq!(the_only(&w, "networkdrivers").await["name"], "ipsec");
    the_only(&w, &format!("networkdrivers/{id}/networks")).await;

    w.delete(&service).await.expect(200, json!({"state": "removing"}));
    w.wait(&service, "removed").await;
    w.settle().await;
    let network = format!("networks/{}", text(&network, "id"));
    for path in [
        format!("networkdrivers/{id}"),
        network,
        format!("subnets/{}", text(&subnets[0], "id")),
    ] {
        let row = w.show(&path).await;
        assert!(
            row["state"] == "removed" && row["removed"].is_string(),
            "{path}: {row:#}"
        );
    }
}

#[actix_web::test]
async fn a_network_driver_stays_while_containers_are_on_its_network() {
    let w = World::new().await;
    let before = w
        .post(
            "containers",
            json!({"imageUuid": "sim:web", "networkMode": "managed", "name": "before"}),
        )
        .await
        .ok();
    w.settle().await;
    let stack = system_stack(&w).await;
    let service = driver_service(&w, "networkdriver", network_driver(&stack, true)).await;
    w.wait(&service, "active").await;
    let driver = the_only(&w, "networkdrivers").await;
    let network = the_only(&w, &format!("networkdrivers/{}/networks", text(&driver, "id"))).await;
    assert_ne!(w.show(text(&before, "id")).await["primaryNetworkId"], network["id"]);
    let made = w
        .post("containers", json!({"imageUuid": "sim:web", "networkMode": "managed"}))
        .await
        .ok();
    let container = text(&made, "id").to_owned();
    w.wait(&container, "running").await;
    assert_eq!(w.show(&container).await["primaryNetworkId"], network["id"]);

    let used = |answer: crate::support::Answer| {
        let body = answer.refused(409, "DRIVER_IN_USE");
        assert_eq!(body["detail"], json!(container));
    };
    used(w.delete(&service).await);
    used(w.act(&service, "deactivate", json!({})).await);
    used(w.act(&service, "remove", json!({})).await);
    used(w.act(&stack, "deactivateservices", json!({})).await);
    used(w.delete(&stack).await);
    used(w.act(&stack, "remove", json!({})).await);
    assert_eq!(w.show(&service).await["state"], "active");

    w.delete(&container).await.ok();
    w.wait(&container, "removed").await;
    w.act(&stack, "deactivateservices", json!({})).await.ok();
    w.wait(&service, "inactive").await;
    w.delete(&stack).await.ok();
    w.wait(&stack, "removed").await;
    w.settle().await;
    assert_eq!(
        w.show(&format!("networkdrivers/{}", text(&driver, "id"))).await["state"],
        "removed"
    );
}

#[actix_web::test]
async fn a_storage_driver_has_a_pool_on_every_host_and_stays_while_there_are_volumes_of_it() {
    let mut w = World::new().await;
    let host = text(&w.list("hosts").await[0], "id").to_owned();
    assert_eq!(w.list(&format!("hosts/{host}/storagepools")).await.len(), 1);
    let stack = system_stack(&w).await;
    let body = json!({"name": "nfs", "stackId": stack, "startOnCreate": true, "storageDriver": {"foo": "bar"}});
    let service = driver_service(&w, "storagedriver", body).await;
    w.wait(&service, "active").await;
    let driver = the_only(&w, &format!("services/{service}/storagedrivers")).await;
    let expected = json!({"state": "active", "kind": "storageDriver", "name": "nfs", "scope": "environment", "volumeAccessMode": "multiHostRW"});
    crate::support::has(&driver, &expected, "the driver");
    let id = text(&driver, "id").to_owned();
    let pools = |host: String| {
        let (w, id) = (&w, &id);
        async move {
            let all = w.list(&format!("hosts/{host}/storagepools")).await;
            assert_eq!(all.len(), 2, "{all:#?}");
            all.into_iter()
                .find(|pool| pool["storageDriverId"] == json!(id))
                .expect("a pool of the driver")
        }
    };
    let pool = pools(host.clone()).await;
    assert_eq!(
        (text(&pool, "driverName"), text(&pool, "volumeAccessMode")),
        ("nfs", "multiHostRW")
    );

    // A volume may name the driver, or its row; a container's volume is one of its own.
    let by_name = w
        .post("volumes", json!({"name": "a", "driver": "nfs"}))
        .await
        .expect(201, json!({"storageDriverId": id}));
    let by_id = w
        .post("volumes", json!({"name": "b", "storageDriverId": id}))
        .await
        .expect(201, json!({"driver": "nfs"}));
    w.post("volumes", json!({"name": "c", "storageDriverId": id, "driver": "x"}))
        .await
        .refused(422, "InvalidOption");
    let made = w
        .post(
            "containers",
            json!({"imageUuid": "sim:web", "dataVolumes": ["d:/tmp"], "volumeDriver": "nfs"}),
        )
        .await
        .ok();
    w.wait(text(&made, "id"), "running").await;
    let of_container = the_only(&w, "volumes?name=d").await;
    assert_eq!(of_container["storageDriverId"], json!(id));
    let ids: Vec<String> = [&by_name, &by_id, &of_container]
        .iter()
        .map(|v| text(v, "id").to_owned())
        .collect();
    for answer in [
        w.delete(&service).await,
        w.act(&service, "deactivate", json!({})).await,
        w.act(&stack, "deactivateservices", json!({})).await,
        w.delete(&stack).await,
    ] {
        assert_eq!(answer.refused(409, "DRIVER_IN_USE")["detail"], json!(ids.join(",")));
    }
    w.delete(text(&made, "id")).await.ok();
    w.wait(text(&made, "id"), "removed").await;
    for volume in &ids {
        w.delete(volume).await.ok();
        w.wait(volume, "removed").await;
    }
    let second = w.add_host("second").await;
    let pools_of_second = w.list(&format!("hosts/{second}/storagepools")).await;
    assert_eq!(pools_of_second.len(), 2, "{pools_of_second:#?}");
    w.act(&host, "deactivate", json!({})).await.ok();
    w.wait(&host, "inactive").await;
    w.delete(&host).await.ok();
    w.wait(&host, "removed").await;
    let pool = w.show(&format!("storagepools/{}", text(&pool, "id"))).await;
    assert_eq!((text(&pool, "state"), &pool["hostIds"]), ("active", &json!([second])));
    w.delete(&stack).await.ok();
    w.wait(&stack, "removed").await;
    w.settle().await;
    assert_eq!(w.show(&format!("storagedrivers/{id}")).await["state"], "removed");
    assert_eq!(
        w.show(&format!("storagepools/{}", text(&pool, "id"))).await["state"],
        "removed"
    );
}

#[actix_web::test]
async fn outside_system_stacks_a_service_brings_no_driver() {
    let w = World::new().await;
    let stack = w.stack("plain").await;
    let service = driver_service(&w, "networkdriver", network_driver(&stack, true)).await;
    w.wait(&service, "active").await;
    assert!(w.list("networkdrivers").await.is_empty());
    // What becomes a system stack later gets it at the next chance.
    w.put(&stack, json!({"system": true})).await.ok();
    w.settle().await;
    w.act(&service, "deactivate", json!({})).await.ok();
    w.wait(&service, "inactive").await;
    w.act(&service, "activate", json!({})).await.ok();
    w.wait(&service, "active").await;
    the_only(&w, "networkdrivers").await;
}

#[actix_web::test]
async fn a_storage_driver_keeps_the_scope_and_the_access_that_it_was_given() {
    let w = World::new().await;
    let stack = system_stack(&w).await;
    for (scope, access) in [
        ("local", "singleHostRW"),
        ("custom", "singleInstanceRW"),
        ("environment", "multiHostRW"),
    ] {
        let name = format!("{scope}-driver");
        let driver = json!({"name": name, "scope": scope, "volumeAccessMode": access});
        let body = json!({"name": scope, "stackId": stack, "startOnCreate": true, "storageDriver": driver});
        let service = driver_service(&w, "storagedriver", body).await;
        w.wait(&service, "active").await;
        let driver = the_only(&w, &format!("services/{service}/storagedrivers")).await;
        crate::support::has(
            &driver,
            &json!({"scope": scope, "volumeAccessMode": access, "name": name}),
            "the driver",
        );
        // Only one that looks for room takes a size.
        let sized = w
            .post("volumes", json!({"name": "v", "driver": name, "sizeMb": 10}))
            .await;
        if scope == "local" {
            assert_eq!(sized.status, 201, "{}", sized.body);
        } else {
            sized.refused(422, "InvalidOption");
        }
        let pool = the_only(&w, &format!("storagepools?storageDriverId={}", text(&driver, "id"))).await;
        assert_eq!(pool["volumeAccessMode"], access);
    }
    for (field, value) in [("scope", "weird"), ("volumeAccessMode", "weird")] {
        let body = json!({"name": "x", "stackId": stack, "storageDriver": {"name": "x", field: value}});
        let refused = w
            .post("storagedriverservices", body)
            .await
            .refused(422, "InvalidOption");
        assert_eq!(refused["fieldName"], field);
    }
}
