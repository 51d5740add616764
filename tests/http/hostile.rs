//! Bad input of every sort gets a refusal of the wire, never a 5xx, and changes nothing.

use std::time::Duration;

use actix_web::http::{Method, header};
use actix_web::{App, test, web};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use drover::api::{ApiOptions, ApiState, SocketLimits, configure};
use drover::engine::Proof;
use drover::model::ResourceId;
use drover::schema::Version;
use serde_json::{Value, json};

use crate::sockets::Server;
use crate::support::{World, text};

/// One request and the statuses that are right for it.
struct Case {
    method: Method,
    path: String,
    body: Vec<u8>,
    expected: &'static [u16],
}

fn case(method: Method, path: impl Into<String>, body: impl Into<Vec<u8>>, expected: &'static [u16]) -> Case {
    Case {
        method,
        path: path.into(),
        body: body.into(),
        expected,
    }
}

/// Runs all cases. `project`, `stack` and `service` are ids of rows that are there; the service is active.
pub async fn check(state: web::Data<ApiState>, project: &str, stack: &str, service: &str) {
    let app = test::init_service(App::new().configure(|c| configure(c, state))).await;
    let p = format!("/v2-beta/projects/{project}");
    let services = || {
        test::TestRequest::get()
            .uri(&format!("{p}/services"))
            .insert_header((header::HOST, "localhost"))
            .to_request()
    };
    let before: Value = test::call_and_read_body_json(&app, services()).await;
    for case in cases(&p, stack, service) {
        let request = test::TestRequest::default()
            .method(case.method.clone())
            .uri(&case.path)
            .insert_header((header::HOST, "localhost:8080"))
            .set_payload(case.body.clone());
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status();
        let schemas = response.headers().contains_key("x-api-schemas");
        let body: Value = serde_json::from_slice(&test::read_body(response).await).unwrap_or_default();
        let name = format!(
            "{} {:.120} {:.120}",
            case.method,
            case.path,
            String::from_utf8_lossy(&case.body)
        );
        assert!(case.expected.contains(&status.as_u16()), "{name}: {status} {body}");
        assert!(schemas, "{name}: no X-API-Schemas");
        assert!(body["links"].is_object(), "{name}: {body}");
        if status.as_u16() >= 400 {
            assert_eq!(body["type"], "error", "{name}");
            assert_eq!(body["status"], status.as_u16(), "{name}");
            assert!(body["code"].is_string(), "{name}");
        }
    }
    let after: Value = test::call_and_read_body_json(&app, services()).await;
    assert_eq!(before["data"], after["data"], "a refused request changed something");
}

