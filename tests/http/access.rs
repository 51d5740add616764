//! Who asks: keys, logins and projects, and what is refused to everybody else.

use std::time::Duration;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

/// The value of the header `Authorization` for a name and a secret.
fn basic(name: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{secret}")))
}

async fn get(world: &World, path: &str, headers: &[(&str, &str)]) -> Answer {
    world.send_with(Method::GET, path, headers, None).await
}

async fn get_as(world: &World, path: &str, name: &str, secret: &str) -> Answer {
    get(world, path, &[("authorization", &basic(name, secret))]).await
}

const LOGIN: (&str, &str) = ("root", "correct horse battery");

/// Turns access control on as a browser does; the answer to that.
async fn turn_on(world: &World) -> Value {
    let body = json!({"username": LOGIN.0, "password": LOGIN.1, "enabled": true, "accessMode": "unrestricted"});
    world
        .post("/v2-beta/localAuthConfig", body)
        .await
        .expect(201, json!({"type": "localAuthConfig", "enabled": true}))
}

/// Logs in; the token.
async fn log_in(world: &World, name: &str, password: &str) -> String {
    let body = json!({"code": format!("{name}:{password}"), "authProvider": "localauthconfig"});
    let token = world
        .post("/v2-beta/token", body)
        .await
        .expect(201, json!({"type": "token", "security": true}));
    text(&token, "jwt").to_owned()
}

/// A server with access control on, and a key each for the first admin, and for the project `1a5`.
async fn controlled() -> World {
    let world = World::new().await;
    world
        .engine
        .set_key("admin", "ADMIN".into(), "admins-secret")
        .await
        .unwrap();
    world
        .engine
        .set_key("1a5", "PROJECT".into(), "projects-secret")
        .await
        .unwrap();
    turn_on(&world).await;
    world
}

#[actix_web::test]
async fn while_access_is_open_wrong_credentials_are_the_first_admins() {
    let world = World::new().await;
    for authorization in ["Basic Tm9uZTpOb25l", "Basic !!!", "Bearer nothing", "nonsense"] {
        let answer = get(
            &world,
            "/v2-beta/projects/1a5/services",
            &[("authorization", authorization)],
        )
        .await;
        assert_eq!(answer.header("x-api-account-kind"), Some("admin"), "{authorization}");
        answer.expect(200, json!({"type": "collection"}));
    }
    let enforced = [
        ("authorization", "Basic Tm9uZTpOb25l"),
        ("x-enforce-authentication", "true"),
    ];
    let answer = get(&world, "/v2-beta/projects", &enforced).await;
    assert_eq!(
        answer.header("www-authenticate"),
        None,
        "only access control challenges"
    );
    answer.refused(401, "Unauthorized");
}

#[actix_web::test]
async fn with_access_control_who_proves_nothing_is_refused() {
    let world = controlled().await;
    let broken = [
        "",
        "Basic",
        "Basic !!!",
        "Basic Tm9uZTpOb25l",
        "Bearer x",
        &basic("ADMIN", "wrong"),
        &basic("ADMIN", ""),
    ];
    for authorization in broken {
        for path in [
            "/",
            "/v2-beta",
            "/v1/schemas",
            "/v2-beta/projects/1a5/services",
            "/v2-beta/settings",
            "/v2-beta/nonsense",
        ] {
            let answer = get(&world, path, &[("authorization", authorization)]).await;
            assert!(answer.header("x-api-account-id").is_none() && answer.header("x-api-schemas").is_some());
            let realm = r#"Basic realm="Enter API access key and secret key as username and password""#;
            if answer.status != 429 {
                assert_eq!(answer.header("www-authenticate"), Some(realm));
                answer.refused(401, "Unauthorized");
            }
        }
    }
    let quiet = get(&world, "/v2-beta/projects", &[("x-api-no-challenge", "true")]).await;
    assert_eq!((quiet.status, quiet.header("www-authenticate")), (401, None));
    let key = basic("ADMIN", "admins-secret");
    let twice = [("authorization", key.as_str()), ("authorization", key.as_str())];
    get(&world, "/v2-beta/projects", &twice)
        .await
        .refused(401, "Unauthorized");
}

