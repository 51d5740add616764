//! Who hears what, in what form, and for how long: subscribers of every role, over real sockets.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::http::Method;
use drover::schema::{Role, Version};
use serde_json::{Value, json};

use crate::project_isolation::{Scene, key, login, scene, send, user};
use crate::sockets::{Client, Server};
use crate::support::{World, text};

const CHANGES: &str = "subscribe?eventNames=resource.change";
const SECOND: Duration = Duration::from_secs(1);
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Who listens, with the key of an account; `path` begins with the version.
async fn listen(server: &Server, account: &str, path: &str) -> Client {
    let heard = server.try_subscribe(path, &[("authorization", &login(account))]).await;
    heard.unwrap_or_else(|(status, body)| panic!("{account} {path}: {status} {body}"))
}

/// The same of whom it is refused: the status.
async fn refusal(server: &Server, path: &str, headers: &[(&'static str, &str)]) -> u16 {
    server
        .try_subscribe(path, headers)
        .await
        .err()
        .unwrap_or_else(|| panic!("{path} {headers:?} is let in"))
        .0
}

/// Makes something that is worth hiding, with the key of an account; the secrets in it.
async fn make_secrets(w: &World, account: &str, root: &str) -> Vec<String> {
    let made = send(
        w,
        account,
        Method::POST,
        &format!("{root}/apikeys"),
        Some(json!({"name": "ci"})),
    )
    .await
    .ok();
    let mut secrets = vec![text(&made, "secretValue").to_owned()];
    let registry = send(
        w,
        account,
        Method::POST,
        &format!("{root}/registries"),
        Some(json!({"serverAddress": "r.example"})),
    )
    .await
    .ok();
    let secret = format!("registry-secret-of-{account}");
    let body = json!({"registryId": registry["id"], "publicValue": "user", "secretValue": secret});
    send(
        w,
        account,
        Method::POST,
        &format!("{root}/registrycredentials"),
        Some(body),
    )
    .await
    .ok();
    secrets.push(secret);
    w.settle().await;
    assert!(secrets.iter().all(|secret| secret.len() > 10));
    secrets
}

#[actix_web::test]
async fn nobody_hears_of_another_project_nor_a_secret() {
    let Scene {
        world: w,
        foreign,
        strangers,
        project,
    } = scene().await;
    key(&w, "admin").await;
    let server = Server::of(&w);
    // What was, and what comes; and no name gets at another account.
    let names = "eventNames=*&eventNames=resource.change;account=1a5&eventNames=resource.change;account=5&since=0";
    let mut all = listen(&server, "superadmin", "/v2-beta/subscribe?eventNames=*").await;
    let mut ears = Vec::new();
    for version in Version::ALL.map(Version::as_str) {
        for (account, prefix, role) in &strangers {
            let path = format!("/{version}{prefix}/subscribe?{names}");
            match role {
                Role::User => assert_eq!(
                    refusal(&server, &path, &[("authorization", &login(account))]).await,
                    404
                ),
                _ => ears.push((format!("{role:?} {version}"), listen(&server, account, &path).await)),
            }
            let there = format!("/{version}/projects/1a5/subscribe?{names}");
            assert_eq!(
                refusal(&server, &there, &[("authorization", &login(account))]).await,
                403,
                "{role:?}"
            );
        }
        let outside = format!("/{version}/subscribe?{names}");
        assert_eq!(
            refusal(&server, &outside, &[("authorization", &login("admin"))]).await,
            404,
            "an admin outside of projects"
        );
    }
    assert_eq!(ears.len(), 10);

    let mut secrets = make_secrets(&w, "1a5", "/v2-beta").await;
    secrets.extend(make_secrets(&w, &project, "/v2-beta").await);
    secrets.push(format!("of-{project}"));
    let theirs = send(
        &w,
        "1a5",
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "theirs"})),
    )
    .await
    .ok();
    w.settle().await;
    w.clock.advance(SECOND);
    let last = send(
        &w,
        &project,
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "the-last"})),
    )
    .await
    .ok();
    w.settle().await;

    let mut uuids: Vec<&str> = foreign
        .iter()
        .map(|row| row.uuid.as_str())
        .filter(|uuid| !uuid.is_empty())
        .collect();
    uuids.push(text(&theirs, "uuid"));
    let number = text(&last, "id").trim_start_matches("1st").to_owned();
    for (who, client) in &mut ears {
        let mut types = BTreeSet::new();
        loop {
            let event = client.event().await;
            let told = event.to_string();
            let found = uuids
                .iter()
                .copied()
                .chain(secrets.iter().map(String::as_str))
                .find(|part| told.contains(part));
            assert_eq!(found, None, "{who}: {event:#}");
            assert!(
                !told.contains(r#""accountId":"1a5""#) && !told.contains("/1a5/"),
                "{who}: {event:#}"
            );
            types.insert(text(&event, "resourceType").to_owned());
            if event["data"]["resource"]["name"] == "the-last" {
                assert!(text(&event, "resourceId").ends_with(&number));
                break;
            }
        }
        assert!(types.len() >= 3, "{who} hears of its own: {types:?}");
    }
    // Somebody who may hears all that, so there was something to hear; but what a key's secret is hears nobody.
    let mut heard = String::new();
    while !heard.contains("the-last") {
        heard.push_str(&all.event().await.to_string());
    }
    assert!(
        heard.contains(text(&theirs, "uuid")) && heard.contains("registry-secret-of-1a5"),
        "as a GET shows them"
    );
    assert!(!heard.contains(&secrets[0]) && !heard.contains(&secrets[2]));
}

