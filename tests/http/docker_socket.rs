//! The socket of an engine: off, unless a setting says otherwise, and for owners only.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::sockets::Server;
use crate::support::{Answer, World, text};

const PROJECT: &str = "/v2-beta/projects/1a5";

async fn ask(w: &World, key: &str, method: Method, path: &str, body: Value) -> Answer {
    let login = format!("Basic {}", STANDARD.encode(format!("{key}:secret")));
    w.send_with(method, path, &[("authorization", &login)], Some(body))
        .await
}

#[actix_web::test]
async fn an_engines_socket_is_off_and_then_for_owners_only() {
    let w = World::new().await;
    let host = text(w.list("hosts").await.first().expect("a host"), "id").to_owned();
    let refusal = w
        .act(&host, "dockersocket", json!({}))
        .await
        .refused(501, "NotImplemented");
    assert!(text(&refusal, "message").contains("drover.docker.socket"), "{refusal}");
    let setting = "/v2-beta/settings/drover.docker.socket";
    w.put(setting, json!({"value": "perhaps"}))
        .await
        .refused(422, "InvalidOption");
    let mut keys = vec![
        ("superadmin".to_owned(), "key-super"),
        ("1a5".to_owned(), "key-project"),
    ];
    for (name, key) in [
        ("owner", "key-owner"),
        ("member", "key-member"),
        ("restricted", "key-restricted"),
    ] {
        let user = json!({"kind": "user", "name": name});
        let user = text(&w.post("/v2-beta/accounts", user).await.ok(), "id").to_owned();
        w.wait(&format!("/v2-beta/accounts/{user}"), "active").await;
        keys.push((user, key));
    }
    for (account, key) in &keys {
        let made = w.engine.set_key(account, (*key).into(), "secret").await;
        made.expect("the account is there");
    }
    w.engine.require_proof(true).await.expect("access control goes on");
    ask(&w, "key-super", Method::PUT, setting, json!({"value": "on"}))
        .await
        .ok();
    let member = |n: usize, role: &str| json!({"externalId": keys[n].0, "externalIdType": "rancher_id", "role": role});
    let members = json!({"members": [member(2, "owner"), member(3, "member"), member(4, "restricted")]});
    let path = format!("{PROJECT}?action=setmembers");
    ask(&w, "key-super", Method::POST, &path, members).await.ok();

    let socket = format!("{PROJECT}/hosts/{host}?action=dockersocket");
    for key in ["key-member", "key-project"] {
        let refused = ask(&w, key, Method::POST, &socket, json!({})).await;
        refused.refused(403, "Forbidden");
    }
    // Who leaves the hosts alone is not even shown the action.
    let refused = ask(&w, "key-restricted", Method::POST, &socket, json!({})).await;
    assert!(refused.status == 422 || refused.status == 403, "{}", refused.body);
    // Simulated engines have none: whoever may have it is told so.
    for key in ["key-owner", "key-super"] {
        let refused = ask(&w, key, Method::POST, &socket, json!({}))
            .await
            .refused(409, "Conflict");
        assert!(text(&refused, "message").contains("no socket"), "{refused}");
    }
    // What containers may not do to the host, nobody of the project does by its engine.
    let policy = json!({"hostPolicy": {}});
    ask(&w, "key-super", Method::PUT, PROJECT, policy).await.ok();
    let refused = ask(&w, "key-owner", Method::POST, &socket, json!({})).await;
    refused.refused(422, "NotAllowed");
    let refused = ask(&w, "key-super", Method::POST, &socket, json!({})).await;
    refused.refused(409, "Conflict");
}

#[actix_web::test]
async fn no_other_token_opens_an_engine() {
    let w = World::new().await;
    w.put("/v2-beta/settings/drover.docker.socket", json!({"value": "on"}))
        .await
        .ok();
    let id = text(
        &w.post("containers", json!({"imageUuid": "sim:one", "name": "c"}))
            .await
            .ok(),
        "id",
    )
    .to_owned();
    w.wait(&id, "running").await;
    let logs = w.act(&id, "logs", json!({})).await.ok();
    let server = Server::of(&w);
    for token in [text(&logs, "token"), "", "a.b.c"] {
        let refused = server
            .try_subscribe(&format!("/v1/dockersocket/?token={token}"), &[])
            .await;
        assert_eq!(refused.err().expect("a refusal").0, 401, "{token}");
    }
    server.stop().await;
}
