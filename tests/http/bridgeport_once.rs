//! Requests that are done once, by a key that their client chose; and how many an address may send.

use std::time::Duration;

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::bridgeport::{Client, MANAGEMENT, bare, first, meanwhile, refused};
use crate::support::{Answer, World, text};

async fn with_key(c: &Client<'_>, path: &str, key: &str, body: Value) -> Answer {
    c.send(Method::POST, path, &[("idempotency-key", key)], Some(body))
        .await
}

#[actix_web::test]
async fn what_was_answered_is_answered_again_for_a_day() {
    let w = World::new().await;
    let c = first(&w).await;
    let path = format!("/environments/{MANAGEMENT}/vars");
    let body = json!({"key": "A", "value": "1"});
    let answer = with_key(&c, &path, " one ", body.clone()).await;
    assert!(answer.header("idempotent-replayed").is_none());
    let made = answer.expect(200, json!({"var": {"key": "A"}}));
    let again = with_key(&c, &path, "one", body.clone()).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(again.expect(200, json!({})), made);
    let other = with_key(&c, &path, "one", json!({"key": "A", "value": "2"})).await;
    assert_eq!(
        refused(other, 409, "IDEMPOTENCY_KEY_REUSED")["field"],
        "Idempotency-Key"
    );
    // Another key is another request, and so is the same of somebody else.
    refused(with_key(&c, &path, "two", body.clone()).await, 409, "CONFLICT");
    let someone = c.narrowed("operator", &[]).await;
    refused(with_key(&someone, &path, "one", body.clone()).await, 409, "CONFLICT");
    assert_eq!(c.get(&path).await.ok()["total"], 1);
    w.clock.advance(Duration::from_secs(24 * 3_600 + 1));
    refused(with_key(&c, &path, "one", body).await, 409, "CONFLICT");
}

#[actix_web::test]
async fn a_refusal_leaves_the_key_free_and_a_bad_key_is_refused() {
    let w = World::new().await;
    let c = first(&w).await;
    let path = format!("/environments/{MANAGEMENT}/vars");
    refused(
        with_key(&c, &path, "k", json!({"key": "A"})).await,
        400,
        "VALIDATION_ERROR",
    );
    with_key(&c, &path, "k", json!({"key": "A", "value": "1"}))
        .await
        .expect(200, json!({}));
    for key in ["", "  ", &"x".repeat(201)] {
        let refusal = refused(
            with_key(&c, &path, key, json!({"key": "B", "value": "1"})).await,
            400,
            "VALIDATION_ERROR",
        );
        assert_eq!(refusal["field"], "Idempotency-Key");
    }
    with_key(&c, &path, &"x".repeat(200), json!({"key": "B", "value": "1"}))
        .await
        .expect(200, json!({}));
    // Only a POST has one.
    let patch = c
        .send(
            Method::PATCH,
            "/vars/1bpv999",
            &[("idempotency-key", "k")],
            Some(json!({})),
        )
        .await;
    refused(patch, 404, "NOT_FOUND");
}

#[actix_web::test]
async fn a_request_that_is_being_done_is_not_done_twice() {
    let mut w = World::new().await;
    let (token, path) = {
        let c = first(&w).await;
        let server = c.server().await;
        let service = c.service("web", "sim:web", json!({})).await;
        c.placed(&service, &server, "web-1", json!({})).await;
        let path = format!("/services/{service}/deploy");
        let request = with_key(&c, &path, "k", json!({}));
        let mut request = std::pin::pin!(request);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), &mut request)
                .await
                .is_err(),
            "it waits"
        );
        refused(with_key(&c, &path, "k", json!({})).await, 409, "CONFLICT");
        refused(
            with_key(&c, &path, "k", json!({"pullImage": false})).await,
            409,
            "IDEMPOTENCY_KEY_REUSED",
        );
        let answer = meanwhile(&w, request).await.expect(200, json!({"halted": false}));
        let again = with_key(&c, &path, "k", json!({})).await;
        assert_eq!(again.expect(200, json!({})), answer);
        // One that is left alone by a server that was killed is free for the next one.
        let request = with_key(&c, &path, "lost", json!({}));
        let mut request = std::pin::pin!(request);
        assert!(
            tokio::time::timeout(Duration::from_millis(300), &mut request)
                .await
                .is_err(),
            "it waits"
        );
        (c.token.clone(), path.clone())
    };
    w.restart().await;
    for _ in 0..30 {
        w.advance(Duration::from_secs(1)).await;
    }
    let c = Client { w: &w, token };
    meanwhile(&w, with_key(&c, &path, "lost", json!({})))
        .await
        .expect(200, json!({"halted": false}));
}

#[actix_web::test]
async fn tokens_that_are_answered_again_are_not_kept_in_the_clear() {
    let w = World::new().await;
    let c = first(&w).await;
    let body = json!({"name": "ci", "allEnvironments": true});
    let made = with_key(&c, "/admin/tokens", "k", body.clone())
        .await
        .expect(200, json!({}));
    let token = text(&made, "token").to_owned();
    assert!(!w.stored().iter().any(|line| line.contains(&token)));
    assert_eq!(
        with_key(&c, "/admin/tokens", "k", body).await.expect(200, json!({}))["token"],
        token.as_str()
    );
}

#[actix_web::test]
async fn an_address_may_send_so_many_requests_in_a_minute_if_a_setting_says_so() {
    let w = World::new().await;
    let c = first(&w).await;
    assert!(
        c.get("/auth/me").await.header("x-ratelimit-limit").is_none(),
        "off by default"
    );
    w.put("/v2-beta/settings/drover.rate.limit", json!({"value": "3"}))
        .await
        .ok();
    for left in [2, 1, 0] {
        let answer = c.get("/auth/me").await;
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(left.to_string().as_str()));
        answer.expect(200, json!({}));
    }
    let answer = c.get("/auth/me").await;
    let after = answer.header("retry-after").map(str::to_owned);
    let refusal = refused(answer, 429, "RATE_LIMITED");
    assert_eq!(after, Some(refusal["retryAfter"].to_string()));
    bare(&w, Method::GET, "/health", None)
        .await
        .expect(200, json!({"status": "ok"}));
    w.clock.advance(Duration::from_secs(60));
    c.get("/auth/me").await.expect(200, json!({}));
}