/// Gives the project `1a5` a member of each role; with its own key and those who see everything: `(account, prefix, role)`.
async fn callers(w: &World) -> Vec<(String, String, Role)> {
    let mut callers = vec![
        ("superadmin".to_owned(), String::new(), Role::Superadmin),
        ("1a6".to_owned(), String::new(), Role::Service),
        ("1a5".to_owned(), String::new(), Role::Project),
        ("admin".to_owned(), "/projects/1a5".to_owned(), Role::Owner),
    ];
    for (account, ..) in &callers {
        key(w, account).await;
    }
    w.engine.require_proof(true).await.expect("access control goes on");
    let mut members = vec![member("1a1", "owner")];
    for role in [Role::Member, Role::Restricted, Role::Readonly] {
        let id = user(w, role.as_str()).await;
        members.push(member(&id, role.as_str()));
        callers.push((id, "/projects/1a5".to_owned(), role));
    }
    set_members(w, members).await;
    callers
}

fn member(account: &str, role: &str) -> Value {
    json!({"externalId": account, "externalIdType": "rancher_id", "role": role})
}

async fn set_members(w: &World, members: Vec<Value>) {
    let body = json!({"members": members});
    send(
        w,
        "superadmin",
        Method::POST,
        "/v2-beta/projects/1a5?action=setmembers",
        Some(body),
    )
    .await
    .ok();
    w.settle().await;
}

/// All events that come before the second ping: what was, when one asks `since` the beginning.
async fn replayed(client: &mut Client) -> Vec<Value> {
    assert_eq!(client.any().await["name"], "ping");
    let mut events = Vec::new();
    loop {
        let event = client.any().await;
        if event["name"] == "ping" {
            return events;
        }
        events.push(event);
    }
}

/// Something of most types in `1a5`.
async fn busy() -> World {
    let w = World::new().await;
    let stack = w.stack("front").await;
    let config = json!({"scale": 2, "launchConfig": {"labels": {"a": "b"}, "healthCheck": {"port": 80}, "environment": {"X": "y"}}});
    let web = w.running(&stack, "web", config).await;
    let db = w.service(&stack, "db", json!({})).await;
    w.act(&web, "addservicelink", json!({"serviceLink": {"serviceId": db}}))
        .await
        .ok();
    let gone = w.stack("gone").await;
    w.act(&gone, "remove", json!({})).await.ok();
    w.post(
        "containers",
        json!({"name": "alone", "imageUuid": "sim:web", "ports": ["80:80"]}),
    )
    .await
    .ok();
    w.post("registrationtokens", json!({})).await.ok();
    w.settle().await;
    w
}

async fn beat_quickly(w: &World) {
    let body = json!({"name": "api.sub.ping.interval.millis", "value": "100"});
    send(w, "superadmin", Method::POST, "/v2-beta/settings", Some(body))
        .await
        .ok();
}