#[actix_web::test]
async fn keys_prove_their_account() {
    let world = controlled().await;
    let admin = get_as(&world, "/v2-beta/projects", "admin", "admins-secret").await;
    assert_eq!(admin.status, 200, "access keys are found in any case");
    assert_eq!(
        (admin.header("x-api-user-id"), admin.header("x-api-account-kind")),
        (Some("1a1"), Some("admin"))
    );
    let project = get_as(&world, "/v2-beta/services", "PROJECT", "projects-secret").await;
    assert_eq!(
        (project.header("x-api-account-id"), project.header("x-api-account-kind")),
        (Some("1a5"), Some("project"))
    );
    project.expect(200, json!({"type": "collection"}));
    get_as(&world, "/v2-beta/projects/1a5/services", "PROJECT", "projects-secret")
        .await
        .expect(200, json!({}));
    let inside = get_as(&world, "/v2-beta/projects/1a5/services", "ADMIN", "admins-secret").await;
    assert_eq!(
        (inside.header("x-api-account-id"), inside.header("x-api-user-id")),
        (Some("1a5"), Some("1a1"))
    );
}

#[actix_web::test]
async fn projects_that_are_none_or_not_the_callers_are_forbidden() {
    let world = controlled().await;
    for (name, secret) in [("ADMIN", "admins-secret"), ("PROJECT", "projects-secret")] {
        for project in ["1a1", "1a999", "1s5", "nonsense", "1a5x"] {
            let key = basic(name, secret);
            let by_path = format!("/v2-beta/projects/{project}/services");
            get(&world, &by_path, &[("authorization", &key)])
                .await
                .refused(403, "Forbidden");
            let by_header = [("authorization", key.as_str()), ("x-api-project-id", project)];
            get(&world, "/v2-beta/services", &by_header)
                .await
                .refused(403, "Forbidden");
            let by_parameter = format!("/v2-beta/services?projectId={project}");
            get(&world, &by_parameter, &[("authorization", &key)])
                .await
                .refused(403, "Forbidden");
        }
    }
    let admin = basic("ADMIN", "admins-secret");
    let by_key = [
        ("authorization", admin.as_str()),
        ("x-api-client-access-key", "PROJECT"),
    ];
    assert_eq!(
        get(&world, "/v2-beta/services", &by_key)
            .await
            .header("x-api-account-id"),
        Some("1a5")
    );
    let by_no_key = [("authorization", admin.as_str()), ("x-api-client-access-key", "NOBODY")];
    get(&world, "/v2-beta/services", &by_no_key)
        .await
        .refused(403, "Forbidden");
}

#[actix_web::test]
async fn a_key_that_was_replaced_proves_nothing_from_then_on_and_after_a_restart() {
    let mut world = controlled().await;
    get_as(&world, "/v2-beta/projects", "ADMIN", "admins-secret")
        .await
        .expect(200, json!({}));
    world.engine.set_key("admin", "ADMIN".into(), "another").await.unwrap();
    get_as(&world, "/v2-beta/projects", "ADMIN", "admins-secret")
        .await
        .refused(401, "Unauthorized");
    get_as(&world, "/v2-beta/projects", "ADMIN", "another")
        .await
        .expect(200, json!({}));
    world.restart().await;
    get_as(&world, "/v2-beta/projects", "ADMIN", "admins-secret")
        .await
        .refused(401, "Unauthorized");
    get_as(&world, "/v2-beta/projects", "ADMIN", "another")
        .await
        .expect(200, json!({}));
}