fn cases(p: &str, stack: &str, service: &str) -> Vec<Case> {
    let mut all = vec![
        // Paths.
        case(Method::GET, format!("{p}/nope"), "", &[404]),
        case(Method::GET, format!("{p}/services/{stack}"), "", &[404]),
        case(Method::GET, format!("{p}/services/mystack/web"), "", &[404]),
        case(Method::GET, format!("{p}/services/%00"), "", &[404]),
        case(Method::GET, format!("{p}/services/%ff%fe"), "", &[404]),
        case(Method::GET, format!("{p}/services/..%2f..%2fetc"), "", &[404]),
        case(
            Method::GET,
            format!("{p}/services/1s99999999999999999999999"),
            "",
            &[404],
        ),
        case(Method::GET, format!("{p}/services/1s-1"), "", &[404]),
        case(Method::GET, format!("{p}/services/{service}/nope"), "", &[404]),
        // Types in any case, links in their own or in lower case.
        case(Method::GET, format!("{p}/sERVICES/{service}/instances/"), "", &[200]),
        case(Method::GET, format!("{p}/services/{service}/iNSTANCES/"), "", &[404]),
        case(Method::GET, "/v2-beta/projects/1a999999/services", "", &[403]),
        case(Method::GET, "/v2-beta/projects/nope/services", "", &[403]),
        case(Method::GET, "/v2-beta/projects/nope", "", &[404]),
        case(Method::GET, "/v2-beta/services?projectId=%22%3E", "", &[403]),
        case(Method::GET, "/v1foo", "", &[404]),
        case(Method::GET, format!("{p}/schemas/%22"), "", &[404]),
        // Methods.
        case(Method::PATCH, format!("{p}/services/{service}"), "{}", &[405]),
        case(Method::DELETE, format!("{p}/services"), "", &[405]),
        case(Method::POST, format!("{p}/services/{service}"), "{}", &[405]),
        case(Method::GET, format!("{p}/services?_method=%00"), "", &[405]),
        case(Method::POST, format!("{p}/services/{service}/instances"), "{}", &[405]),
        // Actions.
        case(Method::POST, format!("{p}/services/{service}?action=nope"), "", &[422]),
        case(Method::POST, format!("{p}/services/{service}?action="), "", &[422]),
        case(
            Method::POST,
            format!("{p}/services/{service}/?action=activate"),
            "{}",
            &[422],
        ),
        case(
            Method::POST,
            format!("{p}/services/1s999999?action=activate"),
            "{}",
            &[404],
        ),
        case(
            Method::POST,
            format!("{p}/services/{service}?action=upgrade"),
            "{",
            &[400],
        ),
        // Lists: whatever is not understood is ignored.
        case(
            Method::GET,
            format!("{p}/services?name_=1&_=2&=&a_b_c=d&state_nope=x&removed_null=%3Cnil%3E"),
            "",
            &[200],
        ),
        case(
            Method::GET,
            format!("{p}/services?limit=-2&marker=zzz&sort=nope&order=nope&include=nope"),
            "",
            &[200],
        ),
        case(
            Method::GET,
            format!("{p}/services?limit=99999999999999999999&marker=m99999999999999999999"),
            "",
            &[200],
        ),
        case(
            Method::GET,
            format!("{p}/services?marker=%00%ff&sort=%22&name='%20OR%201=1--"),
            "",
            &[200],
        ),
        case(
            Method::GET,
            format!("{p}/services?stackId=nope&createIndex_gt=many&created_lt=never"),
            "",
            &[200],
        ),
        case(
            Method::GET,
            format!("{p}/services?name={}", "a".repeat(16 * 1024)),
            "",
            &[200],
        ),
        case(
            Method::GET,
            format!("{p}/services?{}", "name_like=%25&".repeat(1000)),
            "",
            &[200],
        ),
    ];
    all.extend(paths_that_go_elsewhere(p, service));
    all.extend(methods_in_disguise(p, service));
    // Bodies that cannot be read, for every write.
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(50_000), close.repeat(50_000)).into_bytes();
    let unreadable: [Vec<u8>; 9] = [
        b"{".to_vec(),
        b"{\"name\":}".to_vec(),
        b"{\"name\":\"\xff\"}".to_vec(),
        b"\xff\xfe{}".to_vec(),
        b"{\"scale\":1e999}".to_vec(),
        b"{\"name\":\"\\ud800\"}".to_vec(),
        b"<name>web</name>".to_vec(),
        deep("[", "]"),
        deep("{\"a\":", "}"),
    ];
    for body in unreadable {
        for (method, path) in [
            (Method::POST, format!("{p}/services")),
            (Method::PUT, format!("{p}/services/{service}")),
        ] {
            all.push(case(method, path, body.clone(), &[400]));
        }
    }
    all.push(case(
        Method::POST,
        format!("{p}/services"),
        vec![b' '; 1024 * 1024 + 1],
        &[413],
    ));
    // Bodies that can be read and are wrong.
    let wrong = [
        "5",
        "null",
        "[]",
        "\"name\"",
        "{}",
        "{\"name\":null}",
        "{\"name\":[]}",
        "{\"name\":{}}",
        "{\"name\":\"\"}",
        "{\"name\":\"a/b\"}",
        "{\"name\":\"a\\\"b\"}",
        "{\"name\":\"x\",\"stackId\":5}",
        "{\"name\":\"x\",\"stackId\":\"1st999999\"}",
        "{\"name\":\"x\",\"stackId\":{\"a\":1}}",
        "{\"name\":\"x\",\"stackId\":\"STACK\",\"scale\":\"many\"}",
        "{\"name\":\"x\",\"stackId\":\"STACK\",\"scale\":99999999999999999999999}",
        "{\"name\":\"x\",\"stackId\":\"STACK\",\"scale\":{}}",
        "{\"name\":\"x\",\"stackId\":\"STACK\",\"metadata\":\"text\"}",
    ];
    for body in wrong {
        all.push(case(
            Method::POST,
            format!("{p}/services"),
            body.replace("STACK", stack),
            &[422],
        ));
    }
    all
}