#[actix_web::test]
async fn everybody_hears_exactly_what_a_get_of_theirs_shows() {
    let w = busy().await;
    let callers = callers(&w).await;
    make_secrets(&w, "1a5", "/v2-beta").await;
    beat_quickly(&w).await;
    w.advance(SECOND * 2).await;
    let server = Server::of(&w);
    for (account, prefix, role) in &callers {
        for version in Version::ALL.map(Version::as_str) {
            let key = login(account);
            let headers = [("authorization", key.as_str())];
            let mut client = listen(&server, account, &format!("/{version}{prefix}/{CHANGES}&since=0")).await;
            let mut types = BTreeSet::new();
            for event in replayed(&mut client).await {
                let told = &event["data"]["resource"];
                types.insert(text(&event, "resourceType").to_owned());
                assert_eq!(event["resourceId"], told["id"]);
                // A label has a field of this name.
                assert!(
                    event["resourceType"] == told["type"] || event["resourceType"] == "label",
                    "{event:#}"
                );
                let address = text(&told["links"], "self")
                    .split_once(&server.address.to_string())
                    .map(|(_, path)| path);
                let path = address.unwrap_or_else(|| panic!("{role:?} {version}: {event:#}"));
                let (status, shown) = server.get(path, &headers).await;
                let shown: Value = serde_json::from_str(&shown).expect("JSON");
                // As text: the order of the keys counts, too.
                assert_eq!((status, shown.to_string()), (200, told.to_string()), "{role:?} {path}");
            }
            let few = if *role == Role::Service { 1 } else { 8 };
            assert!(types.len() >= few, "{role:?} {version}: {types:?}");
            let stack = if version == "v1" { "environment" } else { "stack" };
            assert!(
                types.contains(stack) && types.contains("service") && types.contains("container"),
                "{role:?} {version}: {types:?}"
            );
        }
    }
}

#[actix_web::test]
async fn includes_and_action_links_are_those_of_a_get() {
    let w = busy().await;
    callers(&w).await;
    beat_quickly(&w).await;
    let server = Server::of(&w);
    let key = login("1a5");
    let plain = [("authorization", key.as_str())];
    let renamed = [("authorization", key.as_str()), ("x-api-action-links", "true")];
    let cases = [
        ("/v2-beta", "include=services", "stack", &plain[..], &plain[..]),
        (
            "/v2-beta",
            "include=SERVICES&include=hosts&limit=-1",
            "stack",
            &plain[..],
            &plain[..],
        ),
        ("/v1", "include=services", "environment", &plain[..], &plain[..]),
        ("/v2-beta", "include=instances", "service", &plain[..], &plain[..]),
        (
            "/v2-beta",
            "include=stack&_actionLinks=true",
            "service",
            &plain[..],
            &renamed[..],
        ),
        ("/v2-beta", "include=nothing", "service", &renamed[..], &renamed[..]),
        ("/v1", "_actionLinks=true", "environment", &plain[..], &renamed[..]),
        (
            "/v1/projects/1a5",
            "_actionLinks=false",
            "environment",
            &plain[..],
            &plain[..],
        ),
    ];
    for (root, query, ty, handshake, headers) in cases {
        let path = format!("{root}/{CHANGES}&since=0&resourceType={ty}&{query}");
        let mut client = server
            .try_subscribe(&path, handshake)
            .await
            .unwrap_or_else(|(status, body)| panic!("{path}: {status} {body}"));
        let events = replayed(&mut client).await;
        assert!(events.len() >= 2, "{path}: {}", events.len());
        let mut included = false;
        for event in events {
            let told = &event["data"]["resource"];
            assert_eq!(told["type"], ty, "{path}");
            let address = text(&told["links"], "self")
                .split_once(&server.address.to_string())
                .expect("an address")
                .1;
            let (status, shown) = server.get(&format!("{address}?{query}"), headers).await;
            let shown: Value = serde_json::from_str(&shown).expect("JSON");
            assert_eq!((status, shown.to_string()), (200, told.to_string()), "{path}");
            let name = query.split(['=', '&']).nth(1).unwrap_or_default().to_lowercase();
            included |= !told[name].is_null();
            let (there, away) = if headers.len() == 2 {
                ("actionLinks", "actions")
            } else {
                ("actions", "actionLinks")
            };
            assert!(told[there].is_object() && told.get(away).is_none(), "{path}: {told:#}");
        }
        assert_eq!(
            included,
            query.starts_with("include") && !query.contains("nothing"),
            "{path}"
        );
    }
}

