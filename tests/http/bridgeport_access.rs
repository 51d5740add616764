//! Who may do what at BRIDGEPORT's interface: the first person, logins, tokens, their roles and environments.

use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, bare, first, refused};
use crate::support::{World, text};

async fn login(w: &World, password: &str) -> crate::support::Answer {
    let body = json!({"email": "first@example.com", "password": password});
    bare(w, Method::POST, "/api/auth/login", Some(body)).await
}

#[actix_web::test]
async fn the_first_person_registers_and_nobody_after() {
    let w = World::new().await;
    for (body, field) in [
        (json!({"email": "first@example.com", "password": "short"}), "password"),
        (json!({"email": "nobody", "password": "long enough"}), "email"),
        (json!({"password": "long enough"}), "email"),
    ] {
        let refusal = refused(
            bare(&w, Method::POST, "/api/auth/register", Some(body)).await,
            400,
            "VALIDATION_ERROR",
        );
        assert_eq!(refusal["field"], field);
    }
    let c = first(&w).await;
    let body = json!({"email": "second@example.com", "password": "long enough"});
    let refusal = refused(
        bare(&w, Method::POST, "/api/auth/register", Some(body)).await,
        403,
        "FORBIDDEN_SCOPE",
    );
    assert_eq!(refusal["message"], "Registration disabled");
    c.get("/auth/me").await.expect(200, json!({"role": "admin"}));
    // It is an account of the server's own.
    let admins = w.list("/v2-beta/accounts?kind=admin").await;
    assert!(admins.iter().any(|account| account["name"] == "First"));
    assert!(!w.stored().iter().any(|line| line.contains("a-good-password")));
}

#[actix_web::test]
async fn a_login_lasts_seven_days_and_wrong_ones_are_counted() {
    let w = World::new().await;
    first(&w).await;
    let answer = login(&w, "a-good-password")
        .await
        .expect(200, json!({"user": {"role": "admin"}}));
    let c = Client {
        w: &w,
        token: text(&answer, "token").to_owned(),
    };
    w.clock.advance(Duration::from_secs(7 * 24 * 3_600 - 60));
    c.get("/auth/me").await.expect(200, json!({}));
    w.clock.advance(Duration::from_secs(120));
    refused(c.get("/auth/me").await, 401, "UNAUTHORIZED");
    for _ in 0..10 {
        let refusal = refused(login(&w, "wrong").await, 401, "UNAUTHORIZED");
        assert_eq!(refusal["message"], "Invalid email or password");
    }
    refused(login(&w, "wrong").await, 429, "RATE_LIMITED");
    let blocked = login(&w, "a-good-password").await;
    let after = blocked.header("retry-after").map(str::to_owned);
    let refusal = refused(blocked, 429, "RATE_LIMITED");
    assert_eq!(after, Some(refusal["retryAfter"].to_string()));
}

#[actix_web::test]
async fn nobody_is_let_in_without_proof_on_an_open_server_either() {
    let w = World::new().await;
    let c = first(&w).await;
    for header in [
        "",
        "Bearer",
        "Bearer nonsense",
        "Bearer bport_pat_0123456789ABCDEF0123_x",
        "Basic !!!",
        "Token x",
    ] {
        let headers = [("authorization", header)];
        let answer = w
            .send_with(Method::GET, "/bridgeport/api/auth/me", &headers, None)
            .await;
        let challenge = answer.header("www-authenticate").is_some();
        refused(answer, 401, "UNAUTHORIZED");
        assert!(challenge);
    }
    let cookie = format!("token={}", c.token);
    let answer = w
        .send_with(Method::GET, "/bridgeport/api/auth/me", &[("cookie", &cookie)], None)
        .await;
    refused(answer, 401, "UNAUTHORIZED");
    let answer = w
        .send_with(
            Method::GET,
            &format!("/bridgeport/api/auth/me?token={}", c.token),
            &[],
            None,
        )
        .await;
    refused(answer, 401, "UNAUTHORIZED");
}

#[actix_web::test]
async fn keys_of_the_servers_own_let_in_too() {
    let w = World::new().await;
    let of = |key: &Value| {
        let pair = format!("{}:{}", text(key, "publicValue"), text(key, "secretValue"));
        format!("Basic {}", STANDARD.encode(pair))
    };
    let admin = w.post("/v2-beta/apikeys", json!({"accountId": "1a1"})).await.ok();
    let project = w.post("/v2-beta/apikeys", json!({"accountId": "1a5"})).await.ok();
    w.settle().await;
    for (key, role) in [(&admin, "admin"), (&project, "operator")] {
        let header = of(key);
        let answer = w
            .send_with(
                Method::GET,
                "/bridgeport/api/auth/me",
                &[("authorization", &header)],
                None,
            )
            .await;
        let me = answer.expect(200, json!({"role": role}));
        assert_eq!(me["environments"].as_array().map(Vec::len), Some(1));
    }
    let wrong = format!(
        "Basic {}",
        STANDARD.encode(format!("{}:wrong", text(&admin, "publicValue")))
    );
    let answer = w
        .send_with(
            Method::GET,
            "/bridgeport/api/auth/me",
            &[("authorization", &wrong)],
            None,
        )
        .await;
    refused(answer, 401, "UNAUTHORIZED");
}

