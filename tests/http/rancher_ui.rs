//! What Rancher's UI asks of a server on pages that have no test elsewhere: its access control page, the pages of an admin about
//! the server itself, and that no list it looks up is missing.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::project_isolation::{Scene, scene, send};
use crate::support::{Answer, World, text};

const PASSWORD: &str = "correct horse battery";

/// As the page sends it: the whole object, with what the form says.
fn form(is_on: bool, username: &str, password: &str) -> Value {
    json!({"type": "localAuthConfig", "accessMode": "unrestricted", "name": "The Admin", "enabled": is_on,
        "username": username, "password": password})
}

async fn save(world: &World, login: Option<&str>, form: Value) -> Answer {
    let cookie = login.map(|token| format!("token={token}; CSRF=1"));
    let mut headers = vec![("x-api-no-challenge", "true"), ("x-api-csrf", "1")];
    headers.extend(cookie.as_deref().map(|cookie| ("cookie", cookie)));
    world
        .send_with(Method::POST, "/v2-beta/localauthconfig", &headers, Some(form))
        .await
}

async fn log_in(world: &World) -> String {
    let code = json!({"code": format!("root:{PASSWORD}"), "authProvider": "localauthconfig"});
    let token = world
        .post("/v2-beta/token", code)
        .await
        .expect(201, json!({"userType": "admin"}));
    text(&token, "jwt").to_owned()
}

async fn asks(world: &World, token: &str) -> u16 {
    let cookie = format!("token={token}");
    world
        .send_with(Method::GET, "/v2-beta/projects", &[("cookie", cookie.as_str())], None)
        .await
        .status
}

#[actix_web::test]
async fn its_page_turns_access_control_on_in_two_steps() {
    let world = World::new().await;
    world
        .get("/v1-auth/schemas")
        .await
        .expect(200, json!({"type": "collection"}));
    let shown = world.list("/v2-beta/localauthconfig").await;
    assert_eq!(shown[0]["enabled"], json!(false));
    world
        .post("/v2-beta/token", json!({"code": "root:x"}))
        .await
        .refused(501, "NoAuthProvider");
    save(&world, None, form(false, "root", ""))
        .await
        .expect(422, json!({"fieldName": "password"}));
    save(&world, None, form(false, "root", "short"))
        .await
        .expect(422, json!({"fieldName": "password"}));

    // "Test": whoever can log in now will be let in afterwards. Nobody has to, yet.
    let tested = save(&world, None, form(false, "root", PASSWORD)).await;
    tested.expect(
        201,
        json!({"enabled": false, "username": "root", "password": PASSWORD, "name": "The Admin"}),
    );
    let state = world.list("/v2-beta/token").await;
    assert_eq!(state[0]["security"], json!(false), "{}", state[0]);
    assert_eq!(state[0]["authProvider"], json!("localAuthConfig"), "{}", state[0]);
    world.get("/v2-beta/projects").await.expect(200, json!({}));
    let (another, own) = (log_in(&world).await, log_in(&world).await);
    save(&world, None, form(false, "root", "another password"))
        .await
        .refused(401, "IncorrectPassword");

    // And on, by that login, which goes on being good. Others began under other rules.
    save(&world, Some(&own), form(true, "root", PASSWORD))
        .await
        .expect(201, json!({"enabled": true}));
    world.get("/v2-beta/projects").await.refused(401, "Unauthorized");
    assert_eq!(asks(&world, &own).await, 200);
    assert_eq!(asks(&world, &another).await, 401);

    // "Disable" sends no name.
    save(&world, Some(&own), form(false, "", ""))
        .await
        .expect(201, json!({"enabled": null}));
    world.get("/v2-beta/projects").await.expect(200, json!({}));
    assert_eq!(world.list("/v2-beta/token").await[0]["authProvider"], Value::Null);
}

