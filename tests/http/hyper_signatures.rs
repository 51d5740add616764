//! Who is let in to Hyper's interface: by a signature with the secret of a key.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::secret::Keeper;
use serde_json::{Value, json};

use crate::hyper_support::{Client, Twist};
use crate::project_isolation::key;
use crate::support::{World, text};

/// A key of the Default project, as a client of Rancher's makes it.
async fn new_key(w: &World) -> (Client, String) {
    let made = w
        .post("/v2-beta/projects/1a5/apikeys", json!({"accountId": "1a5"}))
        .await
        .ok();
    w.settle().await;
    let client = Client {
        access: text(&made, "publicValue").to_owned(),
        secret: text(&made, "secretValue").to_owned(),
        mount: "/hyper/v1.23".to_owned(),
    };
    (client, text(&made, "id").to_owned())
}

#[actix_web::test]
async fn the_key_of_a_project_signs_for_it_on_an_open_server_too() {
    let w = World::new().await;
    let (client, _) = new_key(&w).await;
    assert_eq!(client.get(&w, "/services").await.json(200), json!([]));
    for mount in [
        "/hyper",
        "/v1.23",
        "/hyper/v1.22",
        "/hyper/projects/1a5/v1.23",
        "/hyper/projects/1a5",
    ] {
        let client = Client {
            mount: mount.to_owned(),
            ..client.clone()
        };
        assert_eq!(client.get(&w, "/services").await.json(200), json!([]), "{mount}");
        assert_eq!(
            client.get(&w, "/version").await.json(200)["ApiVersion"],
            "1.23",
            "{mount}"
        );
    }
    let newer = Client {
        mount: "/hyper/v1.24".to_owned(),
        ..client.clone()
    };
    newer
        .get(&w, "/services")
        .await
        .refused(400, "client is newer than server");
    let filters = "/services?filters=%7B%22name%22%3A%7B%22http%22%3Atrue%7D%7D";
    assert_eq!(client.get(&w, filters).await.json(200), json!([]));
    // A key goes on to be one of Rancher's, and what is kept of it is a seal.
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", client.access, client.secret))
    );
    let list = w
        .send_with(Method::GET, "/v2-beta/services", &[("authorization", &basic)], None)
        .await;
    assert_eq!(list.status, 200);
    let kept = w.stored().into_iter().filter(|line| line.contains(&client.access));
    let kept: Vec<String> = kept.collect();
    assert!(
        kept.iter().any(|line| line.contains("sealed:1:")) && !kept.iter().any(|line| line.contains(&client.secret))
    );
}

#[actix_web::test]
async fn whatever_is_not_as_it_was_signed_is_refused_with_the_reason() {
    let w = World::new().await;
    let (client, id) = new_key(&w).await;
    let body = json!({"Replicas": 3}).to_string();
    let with = |twist: Twist| client.send(&w, Method::POST, "/services/http/update", &body, twist);
    with(Twist::default()).await.refused(404, "No such service: http");
    let minutes = |n: i64| Twist {
        offset_ms: n * 60_000,
        ..Twist::default()
    };
    with(minutes(-4)).await.refused(404, "No such service");
    with(minutes(-6)).await.refused(401, "more than 5 minutes ago");
    with(minutes(6)).await.refused(401, "in the future");
    let body_of = |text: &str| Twist {
        body: Some(text.to_owned()),
        ..Twist::default()
    };
    with(body_of(r#"{"Replicas":9}"#))
        .await
        .refused(401, "the body is not the one");
    let path = |text: &str| Twist {
        path: Some(text.to_owned()),
        ..Twist::default()
    };
    with(path("/services/other/update"))
        .await
        .refused(401, "its signature is another one");
    with(path("/services/http/update?keep=true"))
        .await
        .refused(401, "its signature is another one");
    let shown = |text: &str| Twist {
        authorization: Some(text.to_owned()),
        ..Twist::default()
    };
    with(shown("")).await.refused(401, "this request is not signed");
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", client.access, client.secret))
    );
    with(shown(&basic)).await.refused(401, "this request is not signed");
    let good = client.sign("POST", "/hyper/v1.23/services/http/update", &body, w.clock_ms());
    let good = good
        .iter()
        .find(|(name, _)| *name == "authorization")
        .map(|(_, value)| value.clone())
        .unwrap_or_default();
    with(shown(&good.replace("host;", "")))
        .await
        .refused(401, "the header host has to be signed");
    with(shown(&good.replace(&client.access, "nobody")))
        .await
        .refused(401, "there is no such key");
    let other = Client {
        secret: "another".to_owned(),
        ..client.clone()
    };
    other
        .get(&w, "/services")
        .await
        .refused(401, "its signature is another one");
    assert_eq!(
        w.get("/hyper/_ping").await.body,
        json!("OK"),
        "nobody has to prove anything for this"
    );
    w.act(&format!("/v2-beta/apikeys/{id}"), "deactivate", json!({}))
        .await
        .ok();
    w.settle().await;
    client.get(&w, "/services").await.refused(403, "is deactivated");
    other.get(&w, "/services").await.refused(401, "there is no such key");
}

#[actix_web::test]
async fn a_key_that_is_older_says_that_a_new_one_is_needed() {
    let w = World::new().await;
    key(&w, "1a5").await;
    let client = Client::of("1a5");
    assert_eq!(client.get(&w, "/services").await.json(200), json!([]));
    let digest = Keeper::new(&[0; 32]).digest(&client.secret);
    let older = format!(
        "UPDATE credential SET secret = '{digest}' WHERE public_value = '{}'",
        client.access
    );
    let done = with_database!(w.database(), |conn| diesel::sql_query(older).execute(conn));
    assert_eq!(done.expect("it is written"), 1);
    client.get(&w, "/services").await.refused(401, "make a new one");
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", client.access, client.secret))
    );
    let list = w
        .send_with(Method::GET, "/v2-beta/services", &[("authorization", &basic)], None)
        .await;
    assert_eq!(list.status, 200, "for Rancher's interface it is as good as ever");
    // The configuration names it again, as at a start: from then on it can be read.
    key(&w, "1a5").await;
    assert_eq!(client.get(&w, "/services").await.json(200), json!([]));
    let keys = || {
        w.stored()
            .into_iter()
            .filter(|line| line.contains(&client.access))
            .collect::<Vec<_>>()
    };
    let before = keys();
    key(&w, "1a5").await;
    let seal = |lines: &[String]| lines.iter().find(|line| line.starts_with("credential")).cloned();
    assert_eq!(
        seal(&keys()),
        seal(&before),
        "the same key is not sealed again at each start"
    );
}

#[actix_web::test]
async fn who_guesses_waits() {
    let w = World::new().await;
    key(&w, "1a5").await;
    let guess = Client {
        secret: "guess".to_owned(),
        ..Client::of("1a5")
    };
    let mut statuses: Vec<u16> = Vec::new();
    for _ in 0..20 {
        statuses.push(guess.get(&w, "/services").await.status);
    }
    assert!(
        statuses.starts_with(&[401, 401]) && statuses.ends_with(&[429]),
        "{statuses:?}"
    );
    assert_eq!(
        Client::of("1a5").get(&w, "/services").await.status,
        200,
        "the right one is let in"
    );
    let log: Vec<Value> = w.list("/v2-beta/auditlogs?eventType=api.token.create").await;
    assert!(!log.is_empty() || !w.list("/v2-beta/auditlogs").await.is_empty());
}