#[actix_web::test]
async fn tokens_are_told_once_kept_as_digests_and_end() {
    let w = World::new().await;
    let c = first(&w).await;
    let body = json!({"name": "ci", "role": "operator", "allEnvironments": true, "expiresInDays": 1});
    let made = c.post("/admin/tokens", body).await.expect(
        200,
        json!({"tokenRecord": {
            "name": "ci", "role": "operator", "allEnvironments": true, "lastUsedAt": null, "serviceAccountId": null,
        }}),
    );
    let token = text(&made, "token").to_owned();
    let id = text(&made["tokenRecord"], "id").to_owned();
    assert!(token.starts_with(text(&made["tokenRecord"], "tokenPrefix")) && token.starts_with("bport_pat_"));
    assert!(
        !w.stored().iter().any(|line| line.contains(&token)),
        "only a digest is kept"
    );
    let own = Client { w: &w, token };
    own.get("/auth/me")
        .await
        .expect(200, json!({"role": "operator", "user": {"role": "admin"}}));
    let listed = c
        .get("/admin/tokens")
        .await
        .expect(200, json!({"tokens": [{"id": id}]}));
    assert!(listed["tokens"][0]["lastUsedAt"].is_string() && !listed.to_string().contains(&own.token));
    w.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    refused(own.get("/auth/me").await, 401, "UNAUTHORIZED");
    let again = c.narrowed("viewer", &[]).await;
    again.get("/auth/me").await.expect(200, json!({"role": "viewer"}));
    let listed = c.get("/admin/tokens").await.ok();
    let second = listed["tokens"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["name"] == "viewer")
        .expect("a token");
    c.delete(&format!("/admin/tokens/{}", text(second, "id")))
        .await
        .expect(200, json!({"success": true}));
    refused(again.get("/auth/me").await, 401, "UNAUTHORIZED");
    refused(
        c.delete(&format!("/admin/tokens/{}", text(second, "id"))).await,
        404,
        "NOT_FOUND",
    );
    for (body, field) in [
        (json!({"name": "x"}), "environmentIds"),
        (json!({"name": "x", "environmentIds": ["1a999"]}), "environmentIds"),
        (json!({"name": "x", "allEnvironments": true, "role": "owner"}), "role"),
        (
            json!({"name": "x", "allEnvironments": true, "expiresInDays": 366}),
            "expiresInDays",
        ),
        (
            json!({"name": "x", "allEnvironments": true, "ownerUserId": "1a999"}),
            "ownerUserId",
        ),
        (json!({"name": "x".repeat(101), "allEnvironments": true}), "name"),
    ] {
        assert_eq!(
            refused(c.post("/admin/tokens", body).await, 400, "VALIDATION_ERROR")["field"],
            field
        );
    }
}

#[actix_web::test]
async fn a_token_is_never_more_than_its_owner() {
    let w = World::new().await;
    let c = first(&w).await;
    let user = w
        .post("/v2-beta/accounts", json!({"name": "somebody", "kind": "user"}))
        .await
        .ok();
    w.settle().await;
    let body = json!({"name": "x", "role": "admin", "allEnvironments": true, "ownerUserId": user["id"]});
    let made = c
        .post("/admin/tokens", body)
        .await
        .expect(200, json!({"tokenRecord": {"role": "operator", "userId": user["id"]}}));
    let own = Client {
        w: &w,
        token: text(&made, "token").to_owned(),
    };
    let me = own.get("/auth/me").await.expect(200, json!({"role": "operator"}));
    assert_eq!(me["environments"], json!([]), "it is a member of no project");
    let listed = own.get(&format!("/environments/{MANAGEMENT}/services")).await;
    listed.expect(200, json!({"services": [], "total": 0}));
    let service = c.service("web", "a/web", json!({})).await;
    refused(own.get(&format!("/services/{service}")).await, 404, "NOT_FOUND");
    w.act(
        &format!("/v2-beta/accounts/{}", text(&user, "id")),
        "deactivate",
        json!({}),
    )
    .await
    .ok();
    w.settle().await;
    refused(
        own.get(&format!("/environments/{MANAGEMENT}/services")).await,
        401,
        "UNAUTHORIZED",
    );
}