#[actix_web::test]
async fn the_admins_pages_about_the_server_have_true_numbers() {
    let world = World::new().await;
    let members = world.list("/v2-beta/clustermemberships").await;
    assert_eq!(members.len(), 1, "this server, and no other");
    assert_eq!(members[0]["heartbeat"].as_i64(), Some(world.clock_ms()));
    let own = world.show("/v2-beta/clustermemberships/1cm1").await;
    assert_eq!(own["uuid"], members[0]["uuid"]);
    let config: Value = serde_json::from_str(text(&own, "config")).expect("the UI reads it as JSON");
    assert_eq!(config["advertiseAddress"], "localhost");

    assert_eq!(
        world.list("/v2-beta/processsummary").await,
        Vec::<Value>::new(),
        "nothing is to be done"
    );
    let ended = |pools: &[Value]| pools[0]["completedTasks"].as_u64().expect("a number");
    let before = ended(&world.list("/v2-beta/processpools").await);
    let stack = world.stack("front").await;
    for name in ["a", "b"] {
        let body = json!({"name": name, "stackId": stack, "launchConfig": {"imageUuid": "sim:web:1"}});
        world
            .post("/v2-beta/projects/1a5/services", body)
            .await
            .expect(201, json!({}));
    }
    let summaries = world.list("/v2-beta/processsummary").await;
    let of_services = summaries
        .iter()
        .find(|row| row["processName"] == "service.create")
        .expect("both wait");
    assert_eq!(
        (&of_services["ready"], &of_services["running"], &of_services["delay"]),
        (&json!(2), &json!(0), &json!(0))
    );
    assert!(world.list("/v2-beta/processpools").await[0]["queueSize"].as_u64() >= Some(2));
    world.settle().await;
    assert_eq!(world.list("/v2-beta/processsummary").await, Vec::<Value>::new());
    let pools = world.list("/v2-beta/processpools").await;
    assert!(ended(&pools) >= before + 2, "{pools:?}");
    assert_eq!(
        (&pools[0]["activeTasks"], &pools[0]["queueSize"]),
        (&json!(0), &json!(0))
    );
}

/// What its routes look up outside of projects, for everybody who is logged in and for admins.
const EVERYBODY: &str =
    "schema project userpreference setting identity account apikey token password registrationtoken";
const ADMINS: &str = "account auditlog clustermembership localauthconfig machinedriver processdefinition processinstance processpool \
                      processsummary projecttemplate setting storagedriver";
/// What it reads of a project before it shows anything of it: without one of these there is no page at all.
const FIRST: &str = "instance service host stack mount storagepool volume certificate secret schema";
/// What its pages inside of one look up.
const INSIDE: &str = "instance container service host stack mount storagepool volume certificate secret servicelog machine port network \
                      networkdriver storagedriver registry registrycredential registrationtoken genericobject healthcheckinstancehostmap \
                      serviceexposemap serviceconsumemap projectmember virtualmachine loadbalancerservice externalservice dnsservice \
                      label snapshot backup backuptarget hosttemplate apikey schema volumetemplate";

#[actix_web::test]
async fn no_list_that_its_pages_look_up_is_missing() {
    let Scene {
        world,
        strangers,
        project,
        ..
    } = scene().await;
    let ask = |account: String, path: String| {
        let world = &world;
        async move {
            let answer = send(world, &account, Method::GET, &path, None).await;
            assert_eq!(answer.status, 200, "{account} {path}: {}", answer.body);
            assert!(answer.body["data"].is_array(), "{account} {path}");
        }
    };
    for name in EVERYBODY.split_whitespace().chain(ADMINS.split_whitespace()) {
        ask("superadmin".into(), format!("/v2-beta/{name}")).await;
    }
    for (account, prefix, role) in &strangers {
        let names = if prefix.is_empty() { EVERYBODY } else { INSIDE };
        let schemas = send(&world, account, Method::GET, &format!("/v2-beta{prefix}/schemas"), None).await;
        let is_there = |name: &str| {
            let all = schemas.body["data"].as_array().into_iter().flatten();
            all.filter_map(|schema| schema["id"].as_str())
                .any(|id| id.eq_ignore_ascii_case(name))
        };
        for name in names.split_whitespace() {
            // Where a role has no such schema, the page that asks for it is not shown to it.
            let is_first = !prefix.is_empty() && FIRST.split_whitespace().any(|first| first == name);
            if is_first && matches!(role.as_str(), "owner" | "member") || is_there(name) {
                ask(account.clone(), format!("/v2-beta{prefix}/{name}")).await;
            }
        }
    }
    for service in ["v1-catalog", "v1-auth", "v1-webhooks", "v1-telemetry"] {
        ask(project.clone(), format!("/{service}/schemas")).await;
    }
    ask(project.clone(), "/v1-catalog/templates".into()).await;
    ask(project.clone(), "/v1-webhooks/receivers".into()).await;
}
