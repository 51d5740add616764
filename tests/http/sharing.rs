//! A server that people share who do not trust each other: keys, passwords and projects have bounds, and answers keep secrets.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::api::{ApiOptions, UiFolder};
use futures_util::future::join;
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

const ADMIN: &str = "Basic QURNSU46YWRtaW5zLXNlY3JldA==";

async fn controlled() -> World {
    let w = World::new().await;
    w.engine
        .set_key("admin", "ADMIN".into(), "admins-secret")
        .await
        .unwrap();
    let on = json!({"username": "root", "password": "correct horse battery", "enabled": true});
    w.post("/v2-beta/localAuthConfig", on).await.ok();
    w
}

async fn ask(w: &World, by: &str, method: Method, path: &str, body: Value) -> Answer {
    w.send_with(method, path, &[("authorization", by)], Some(body)).await
}

/// An account of a person with a key; its id, and how it shows the key.
async fn person(w: &World, name: &str) -> (String, String) {
    let body = json!({"kind": "user", "name": name});
    let account = ask(w, ADMIN, Method::POST, "/v2-beta/accounts", body).await.ok();
    w.settle().await;
    let id = text(&account, "id").to_owned();
    let key = json!({"publicValue": name, "secretValue": format!("secret-of-{name}"), "accountId": id});
    ask(w, ADMIN, Method::POST, "/v2-beta/apiKeys", key).await.ok();
    w.settle().await;
    (
        id,
        format!("Basic {}", STANDARD.encode(format!("{name}:secret-of-{name}"))),
    )
}

fn member(id: &str, role: &str) -> Value {
    json!({"externalId": id, "externalIdType": "rancher_id", "role": role})
}

#[actix_web::test]
async fn keys_and_projects_are_so_many_and_no_more() {
    let w = controlled().await;
    let (_, olga) = person(&w, "olga").await;
    for n in 1..drover::schema::limits::KEYS {
        let made = ask(
            &w,
            &olga,
            Method::POST,
            "/v2-beta/apiKeys",
            json!({"name": format!("k{n}")}),
        )
        .await;
        made.expect(201, json!({}));
    }
    let own_password = json!({"publicValue": "olga2", "secretValue": "long enough for that"});
    for (kind, body) in [("apiKeys", json!({})), ("passwords", own_password)] {
        let refused = ask(&w, &olga, Method::POST, &format!("/v2-beta/{kind}"), body).await;
        assert_eq!(refused.refused(422, "MaxLimitExceeded")["fieldName"], "accountId");
    }
    let mut last = Value::Null;
    for n in 0..drover::schema::limits::PROJECTS {
        let body = json!({"name": format!("p{n}")});
        last = ask(&w, &olga, Method::POST, "/v2-beta/projects", body)
            .await
            .expect(201, json!({}));
    }
    // Giving them to somebody else makes no room.
    let (other, _) = person(&w, "otto").await;
    let given = json!({"name": "given", "members": [member(&other, "owner")]});
    let refused = ask(&w, &olga, Method::POST, "/v2-beta/projects", given.clone()).await;
    assert_eq!(refused.refused(422, "MaxLimitExceeded")["fieldName"], "name");
    ask(&w, ADMIN, Method::POST, "/v2-beta/projects", given.clone())
        .await
        .expect(201, json!({}));
    w.settle().await;
    let path = format!("/v2-beta/projects/{}", text(&last, "id"));
    ask(&w, &olga, Method::DELETE, &path, json!({})).await.ok();
    w.advance(std::time::Duration::from_secs(5)).await;
    ask(&w, &olga, Method::POST, "/v2-beta/projects", given)
        .await
        .expect(201, json!({}));
}