#[actix_web::test]
async fn event_names_and_types_choose_what_is_heard() {
    let w = busy().await;
    let admin = w.engine.admit_open(Version::V2Beta, None).expect("access is open");
    w.engine
        .write_setting(&admin, "api.sub.ping.interval.millis", Some("100".into()))
        .await
        .expect("a setting");
    let server = Server::of(&w);
    let heard = async |query: &str| {
        let mut client = server.subscribe(&format!("subscribe?since=0&{query}")).await;
        let events = replayed(&mut client).await;
        let types: BTreeSet<String> = events
            .iter()
            .map(|event| text(event, "resourceType").to_owned())
            .collect();
        types.into_iter().collect::<Vec<_>>().join(" ")
    };
    let everything = heard("eventNames=resource.change").await;
    assert!(everything.split(' ').count() >= 8, "{everything}");
    for same in [
        "eventNames=*",
        "eventNames=resource.*",
        "eventNames=service.x&eventNames=*.change",
        "eventNames=resource.change;account=1a1",
    ] {
        assert_eq!(heard(same).await, everything, "{same}");
    }
    for nothing in [
        "",
        "limit=-1",
        "eventNames=service.*",
        "eventNames=resource.changes&eventNames=x",
        "eventNames=;account=1a5",
    ] {
        assert_eq!(heard(nothing).await, "", "{nothing}");
    }
    for (types, expected) in [
        ("resourceType=stack", "stack"),
        ("resourceType=stacks&resourceType=Service", "service stack"),
        ("resourceType=instance", "container"),
        ("resourceType=credential", "registrationToken"),
        ("resourceType=", everything.as_str()),
    ] {
        assert_eq!(
            heard(&format!("eventNames=resource.change&{types}")).await,
            expected,
            "{types}"
        );
    }
}

#[actix_web::test]
async fn of_one_resource_there_is_at_most_one_event_a_second() {
    let w = World::new().await;
    let server = Server::of(&w);
    let stack = w.stack("s").await;
    w.advance(SECOND * 2).await;
    let mut client = server.subscribe(CHANGES).await;
    let mut rename = async |second: u64, n: u64| {
        w.put(&stack, json!({"description": format!("{second}.{n}")}))
            .await
            .ok();
        w.engine.tell();
        if n == 0 {
            // The first is told at once, and before anything else happens: what is read later shows more.
            assert_eq!(client.change(&stack).await["description"], format!("{second}.0"));
        }
    };
    rename(0, 0).await;
    for n in 1..10 {
        rename(0, n).await;
        w.clock.advance(SECOND / 20);
        w.engine.tell();
    }
    // Half a second later: nothing yet, and then one for all nine.
    let other = w.stack("other").await;
    assert_eq!(client.event().await["resourceId"], json!(other));
    w.clock.advance(SECOND);
    w.engine.tell();
    assert_eq!(client.change(&stack).await["description"], "0.9");
    w.clock.advance(SECOND * 5);
    w.engine.tell();
    let end = w.stack("end").await;
    loop {
        let event = client.event().await;
        assert_ne!(event["resourceId"], json!(stack), "{event:#}");
        if event["resourceId"] == json!(end) {
            break;
        }
    }
}

/// The socket is told to log out, and closed; nothing else is said on the way.
async fn is_logged_out(client: &mut Client, what: &str) {
    loop {
        let text = client
            .frame()
            .await
            .unwrap_or_else(|end| panic!("{what}: closed without a word: {end:?}"));
        if text == r#"{"name":"logout"}"# {
            break;
        }
        assert!(
            text.contains(r#""name":"ping""#) || text.contains(r#""name":"resource.change""#),
            "{what}: {text}"
        );
    }
    assert_eq!(client.end().await, Some(1000), "{what}");
}