#[actix_web::test]
async fn a_login_gives_a_token_that_is_good_everywhere_until_it_is_given_back() {
    let world = World::new().await;
    world
        .get("/v2-beta/token")
        .await
        .expect(200, json!({"data": [{"security": false, "authProvider": null}]}));
    assert_eq!(turn_on(&world).await["password"], LOGIN.1, "told once, to who set it");
    world.get("/v2-beta/projects").await.refused(401, "Unauthorized");
    let open = world.get("/v2-beta/token").await;
    assert!(open.header("x-api-account-id").is_none(), "nobody is logged in");
    open.expect(
        200,
        json!({"resourceType": "token", "data": [{"security": true, "authProvider": "localAuthConfig", "user": null}]}),
    );
    let token = log_in(&world, LOGIN.0, LOGIN.1).await;
    let cookie = format!("token={token}");
    let bearer = format!("Bearer {token}");
    let shown: [(&str, &[(&str, &str)]); 5] = [
        ("", &[("cookie", cookie.as_str())]),
        ("", &[("authorization", bearer.as_str())]),
        ("", &[("authorization", token.as_str())]),
        ("?token=TOKEN", &[]),
        ("", &[("authorization", &basic("x-api-bearer", &token))]),
    ];
    for (query, headers) in shown {
        let path = format!("/v2-beta/projects{}", query.replace("TOKEN", &token));
        let answer = get(&world, &path, headers).await;
        assert_eq!(
            (answer.status, answer.header("x-api-user-id")),
            (200, Some("1a1")),
            "{path} {headers:?}"
        );
    }
    let inside = get(
        &world,
        "/v2-beta/services",
        &[("authorization", &basic("X-API-Bearer=1a5", &token))],
    )
    .await;
    assert_eq!(inside.header("x-api-account-id"), Some("1a5"));
    let current = get(&world, "/v2-beta/token", &[("cookie", &cookie)])
        .await
        .expect(200, json!({}));
    assert_eq!(
        (text(&current["data"][0], "accountId"), &current["data"][0]["jwt"]),
        ("1a1", &Value::Null)
    );
    let gone = world
        .send_with(Method::DELETE, "/v2-beta/token/current", &[("cookie", &cookie)], None)
        .await;
    assert_eq!(
        (gone.status, gone.header("set-cookie")),
        (204, Some("token=;Path=/;Expires=Thu, 01 Jan 1970 00:00:00 GMT;"))
    );
    get(&world, "/v2-beta/projects", &[("cookie", &cookie)])
        .await
        .refused(401, "Unauthorized");
    world
        .delete("/v2-beta/token/current")
        .await
        .refused(400, "JWTNotProvided");
}

#[actix_web::test]
async fn a_login_ends_by_itself() {
    let world = controlled().await;
    let token = log_in(&world, LOGIN.0, LOGIN.1).await;
    let bearer = format!("Bearer {token}");
    get(&world, "/v2-beta/projects", &[("authorization", &bearer)])
        .await
        .expect(200, json!({}));
    world.clock.advance(Duration::from_secs(16 * 3600));
    get(&world, "/v2-beta/projects", &[("authorization", &bearer)])
        .await
        .refused(401, "Unauthorized");
}