/// Ways out of a project, into another one, past the names: a segment is a name and nothing else.
fn paths_that_go_elsewhere(p: &str, service: &str) -> Vec<Case> {
    let long = "a".repeat(32 * 1024);
    let get = |path: String, expected| case(Method::GET, path, "", expected);
    vec![
        get("/v1/projects/1a5/../1a6/services".into(), &[404]),
        get("/v1/projects/1a5/%2e%2e/1a6/services".into(), &[404]),
        get("/v1/projects/1a5/services/../../1a6".into(), &[404]),
        get("/v2-beta/projects/1a5%2f..%2f1a6/services".into(), &[403]),
        get("/v2-beta/projects/1a5%00/services".into(), &[403]),
        get("/v2-beta/projects/%ff/services".into(), &[404]),
        get("/v2-beta/projects/1a5%0d%0aX-Evil:%201/services".into(), &[403]),
        get("/v2-beta/../v1/settings".into(), &[404]),
        get("/v2-beta/./services".into(), &[404]),
        get(format!("{p}/services/{service}/../../stacks"), &[404]),
        get(format!("{p}/services/{service}/%2e%2e"), &[404]),
        get(format!("{p}/services/{service}%2finstances"), &[404]),
        get(format!("{p}/services/{service}%00"), &[404]),
        get(format!("{p}/services/{service}%20"), &[404]),
        get(format!("{p}/services/{service};a=b"), &[404]),
        get(format!("{p}\\services"), &[403, 404]),
        get(format!("{p}/services%3flimit=1"), &[404]),
        get(
            format!("{p}/%73ervices/%{:02x}{}", service.as_bytes()[0], &service[1..]),
            &[200],
        ),
        get(format!("//{}//services//", &p[1..]), &[200]),
        get(format!("{p}/{long}"), &[404]),
        get(format!("{p}/services/{long}"), &[404]),
        get(format!("/v2-beta/projects/{long}/services"), &[403]),
        get(format!("{p}/services/{service}/{long}"), &[404]),
        get(format!("{p}/services/{service}/{}", "instances/".repeat(1000)), &[200]),
        get(format!("{p}/services?name={}", "a".repeat(56 * 1024)), &[200]),
        get(format!("{p}/services?{}", "sort=name&order=desc&".repeat(2500)), &[200]),
        get(format!("{p}/services?{}", "include=%ff&".repeat(4500)), &[200]),
    ]
}

/// What stands for another method, and what does not.
fn methods_in_disguise(p: &str, service: &str) -> Vec<Case> {
    let of = |method: Method, query: &str, body: &str, expected| {
        case(method, format!("{p}/services/{service}?{query}"), body, expected)
    };
    vec![
        of(Method::GET, "_method=DELETE", "", &[403]),
        of(Method::GET, "_method=put&name=other", "", &[403]),
        of(Method::GET, "_method=POST&action=deactivate", "", &[403]),
        of(Method::GET, "_method=%44ELETE", "", &[403]),
        of(Method::OPTIONS, "_method=DELETE", "", &[403]),
        of(Method::TRACE, "_method=DELETE", "", &[403]),
        of(Method::GET, "_METHOD=DELETE&_method=", "", &[405]),
        of(Method::GET, "_method=DELETE%00", "", &[405]),
        of(Method::GET, "action=deactivate", "", &[200]),
        of(Method::POST, "_method=GET", "{}", &[200]),
        of(Method::DELETE, "_method=GET", "", &[200]),
        of(Method::DELETE, "_method=GET&_method=DELETE", "", &[200]),
        of(Method::POST, "_method=PATCH", "{}", &[405]),
        of(Method::POST, "", "{\"_method\":\"DELETE\"}", &[405]),
        of(Method::PUT, "_method=POST&action=nope", "{}", &[422]),
        case(Method::POST, format!("{p}/services?_method=DELETE"), "", &[405]),
        case(Method::GET, format!("{p}/services?_method=POST&name=made"), "", &[403]),
    ]
}

