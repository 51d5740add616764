//! Pages for browsers: who gets one, what is around the JSON, and a single-page application in place of ours.

use std::fs;
use std::io::Write as _;

use actix_web::http::Method;
use drover::api::{ApiOptions, UiFolder};
use serde_json::{Value, json};

use crate::support::{Answer, World};

const AGENT: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) Chromium/140");
const ANYTHING: (&str, &str) = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
/// As Rancher's user interface asks (ember-api-store).
const STORE: [(&str, &str); 4] = [
    AGENT,
    ("accept", "application/json"),
    ("x-api-action-links", "actionLinks"),
    ("x-api-no-challenge", "true"),
];

async fn browse(world: &World, path: &str) -> Answer {
    world.send_with(Method::GET, path, &[AGENT, ANYTHING], None).await
}

/// The inert data of a page.
#[track_caller]
fn data(answer: &Answer) -> Value {
    let page = answer
        .body
        .as_str()
        .unwrap_or_else(|| panic!("no page: {}", answer.body));
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    let (_, rest) = page
        .split_once("<script type=\"application/json\" id=\"page\">")
        .expect("the page has its answer");
    let (json, _) = rest.split_once("</script>").expect("the answer ends");
    serde_json::from_str(json).expect("the answer is JSON")
}

#[actix_web::test]
async fn a_browser_gets_each_answer_as_a_page_with_its_status_and_headers() {
    let world = World::new().await;
    world.stack("front").await;
    for (path, status, part) in [
        (
            "/v2-beta/projects/1a5/stacks",
            200,
            json!({"type": "collection", "resourceType": "stack"}),
        ),
        (
            "/v1/projects/1a5/environments",
            200,
            json!({"type": "collection", "resourceType": "environment"}),
        ),
        (
            "/v2-beta/projects/1a5/stacks/1st999999",
            404,
            json!({"type": "error", "code": "Not Found"}),
        ),
        (
            "/v2-beta/projects/1a5/services/1s1?action=upgrade",
            404,
            json!({"type": "error"}),
        ),
    ] {
        let answer = browse(&world, path).await;
        assert_eq!(answer.status, status, "{path}");
        crate::support::has(&data(&answer)["data"], &part, path);
        assert!(
            answer
                .header("x-api-schemas")
                .is_some_and(|url| url.ends_with("/schemas")),
            "{path}"
        );
        assert!(
            answer
                .header("set-cookie")
                .is_some_and(|cookie| cookie.starts_with("CSRF=")),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"), "{path}");
        let policy = answer.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("script-src 'self';"),
            "{path}: {policy}"
        );
    }
}

#[actix_web::test]
async fn who_asks_for_json_gets_json() {
    let world = World::new().await;
    let path = "/v2-beta/projects/1a5/stacks";
    for headers in [
        &[][..],
        &[AGENT, ("accept", "application/json")],
        &[("user-agent", "curl/8"), ("accept", "*/*")],
        &STORE,
    ] {
        world
            .send_with(Method::GET, path, headers, None)
            .await
            .expect(200, json!({"type": "collection"}));
    }
    let format = |format: &str| format!("{path}?_format={format}");
    world
        .send_with(Method::GET, &format("json"), &[AGENT, ANYTHING], None)
        .await
        .expect(200, json!({"type": "collection"}));
    data(
        &world
            .send_with(Method::GET, &format("html"), &[("user-agent", "curl/8")], None)
            .await,
    );
    data(&world.send_with(Method::GET, path, &[AGENT], None).await);
}

#[actix_web::test]
async fn what_a_client_named_cannot_end_the_data_of_a_page() {
    let world = World::new().await;
    let evil = "</script><script>alert(1)</script>\u{2028}&amp;";
    world
        .post("stacks", json!({"name": "evil", "description": evil}))
        .await
        .expect(201, json!({"description": evil}));
    let answer = browse(&world, "/v2-beta/projects/1a5/stacks").await;
    assert_eq!(data(&answer)["data"]["data"][0]["description"], evil);
    assert!(!answer.body.as_str().unwrap_or_default().contains("alert(1)</script>"));
    let filtered = browse(
        &world,
        "/v2-beta/projects/1a5/stacks?name=%3C/script%3E%3Cscript%3Ealert(2)%3C/script%3E",
    )
    .await;
    assert!(!filtered.body.as_str().unwrap_or_default().contains("alert(2)</script>"));
}