/// A debug build refuses a write of more than its portion.
#[actix_web::test]
async fn all_keys_of_an_owner_end_with_all_members_at_once() {
    let w = controlled().await;
    let (olga, by) = person(&w, "olga").await;
    let mut members = vec![member("1a1", "owner"), member(&olga, "owner")];
    for n in 0..98 {
        let body = json!({"kind": "user", "name": format!("m{n}")});
        let made = ask(&w, ADMIN, Method::POST, "/v2-beta/accounts", body).await.ok();
        members.push(member(text(&made, "id"), "member"));
    }
    w.settle().await;
    let set = |members: Vec<Value>| {
        let body = json!({"members": members});
        ask(&w, ADMIN, Method::POST, "/v2-beta/projects/1a5?action=setmembers", body)
    };
    set(members).await.ok();
    let path = "/v2-beta/projects/1a5/apiKeys";
    let mut keys = Vec::new();
    for _ in 0..drover::schema::limits::KEYS {
        keys.push(ask(&w, &by, Method::POST, path, json!({})).await.expect(201, json!({})));
    }
    w.settle().await;
    set(vec![member("1a1", "owner")]).await.ok();
    for key in [&keys[0], &keys[199]] {
        let shown = format!("{}:{}", text(key, "publicValue"), text(key, "secretValue"));
        let by = format!("Basic {}", STANDARD.encode(shown));
        ask(&w, &by, Method::GET, "/v2-beta/stacks", json!({}))
            .await
            .refused(401, "Unauthorized");
        let path = format!("/v2-beta/apiKeys/{}", text(key, "id"));
        ask(&w, ADMIN, Method::GET, &path, json!({}))
            .await
            .expect(200, json!({"state": "removed"}));
    }
}

#[actix_web::test]
async fn what_is_adopted_leaves_a_host_or_belongs_to_a_registry_goes_in_portions() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for n in 0..4 {
        let body = json!({"imageUuid": "sim:web", "name": format!("c{n}"), "count": 90, "labels": {"a": "b"}});
        w.post("containers", body).await.ok();
    }
    w.advance(std::time::Duration::from_secs(10)).await;
    let body = json!({"name": "all", "stackId": stack, "startOnCreate": true, "selectorContainer": "a=b",
        "launchConfig": {"imageUuid": "docker:rancher/none"}});
    let all = text(&w.post("services", body).await.ok(), "id").to_owned();
    w.wait(&all, "active").await;
    assert_eq!(w.list(&format!("services/{all}/instances?limit=1000")).await.len(), 360);

    let registry = w.post("registries", json!({"serverAddress": "r.example"})).await.ok();
    let registry = text(&registry, "id").to_owned();
    for n in 0..310 {
        let body = json!({"registryId": registry, "publicValue": format!("u{n}"), "secretValue": "s"});
        w.post("registrycredentials", body).await.ok();
    }
    let path = format!("registries/{registry}");
    w.wait(&path, "active").await;
    w.act(&path, "deactivate", json!({})).await.ok();
    w.wait(&path, "inactive").await;
    w.act(&path, "remove", json!({})).await.ok();
    w.wait(&path, "removed").await;
    assert_eq!(w.list("registrycredentials?limit=1000").await.len(), 0);

    let host = w.list("hosts").await.remove(0);
    let path = format!("hosts/{}", text(&host, "id"));
    w.act(&path, "evacuate", json!({})).await.ok();
    w.wait(&path, "inactive").await;
    assert_eq!(w.list("containers?limit=1000").await.len(), 0);
}

#[actix_web::test]
async fn a_service_links_to_everything_that_its_selector_matches() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for n in 0..310 {
        let body = json!({"name": format!("t{n}"), "stackId": stack, "scale": 0,
            "launchConfig": {"imageUuid": "sim:web", "labels": {"a": "b"}}});
        w.post("services", body).await.expect(201, json!({}));
    }
    w.settle().await;
    let body = json!({"name": "from", "stackId": stack, "scale": 0, "startOnCreate": true, "selectorLink": "a=b",
        "launchConfig": {"imageUuid": "sim:web"}});
    let from = text(&w.post("services", body).await.ok(), "id").to_owned();
    let row = w.wait(&from, "active").await;
    assert_eq!(row["linkedServices"].as_object().map(serde_json::Map::len), Some(310));
}

