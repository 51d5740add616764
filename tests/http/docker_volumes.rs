//! Docker's volumes, logging in, and what asks for another swarm: over the same rows that Rancher's clients see.

use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

async fn get(w: &World, path: &str) -> Answer {
    w.get(&format!("/docker/v1.41{path}")).await
}

async fn post(w: &World, path: &str, body: Value) -> Answer {
    w.post(&format!("/docker/v1.41{path}"), body).await
}

async fn delete(w: &World, path: &str) -> Answer {
    w.send(Method::DELETE, &format!("/docker/v1.41{path}"), None).await
}

fn filters(filters: Value) -> String {
    let text: String = url::form_urlencoded::byte_serialize(filters.to_string().as_bytes()).collect();
    format!("filters={text}")
}

async fn names(w: &World, narrowed: Value) -> Vec<String> {
    let found = get(w, &format!("/volumes?{}", filters(narrowed)))
        .await
        .expect(200, json!({}));
    let all = found["Volumes"].as_array().expect("a list").iter();
    all.map(|one| text(one, "Name").to_owned()).collect()
}

fn message(answer: &Answer) -> String {
    text(&answer.body, "message").to_owned()
}

#[actix_web::test]
async fn volumes_are_made_listed_and_removed_once_nothing_mounts_them() {
    let w = World::new().await;
    let wanted = json!({"Name": "data", "DriverOpts": {"type": "tmpfs"}, "Labels": {"tier": "one"}});
    let made = post(&w, "/volumes/create", wanted.clone()).await.expect(201, json!({}));
    assert_eq!(
        (
            &made["Name"],
            &made["Driver"],
            &made["Scope"],
            &made["Labels"],
            &made["Options"]
        ),
        (
            &json!("data"),
            &json!("local"),
            &json!("local"),
            &json!({"tier": "one"}),
            &json!({"type": "tmpfs"})
        )
    );
    // Once more is the same one.
    post(&w, "/volumes/create", wanted)
        .await
        .expect(201, json!({"CreatedAt": made["CreatedAt"]}));
    let native = w.list("volumes").await;
    assert_eq!(native.len(), 1, "{native:?}");
    assert_eq!(
        (text(&native[0], "name"), text(&native[0], "driver")),
        ("data", "local")
    );
    assert!(native[0].get("dockerLabels").is_none(), "{}", native[0]);
    let unnamed = post(&w, "/volumes/create", json!({})).await.expect(201, json!({}));
    let unnamed = text(&unnamed, "Name").to_owned();
    assert_eq!(unnamed.len(), 64);
    for _ in 0..4 {
        w.advance(Duration::from_millis(500)).await;
    }

    let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest",
        "Mounts": [{"Type": "volume", "Source": "data", "Target": "/d"}]}}});
    let service = post(&w, "/services/create", spec).await.expect(201, json!({}));
    for _ in 0..8 {
        w.advance(Duration::from_millis(500)).await;
    }
    assert_eq!(names(&w, json!({"dangling": ["true"]})).await, [unnamed.as_str()]);
    assert_eq!(names(&w, json!({"dangling": ["false"]})).await, ["data"]);
    assert_eq!(
        names(&w, json!({"label": ["tier=one"], "name": ["at"]})).await,
        ["data"]
    );
    assert_eq!(names(&w, json!({"driver": ["nfs"]})).await, [] as [&str; 0]);
    get(&w, "/volumes/data").await.expect(200, json!({"Name": "data"}));
    let refused = delete(&w, "/volumes/data").await;
    assert_eq!(refused.status, 409);
    assert!(
        message(&refused).starts_with("remove data: volume is in use - ["),
        "{}",
        refused.body
    );

    delete(&w, &format!("/services/{}", text(&service, "ID")))
        .await
        .expect(200, json!(""));
    for _ in 0..40 {
        w.advance(Duration::from_millis(500)).await;
    }
    delete(&w, "/volumes/data").await.expect(204, json!(""));
    let missing = get(&w, "/volumes/data").await;
    assert_eq!(
        (missing.status, message(&missing)),
        (404, "get data: no such volume".to_owned())
    );
    assert_eq!(delete(&w, "/volumes/data").await.status, 404);
    delete(&w, "/volumes/data?force=true").await.expect(204, json!(""));
    let pruned = post(&w, "/volumes/prune", json!({})).await.expect(200, json!({}));
    assert_eq!(pruned, json!({"VolumesDeleted": [unnamed], "SpaceReclaimed": 0}));
    assert_eq!(names(&w, json!({})).await, [] as [&str; 0]);
}

