//! Images over Docker's interface: what a project's engines have, and what a registry says of others.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use drover::schema::Role;
use serde_json::{Value, json};

use crate::docker_services::{get, made, web};
use crate::host_policy::House;
use crate::project_isolation::{scene, send};
use crate::support::{Answer, World, text};

fn image(name: &str, image: &str) -> Value {
    web(json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": image}}}))
}

/// The names of listed images.
fn names(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let all = answer.body.as_array().expect("a list").iter();
    let mut names: Vec<String> = all
        .filter_map(|one| one["RepoTags"][0].as_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

async fn listed(w: &World, filters: Value) -> Vec<String> {
    let filters: String = url::form_urlencoded::byte_serialize(filters.to_string().as_bytes()).collect();
    names(&get(w, &format!("/images/json?filters={filters}")).await)
}

#[actix_web::test]
async fn images_are_what_the_hosts_have_pulled_each_once() {
    let w = World::with_hosts(&["one", "two"]).await;
    assert_eq!(names(&get(&w, "/images/json").await), [""; 0]);
    let everywhere =
        json!({"Name": "web", "Mode": {"Global": {}}, "TaskTemplate": {"ContainerSpec": {"Image": "sim:shop/web"}}});
    made(&w, everywhere).await;
    made(&w, image("db", "sim:db")).await;
    assert_eq!(names(&get(&w, "/images/json").await), ["sim:db", "sim:shop/web"]);
    let info = get(&w, "/info").await.ok();
    assert_eq!(info["Images"], 2);
    for (filters, expected) in [
        (json!({"reference": ["sim"]}), vec!["sim:db"]),
        (json!({"reference": ["sim:d*"]}), vec!["sim:db"]),
        (json!({"dangling": ["true"]}), vec![]),
        (json!({"dangling": ["false"]}), vec!["sim:db", "sim:shop/web"]),
        (json!({"label": ["a=b"]}), vec![]),
        (json!({"before": ["sim:db"]}), vec!["sim:shop/web"]),
        (json!({"since": ["sim:db"]}), vec![]),
    ] {
        assert_eq!(listed(&w, filters.clone()).await, expected, "{filters}");
    }
    for (path, status, said) in [
        (
            "/images/json?filters=%7B%22colour%22%3A%5B%22red%22%5D%7D",
            400,
            "Invalid filter 'colour'",
        ),
        ("/images/json?filters=%7B", 500, "unexpected end of JSON input"),
        (
            "/images/json?filters=%7B%22since%22%3A%5B%22none%22%5D%7D",
            404,
            "No such image: none:latest",
        ),
        (
            "/images/none/json",
            404,
            "no such image: none: No such image: none:latest",
        ),
        (
            "/images/a%3Fb/json",
            400,
            "no such image: a?b: invalid reference format",
        ),
        (
            "/images/a/%2E%2E/b/json",
            400,
            "no such image: a/../b: invalid reference format",
        ),
        (
            "/images/sim:a/%2E%2E/b/json",
            404,
            "no such image: sim:a/../b: No such image: sim:a/../b",
        ),
    ] {
        let refused = get(&w, path).await;
        assert_eq!(
            (refused.status, &refused.body["message"]),
            (status, &json!(said)),
            "{path}"
        );
    }
    let one = get(&w, "/images/sim:shop/web/json").await.ok();
    assert_eq!(
        (&one["Os"], &one["RepoTags"]),
        (&json!("linux"), &json!(["sim:shop/web"]))
    );
    let id = text(&one, "Id").to_owned();
    for name in [id.clone(), id["sha256:".len()..][..12].to_owned()] {
        assert_eq!(get(&w, &format!("/images/{name}/json")).await.ok()["Id"], id, "{name}");
    }
    assert_eq!(w.post("/docker/images/create?fromImage=a", json!({})).await.status, 501);
}

#[actix_web::test]
async fn a_host_that_does_not_answer_makes_nothing_look_gone() {
    let w = World::new().await;
    made(&w, image("web", "sim:web")).await;
    w.sim().set_disconnected(true);
    for path in ["/images/json", "/images/none/json", "/distribution/sim:web/json"] {
        let refused = get(&w, path).await;
        assert_eq!(
            (refused.status, &refused.body["message"]),
            (503, &json!("no host of this project answers")),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn where_a_policy_holds_a_project_sees_the_images_that_it_uses() {
    let house = House::new().await;
    let path = |path: &str| format!("/docker/projects/1a5/v1.41{path}");
    let look = |key: &'static str, rest: &'static str| {
        let (house, path) = (&house, path(rest));
        async move { house.send(key, Method::GET, &path, json!({})).await }
    };
    for (name, of) in [("kept", "sim:kept:1"), ("gone", "sim:gone")] {
        let sent = house
            .send("1a5", Method::POST, &path("/services/create"), image(name, of))
            .await;
        sent.expect(201, json!({}));
    }
    house.w.settle().await;
    assert_eq!(names(&look("1a5", "/images/json").await), ["sim:gone", "sim:kept:1"]);
    house
        .send("1a5", Method::DELETE, &path("/services/gone"), json!({}))
        .await;
    house.w.settle().await;
    assert_eq!(
        names(&look("1a5", "/images/json").await),
        ["sim:gone", "sim:kept:1"],
        "whoever is root there anyway sees all that is there"
    );
    let policy = json!({"hostPolicy": {"privileged": false}});
    house
        .send("ADMIN", Method::PUT, "/v2-beta/projects/1a5", policy)
        .await
        .ok();
    house.w.settle().await;
    assert_eq!(names(&look("1a5", "/images/json").await), ["sim:kept:1"]);
    assert_eq!(look("1a5", "/images/sim:kept:1/json").await.status, 200);
    let hidden = look("1a5", "/images/sim:gone/json").await;
    assert_eq!(
        (hidden.status, &hidden.body["message"]),
        (404, &json!("no such image: sim:gone: No such image: sim:gone")),
        "in the same words as what is not there"
    );
    assert_eq!(
        names(&look("ADMIN", "/images/json").await),
        ["sim:gone", "sim:kept:1"],
        "who runs the server"
    );
    let other = house
        .send(&house.project, Method::GET, &path("/images/json"), json!({}))
        .await;
    assert_eq!(other.status, 403, "another project's key");
}

#[actix_web::test]
async fn a_registry_is_asked_with_what_there_is_for_it() {
    let w = World::new().await;
    let body = json!({"serverAddress": "one.example"});
    let registry = text(&w.post("registries", body).await.ok(), "id").to_owned();
    w.settle().await;
    let body = json!({"registryId": registry, "publicValue": "user", "secretValue": "hunter2"});
    w.post("registrycredentials", body).await.ok();
    w.settle().await;
    let found = get(&w, "/distribution/one.example/shop/web:2/json").await.ok();
    assert!(text(&found["Descriptor"], "digest").starts_with("sha256:"), "{found}");
    assert_eq!(found["Platforms"], json!([{"architecture": "amd64", "os": "linux"}]));
    assert_eq!(
        w.sim().shown_to("one.example/shop/web:2").as_deref(),
        Some("one.example")
    );
    get(&w, "/distribution/two.example/web/json").await.ok();
    assert_eq!(
        w.sim().shown_to("two.example/web"),
        None,
        "no other server gets a password to see"
    );

    let ask = |auth: Value| {
        let auth = URL_SAFE.encode(auth.to_string());
        let w = &w;
        async move {
            let headers = [("x-registry-auth", auth.as_str())];
            w.send_with(Method::GET, "/docker/distribution/two.example/web/json", &headers, None)
                .await
        }
    };
    ask(json!({"username": "anna", "password": "hush", "serveraddress": "two.example"}))
        .await
        .ok();
    assert_eq!(w.sim().shown_to("two.example/web").as_deref(), Some("two.example"));
    ask(json!({})).await.ok();
    assert_eq!(w.sim().shown_to("two.example/web"), None, "nothing is as good as none");
    assert_eq!(ask(json!({"identitytoken": "t"})).await.status, 501);
    assert_eq!(ask(json!("x")).await.status, 200);

    let gone = get(&w, "/distribution/sim:fail:pull/json").await;
    assert_eq!(
        (gone.status, &gone.body["message"]),
        (404, &json!("manifest unknown: sim:fail:pull")),
        "in the words and with the status of the engine"
    );
    for bad in [
        "/distribution/UPPER/json",
        "/distribution/a:b:c/json",
        "/distribution/a/%2E%2E/b/json",
    ] {
        assert_eq!(get(&w, bad).await.status, 400, "{bad}");
    }
    w.put("/v2-beta/settings/registry.whitelist", json!({"value": "one.example"}))
        .await
        .ok();
    let refused = get(&w, "/distribution/two.example/web/json").await;
    assert!(
        refused.status == 400 && refused.body.to_string().contains("two.example are not allowed"),
        "{}",
        refused.body
    );
}

#[actix_web::test]
async fn no_role_sees_the_images_of_another_project() {
    let scene = scene().await;
    let w = &scene.world;
    for (account, prefix, role) in &scene.strangers {
        if !prefix.contains("/projects/") {
            continue;
        }
        for (project, statuses) in [(scene.project.as_str(), [200, 403]), ("1a5", [403, 403])] {
            let path = format!("/docker/projects/{project}/images/json");
            let answer = send(w, account, Method::GET, &path, None).await;
            assert!(statuses.contains(&answer.status), "{role:?}: {}", answer.body);
            assert!(!answer.body.to_string().contains("sim:"), "{role:?}: {}", answer.body);
        }
        if *role == Role::Readonly {
            let path = format!("/docker/projects/{}/distribution/sim:web/json", scene.project);
            assert_eq!(send(w, account, Method::GET, &path, None).await.status, 403);
        }
    }
}