#[actix_web::test]
async fn passwords_have_a_length() {
    let w = World::new().await;
    let on = |password: &str| json!({"username": "root", "password": password, "enabled": true});
    let refused = w.post("/v2-beta/localAuthConfig", on("eleven sign")).await;
    assert_eq!(refused.refused(422, "MinLengthExceeded")["fieldName"], "password");
    w.engine
        .set_key("admin", "ADMIN".into(), "admins-secret")
        .await
        .unwrap();
    w.post("/v2-beta/localAuthConfig", on("twelve signs")).await.ok();
    let make = |name: &str, secret: &str| {
        let body = json!({"publicValue": name, "secretValue": secret, "accountId": "1a1"});
        ask(&w, ADMIN, Method::POST, "/v2-beta/passwords", body)
    };
    assert_eq!(
        make("a", "short").await.refused(422, "MinLengthExceeded")["fieldName"],
        "secretValue"
    );
    let made = make("a", "ünïcödé signs").await.expect(201, json!({}));
    w.settle().await;
    let path = format!("/v2-beta/passwords/{}", text(&made, "id"));
    let change = json!({"oldSecret": "ünïcödé signs", "newSecret": "short"});
    let refused = ask(&w, ADMIN, Method::POST, &format!("{path}?action=changesecret"), change).await;
    assert_eq!(refused.refused(422, "MinLengthExceeded")["fieldName"], "newSecret");
    // What has no length of its own is as long as it is.
    let key = json!({"publicValue": "K", "secretValue": "k"});
    ask(&w, ADMIN, Method::POST, "/v2-beta/apiKeys", key).await.ok();
    let setting = "/v2-beta/settings/api.auth.local.min.length";
    ask(&w, ADMIN, Method::PUT, setting, json!({"value": "5"})).await.ok();
    make("b", "short").await.expect(201, json!({}));
}

#[actix_web::test]
async fn of_two_who_turn_access_control_on_at_once_one_wins() {
    let w = World::new().await;
    let on = |name: &str| json!({"username": name, "password": format!("the password of {name}"), "enabled": true});
    let (one, other) = join(
        w.post("/v2-beta/localAuthConfig", on("one")),
        w.post("/v2-beta/localAuthConfig", on("other")),
    )
    .await;
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409], "{} {}", one.body, other.body);
    for (answer, name) in [(one, "one"), (other, "other")] {
        let code = json!({"code": format!("{name}:the password of {name}")});
        let login = w.post("/v2-beta/token", code).await;
        assert_eq!(login.status == 201, answer.status == 201, "{name}: {}", login.body);
    }
}

#[actix_web::test]
async fn names_hold_no_control_characters() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for name in ["a\u{0}b", "a\u{1b}[31mb", "a\nb", "a\u{7f}", "a\u{85}"] {
        for (path, body) in [
            ("stacks", json!({"name": name})),
            ("containers", json!({"name": name, "imageUuid": "sim:web"})),
            ("volumes", json!({"name": name, "driver": "local"})),
            ("/v2-beta/projects", json!({"name": name})),
            ("/v2-beta/accounts", json!({"name": name})),
            ("/v2-beta/apiKeys", json!({"name": name})),
            ("genericobjects", json!({"name": name, "kind": "x", "key": "y"})),
        ] {
            let refused = w.post(path, body).await;
            assert_eq!(refused.refused(422, "InvalidCharacters")["fieldName"], "name", "{path}");
        }
        let refused = w.put(&stack, json!({"name": name})).await;
        assert_eq!(refused.refused(422, "InvalidCharacters")["fieldName"], "name");
    }
    let key = json!({"publicValue": "a\u{0}b", "secretValue": "long enough for that"});
    let refused = w.post("/v2-beta/passwords", key).await;
    assert_eq!(refused.refused(422, "InvalidCharacters")["fieldName"], "publicValue");
}