#[actix_web::test]
async fn what_is_no_volume_is_refused_and_nothing_is_made() {
    let w = World::new().await;
    for (body, status, words) in [
        (
            json!({"Name": "/etc"}),
            400,
            "includes invalid characters for a local volume name",
        ),
        (json!({"Name": "x"}), 400, "includes invalid characters"),
        (json!({"Name": "data", "Labels": {"a": 1}}), 400, "a label is no text"),
        (
            json!({"Name": "data", "ClusterVolumeSpec": {"Group": "g"}}),
            501,
            "ClusterVolumeSpec",
        ),
    ] {
        let refused = post(&w, "/volumes/create", body.clone()).await;
        assert_eq!(refused.status, status, "{body}: {}", refused.body);
        assert!(message(&refused).contains(words), "{body}: {}", refused.body);
    }
    assert_eq!(w.list("volumes").await, [] as [Value; 0]);
    post(&w, "/volumes/create", json!({"Name": "data"}))
        .await
        .expect(201, json!({}));
    let refused = post(&w, "/volumes/create", json!({"Name": "data", "Driver": "nfs"})).await;
    assert_eq!(refused.status, 409, "{}", refused.body);
    let refused = get(&w, &format!("/volumes?{}", filters(json!({"colour": ["red"]})))).await;
    assert_eq!(refused.status, 400, "{}", refused.body);
    let refused = get(&w, &format!("/volumes?{}", filters(json!({"dangling": ["perhaps"]})))).await;
    assert_eq!(refused.status, 500, "{}", refused.body);
    // Which volumes nobody named is known to later versions only.
    let refused = post(
        &w,
        &format!("/volumes/prune?{}", filters(json!({"all": ["false"]}))),
        json!({}),
    )
    .await;
    assert_eq!(refused.status, 400, "{}", refused.body);
}