#[actix_web::test]
async fn wrong_logins_are_refused_and_too_many_of_them_wait() {
    let world = controlled().await;
    let code = |code: &str| json!({"code": code});
    world
        .post("/v2-beta/token", json!({}))
        .await
        .expect(422, json!({"code": "MissingRequired", "fieldName": "code"}));
    world
        .post("/v2-beta/token", json!({"code": 5}))
        .await
        .expect(422, json!({"code": "InvalidFormat", "fieldName": "code"}));
    world
        .post("/v2-beta/token", code("no colon"))
        .await
        .refused(403, "Forbidden");
    let github = json!({"code": "a:b", "authProvider": "githubconfig"});
    world
        .post("/v2-beta/token", github)
        .await
        .expect(422, json!({"code": "InvalidOption", "fieldName": "authProvider"}));
    for _ in 0..10 {
        world
            .post("/v2-beta/token", code("root:wrong"))
            .await
            .refused(401, "Unauthorized");
    }
    let waits = world.post("/v2-beta/token", code("root:wrong")).await;
    assert_eq!(waits.header("retry-after"), Some("10"));
    waits.refused(429, "Too Many Requests");
    let right = code(&format!("{}:{}", LOGIN.0, LOGIN.1));
    world
        .post("/v2-beta/token", right.clone())
        .await
        .refused(429, "Too Many Requests");
    get_as(&world, "/v2-beta/projects", "ADMIN", "admins-secret")
        .await
        .expect(200, json!({}));
    world.clock.advance(Duration::from_secs(10));
    world
        .post("/v2-beta/token", right)
        .await
        .expect(201, json!({"type": "token"}));
}

#[actix_web::test]
async fn access_control_is_turned_on_with_a_password_and_off_by_an_admin_only() {
    let world = World::new().await;
    let on = |name: &str, password: &str| json!({"username": name, "password": password, "enabled": true});
    world
        .post("/v2-beta/localAuthConfig", on("", "x"))
        .await
        .expect(422, json!({"code": "MissingRequired", "fieldName": "username"}));
    world
        .post("/v2-beta/localAuthConfig", on("a", ""))
        .await
        .expect(422, json!({"code": "MissingRequired", "fieldName": "password"}));
    world
        .post("/v2-beta/localAuthConfig", on("a:b", "x"))
        .await
        .expect(422, json!({"fieldName": "username"}));
    let odd = json!({"username": "a", "password": "x", "enabled": true, "accessMode": "odd"});
    world
        .post("/v2-beta/localAuthConfig", odd)
        .await
        .expect(422, json!({"fieldName": "accessMode"}));
    world.get("/v2-beta/projects").await.expect(200, json!({}));
    turn_on(&world).await;
    world
        .post("/v2-beta/localAuthConfig", json!({"enabled": null}))
        .await
        .refused(401, "Unauthorized");
    let bearer = format!("Bearer {}", log_in(&world, LOGIN.0, LOGIN.1).await);
    let as_admin = [("authorization", bearer.as_str())];
    let send = |body| world.send_with(Method::POST, "/v2-beta/localAuthConfig", &as_admin, Some(body));
    send(on(LOGIN.0, "wrong")).await.refused(401, "IncorrectPassword");
    send(on(LOGIN.0, LOGIN.1)).await.expect(201, json!({"enabled": true}));
    send(on("other", "a name and more"))
        .await
        .expect(201, json!({"username": "other"}));
    world
        .post("/v2-beta/token", json!({"code": format!("{}:{}", LOGIN.0, LOGIN.1)}))
        .await
        .refused(401, "Unauthorized");
    log_in(&world, "other", "a name and more").await;
    let shown = get(&world, "/v2-beta/localAuthConfig", &as_admin)
        .await
        .expect(200, json!({}));
    assert_eq!(shown["data"][0]["password"], Value::Null);
    world
        .engine
        .set_key("1a5", "PROJECT".into(), "projects-secret")
        .await
        .unwrap();
    get_as(&world, "/v2-beta/localAuthConfig", "PROJECT", "projects-secret")
        .await
        .refused(404, "Not Found");
    send(json!({"enabled": null}))
        .await
        .expect(201, json!({"enabled": null}));
    world.get("/v2-beta/projects").await.expect(200, json!({}));
}