#[actix_web::test]
async fn answers_with_secrets_are_kept_by_nobody() {
    let w = controlled().await;
    let code = json!({"code": "root:correct horse battery"});
    let token = w.post("/v2-beta/token", code).await;
    let made = ask(&w, ADMIN, Method::POST, "/v2-beta/apiKeys", json!({})).await;
    let joins = ask(
        &w,
        ADMIN,
        Method::POST,
        "/v2-beta/projects/1a5/registrationTokens",
        json!({}),
    )
    .await;
    w.settle().await;
    let path = format!("/v2-beta/projects/1a5/registrationTokens/{}", text(&joins.body, "id"));
    let command = ask(&w, ADMIN, Method::GET, &path, json!({})).await;
    assert!(
        text(&command.body, "command").contains("docker run"),
        "{}",
        command.body
    );
    let registry = json!({"serverAddress": "r.example"});
    let registry = ask(&w, ADMIN, Method::POST, "/v2-beta/projects/1a5/registries", registry)
        .await
        .ok();
    let body = json!({"registryId": text(&registry, "id"), "publicValue": "u", "secretValue": "sealed-one"});
    let path = "/v2-beta/projects/1a5/registryCredentials";
    let sealed = ask(&w, ADMIN, Method::POST, path, body).await;
    w.settle().await;
    let act = format!("{path}/{}?action=deactivate", text(&sealed.body, "id"));
    let acted = ask(&w, ADMIN, Method::POST, &act, json!({})).await;
    assert_eq!(acted.body["secretValue"], "sealed-one");
    let bearer = text(&token.body, "jwt").to_owned();
    let script = text(&command.body, "registrationUrl");
    let script = w.get(script.split_once("localhost").expect("an address").1).await;
    for answer in [token, made, joins, command, sealed, acted, script] {
        assert!(answer.status < 300, "{}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{}", answer.body);
    }
    // A token in an address is in no answer to it.
    for path in [
        "projects",
        "settings",
        "schemas",
        "projects/1a5",
        "projects/1a5/stacks",
        "accounts",
        "auditlogs",
        "nonsense",
    ] {
        let answer = w.get(&format!("/v2-beta/{path}?%74oken={bearer}&limit=1")).await;
        let shown = format!("{} {:?}", answer.body, answer.headers);
        assert!(!shown.contains(&bearer), "{path}: {shown}");
        for more in [
            "limit=1",
            "limit=1&sort=name&order=desc&name_like=a",
            "limit=1&include=account",
        ] {
            let answer = w.get(&format!("/v2-beta/{path}?{more}&token={bearer}")).await;
            assert!(answer.status < 500 && answer.status != 401, "{path}: {}", answer.body);
            let shown = format!("{} {:?}", answer.body, answer.headers);
            assert!(!shown.contains(&bearer), "{path}?{more}: {shown}");
        }
    }
}

#[actix_web::test]
async fn no_page_stands_in_a_frame_and_nothing_is_traced() {
    let mut w = World::new().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("index.html"), "index").unwrap();
    std::fs::write(dir.path().join("app.js"), "app").unwrap();
    let trace = || Method::from_bytes(b"TRACE").unwrap();
    let paths = [
        "/",
        "/v2-beta",
        "/v2-beta/projects/1a5/stacks",
        "/app.js",
        "/nowhere",
        "/v2-beta/token",
    ];
    for with_ui in [false, true] {
        if with_ui {
            let ui = Some(UiFolder::open(dir.path()).unwrap());
            w.serve(ApiOptions {
                ui,
                ..ApiOptions::default()
            });
        }
        for path in paths {
            let answer = w.send_with(trace(), path, &[("cookie", "token=x")], None).await;
            assert_eq!(answer.status, 405, "{path}");
        }
        let browser = [("user-agent", "Mozilla/5.0"), ("accept", "*/*")];
        for path in ["/", "/v2-beta", "/v2-beta/projects/1a5/stacks"] {
            let page = w.send_with(Method::GET, path, &browser, None).await;
            assert_eq!(page.header("x-frame-options"), Some("DENY"), "{path}");
            let policy = page.header("content-security-policy").unwrap_or_default();
            assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        }
    }
}

#[actix_web::test]
async fn keys_that_are_no_longer_configured_end() {
    let w = controlled().await;
    let shows = |name: &str| format!("Basic {}", STANDARD.encode(format!("{name}:secret-of-{name}")));
    for name in ["first", "second"] {
        let secret = format!("secret-of-{name}");
        w.engine.set_bootstrap_key("admin", name.into(), &secret).await.unwrap();
    }
    // A key of before is known as configured from its next start on.
    w.engine
        .set_key("admin", "third".into(), "secret-of-third")
        .await
        .unwrap();
    w.engine
        .set_bootstrap_key("admin", "third".into(), "secret-of-third")
        .await
        .unwrap();
    let ended = w.engine.end_bootstrap_keys(&["SECOND".to_owned()]).await.unwrap();
    assert_eq!(ended, ["first", "third"]);
    for (by, status) in [
        (shows("first"), 401),
        (shows("second"), 200),
        (shows("third"), 401),
        (ADMIN.to_owned(), 200),
    ] {
        let answer = ask(&w, &by, Method::GET, "/v2-beta/projects", json!({})).await;
        assert_eq!(answer.status, status);
    }
    assert!(
        w.engine
            .end_bootstrap_keys(&["second".to_owned()])
            .await
            .unwrap()
            .is_empty()
    );
}