#[actix_web::test]
async fn with_access_control_a_browser_gets_the_login_and_no_dialog_of_its_own() {
    let world = World::new().await;
    world
        .engine
        .set_key("admin", "key".into(), "secret")
        .await
        .expect("a key");
    world.engine.require_proof(true).await.expect("access control goes on");
    let page = browse(&world, "/v2-beta/projects/1a5/stacks").await;
    assert_eq!((page.status, page.header("www-authenticate")), (401, None));
    assert_eq!(data(&page)["data"]["code"], "Unauthorized");
    // The user interface goes to its own login; a script without a browser is challenged.
    let store = world.send_with(Method::GET, "/v2-beta/projects", &STORE, None).await;
    assert_eq!((store.status, store.header("www-authenticate")), (401, None));
    let script = world.get("/v2-beta/projects").await;
    assert!(
        script.status == 401
            && script
                .header("www-authenticate")
                .is_some_and(|h| h.starts_with("Basic realm="))
    );
    for open in ["/v2-beta/token", "/v1/token"] {
        let token = world
            .send_with(Method::GET, open, &STORE, None)
            .await
            .expect(200, json!({"type": "collection"}));
        assert_eq!(token["data"].as_array().map(Vec::len), Some(1), "{open}");
        assert_eq!(token["data"][0]["security"], true, "{open}");
    }
}

#[actix_web::test]
async fn ranchers_api_ui_finds_its_globals_in_place_of_ours() {
    let world = World::new().await;
    for (name, value) in [
        ("api.ui.js.url", "https://ui.example.com/1.0.8/ui.min.js"),
        ("api.ui.css.url", "/ui.min.css"),
    ] {
        world
            .put(&format!("/v2-beta/settings/{name}"), json!({"value": value}))
            .await
            .ok();
    }
    let answer = browse(&world, "/v2-beta/projects/1a5/stacks").await;
    let page = answer.body.as_str().unwrap_or_default();
    assert_eq!(answer.status, 200);
    for part in [
        "<link rel=\"stylesheet\" type=\"text/css\" href=\"/ui.min.css\"/>",
        "<script src=\"https://ui.example.com/1.0.8/ui.min.js\"></script>",
        "var user = \"admin\";",
        "var curlUser = \"${CATTLE_ACCESS_KEY}:${CATTLE_SECRET_KEY}\";",
        "var schemas = \"http:\\/\\/localhost\\/v2-beta\\/projects\\/1a5\\/schemas\";",
        "var docJson = ",
        "var data =\n{",
    ] {
        assert!(page.contains(part), "{part} is missing in\n{page}");
    }
    let policy = answer.header("content-security-policy").unwrap_or_default();
    assert!(
        policy.contains("https://ui.example.com") && policy.contains("'nonce-"),
        "{policy}"
    );
    // Not an address: the page stays ours.
    world
        .put(
            "/v2-beta/settings/api.ui.js.url",
            json!({"value": "javascript:alert(1)"}),
        )
        .await
        .ok();
    data(&browse(&world, "/v2-beta/projects/1a5/stacks").await);
}