#[actix_web::test]
async fn a_page_of_another_site_cannot_use_the_cookie() {
    let world = controlled().await;
    let cookie = format!("token={}", log_in(&world, LOGIN.0, LOGIN.1).await);
    let from = |origin| [("cookie", cookie.as_str()), ("origin", origin)];
    let post = |origin| {
        world.send_with(
            Method::POST,
            "/v2-beta/projects/1a5/stacks",
            Box::leak(Box::new(from(origin))),
            Some(json!({"name": "s"})),
        )
    };
    for origin in [
        "http://evil.example",
        "null",
        "https://localhost.evil.example",
        "http://localhost:81",
    ] {
        post(origin).await.refused(403, "Forbidden");
        get(&world, "/v2-beta/projects/1a5/subscribe", &from(origin))
            .await
            .refused(403, "Forbidden");
    }
    post("http://localhost").await.expect(201, json!({"type": "stack"}));
    let key = basic("ADMIN", "admins-secret");
    let by_key = [("authorization", key.as_str()), ("origin", "http://evil.example")];
    // A browser remembers what was typed into its own dialogue, and sends it along like a cookie.
    get(&world, "/v2-beta/projects", &by_key)
        .await
        .refused(403, "Forbidden");
    let by_key = [("authorization", key.as_str()), ("origin", "http://localhost")];
    get(&world, "/v2-beta/projects", &by_key).await.expect(200, json!({}));
    let disguised = [
        ("cookie", cookie.as_str()),
        ("user-agent", "Mozilla/5.0"),
        ("accept", "application/json"),
    ];
    get(&world, "/v2-beta/projects/1a5/stacks?_method=POST&name=x", &disguised)
        .await
        .refused(403, "Forbidden");
}

#[actix_web::test]
async fn browsers_get_a_csrf_cookie_and_repeat_it() {
    let world = World::new().await;
    let first = get(
        &world,
        "/v2-beta/projects/1a5/stacks",
        &[("user-agent", "Mozilla/5.0"), ("accept", "application/json")],
    )
    .await;
    let cookie = first
        .header("set-cookie")
        .and_then(|c| c.strip_suffix(";Path=/"))
        .map(str::to_owned)
        .expect("a cookie");
    let value = cookie.strip_prefix("CSRF=").expect("of this name").to_owned();
    let stack = |headers: Vec<(&'static str, String)>| {
        let world = &world;
        async move {
            let mut headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
            headers.push(("accept", "application/json"));
            world
                .send_with(Method::POST, "stacks", &headers, Some(json!({"name": "s"})))
                .await
        }
    };
    let browser = ("user-agent", "Mozilla/5.0".to_owned());
    stack(vec![browser.clone(), ("cookie", cookie.clone())])
        .await
        .refused(403, "InvalidCSRFToken");
    stack(vec![
        browser.clone(),
        ("cookie", cookie.clone()),
        ("x-api-csrf", "0".into()),
    ])
    .await
    .refused(403, "InvalidCSRFToken");
    let made = stack(vec![browser, ("cookie", cookie.clone()), ("x-api-csrf", value)]).await;
    assert_eq!(made.header("set-cookie"), Some(format!("{cookie};Path=/").as_str()));
    made.expect(201, json!({"type": "stack"}));
}

#[actix_web::test]
async fn what_once_was_admitted_is_known_to_be_admitted_no_more() {
    let world = controlled().await;
    let changes = world.engine.access_changes();
    let version = drover::schema::Version::V2Beta;
    let open = world.engine.admit_open(version, Some("1a5")).unwrap();
    assert!(!world.engine.still_admits(&open).unwrap(), "access is no longer open");
    let token = log_in(&world, LOGIN.0, LOGIN.1).await;
    let (session, account) = world.engine.check_session(&token).unwrap().expect("a session");
    let scope = world
        .engine
        .admit(version, drover::engine::Proof::Session(session), account, Some("1a5"))
        .unwrap();
    assert!(world.engine.still_admits(&scope).unwrap() && !changes.has_changed().unwrap());
    world.engine.end_session(session).await.unwrap();
    assert!(changes.has_changed().unwrap() && !world.engine.still_admits(&scope).unwrap());
}

