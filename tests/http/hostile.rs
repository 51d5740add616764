//! Bad input of every sort gets a refusal of the wire, never a 5xx, and changes nothing.

use actix_web::http::{Method, header};
use actix_web::{App, test, web};
use drover::api::{ApiState, configure};
use serde_json::Value;

/// One request and the statuses that are right for it.
struct Case {
    method: Method,
    path: String,
    body: Vec<u8>,
    expected: &'static [u16],
}

fn case(method: Method, path: impl Into<String>, body: impl Into<Vec<u8>>, expected: &'static [u16]) -> Case {
    Case { method, path: path.into(), body: body.into(), expected }
}

/// Runs all cases. `project`, `stack` and `service` are ids of rows that are there; the service is active.
pub async fn check(state: web::Data<ApiState>, project: &str, stack: &str, service: &str) {
    let app = test::init_service(App::new().configure(|c| configure(c, state))).await;
    let p = format!("/v2-beta/projects/{project}");
    let services = || test::TestRequest::get().uri(&format!("{p}/services")).insert_header((header::HOST, "localhost")).to_request();
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
        let name = format!("{} {:.120} {:.120}", case.method, case.path, String::from_utf8_lossy(&case.body));
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
        case(Method::GET, format!("{p}/services/1s99999999999999999999999"), "", &[404]),
        case(Method::GET, format!("{p}/services/1s-1"), "", &[404]),
        case(Method::GET, format!("{p}/services/{service}/nope"), "", &[404]),
        case(Method::GET, format!("{p}/services/{service}/iNSTANCES/"), "", &[200]),
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
        case(Method::POST, format!("{p}/services/{service}/?action=activate"), "{}", &[422]),
        case(Method::POST, format!("{p}/services/1s999999?action=activate"), "{}", &[404]),
        case(Method::POST, format!("{p}/services/{service}?action=upgrade"), "{", &[400]),
        // Lists: whatever is not understood is ignored.
        case(Method::GET, format!("{p}/services?name_=1&_=2&=&a_b_c=d&state_nope=x&removed_null=%3Cnil%3E"), "", &[200]),
        case(Method::GET, format!("{p}/services?limit=-2&marker=zzz&sort=nope&order=nope&include=nope"), "", &[200]),
        case(Method::GET, format!("{p}/services?limit=99999999999999999999&marker=m99999999999999999999"), "", &[200]),
        case(Method::GET, format!("{p}/services?marker=%00%ff&sort=%22&name='%20OR%201=1--"), "", &[200]),
        case(Method::GET, format!("{p}/services?stackId=nope&createIndex_gt=many&created_lt=never"), "", &[200]),
        case(Method::GET, format!("{p}/services?name={}", "a".repeat(16 * 1024)), "", &[200]),
        case(Method::GET, format!("{p}/services?{}", "name_like=%25&".repeat(1000)), "", &[200]),
    ];
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
        for (method, path) in [(Method::POST, format!("{p}/services")), (Method::PUT, format!("{p}/services/{service}"))] {
            all.push(case(method, path, body.clone(), &[400]));
        }
    }
    all.push(case(Method::POST, format!("{p}/services"), vec![b' '; 1024 * 1024 + 1], &[413]));
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
        all.push(case(Method::POST, format!("{p}/services"), body.replace("STACK", stack), &[422]));
    }
    all
}

#[actix_web::test]
async fn bad_requests_are_refused_and_change_nothing() {
    let world = crate::support::World::new().await;
    let stack = world.stack("s").await;
    let service = world.running(&stack, "web", serde_json::json!({})).await;
    check(world.api(), crate::support::PROJECT, &stack, &service).await;
}