#[actix_web::test]
async fn a_key_of_this_server_is_what_docker_logs_in_with() {
    let w = World::new().await;
    w.engine
        .set_key("1a5", "ours".into(), "secret")
        .await
        .expect("the account is there");
    let log_in = |name: &'static str, password: &'static str| {
        post(
            &w,
            "/auth",
            json!({"username": name, "password": password, "serveraddress": "drover"}),
        )
    };
    for is_on in [false, true] {
        w.engine.require_proof(is_on).await.expect("it can be said");
        log_in("ours", "secret")
            .await
            .expect(200, json!({"Status": "Login Succeeded"}));
        let refused = log_in("ours", "another").await;
        assert_eq!(refused.status, 401, "{}", refused.body);
    }
    // With access control on nothing else is answered without a key.
    assert_eq!(get(&w, "/volumes").await.status, 401);
    let login = format!("Basic {}", STANDARD.encode("ours:secret"));
    let answer = w
        .send_with(Method::GET, "/docker/v1.41/volumes", &[("authorization", &login)], None)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[actix_web::test]
async fn another_swarm_is_not_to_be_had_and_this_one_is_not_locked() {
    let w = World::new().await;
    let refused = post(&w, "/swarm/join", json!({"JoinToken": "x"})).await;
    assert_eq!(refused.status, 503);
    assert!(
        message(&refused).starts_with("This node is already part of a swarm."),
        "{}",
        refused.body
    );
    assert_eq!(post(&w, "/swarm/unlock", json!({"UnlockKey": "x"})).await.status, 409);
    get(&w, "/swarm/unlockkey").await.expect(200, json!({"UnlockKey": ""}));
}

#[actix_web::test]
async fn containers_are_on_every_network_of_their_project() {
    let w = World::new().await;
    post(&w, "/networks/create", json!({"Name": "front", "Driver": "overlay"}))
        .await
        .expect(201, json!({}));
    let spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "sim:latest"}}});
    post(&w, "/services/create", spec).await.expect(201, json!({}));
    for _ in 0..8 {
        w.advance(Duration::from_millis(500)).await;
    }
    let containers = get(&w, "/containers/json").await.body;
    let id = text(&containers[0], "Id").to_owned();
    post(
        &w,
        "/networks/front/connect",
        json!({"Container": id, "EndpointConfig": {"IPAMConfig": null, "Aliases": null}}),
    )
    .await
    .expect(200, json!(""));
    for (path, body, status) in [
        ("/networks/front/connect", json!({"Container": "nobody"}), 404),
        ("/networks/back/connect", json!({"Container": id}), 404),
        (
            "/networks/front/connect",
            json!({"Container": id, "EndpointConfig": {"Aliases": ["x"]}}),
            501,
        ),
    ] {
        let refused = post(&w, path, body.clone()).await;
        assert_eq!(refused.status, status, "{path} {body}: {}", refused.body);
    }
}

#[actix_web::test]
async fn disconnecting_is_refused_as_it_stands() {
    let w = World::new().await;
    post(&w, "/networks/create", json!({"Name": "front", "Driver": "overlay"}))
        .await
        .expect(201, json!({}));
    for (name, mode) in [
        ("on", "managed"),
        ("off", "none"),
        ("with-host", "host"),
        ("beside", "bridge"),
    ] {
        let body = json!({"name": name, "imageUuid": "sim:web", "networkMode": mode});
        w.post("containers", body).await.expect(201, json!({}));
    }
    w.settle().await;
    let before = w.stored();
    let other = "is not connected to network front";
    let no_other = "container cannot be connected to multiple networks with one of the networks in private (none) mode";
    let shares =
        "container sharing network namespace with another container or host cannot be connected to any other network";
    for (path, name, status, words) in [
        (
            "front/disconnect",
            "on",
            403,
            "cannot be disconnected from network front: it is the network of its project",
        ),
        ("ingress/disconnect", "on", 403, "from network ingress"),
        ("front/disconnect", "off", 500, other),
        ("front/disconnect", "with-host", 500, other),
        ("front/disconnect", "beside", 500, other),
        ("front/disconnect", "nobody", 404, "No such container: nobody"),
        ("back/disconnect", "on", 404, "network back not found"),
        ("front/connect", "off", 400, no_other),
        ("front/connect", "with-host", 400, shares),
        ("front/connect", "beside", 501, "bridge"),
        ("front/connect", "on", 200, ""),
    ] {
        for is_forced in [false, true] {
            let body = json!({"Container": name, "Force": is_forced});
            let answer = post(&w, &format!("/networks/{path}"), body).await;
            assert_eq!(answer.status, status, "{path} {name}: {}", answer.body);
            let said = answer.body.to_string();
            assert!(said.contains(words), "{path} {name}: {said}");
        }
    }
    let all = get(&w, "/containers/json?all=1").await.body;
    let own = all.as_array().into_iter().flatten();
    let mut own = own.filter(|row| row["Names"].to_string().contains("/off"));
    let id = text(own.next().unwrap(), "Id").to_owned();
    let body = json!({"Container": id[..12]});
    let said = post(&w, "/networks/front/disconnect", body)
        .await
        .expect(500, json!({}));
    assert_eq!(said["message"], format!("container {id} {other}"), "by its whole id");
    assert_eq!(w.stored(), before, "nothing is changed");
}