#[actix_web::test]
async fn the_explorer_comes_out_of_the_program_and_is_small() {
    let world = World::new().await;
    let root = browse(&world, "/").await;
    assert_eq!((root.status, data(&root)["view"].as_str()), (200, Some("server")));
    let page = root.body.as_str().unwrap_or_default();
    let mut todo: Vec<String> = (page.split(['"', '\'']).filter(|part| part.starts_with("/static/")))
        .map(str::to_owned)
        .collect();
    let (mut seen, mut bytes) = (Vec::new(), 0);
    assert!(!todo.is_empty(), "{page}");
    while let Some(path) = todo.pop() {
        if seen.contains(&path) {
            continue;
        }
        let file = world.send_with(Method::GET, &path, &[AGENT], None).await;
        assert_eq!(file.status, 200, "{path}");
        let text = file.body.as_str().unwrap_or_default();
        assert!(
            !text.contains("http://") || !text.contains("src=\"http"),
            "{path} loads something from elsewhere"
        );
        bytes += squeezed_to(text);
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let imports = text
            .split(['"', '\''])
            .filter_map(|part| part.strip_prefix("./").filter(|p| p.ends_with(".js")));
        todo.extend(imports.map(|name| format!("{folder}/{name}")));
        seen.push(path);
    }
    assert!(seen.len() > 10, "{seen:?}");
    // The terminal is read when the first shell is opened.
    let folder = seen[0].rsplit_once('/').map_or("", |(folder, _)| folder);
    for name in ["xterm.mjs", "xterm.css"] {
        let file = world
            .send_with(Method::GET, &format!("{folder}/{name}"), &[AGENT], None)
            .await;
        assert_eq!(file.status, 200, "{name}");
        bytes += squeezed_to(file.body.as_str().unwrap_or_default());
    }
    assert!(bytes < 200 * 1024, "{bytes} bytes in {seen:?}");
}

/// How many bytes of a file go out to who takes gzip.
fn squeezed_to(text: &str) -> usize {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).expect("memory takes it");
    encoder.finish().expect("memory takes it").len()
}

/// What Rancher's user interface asks before it shows anything, in its order.
async fn boot(world: &World, more: &[(&str, &str)]) {
    let headers: Vec<(&str, &str)> = STORE.iter().chain(more).copied().collect();
    let ask = |path: &'static str| world.send_with(Method::GET, path, &headers, None);
    let token = ask("/v2-beta/token").await;
    assert!(token.header("x-rancher-version").is_some(), "{:?}", token.headers);
    assert!(token.expect(200, json!({"type": "collection"}))["data"][0]["security"].is_boolean());
    let schemas = ask("/v2-beta/schema")
        .await
        .expect(200, json!({"type": "collection", "resourceType": "schema"}));
    assert!(
        schemas["data"]
            .as_array()
            .is_some_and(|all| all.iter().all(|s| s["resourceFields"].is_object()))
    );
    let projects = ask("/v2-beta/projects?all=true&limit=-1&sort=name")
        .await
        .expect(200, json!({"type": "collection"}));
    crate::support::has(
        &projects["data"][0],
        &json!({"id": "1a5", "state": "active", "orchestration": "cattle"}),
        "projects",
    );
    let preferences = ask("/v2-beta/userpreferences?limit=-1&sort=name").await;
    assert_eq!(
        (preferences.status, preferences.header("x-api-account-id")),
        (200, Some("1a1"))
    );
    let settings = ask("/v2-beta/setting?all=false&limit=-1&sort=name")
        .await
        .expect(200, json!({"type": "collection"}));
    let version = settings["data"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|s| s["name"] == "rancher.server.version");
    crate::support::has(
        version.unwrap_or(&Value::Null),
        &json!({"type": "activeSetting"}),
        "settings",
    );
    ask("/v2-beta/identities?limit=-1&sort=name")
        .await
        .expect(200, json!({"type": "collection"}));
    for name in ["language", "theme", "defaultProjectId"] {
        let body = json!({"type": "userpreference", "name": name, "value": "\"x\""});
        world
            .send_with(Method::POST, "/v2-beta/userpreference", &headers, Some(body))
            .await
            .expect(201, json!({"name": name}));
    }
    ask("/v2-beta/projects/1a5")
        .await
        .expect(200, json!({"id": "1a5", "healthState": "healthy"}));
    ask("/v1-catalog/catalogs").await.expect(200, json!({"data": []}));
    let inside = ask("/v2-beta/projects/1a5/schema")
        .await
        .expect(200, json!({"type": "collection"}));
    let has_secrets = inside["data"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|s| s["id"] == "secret");
    for collection in [
        "instances",
        "services",
        "hosts",
        "stacks",
        "mounts",
        "storagepools",
        "volumes",
        "certificates",
    ] {
        let path = format!("/v2-beta/projects/1a5/{collection}?limit=-1&state_ne=inactive");
        let list = world
            .send_with(Method::GET, &path, &headers, None)
            .await
            .expect(200, json!({"type": "collection"}));
        for row in list["data"].as_array().into_iter().flatten() {
            assert!(row["actionLinks"].is_object(), "{collection}: {row}");
        }
    }
    if has_secrets {
        ask("/v2-beta/projects/1a5/secrets?limit=-1")
            .await
            .expect(200, json!({"type": "collection"}));
    }
}