#[actix_web::test]
async fn a_socket_lasts_as_long_as_what_let_it_in() {
    let w = World::new().await;
    let mut open = Server::of(&w).subscribe(CHANGES).await;
    callers(&w).await;
    is_logged_out(&mut open, "access is no longer open").await;
    let server = Server::of(&w);
    let mut stays = listen(&server, "1a5", &format!("/v2-beta/{CHANGES}")).await;
    let inside = format!("/v2-beta/projects/1a5/{CHANGES}");
    let act = async |path: &str, action: &str| {
        send(
            &w,
            "superadmin",
            Method::POST,
            &format!("/v2-beta/{path}?action={action}"),
            Some(json!({})),
        )
        .await
        .ok();
    };
    let users = [
        user(&w, "ann").await,
        user(&w, "bob").await,
        user(&w, "cid").await,
        user(&w, "dan").await,
    ];
    let [ann, bob, cid, dan] = &users;
    let members = |but: &str, dans: &str| {
        let all = [
            ("1a1", "owner"),
            (ann, "member"),
            (bob, "readonly"),
            (cid, "restricted"),
            (dan, dans),
        ];
        all.iter()
            .filter(|(id, _)| *id != but)
            .map(|(id, role)| member(id, role))
            .collect::<Vec<_>>()
    };
    set_members(&w, members("", "member")).await;

    let mut socket = listen(&server, ann, &inside).await;
    act(&format!("accounts/{ann}"), "deactivate").await;
    is_logged_out(&mut socket, "the account is deactivated").await;

    let mut socket = listen(&server, bob, &inside).await;
    let mut other = listen(&server, dan, &inside).await;
    set_members(&w, members(bob, "member")).await;
    is_logged_out(&mut socket, "the membership is taken away").await;
    assert_eq!(refusal(&server, &inside, &[("authorization", &login(bob))]).await, 403);

    set_members(&w, members(bob, "readonly")).await;
    is_logged_out(&mut other, "the member has another role").await;
    let mut other = listen(&server, dan, &inside).await;
    act(&format!("accounts/{dan}"), "deactivate").await;
    is_logged_out(&mut other, "the account is deactivated").await;

    let mut socket = listen(&server, cid, &inside).await;
    act(&format!("accounts/{cid}"), "deactivate").await;
    is_logged_out(&mut socket, "the account is about to be removed").await;
    w.settle().await;
    act(&format!("accounts/{cid}"), "remove").await;
    w.settle().await;
    assert_eq!(refusal(&server, &inside, &[("authorization", &login(cid))]).await, 401);

    let made = send(&w, "1a5", Method::POST, "/v2-beta/apikeys", Some(json!({"name": "k"})))
        .await
        .ok();
    w.settle().await;
    let (id, name, secret) = (
        text(&made, "id"),
        text(&made, "publicValue"),
        text(&made, "secretValue"),
    );
    let basic = basic(name, secret);
    let by_key = [("authorization", basic.as_str())];
    let mut socket = server.try_subscribe(&inside, &by_key).await.expect("the key is good");
    act(&format!("apikeys/{id}"), "deactivate").await;
    is_logged_out(&mut socket, "the key is deactivated").await;
    assert_eq!(refusal(&server, &inside, &by_key).await, 401);
    w.settle().await;
    act(&format!("apikeys/{id}"), "activate").await;
    w.settle().await;
    let mut socket = server
        .try_subscribe(&inside, &by_key)
        .await
        .expect("the key is good again");
    assert_eq!(socket.any().await["name"], "ping");

    let body = json!({"username": "root", "password": "correct horse", "enabled": true});
    send(&w, "superadmin", Method::POST, "/v2-beta/localAuthConfig", Some(body))
        .await
        .ok();
    let token = w
        .post("/v2-beta/token", json!({"code": "root:correct horse"}))
        .await
        .ok();
    let cookie = format!("token={}", text(&token, "jwt"));
    let mut by_cookie = server
        .try_subscribe(&inside, &[("cookie", &cookie)])
        .await
        .expect("logged in");
    let mut by_query = server
        .subscribe(&format!("{inside}&token={}", text(&token, "jwt")))
        .await;
    w.send_with(Method::DELETE, "/v2-beta/token/current", &[("cookie", &cookie)], None)
        .await;
    is_logged_out(&mut by_cookie, "the token is deleted").await;
    is_logged_out(&mut by_query, "the token is deleted").await;
    assert_eq!(refusal(&server, &inside, &[("cookie", &cookie)]).await, 401);

    send(
        &w,
        "1a5",
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "at-the-end"})),
    )
    .await
    .ok();
    w.settle().await;
    for (client, whose) in [(&mut stays, "the project's"), (&mut socket, "the other key's")] {
        while client.event().await["data"]["resource"]["name"] != "at-the-end" {}
        assert!(!whose.is_empty());
    }
}