/// An account with a password, and a member of `1a5` in this role; its id.
async fn person(world: &World, name: &str, role: &str) -> String {
    let admin = basic("ADMIN", "admins-secret");
    let as_admin = [("authorization", admin.as_str())];
    let made = |path: &str, body: Value| {
        world.send_with(
            Method::POST,
            Box::leak(path.to_owned().into_boxed_str()),
            &as_admin,
            Some(body),
        )
    };
    let account = made("/v2-beta/accounts", json!({"kind": "user", "name": name}))
        .await
        .ok();
    let id = text(&account, "id").to_owned();
    world.pass().await;
    let password = json!({"accountId": id, "publicValue": name, "secretValue": format!("the password of {name}")});
    made("/v2-beta/passwords", password).await.ok();
    let members = json!({"members": [
        {"externalId": "1a1", "externalIdType": "rancher_id", "role": "owner"},
        {"externalId": id, "externalIdType": "rancher_id", "role": role}]});
    made("/v2-beta/projects/1a5?action=setmembers", members).await.ok();
    world.pass().await;
    id
}

#[actix_web::test]
async fn keys_of_a_project_are_made_by_owners_and_end_with_their_place_in_it() {
    let world = controlled().await;
    let admin = basic("ADMIN", "admins-secret");
    let as_admin = [("authorization", admin.as_str())];
    for role in ["member", "restricted", "readonly"] {
        let id = person(&world, role, role).await;
        let login = format!(
            "Bearer {}",
            log_in(&world, role, &format!("the password of {role}")).await
        );
        let headers = [("authorization", login.as_str())];
        for (kind, body) in [
            ("apikeys", json!({"name": "k"})),
            (
                "passwords",
                json!({"publicValue": "p", "secretValue": "a password of the project"}),
            ),
        ] {
            let path = format!("/v2-beta/projects/1a5/{kind}");
            let answer = world.send_with(Method::POST, &path, &headers, Some(body)).await;
            assert!(
                answer.status == 403 || role == "readonly" && answer.status == 405,
                "{role} {kind}: {}",
                answer.body
            );
        }
        // Its own it may have.
        let path = "/v2-beta/apikeys";
        let own = world
            .send_with(Method::POST, path, &headers, Some(json!({"accountId": id})))
            .await;
        own.expect(201, json!({"accountId": id}));
    }
    let owner = person(&world, "olga", "owner").await;
    let login = format!("Bearer {}", log_in(&world, "olga", "the password of olga").await);
    let headers = [("authorization", login.as_str())];
    let path = "/v2-beta/projects/1a5/apikeys";
    let key = world
        .send_with(Method::POST, path, &headers, Some(json!({"name": "k"})))
        .await
        .expect(201, json!({"accountId": "1a5"}));
    world.pass().await;
    let (name, secret) = (text(&key, "publicValue"), text(&key, "secretValue"));
    get_as(&world, "/v2-beta/projects/1a5/stacks", name, secret)
        .await
        .expect(200, json!({}));
    // What the key makes is the owner's as well.
    let of_key = basic(name, secret);
    let second = world
        .send_with(
            Method::POST,
            path,
            &[("authorization", of_key.as_str())],
            Some(json!({})),
        )
        .await
        .expect(201, json!({}));
    world.pass().await;
    let members = json!({"members": [
        {"externalId": "1a1", "externalIdType": "rancher_id", "role": "owner"},
        {"externalId": owner, "externalIdType": "rancher_id", "role": "member"}]});
    world
        .send_with(
            Method::POST,
            "/v2-beta/projects/1a5?action=setmembers",
            &as_admin,
            Some(members),
        )
        .await
        .ok();
    for key in [&key, &second] {
        let (name, secret) = (text(key, "publicValue"), text(key, "secretValue"));
        get_as(&world, "/v2-beta/projects/1a5/stacks", name, secret)
            .await
            .refused(401, "Unauthorized");
        let row = get(&world, &format!("/v2-beta/apikeys/{}", text(key, "id")), &as_admin).await;
        row.expect(200, json!({"state": "removed"}));
    }
    get_as(&world, "/v2-beta/projects/1a5/stacks", "PROJECT", "projects-secret")
        .await
        .expect(200, json!({}));
}