#[actix_web::test]
async fn a_single_page_application_takes_the_root_and_its_own_paths_and_boots() {
    let mut world = World::new().await;
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("a file");
    write("index.html", "<title>Rancher</title>");
    fs::create_dir_all(folder.path().join("assets")).expect("a folder");
    write("assets/ui.js", "start()");
    let outside = tempfile::NamedTempFile::new().expect("a file");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("assets/link.js")).expect("a link");
    world.serve(ApiOptions {
        ui: Some(UiFolder::open(folder.path()).expect("it has an index")),
        ..ApiOptions::default()
    });

    for path in ["/", "/env/1a5/apps/stacks", "/login", "/settings", "/admin/access"] {
        let page = browse(&world, path).await;
        assert_eq!(
            (page.status, page.body.as_str()),
            (200, Some("<title>Rancher</title>")),
            "{path}"
        );
    }
    let script = browse(&world, "/assets/ui.js").await;
    assert_eq!((script.status, script.body.as_str()), (200, Some("start()")));
    for path in [
        "/assets/none.js",
        "/assets/link.js",
        "/%2e%2e/secret",
        "/assets/..%2f..%2fetc/passwd",
        "/assets/%00.js",
    ] {
        assert_eq!(browse(&world, path).await.status, 404, "{path}");
    }
    // The API stays where it is.
    data(&browse(&world, "/v2-beta").await);
    world.running(&world.stack("front").await, "web", json!({})).await;
    boot(&world, &[]).await;
}

#[actix_web::test]
async fn ranchers_interface_boots_with_a_login() {
    let world = World::new().await;
    let body =
        json!({"username": "root", "password": "a password of root", "enabled": true, "accessMode": "unrestricted"});
    world.post("/v2-beta/localauthconfig", body).await.ok();
    let denied = world.send_with(Method::GET, "/v2-beta/schema", &STORE, None).await;
    assert_eq!(denied.status, 401);
    let none = world
        .send_with(Method::DELETE, "/v2-beta/token/current", &STORE, None)
        .await;
    none.refused(400, "JWTNotProvided");
    let login = json!({"code": "root:a password of root", "authProvider": "localauthconfig"});
    let token = world
        .send_with(Method::POST, "/v2-beta/token", &STORE, Some(login))
        .await
        .expect(201, json!({"userType": "admin"}));
    let cookie = format!("token={}; CSRF=0123456789", token["jwt"].as_str().expect("a token"));
    boot(
        &world,
        &[("cookie", &cookie), ("x-api-csrf", "0123456789"), ("host", "localhost")],
    )
    .await;
    let logged_in = [AGENT, ("cookie", cookie.as_str()), ("x-api-csrf", "0123456789")];
    let gone = world
        .send_with(Method::DELETE, "/v2-beta/token/current", &logged_in, None)
        .await;
    assert_eq!(gone.status, 204);
    let after = world
        .send_with(
            Method::GET,
            "/v2-beta/schema",
            &[STORE[0], STORE[1], ("cookie", &cookie)],
            None,
        )
        .await;
    assert_eq!(after.status, 401);
}