/// Sends a request as it stands, whatever it is; nothing may be stored by it.
async fn check_raw(world: &World, server: &Server, what: &str, request: impl AsRef<[u8]>, statuses: &[&str]) -> String {
    let before = world.stored();
    let answer = server.send(request).await;
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .unwrap_or_default()
        .split(' ')
        .next()
        .unwrap_or_default();
    assert!(statuses.contains(&status), "{what}: {answer:.400}");
    assert_eq!(world.stored(), before, "{what} changed something");
    answer
}

/// A POST of a stack with these header lines and this body.
fn post_of(headers: &str, body: &str) -> String {
    format!("POST /v2-beta/projects/1a5/stacks HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n{body}")
}

#[actix_web::test]
async fn requests_that_are_not_http_or_far_too_long_are_refused() {
    let world = World::new().await;
    let server = Server::of(&world);
    let stack = r#"{"name":"s"}"#;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes();
    let cases: [(&str, Vec<u8>); 11] = [
        ("a path that is no UTF-8", get("/v2-beta/\u{ff}")),
        ("a space in a path", get("/v2-beta/a b")),
        (
            "a query of 100 KiB",
            get(&format!("/v2-beta/services?name={}", "a".repeat(100 * 1024))),
        ),
        (
            "a header of 200 KiB",
            format!(
                "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: {}\r\n\r\n",
                "a".repeat(200 * 1024)
            )
            .into_bytes(),
        ),
        (
            "200 headers",
            format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-A: b\r\n".repeat(200)).into_bytes(),
        ),
        (
            "two lengths",
            post_of("Content-Length: 12\r\nContent-Length: 13\r\n", stack).into_bytes(),
        ),
        (
            "a length that is none",
            post_of("Content-Length: -1\r\n", stack).into_bytes(),
        ),
        (
            "a length and chunks",
            post_of("Content-Length: 12\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n").into_bytes(),
        ),
        (
            "chunks that are none",
            post_of("Transfer-Encoding: chunked\r\n", "zz\r\n").into_bytes(),
        ),
        (
            "a control character in a header",
            b"GET /v2-beta HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\n\r\n".to_vec(),
        ),
        (
            "a header that goes on in the next line",
            b"GET /v2-beta HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b: c\r\n\r\n".to_vec(),
        ),
    ];
    for (what, request) in cases {
        check_raw(&world, &server, what, request, &["400", "413", "414", "431"]).await;
    }
    // A chunked body does not say how long it is.
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let long = post_of("Transfer-Encoding: chunked\r\n", &chunk.repeat(17));
    let answer = check_raw(&world, &server, "a long chunked body", long, &["413"]).await;
    assert!(answer.contains(r#""code":"Request Entity Too Long""#), "{answer:.400}");
    let answer = check_raw(
        &world,
        &server,
        "an announced long body",
        post_of("Content-Length: 99999999999\r\n", ""),
        &["413"],
    )
    .await;
    assert!(answer.contains(r#""code":"Request Entity Too Long""#), "{answer:.400}");
    let whole = post_of("Content-Length: 12\r\n", stack);
    assert!(
        server.send(whole).await.starts_with("HTTP/1.1 201 "),
        "and what is right is taken"
    );
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::new().await;
    let server = Server::with(
        &world,
        &ApiOptions {
            body_patience: Duration::from_millis(50),
            ..ApiOptions::default()
        },
    );
    for (what, request) in [
        ("no byte", post_of("Content-Length: 12\r\n", "")),
        ("all but one", post_of("Content-Length: 12\r\n", r#"{"name":"s""#)),
        (
            "a chunk and no end",
            post_of("Transfer-Encoding: chunked\r\n", "c\r\n{\"name\":\"s\"}\r\n"),
        ),
    ] {
        let answer = check_raw(&world, &server, what, request, &["408"]).await;
        assert!(answer.contains(r#""code":"Request Timeout""#), "{what}: {answer}");
    }
    // Nobody reads this one: it is answered at once, and the connection is not kept for the rest.
    let endless = "GET /v2-beta HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    check_raw(&world, &server, "a read with an endless body", endless, &["200"]).await;
}

#[actix_web::test]
async fn what_is_reflected_in_headers_and_links_cannot_be_forged() {
    let world = World::new().await;
    let home = "http://localhost/v2-beta";
    let list = async |headers: &[(&str, &str)]| world.send_with(Method::GET, "/v2-beta", headers, None).await;
    // Text that is no host, port or scheme is as good as none.
    for forged in [
        "evil.example/path",
        "evil.example?x",
        "user@evil.example",
        "evil.example\" onclick=\"x",
        "evil.example:99999",
        "[::1",
        "<script>",
        "%0d%0aset-cookie:%20a=b",
        "evil example",
        "evil\u{e9}xample",
    ] {
        for headers in [
            [("x-forwarded-host", forged), ("x-forwarded-proto", "http")],
            [("x-forwarded-host", "localhost"), ("x-forwarded-proto", forged)],
            [("x-forwarded-port", forged), ("x-forwarded-proto", forged)],
        ] {
            let answer = list(&headers).await;
            assert_eq!(
                answer.header("x-api-schemas"),
                Some(format!("{home}/schemas").as_str()),
                "{headers:?}"
            );
            assert_eq!(answer.body["links"]["self"], home, "{headers:?}");
        }
    }
    // Without a protocol in front, nobody forwarded anything.
    assert_eq!(
        list(&[("x-forwarded-host", "evil.example")]).await.body["links"]["self"],
        home
    );
    // Whoever may be believed about addresses is said at start, and here it is nobody.
    for name in ["x-forwarded-for", "x-real-ip", "forwarded", "x-api-client-ip"] {
        assert_ne!(
            list(&[(name, "203.0.113.9")]).await.header("x-api-client-ip"),
            Some("203.0.113.9"),
            "{name}"
        );
    }
    // Nor do these headers say who asks, where they come from outside.
    world.engine.require_proof(true).await.unwrap();
    for name in ["x-api-account-id", "x-api-user-id", "x-api-account-kind"] {
        world
            .send_with(Method::GET, "/v2-beta/projects", &[(name, "1a1")], None)
            .await
            .refused(401, "Unauthorized");
    }
    // Stored text goes out in headers, too: what is no header's value does not.
    world.engine.set_key("admin", "ADMIN".into(), "secret").await.unwrap();
    let key = [("authorization", ADMIN_KEY)];
    let evil = "x\r\nSet-Cookie: token=evil";
    let setting = json!({"name": "api.auth.realm", "value": evil});
    world
        .send_with(Method::POST, "/v2-beta/settings", &key, Some(setting))
        .await
        .ok();
    let account = world
        .send_with(Method::GET, "/v2-beta/accounts?kind=admin", &key, None)
        .await
        .ok()["data"][0]
        .clone();
    let path = format!("/v2-beta/accounts/{}", text(&account, "id"));
    world
        .send_with(Method::PUT, &path, &key, Some(json!({"name": evil})))
        .await
        .refused(422, "InvalidCharacters");
    // Databases of before may have such names.
    let scope = world
        .engine
        .admit(Version::V2Beta, Proof::Open, ResourceId(1), None)
        .unwrap();
    let ty = world
        .engine
        .view(&scope)
        .find_by_kind("account")
        .expect("the type")
        .clone();
    let name = serde_json::Map::from_iter([("name".to_owned(), json!(evil))]);
    world.engine.update(&scope, &ty, ResourceId(1), name).await.unwrap();
    for headers in [&key[..], &[]] {
        let answer = world.send_with(Method::GET, "/v2-beta/projects", headers, None).await;
        assert!(
            answer
                .headers
                .iter()
                .all(|(name, value)| name != "set-cookie" && !value.contains(['\r', '\n'])),
            "{:?}",
            answer.headers
        );
    }
}

/// `ADMIN:secret`.
const ADMIN_KEY: &str = "Basic QURNSU46c2VjcmV0";

#[actix_web::test]
async fn credentials_that_prove_nothing_are_refused_and_change_nothing() {
    let other = World::new().await;
    let world = World::new().await;
    let login = json!({"username": "root", "password": "correct horse", "enabled": true, "accessMode": "unrestricted"});
    let log_in = async |w: &World| {
        let token = w
            .post("/v2-beta/token", json!({"code": "root:correct horse"}))
            .await
            .expect(201, json!({"type": "token"}));
        text(&token, "jwt").to_owned()
    };
    for w in [&world, &other] {
        w.post("/v2-beta/localAuthConfig", login.clone()).await.ok();
    }
    world.engine.set_key("admin", "ADMIN".into(), "secret").await.unwrap();
    other
        .engine
        .set_key("admin", "OTHER".into(), "others-secret")
        .await
        .unwrap();
    let key = [("authorization", ADMIN_KEY)];
    let (foreign, own, expired) = (log_in(&other).await, log_in(&world).await, log_in(&world).await);
    let scope = |token: &str| world.engine.check_session(token).unwrap();
    world
        .engine
        .end_session(scope(&expired).expect("a session").0)
        .await
        .unwrap();
    // A key of this server that is not good any more.
    let made = world
        .send_with(Method::POST, "/v2-beta/apikeys", &key, Some(json!({"name": "gone"})))
        .await
        .expect(201, json!({}));
    let (access, secret) = (
        text(&made, "publicValue").to_owned(),
        text(&made, "secretValue").to_owned(),
    );
    world.settle().await;
    let path = format!("/v2-beta/apikeys/{}", text(&made, "id"));
    world
        .send_with(
            Method::POST,
            &format!("{path}?action=deactivate"),
            &key,
            Some(json!({})),
        )
        .await
        .expect(202, json!({}));
    world.settle().await;
    let encoded = |name: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")));
    let unsigned = |claims: &str| {
        format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#),
            URL_SAFE_NO_PAD.encode(claims)
        )
    };
    let none = unsigned(r#"{"sub":"1a1","account":"1a1","exp":99999999999}"#);
    let wrongly_signed = format!("{}{}", &own[..own.len() - 4], "AAAA");
    let authorizations = [
        "".to_owned(),
        "Basic".to_owned(),
        "Basic !!!!".to_owned(),
        "Basic ////".to_owned(),
        format!("Basic {}", STANDARD.encode(b"\xff\xfe:\x00")),
        encoded("", "secret"),
        encoded("ADMIN", ""),
        encoded("ADMIN", "SECRET"),
        encoded("ADMIN", "secret\0"),
        encoded("ADMIN' OR '1'='1", "secret"),
        encoded("admin%", "secret"),
        encoded("OTHER", "others-secret"),
        encoded(&access, &secret),
        encoded("x-api-bearer", &foreign),
        encoded("x-api-bearer=1a5", "garbage"),
        encoded("registrationToken", "garbage"),
        format!("Basic {}", "A".repeat(20_000)),
        "Bearer".to_owned(),
        "Bearer garbage".to_owned(),
        format!("Bearer {foreign}"),
        format!("Bearer {expired}"),
        format!("Bearer {none}"),
        format!("Bearer {wrongly_signed}"),
        format!("Bearer {own}x"),
        format!("Bearer {}", own.to_uppercase()),
        format!("Digest username=\"ADMIN\", response=\"{own}\""),
        format!("Negotiate {own}"),
        foreign.clone(),
    ];
    let before = world.stored();
    let refused = async |headers: &[(&str, &str)], path: &str| {
        let answer = world
            .send_with(Method::POST, path, headers, Some(json!({"name": "stolen"})))
            .await;
        let what = format!("{headers:?} {path}");
        assert!(
            answer.status == 401 || answer.status == 429,
            "{what}: {} {}",
            answer.status,
            answer.body
        );
        let code = if answer.status == 401 {
            "Unauthorized"
        } else {
            "Too Many Requests"
        };
        assert_eq!(answer.body["code"], code, "{what}");
        assert_eq!(world.stored(), before, "{what}");
        // Wrong attempts from one address are counted; this is not about that.
        world.clock.advance(Duration::from_secs(20));
    };
    for authorization in &authorizations {
        refused(&[("authorization", authorization)], "stacks").await;
    }
    for cookie in [
        "token=",
        "token=garbage",
        &format!("token={foreign}"),
        &format!("token={expired}"),
        &format!("token={none}"),
        &format!("Token={own}"),
    ] {
        refused(&[("cookie", cookie)], "stacks").await;
        refused(&[("cookie", cookie), ("authorization", "Basic !!!!")], "stacks").await;
    }
    for token in ["", "garbage", &foreign, &expired] {
        refused(&[], &format!("stacks?token={token}")).await;
    }
    // Twice is never once, and no page of another site comes along with a cookie.
    refused(&[("authorization", ADMIN_KEY), ("authorization", ADMIN_KEY)], "stacks").await;
    let cookie = format!("token={own}");
    let from_elsewhere = [("cookie", cookie.as_str()), ("origin", "http://evil.example")];
    world
        .send_with(Method::POST, "stacks", &from_elsewhere, Some(json!({"name": "stolen"})))
        .await
        .refused(403, "Forbidden");
    assert_eq!(world.stored(), before);
    // What is good is good beside what proves nothing.
    let list = async |headers: &[(&str, &str)]| world.send_with(Method::GET, "stacks", headers, None).await.status;
    assert_eq!(
        list(&[("cookie", "token=garbage"), ("authorization", ADMIN_KEY)]).await,
        200
    );
    assert_eq!(list(&[("cookie", &cookie), ("authorization", "Basic !!!!")]).await, 200);
}

#[actix_web::test]
async fn a_flood_of_websockets_is_turned_away_and_makes_room_again() {
    let world = World::new().await;
    for (account, key) in [("admin", "ADMIN"), ("1a5", "PROJECT"), ("1a6", "SERVICE")] {
        world.engine.set_key(account, key.into(), "secret").await.unwrap();
    }
    world.engine.require_proof(true).await.unwrap();
    let server = Server::with(
        &world,
        &ApiOptions {
            sockets: SocketLimits {
                total: 3,
                of_account: 2,
            },
            ..ApiOptions::default()
        },
    );
    let open = async |key: &str| {
        let key = format!("Basic {}", STANDARD.encode(format!("{key}:secret")));
        server
            .try_subscribe("subscribe?eventNames=resource.change", &[("authorization", &key)])
            .await
    };
    let mut first = open("PROJECT").await.expect("there is room");
    let second = open("PROJECT").await.expect("there is room");
    let refused = |answer: Result<_, (u16, Value)>| answer.err().map(|(status, body)| (status, body["code"].clone()));
    assert_eq!(
        refused(open("PROJECT").await),
        Some((429, json!("Too Many Requests"))),
        "an account has its limit"
    );
    let _third = open("ADMIN").await.expect("there is room for others");
    assert_eq!(
        refused(open("ADMIN").await),
        Some((503, json!("Service Unavailable"))),
        "and so has the server"
    );
    assert_eq!(first.any().await["name"], "ping", "those who are there stay");
    drop(second);
    // The server hears of the end a moment later.
    while refused(open("ADMIN").await).is_some() {
        tokio::task::yield_now().await;
    }
}

#[actix_web::test]
async fn bad_requests_are_refused_and_change_nothing() {
    let world = crate::support::World::new().await;
    let stack = world.stack("s").await;
    let service = world.running(&stack, "web", serde_json::json!({})).await;
    check(world.api(), crate::support::PROJECT, &stack, &service).await;
}
