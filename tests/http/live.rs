//! Live changes: what subscribers are told, and what they are not.

use std::time::Duration;

use drover::engine::{ADMIN, Proof};
use drover::schema::Version;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::sockets::Server;
use crate::support::{World, has, text};

const CHANGES: &str = "subscribe?eventNames=resource.change";
const SECOND: Duration = Duration::from_secs(1);

#[actix_web::test]
async fn a_subscriber_gets_a_ping_at_once_and_changes_in_the_form_of_the_wire() {
    let w = World::new().await;
    let server = Server::of(&w);
    let mut client = server.subscribe(&format!("{CHANGES}&limit=-1&sockId=1")).await;
    let ping = client.any().await;
    has(
        &ping,
        &json!({"name": "ping", "resourceId": null, "resourceType": null, "data": {}, "time": 1_700_000_000_000_i64}),
        "ping",
    );
    let stack = w.post("stacks", json!({"name": "s"})).await.ok();
    w.settle().await;
    let event = client.event().await;
    let keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        [
            "id",
            "name",
            "replyTo",
            "resourceId",
            "resourceType",
            "publisher",
            "transitioning",
            "transitioningMessage",
            "transitioningInternalMessage",
            "previousIds",
            "previousNames",
            "data",
            "time",
            "timeoutMillis",
            "transitioningProgress",
            "context"
        ]
    );
    assert_eq!(
        ping.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>(),
        keys
    );
    has(
        &event,
        &json!({"name": "resource.change", "resourceId": stack["id"], "resourceType": "stack"}),
        "event",
    );
    let shown = w.show(text(&stack, "id")).await;
    let mut seen = event["data"]["resource"].clone();
    assert!(text(&seen["links"], "self").ends_with(&format!("/v2-beta/projects/1a5/stacks/{}", text(&stack, "id"))));
    // The client asked by another host name.
    let text_of = seen
        .to_string()
        .replace(&format!("http://{}", server.address), "http://localhost");
    seen = serde_json::from_str(&text_of).unwrap();
    assert_eq!(seen, shown, "as GET shows it");
}

#[actix_web::test]
async fn every_state_of_a_service_is_told() {
    let w = World::new().await;
    let server = Server::of(&w);
    let stack = w.stack("s").await;
    let mut client = server.subscribe(CHANGES).await;
    let mut elsewhere = server
        .subscribe("/v2-beta/projects/1a5/subscribe?eventNames=service.x")
        .await;
    let body = json!({"name": "web", "stackId": stack, "scale": 2, "launchConfig": {"imageUuid": "sim:web"}});
    let id = text(&w.post("services", body).await.ok(), "id").to_owned();
    // Each state stands until the test goes on; a second later it may be told.
    let mut steps = vec![
        ("", "registering"),
        ("", "inactive"),
        ("activate", "activating"),
        ("", "active"),
    ];
    steps.extend([
        ("deactivate", "deactivating"),
        ("", "inactive"),
        ("remove", "removing"),
        ("", "removed"),
    ]);
    for (action, state) in steps {
        if !action.is_empty() {
            w.act(&id, action, json!({})).await.expect(202, json!({"state": state}));
        } else if state != "registering" {
            w.wait(&id, state).await;
        }
        w.clock.advance(SECOND);
        w.engine.tell();
        let told = client.states(&id, state).await;
        assert!(told.len() <= 2, "{told:?}");
    }
    assert_eq!(elsewhere.any().await["name"], "ping", "and nothing else");
}