/// The same as a client that takes compressed answers asks for it; gives the coding and the tag.
async fn squeezed(world: &World, path: &str, accepts: &'static str) -> (Option<String>, Option<String>) {
    let headers = [("accept", "application/json"), ("accept-encoding", accepts)];
    let answer = world.send_with(Method::GET, path, &headers, None).await;
    assert_eq!(answer.status, 200, "{path}");
    let header = |name: &str| answer.header(name).map(str::to_owned);
    (header("content-encoding"), header("etag"))
}

#[actix_web::test]
async fn answers_are_compressed_but_for_those_that_tell() {
    let world = World::new().await;
    for number in 0..5 {
        world.stack(&format!("stack-{number}")).await;
    }
    let gzip = |path: &'static str| squeezed(&world, path, "gzip");
    for path in [
        "/v2-beta/schemas",
        "/v2-beta/openapi.json",
        "/v2-beta/typedocumentations",
        "/v2-beta/projects/1a5/stacks",
        "/v2-beta",
    ] {
        assert_eq!(gzip(path).await.0.as_deref(), Some("gzip"), "{path}");
        assert_eq!(
            squeezed(&world, path, "gzip, zstd").await.0.as_deref(),
            Some("zstd"),
            "{path}"
        );
        assert_eq!(squeezed(&world, path, "identity").await.0, None, "{path}");
    }
    for path in [
        "/v2-beta/settings",
        "/v2-beta/registrationtokens",
        "/v2-beta/apikeys",
        "/v2-beta/projects/1a5/certificates",
        "/v2-beta/projects/1a5/stacks?include=services",
        "/v2-beta/projects/1a5/hosts/1h1/stats",
    ] {
        let headers = [("accept", "application/json"), ("accept-encoding", "gzip")];
        let answer = world.send_with(Method::GET, path, &headers, None).await;
        assert_eq!(answer.header("content-encoding"), None, "{path}");
    }
    // What a POST answers may be told only once.
    let headers = [("accept-encoding", "gzip")];
    let body = json!({"name": "long", "description": "x".repeat(1000)});
    let made = world
        .send_with(Method::POST, "/v2-beta/projects/1a5/stacks", &headers, Some(body))
        .await;
    assert_eq!((made.status, made.header("content-encoding")), (201, None));
    // A page is its answer and is compressed like it.
    let page = |path: &'static str| {
        let headers = [AGENT, ANYTHING, ("accept-encoding", "gzip")];
        let world = &world;
        async move {
            world
                .send_with(Method::GET, path, &headers, None)
                .await
                .header("content-encoding")
                .map(str::to_owned)
        }
    };
    assert_eq!(page("/v2-beta/projects/1a5/stacks").await.as_deref(), Some("gzip"));
    assert_eq!(page("/v2-beta/settings").await, None);
}

#[actix_web::test]
async fn what_a_client_has_is_not_sent_again() {
    let world = World::new().await;
    for path in [
        "/v2-beta/schemas",
        "/v2-beta/openapi.json",
        "/v2-beta/typedocumentations",
    ] {
        let (_, tag) = squeezed(&world, path, "gzip").await;
        let tag = tag.unwrap_or_else(|| panic!("{path} has no tag"));
        let headers = [("accept", "application/json"), ("if-none-match", tag.as_str())];
        let again = world.send_with(Method::GET, path, &headers, None).await;
        assert_eq!((again.status, &again.body), (304, &json!("")), "{path}");
        assert_eq!(again.header("cache-control"), Some("private, no-cache"), "{path}");
        let other = [("accept", "application/json"), ("if-none-match", "\"other\"")];
        let other = world.send_with(Method::GET, path, &other, None).await;
        assert_eq!(other.status, 200, "{path}");
    }
    let path = "/v2-beta/projects/1a5/stacks";
    let page = browse(&world, path).await;
    let tag = page.header("etag").expect("pages have tags").to_owned();
    let headers = [AGENT, ANYTHING, ("if-none-match", tag.as_str())];
    assert_eq!(world.send_with(Method::GET, path, &headers, None).await.status, 304);
    world.stack("new").await;
    assert_eq!(world.send_with(Method::GET, path, &headers, None).await.status, 200);
}