/// One operation of each sort: a method, a path, a body, and the least role that may.
fn operations(service: &str) -> Vec<(Method, String, Option<Value>, &'static str)> {
    let env = format!("/environments/{MANAGEMENT}");
    let body = || Some(json!({}));
    vec![
        (Method::GET, "/environments".into(), None, "viewer"),
        (Method::GET, env.clone(), None, "viewer"),
        (Method::GET, format!("{env}/services"), None, "viewer"),
        (Method::GET, format!("{env}/servers"), None, "viewer"),
        (Method::GET, format!("{env}/secrets"), None, "viewer"),
        (Method::GET, format!("{env}/registries"), None, "viewer"),
        (Method::GET, format!("/services/{service}"), None, "viewer"),
        (
            Method::GET,
            format!("/services/{service}/deployments-history"),
            None,
            "viewer",
        ),
        (Method::GET, "/settings/service-types".into(), None, "viewer"),
        (Method::PATCH, format!("/services/{service}"), body(), "operator"),
        (Method::POST, format!("{env}/services"), body(), "operator"),
        (Method::POST, format!("{env}/servers"), body(), "operator"),
        (Method::POST, format!("{env}/secrets"), body(), "operator"),
        (Method::POST, format!("{env}/registries"), body(), "operator"),
        (Method::POST, format!("{env}/container-images"), body(), "operator"),
        (Method::POST, format!("{env}/vars"), body(), "operator"),
        (
            Method::POST,
            format!("/services/{service}/deployments"),
            body(),
            "operator",
        ),
        (Method::POST, format!("/services/{service}/deploy"), body(), "operator"),
        (Method::DELETE, "/services/1bps999".into(), None, "operator"),
        (Method::POST, "/webhooks/deploy".into(), body(), "operator"),
        (Method::POST, "/environments".into(), body(), "admin"),
        (Method::DELETE, "/environments/1a999".into(), None, "admin"),
        (Method::GET, "/admin/tokens".into(), None, "admin"),
        (Method::POST, "/admin/tokens".into(), body(), "admin"),
        (Method::DELETE, "/admin/tokens/1bt999".into(), None, "admin"),
        (Method::POST, "/settings/service-types".into(), body(), "admin"),
    ]
}

#[actix_web::test]
async fn each_role_may_what_it_may_and_is_told_so_before_its_body_is_read() {
    let w = World::new().await;
    let c = first(&w).await;
    let service = c.service("web", "a/web", json!({})).await;
    let ranks = ["viewer", "operator", "admin"];
    for (rank, role) in ranks.iter().enumerate() {
        let own = c.narrowed(role, &[]).await;
        for (method, path, body, least) in operations(&service) {
            let may = ranks
                .iter()
                .position(|one| *one == least)
                .is_some_and(|least| rank >= least);
            let answer = own.send(method.clone(), &path, &[], body).await;
            let code = text(&answer.body, "code").to_owned();
            assert_eq!(code == "FORBIDDEN_ROLE", !may, "{role} {method} {path}: {answer:?}");
            assert!(may || answer.status == 403);
        }
    }
}

#[actix_web::test]
async fn a_token_of_some_environments_opens_their_paths_and_nothing_else() {
    let w = World::new().await;
    let c = first(&w).await;
    let other = text(
        &c.post("/environments", json!({"name": "other"})).await.ok()["environment"],
        "id",
    )
    .to_owned();
    w.settle().await;
    let service = c.service("web", "a/web", json!({})).await;
    let own = c.narrowed("operator", &[MANAGEMENT]).await;
    own.get(&format!("/environments/{MANAGEMENT}/services"))
        .await
        .expect(200, json!({"total": 1}));
    own.post(
        &format!("/environments/{MANAGEMENT}/vars"),
        json!({"key": "A", "value": "1"}),
    )
    .await
    .expect(200, json!({}));
    let listed = own.get("/environments").await.expect(200, json!({}));
    assert_eq!(listed["environments"].as_array().map(Vec::len), Some(1));
    let me = own.get("/auth/me").await.expect(200, json!({"role": "operator"}));
    assert_eq!(me["environments"].as_array().map(Vec::len), Some(1));
    for (method, path) in [
        (Method::GET, format!("/environments/{other}/services")),
        (Method::GET, format!("/environments/{other}")),
        (Method::GET, format!("/services/{service}")),
        (Method::PATCH, format!("/services/{service}")),
        (Method::POST, format!("/services/{service}/deploy")),
        (Method::GET, "/settings/service-types".to_owned()),
        (Method::POST, "/environments".to_owned()),
    ] {
        // The scope comes before the role, and that before the body.
        refused(
            own.send(method, &path, &[], Some(json!({"name": 1, "id": 1}))).await,
            403,
            "FORBIDDEN_SCOPE",
        );
    }
    let viewer = c.narrowed("viewer", &[MANAGEMENT]).await;
    let path = format!("/environments/{MANAGEMENT}/vars");
    refused(viewer.post(&path, json!({"key": 1})).await, 403, "FORBIDDEN_ROLE");
}

#[actix_web::test]
async fn changes_and_refusals_stand_in_the_audit_log() {
    let w = World::new().await;
    let c = first(&w).await;
    let service = c.service("web", "a/web", json!({})).await;
    c.patch(&format!("/services/{service}"), json!({"containerImageId": "1bpi999"}))
        .await;
    c.patch(&format!("/services/{service}"), json!({"imageTag": "v2"}))
        .await
        .ok();
    let log = w.list("/v2-beta/auditlogs").await;
    let of = |event: &str| log.iter().filter(|row| text(row, "eventType").contains(event)).count();
    assert!(
        of("bridgeportService.create") == 1 && of("bridgeportService.update") >= 1,
        "{log:#?}"
    );
}