#[actix_web::test]
async fn without_an_upgrade_there_is_nothing_to_subscribe_to() {
    let w = World::new().await;
    w.get(CHANGES).await.expect(
        200,
        json!({"resourceType": "subscribe", "data": [], "pagination": null}),
    );
    let answer = w.post("subscribe", json!({"eventNames": ["resource.change"]})).await;
    assert_eq!((answer.status, answer.body), (201, json!("")));
    w.put("subscribe", json!({})).await.refused(405, "Method not allowed");
    for (path, code, field) in [
        ("subscribe?eventNames=a%20b", "InvalidCharacters", "eventNames"),
        (&format!("{CHANGES}&since=yesterday"), "InvalidFormat", "since"),
        (
            &format!("{CHANGES}&resourceType=nothing"),
            "InvalidOption",
            "resourceType",
        ),
    ] {
        has(
            &w.get(path).await.refused(422, code),
            &json!({"fieldName": field}),
            path,
        );
    }
    let many = "&eventNames=x".repeat(65);
    w.get(&format!("subscribe?{many}"))
        .await
        .refused(422, "MaxLimitExceeded");
    let server = Server::of(&w);
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    let answer = server
        .send(&format!(
            "GET /v1/projects/1a5/subscribe HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n"
        ))
        .await;
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("InvalidHandshake"),
        "{answer}"
    );
    let refusal = server
        .try_subscribe(CHANGES, &[("origin", "http://evil.example")])
        .await
        .err();
    assert_eq!(
        refusal.map(|(status, body)| (status, body["code"].clone())),
        Some((403, json!("Forbidden")))
    );
    let refusal = server
        .try_subscribe("/v2-beta/projects/1a99/subscribe", &[])
        .await
        .err();
    assert_eq!(refusal.map(|(status, _)| status), Some(403));
}

#[actix_web::test]
async fn clients_that_talk_too_much_or_not_at_all_as_agreed_are_closed_with_a_code() {
    let w = World::new().await;
    let server = Server::of(&w);
    let text = |n: usize| Message::text("x".repeat(n));
    let raw = |code, fin, bytes: &'static [u8]| Message::Frame(Frame::message(bytes, OpCode::Data(code), fin));
    let cases = [
        ("many frames", vec![text(1); 150], 1008),
        ("many pings", vec![Message::Ping("x".into()); 150], 1008),
        ("a long frame", vec![text(5000)], 1009),
        (
            "a piece without a beginning",
            vec![raw(Data::Continue, true, b"x")],
            1002,
        ),
        ("no UTF-8", vec![raw(Data::Text, true, b"\xff")], 1007),
        ("goodbye", vec![Message::Close(None)], 1000),
    ];
    for (what, messages, code) in cases {
        let mut client = server.subscribe(CHANGES).await;
        for message in messages {
            client.say(message).await;
        }
        assert_eq!(client.end().await, Some(code), "{what}");
    }
    let mut client = server.subscribe(CHANGES).await;
    assert_eq!(client.any().await["name"], "ping");
    for message in [
        text(4000),
        Message::binary("x"),
        raw(Data::Text, false, b"a"),
        raw(Data::Continue, true, b"b"),
        Message::Pong("x".into()),
    ] {
        client.say(message).await;
    }
    let stack = w.stack("s").await;
    assert_eq!(
        client.change(&stack).await["id"],
        json!(stack),
        "what is ordinary is ignored"
    );
}

#[actix_web::test]
async fn a_client_that_does_not_read_is_cut_and_disturbs_nobody() {
    let w = World::new().await;
    let server = Server::of(&w);
    let admin = w.engine.admit(Version::V1, Proof::Open, ADMIN, None).unwrap();
    w.engine
        .write_setting(&admin, "api.sub.ping.interval.millis", Some("100".to_owned()))
        .await
        .unwrap();
    let mut slow = server.subscribe_narrowly(CHANGES).await;
    let mut quick = server.subscribe(CHANGES).await;
    // Far more than all the buffers on the way hold.
    let text_of = "x".repeat(100_000);
    for round in 0..300 {
        let row = w
            .post(
                "genericobjects",
                json!({"name": format!("o{round}"), "kind": "x", "resourceData": {"a": text_of}}),
            )
            .await
            .ok();
        w.engine.tell();
        quick.change(text(&row, "id")).await;
    }
    // Two seconds of not reading are enough.
    for _ in 0..20 {
        assert_eq!(quick.any().await["name"], "ping");
    }
    // The slow one gets what was on its way, and then the end.
    let mut seen = 0;
    let end = loop {
        match slow.frame().await {
            Ok(frame) => seen += usize::from(frame.len() > 100_000),
            Err(end) => break end,
        }
    };
    assert!(end.is_none() && seen < 300, "cut after {seen} frames: {end:?}");
}