#[actix_web::test]
async fn logins_end_with_the_password_that_opened_them() {
    let world = controlled().await;
    let admin = basic("ADMIN", "admins-secret");
    let as_admin = [("authorization", admin.as_str())];
    let id = person(&world, "paula", "member").await;
    let passwords = get(&world, &format!("/v2-beta/passwords?accountId={id}"), &as_admin)
        .await
        .ok();
    let password = format!("/v2-beta/passwords/{}", text(&passwords["data"][0], "id"));
    let account = format!("/v2-beta/accounts/{id}");
    let word = ["the password of paula", "another password"];
    let status = async |token: &str| {
        get(
            &world,
            "/v2-beta/projects/1a5/stacks",
            &[("authorization", &format!("Bearer {token}"))],
        )
        .await
        .status
    };
    let change = json!({"oldSecret": word[0], "newSecret": word[1]});
    for (path, body, before) in [
        (format!("{password}?action=changesecret"), change, word[0]),
        (format!("{password}?action=deactivate"), json!({}), word[1]),
        (format!("{account}?action=deactivate"), json!({}), word[1]),
    ] {
        let token = log_in(&world, "paula", before).await;
        assert_eq!(status(&token).await, 200);
        world.send_with(Method::POST, &path, &as_admin, Some(body)).await.ok();
        world.pass().await;
        assert_eq!(status(&token).await, 401, "{path}");
        for row in [&password, &account] {
            world
                .send_with(
                    Method::POST,
                    &format!("{row}?action=activate"),
                    &as_admin,
                    Some(json!({})),
                )
                .await;
            world.pass().await;
        }
        assert_eq!(status(&token).await, 401, "{path}: it does not come back");
    }
    // Access off and on again ends them all.
    let token = log_in(&world, "paula", word[1]).await;
    let switch = |enabled: bool| json!({"username": LOGIN.0, "password": LOGIN.1, "enabled": enabled, "accessMode": "unrestricted"});
    for enabled in [false, true] {
        let path = "/v2-beta/localAuthConfig";
        world
            .send_with(Method::POST, path, &as_admin, Some(switch(enabled)))
            .await
            .ok();
    }
    assert_eq!(status(&token).await, 401);
}

#[actix_web::test]
async fn wrong_passwords_are_in_the_audit_log() {
    let world = controlled().await;
    let body = json!({"code": "paula:wrong", "authProvider": "localauthconfig"});
    world.post("/v2-beta/token", body).await.refused(401, "Unauthorized");
    get_as(&world, "/v2-beta/projects", "some\nbody", "x")
        .await
        .refused(401, "Unauthorized");
    let admin = basic("ADMIN", "admins-secret");
    let log = get(
        &world,
        "/v2-beta/auditlogs?eventType=api.token.create&sort=id",
        &[("authorization", &admin)],
    )
    .await
    .ok();
    let names: Vec<&str> = log["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| text(row, "requestObject"))
        .collect();
    assert_eq!(names, ["{\"name\":\"paula\"}", "{\"name\":\"some\\nbody\"}"]);
    assert!(log["data"][0]["responseCode"].to_string().contains("401"), "{log}");
    // Guesses do not fill it.
    for n in 0..100 {
        get_as(&world, "/v2-beta/projects", &format!("guess{n}"), "x").await;
    }
    let log = get(
        &world,
        "/v2-beta/auditlogs?eventType=api.token.create&limit=1000",
        &[("authorization", &admin)],
    )
    .await
    .ok();
    assert_eq!(log["data"].as_array().unwrap().len(), 20);
}