fn basic(name: &str, secret: &str) -> String {
    use base64::Engine as _;
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{name}:{secret}"))
    )
}

#[actix_web::test]
async fn a_handshake_needs_a_proof_and_a_page_of_this_site() {
    let w = World::new().await;
    key(&w, "1a5").await;
    let body = json!({"username": "root", "password": "correct horse", "enabled": true});
    w.post("/v2-beta/localAuthConfig", body).await.ok();
    let token = w
        .post("/v2-beta/token", json!({"code": "root:correct horse"}))
        .await
        .ok();
    let token = text(&token, "jwt").to_owned();
    let server = Server::of(&w);
    let path = format!("/v2-beta/projects/1a5/{CHANGES}");
    let host = server.address;
    for wrong in [
        "",
        "Authorization: Basic bm9ib2R5Om5vdGhpbmc=\r\n",
        "Cookie: token=x\r\n",
    ] {
        let answer = server
            .send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{UPGRADE}{wrong}\r\n"))
            .await;
        assert!(
            answer.starts_with("HTTP/1.1 401 ") && answer.contains(r#""code":"Unauthorized""#),
            "{answer}"
        );
        assert!(
            !answer.to_lowercase().contains("www-authenticate"),
            "a page that opens a socket cannot answer a challenge: {answer}"
        );
        // Without an upgrade there is one.
        let answer = server
            .send(&format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{wrong}\r\n"
            ))
            .await;
        assert!(answer.to_lowercase().contains("www-authenticate"), "{answer}");
    }
    let (cookie, key, own) = (format!("token={token}"), login("1a5"), format!("http://{host}"));
    for origin in ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"] {
        assert_eq!(
            refusal(&server, &path, &[("cookie", &cookie), ("origin", origin)]).await,
            403,
            "{origin}"
        );
        let by_key = [("authorization", key.as_str()), ("origin", origin)];
        assert_eq!(refusal(&server, &path, &by_key).await, 403, "{origin}");
    }
    let by_query = format!("{path}&token={token}");
    let good: [(&str, &[(&'static str, &str)]); 5] = [
        (&path, &[("cookie", &cookie), ("origin", &own)]),
        (&path, &[("cookie", &cookie)]),
        (&by_query, &[]),
        (&path, &[("authorization", &key), ("origin", &own)]),
        (&by_query, &[("origin", "http://evil.example")]),
    ];
    for (path, headers) in good {
        let client = server.try_subscribe(path, headers).await;
        assert_eq!(client.expect("let in").any().await["name"], "ping", "{headers:?}");
    }
    assert_eq!(
        refusal(
            &server,
            &format!("/v2-beta/projects/1a1/{CHANGES}"),
            &[("cookie", &cookie)]
        )
        .await,
        403,
        "no project"
    );
}

#[actix_web::test]
async fn a_post_cannot_become_a_socket() {
    let w = World::new().await;
    let server = Server::of(&w);
    let host = server.address;
    let post = async |path: &str, body: &str, length: Option<usize>| {
        let length = length.map(|length| format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"));
        let head = format!("Host: {host}\r\n{UPGRADE}{}", length.unwrap_or_default());
        server
            .send(&format!(
                "POST /v2-beta/projects/1a5/{path} HTTP/1.1\r\n{head}\r\n{body}"
            ))
            .await
    };
    let names = r#"{"eventNames":["resource.change"]}"#;
    for (body, length) in [
        (names, Some(names.len())),
        ("", Some(0)),
        ("", None),
        (&format!("{names}and more"), Some(names.len())),
    ] {
        let answer = post("subscribe", body, length).await;
        assert!(
            answer.starts_with("HTTP/1.1 400 ") && answer.contains(r#""code":"InvalidHandshake""#),
            "{answer}"
        );
        assert!(answer.contains("a WebSocket begins with a GET"), "{answer}");
    }
    // Elsewhere the wish for another protocol is of no interest, and the body ends where it says.
    let stack = r#"{"name":"s"}"#;
    assert!(
        post("stacks", stack, Some(stack.len()))
            .await
            .starts_with("HTTP/1.1 201 ")
    );
    assert!(
        post("stacks", stack, None).await.contains("MissingRequired"),
        "no length, no body"
    );
    assert!(post("stacks", "{}", Some(1 << 21)).await.starts_with("HTTP/1.1 413 "));
}

#[actix_web::test]
async fn what_is_published_is_told_to_those_who_may_hear_it() {
    let w = World::new().await;
    callers(&w).await;
    let server = Server::of(&w);
    let mut all = listen(&server, "superadmin", "/v2-beta/subscribe?eventNames=service.*").await;
    let mut inside = listen(
        &server,
        "1a5",
        &format!("/v2-beta/{CHANGES}&eventNames=service.*&eventNames=reply.*"),
    )
    .await;
    let publish =
        async |account: &str, body: Value| send(&w, account, Method::POST, "/v2-beta/publish", Some(body)).await;
    let before = w.engine.missed(0, None).expect("the outbox");
    let body = json!({"name": "service.kubernetes.change", "resourceType": "service", "resourceId": "1s1", "previousIds": ["a"],
        "data": {"a": [1]}, "publisher": "p", "unknown": "x", "time": 5});
    publish("superadmin", body).await.expect(
        201,
        json!({"type": "publish", "name": "service.kubernetes.change", "data": {"a": [1]}}),
    );
    let told = all.event().await;
    crate::support::has(
        &told,
        &json!({"name": "service.kubernetes.change", "resourceType": "service", "resourceId": "1s1", "previousIds": ["a"],
            "data": {"a": [1]}, "publisher": "p", "time": 5, "context": null}),
        "told",
    );
    assert!(told.get("unknown").is_none());
    // Said, and told to nobody: other names, and what is no name.
    for name in [
        "reply.x",
        "resource.change",
        "ping",
        "service.",
        "service.X",
        "service.a/b",
        "logout",
    ] {
        publish("superadmin", json!({"name": name}))
            .await
            .expect(201, json!({"name": name}));
    }
    publish("superadmin", json!({}))
        .await
        .expect(422, json!({"code": "MissingRequired", "fieldName": "name"}));
    publish("superadmin", json!({"name": "service.x", "data": 5}))
        .await
        .expect(422, json!({"fieldName": "data"}));
    let long = json!({"name": "service.x", "data": {"a": "x".repeat(1 << 20)}});
    publish("superadmin", long)
        .await
        .refused(413, "Request Entity Too Long");
    // Those who have no publish at all, and those who may only answer.
    publish("1a5", json!({"name": "reply.x"}))
        .await
        .refused(404, "Not Found");
    publish("admin", json!({"name": "reply.x"}))
        .await
        .expect(201, json!({"name": "reply.x"}));
    publish("admin", json!({"name": "service.x"}))
        .await
        .refused(403, "Forbidden");
    publish("superadmin", json!({"name": "service.last"})).await.ok();
    assert_eq!(all.event().await["name"], "service.last");
    assert_eq!(w.engine.missed(0, None).expect("the outbox"), before, "nothing is kept");
    let audited = send(&w, "superadmin", Method::GET, "/v2-beta/auditlogs?limit=1000", None)
        .await
        .body
        .to_string();
    assert!(!audited.contains("publish"), "nor audited");
    let described = send(&w, "superadmin", Method::GET, "/v2-beta/openapi.json", None)
        .await
        .ok();
    assert!(
        described["paths"]["/publish"]["post"].is_object(),
        "{:#?}",
        described["paths"]
    );
    // An agent may answer, and nothing else.
    let made = send(
        &w,
        "superadmin",
        Method::POST,
        "/v2-beta/accounts",
        Some(json!({"kind": "agent", "name": "a"})),
    )
    .await
    .ok();
    w.settle().await;
    let agent = text(&made, "id").to_owned();
    key(&w, &agent).await;
    publish(&agent, json!({"name": "reply.1"}))
        .await
        .expect(201, json!({"name": "reply.1"}));
    publish(&agent, json!({"name": "service.x"}))
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        refusal(
            &server,
            "/v2-beta/subscribe?eventNames=x",
            &[("authorization", &login(&agent))]
        )
        .await,
        403,
        "no agent of its own"
    );
    send(&w, "1a5", Method::POST, "/v2-beta/stacks", Some(json!({"name": "s"})))
        .await
        .ok();
    w.settle().await;
    assert_eq!(
        inside.event().await["data"]["resource"]["name"],
        "s",
        "and nothing before: what superadmins publish is of no project"
    );
}