#[actix_web::test]
async fn a_subscription_lasts_as_many_pings_as_the_settings_say() {
    let w = World::new().await;
    let server = Server::of(&w);
    let set = async |name: &str, value: &str| {
        w.put(&format!("/v2-beta/settings/{name}"), json!({"value": value}))
            .await
    };
    set("api.sub.ping.interval.millis", "soon")
        .await
        .expect(422, json!({"code": "InvalidFormat", "fieldName": "value"}));
    set("api.sub.ping.interval.millis", "1")
        .await
        .expect(200, json!({"activeValue": "1", "inDb": true}));
    set("api.sub.max.pings", "3").await.ok();
    let mut client = server.subscribe(CHANGES).await;
    let began = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(client.any().await["name"], "ping");
    }
    assert_eq!(client.end().await, Some(1000));
    assert!(
        began.elapsed() >= Duration::from_millis(250),
        "not more often than every 100 ms: {:?}",
        began.elapsed()
    );
    let shown = w.list("/v2-beta/settings?limit=-1").await;
    let value = |name: &str| {
        shown
            .iter()
            .find(|s| s["name"] == name)
            .map(|s| text(s, "value").to_owned())
    };
    assert_eq!(value("subscribe.max.queued.messages").as_deref(), Some("100"));
}

#[actix_web::test]
async fn a_server_that_stops_closes_its_sockets() {
    let w = World::new().await;
    let server = Server::of(&w);
    let mut client = server.subscribe(CHANGES).await;
    w.api().close_sockets();
    server.stop().await;
    assert_eq!(client.end().await, Some(1001));
}

#[actix_web::test]
async fn who_comes_back_gets_what_was_missed_and_nothing_is_lost() {
    let mut w = World::new().await;
    let server = Server::of(&w);
    let mut client = server.subscribe(CHANGES).await;
    let first = text(&w.post("stacks", json!({"name": "a"})).await.ok(), "id").to_owned();
    w.engine.tell();
    let event = loop {
        let event = client.event().await;
        if event["resourceId"] == json!(first) {
            break event;
        }
    };
    let since = text(&event, "id").to_owned();
    drop(client);
    server.stop().await;
    let second = w.stack("b").await;
    w.restart().await;
    let server = Server::of(&w);
    let mut back = server
        .subscribe(&format!(
            "{CHANGES}&since={since}&resourceType=stack&include=services&_actionLinks=true"
        ))
        .await;
    assert_eq!(back.any().await["name"], "ping");
    let row = back.change(&second).await;
    has(&row, &json!({"state": "active"}), "as it is now");
    assert!(row["actionLinks"].is_object() && row["actions"].is_null(), "{row:#}");
    let third = text(&w.post("stacks", json!({"name": "c"})).await.ok(), "id").to_owned();
    w.engine.tell();
    assert_eq!(back.change(&third).await["name"], "c", "and then goes on");
    for old in ["999999", "999999-999999"] {
        let mut lost = server.subscribe(&format!("{CHANGES}&since={old}")).await;
        assert_eq!(lost.any().await["name"], "ping");
        has(
            &lost.any().await,
            &json!({"name": "events.gone", "data": {"code": "EventsGone"}}),
            old,
        );
    }
    let mut v1 = server
        .subscribe(&format!(
            "/v1/projects/1a5/{CHANGES}&since={since}&resourceType=environment"
        ))
        .await;
    let event = v1.event().await;
    has(
        &event,
        &json!({"resourceType": "environment", "data": {"resource": {"type": "environment"}}}),
        "v1",
    );
}

#[actix_web::test]
async fn a_subscriber_says_which_fields_it_wants() {
    let w = World::new().await;
    let server = Server::of(&w);
    let mut client = server.subscribe(&format!("{CHANGES}&fields=name,state")).await;
    let stack = w.post("stacks", json!({"name": "s"})).await.ok();
    w.settle().await;
    let event = client.event().await;
    assert_eq!(
        event["data"],
        json!({"resource": {"id": stack["id"], "type": "stack", "name": "s", "state": event["data"]["resource"]["state"]}})
    );
    let refused = server.try_subscribe(&format!("{CHANGES}&fields=nothing"), &[]).await;
    assert!(
        matches!(&refused, Err((422, body)) if body["code"] == "InvalidOption" && body["fieldName"] == "fields"),
        "a field that nothing has"
    );
}
