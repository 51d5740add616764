//! What belongs to another project does not exist, on whatever path one asks for it.

use std::collections::BTreeSet;

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::schema::{Role, Source, Version};
use serde_json::{Value, json};

use crate::support::{Answer, World, text};

/// What the key of an account proves itself by; the key is called like it.
pub fn login(account: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("key-{account}:of-{account}")))
}

/// Sends as the key of an account.
pub async fn send(world: &World, account: &str, method: Method, path: &str, body: Option<Value>) -> Answer {
    world
        .send_with(method, path, &[("authorization", &login(account))], body)
        .await
}

/// Gives an account a key.
pub async fn key(world: &World, account: &str) {
    world
        .engine
        .set_key(account, format!("key-{account}"), &format!("of-{account}"))
        .await
        .expect(account);
}

/// A row of the other project: the type it is listed under, its id and uuid, and what it links to.
pub struct Foreign {
    plural: String,
    ty: String,
    id: String,
    pub uuid: String,
    links: Vec<String>,
    actions: Vec<String>,
}

pub struct Scene {
    pub world: World,
    /// Everything in `1a5`.
    pub foreign: Vec<Foreign>,
    /// `(account of the key, prefix of its paths, role)`: strangers to `1a5`.
    pub strangers: Vec<(String, String, Role)>,
    /// The project of the strangers.
    pub project: String,
}

/// A user with a key; gives its id.
pub async fn user(world: &World, name: &str) -> String {
    let made = send(
        world,
        "superadmin",
        Method::POST,
        "/v2-beta/accounts",
        Some(json!({"kind": "user", "name": name})),
    )
    .await;
    let id = text(&made.expect(201, json!({"kind": "user"})), "id").to_owned();
    world.settle().await;
    key(world, &id).await;
    id
}

/// Two projects, and members of one of them in every role.
pub async fn scene() -> Scene {
    let world = World::new().await;
    let stack = world.stack("front").await;
    let web = world.running(&stack, "web", json!({"scale": 2})).await;
    let db = world.service(&stack, "db", json!({})).await;
    world
        .act(&web, "addservicelink", json!({"serviceLink": {"serviceId": db}}))
        .await
        .ok();
    key(&world, "superadmin").await;
    key(&world, "1a5").await;
    world.engine.require_proof(true).await.expect("access control goes on");
    let mut users = Vec::new();
    for name in ["olga", "mia", "rex", "ron"] {
        users.push(user(&world, name).await);
    }
    let roles = [Role::Owner, Role::Member, Role::Restricted, Role::Readonly];
    let members: Vec<Value> = (users.iter().zip(roles))
        .map(|(user, role)| json!({"externalId": user, "externalIdType": "rancher_id", "role": role.as_str()}))
        .collect();
    let made = send(
        &world,
        "superadmin",
        Method::POST,
        "/v2-beta/projects",
        Some(json!({"name": "other", "members": members})),
    )
    .await;
    let project = text(&made.expect(201, json!({"type": "project"})), "id").to_owned();
    world.settle().await;
    key(&world, &project).await;
    let mut strangers = vec![(project.clone(), String::new(), Role::Project)];
    for (user, role) in users.iter().zip(roles) {
        strangers.push((user.clone(), String::new(), Role::User));
        strangers.push((user.clone(), format!("/projects/{project}"), role));
    }
    let mut foreign = Vec::new();
    let view = world.engine.registry().view(Version::V2Beta, Role::Superadmin).clone();
    for ty in view
        .types
        .values()
        .filter(|ty| ty.collection_methods.iter().any(|m| m == "GET"))
    {
        let list = send(
            &world,
            "superadmin",
            Method::GET,
            &format!("/v2-beta/{}?limit=1000", ty.plural),
            None,
        )
        .await;
        for row in list.body["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|row| row["accountId"] == "1a5")
        {
            let keys = |name: &str| {
                row[name]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone())
                    .collect()
            };
            let (id, uuid) = (text(row, "id").to_owned(), text(row, "uuid").to_owned());
            foreign.push(Foreign {
                plural: ty.plural.clone(),
                ty: ty.id.clone(),
                id,
                uuid,
                links: keys("links"),
                actions: keys("actions"),
            });
        }
    }
    let types: BTreeSet<&str> = foreign.iter().map(|row| row.ty.as_str()).collect();
    assert!(types.len() > 12, "there is something to leak: {types:?}");
    Scene {
        world,
        foreign,
        strangers,
        project,
    }
}

#[actix_web::test]
async fn lists_show_nothing_of_another_project() {
    let scene = scene().await;
    let uuids: BTreeSet<&str> = scene
        .foreign
        .iter()
        .map(|row| row.uuid.as_str())
        .filter(|uuid| !uuid.is_empty())
        .collect();
    for version in Version::ALL {
        for (account, prefix, role) in &scene.strangers {
            let view = scene.world.engine.registry().view(version, *role).clone();
            for ty in view
                .types
                .values()
                .filter(|ty| ty.collection_methods.iter().any(|m| m == "GET"))
            {
                let list = format!("/{}{prefix}/{}", version.as_str(), ty.plural);
                let include = ty
                    .includeable_links
                    .first()
                    .map_or_else(String::new, |link| format!("&include={link}"));
                for query in [
                    "limit=1000",
                    "accountId=1a5",
                    "accountId_ne=1a1",
                    "_removed&sort=name",
                    &format!("limit=1000{include}"),
                ] {
                    let answer = send(&scene.world, account, Method::GET, &format!("{list}?{query}"), None).await;
                    let body = answer.body.to_string();
                    let leaked: Vec<&&str> = uuids.iter().filter(|uuid| body.contains(**uuid)).collect();
                    assert!(leaked.is_empty(), "{role:?} {list}?{query} shows {leaked:?}");
                    assert!(
                        !body.contains(r#""accountId":"1a5""#),
                        "{role:?} {list}?{query}: {body}"
                    );
                }
            }
        }
    }
}

#[actix_web::test]
async fn rows_of_another_project_are_not_there_on_any_path() {
    let scene = scene().await;
    let mut seen = BTreeSet::new();
    for row in scene.foreign.iter().filter(|row| seen.insert(row.ty.clone())) {
        for (account, prefix, role) in &scene.strangers {
            let path = format!("/v2-beta{prefix}/{}/{}", row.plural, row.id);
            let world = &scene.world;
            let gone =
                |answer: Answer, what: &str| assert_eq!(answer.status, 404, "{role:?} {what} {path}: {}", answer.body);
            gone(send(world, account, Method::GET, &path, None).await, "GET");
            let letters = row.id.trim_end_matches(|c: char| c.is_ascii_digit());
            for method in [Method::PUT, Method::DELETE] {
                let body = Some(json!({"name": "taken"}));
                let answer = send(world, account, method.clone(), &path, body.clone()).await;
                let nobodys = format!("/v2-beta{prefix}/{}/{letters}99999999", row.plural);
                let expected = send(world, account, method.clone(), &nobodys, body).await.status;
                assert!(
                    matches!(answer.status, 404 | 405) && answer.status == expected,
                    "{role:?} {method} {path}: {}",
                    answer.body
                );
            }
            for link in &row.links {
                gone(
                    send(world, account, Method::GET, &format!("{path}/{link}"), None).await,
                    link,
                );
            }
            for action in &row.actions {
                let answer = send(
                    world,
                    account,
                    Method::POST,
                    &format!("{path}?action={action}"),
                    Some(json!({})),
                )
                .await;
                // An action that the role does not have is refused before anybody looks for the row.
                assert!(
                    answer.status == 404 || answer.body["code"] == "InvalidAction",
                    "{role:?} {action} {path}: {}",
                    answer.body
                );
            }
            let (plural, uuid) = (&row.plural, &row.uuid);
            let by_uuid = send(
                world,
                account,
                Method::GET,
                &format!("/v2-beta{prefix}/{plural}?uuid={uuid}"),
                None,
            )
            .await;
            assert!(
                !by_uuid.body["data"].to_string().contains(uuid.as_str()) || uuid.is_empty(),
                "{role:?} {plural} by uuid"
            );
        }
    }
}

#[actix_web::test]
async fn another_projects_rows_cannot_be_referred_to() {
    let scene = scene().await;
    let find = |ty: &str| {
        scene
            .foreign
            .iter()
            .find(|row| row.ty == ty)
            .map(|row| row.id.clone())
            .expect(ty)
    };
    let (stack, service, host, container) = (find("stack"), find("service"), find("host"), find("container"));
    let launch = json!({"imageUuid": "sim:web"});
    let own = send(
        &scene.world,
        &scene.project,
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "own"})),
    )
    .await;
    let own = text(&own.expect(201, json!({"type": "stack"})), "id").to_owned();
    let made = json!({"name": "own", "stackId": own, "launchConfig": launch});
    let made = send(
        &scene.world,
        &scene.project,
        Method::POST,
        "/v2-beta/services",
        Some(made),
    )
    .await;
    let made = text(&made.expect(201, json!({"type": "service"})), "id").to_owned();
    scene.world.settle().await;
    let bodies = [
        (
            "services".to_owned(),
            json!({"name": "a", "stackId": stack, "launchConfig": launch}),
        ),
        (
            "containers".to_owned(),
            json!({"name": "b", "imageUuid": "sim:web", "requestedHostId": host}),
        ),
        (
            "containers".to_owned(),
            json!({"name": "c", "imageUuid": "sim:web", "networkMode": "container", "networkContainerId": container}),
        ),
        (
            format!("services/{made}?action=addservicelink"),
            json!({"serviceLink": {"serviceId": service}}),
        ),
        (
            format!("services/{made}?action=setservicelinks"),
            json!({"serviceLinks": [{"serviceId": service}]}),
        ),
    ];
    for (path, body) in bodies {
        let answer = send(
            &scene.world,
            &scene.project,
            Method::POST,
            &format!("/v2-beta/{path}"),
            Some(body),
        )
        .await;
        assert!(
            (400..500).contains(&answer.status),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
    for (account, prefix, _) in &scene.strangers {
        let by_path = send(
            &scene.world,
            account,
            Method::GET,
            "/v2-beta/projects/1a5/services",
            None,
        )
        .await;
        by_path.refused(403, "Forbidden");
        let project = send(
            &scene.world,
            account,
            Method::GET,
            &format!("/v2-beta{prefix}/projects/1a5"),
            None,
        )
        .await;
        assert_eq!(project.status, 404, "{account} {prefix}: {}", project.body);
    }
}

#[actix_web::test]
async fn processes_and_the_audit_log_of_another_project_are_not_there() {
    let Scene {
        world: w,
        strangers,
        project,
        ..
    } = scene().await;
    send(
        &w,
        &project,
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "own"})),
    )
    .await
    .ok();
    // One that has ended, one that is open, and what was asked for and refused.
    send(
        &w,
        "1a5",
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "theirs"})),
    )
    .await
    .ok();
    send(
        &w,
        "1a5",
        Method::POST,
        "/v2-beta/stacks",
        Some(json!({"name": "theirs"})),
    )
    .await
    .refused(422, "NotUnique");
    let all = async |path: &str| {
        let list = send(
            &w,
            "superadmin",
            Method::GET,
            &format!("/v2-beta/{path}?limit=1000"),
            None,
        )
        .await;
        list.expect(200, json!({}))["data"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let of_theirs = |rows: Vec<Value>| {
        rows.into_iter()
            .filter(|row| row["accountId"] == "1a5")
            .collect::<Vec<_>>()
    };
    let processes = of_theirs(all("processinstances").await);
    let audited = of_theirs(all("auditlogs").await);
    assert!(
        processes.len() > 5 && audited.len() >= 2,
        "{} {}",
        processes.len(),
        audited.len()
    );
    assert!(processes.iter().any(|p| p["endTime"].is_null()) && processes.iter().any(|p| !p["endTime"].is_null()));
    let ids: BTreeSet<&str> = processes.iter().map(|p| text(p, "resourceId")).collect();
    let mut looked = 0;
    for (account, prefix, role) in &strangers {
        for version in Version::ALL.map(Version::as_str) {
            let root = format!("/{version}{prefix}");
            assert_eq!(
                send(&w, account, Method::GET, &format!("{root}/processexecutions"), None)
                    .await
                    .status,
                404,
                "{role:?}"
            );
            for (plural, rows) in [("processinstances", &processes), ("auditlogs", &audited)] {
                for query in [
                    "limit=1000",
                    "accountId=1a5",
                    "accountId_ne=1a1",
                    "accountId_null=true",
                    "sort=id&order=desc&limit=1000",
                ] {
                    let list = send(&w, account, Method::GET, &format!("{root}/{plural}?{query}"), None).await;
                    if list.status == 404 {
                        continue;
                    }
                    for row in list.expect(200, json!({}))["data"].as_array().into_iter().flatten() {
                        looked += 1;
                        assert!(
                            row["accountId"] != "1a5" && !ids.contains(text(row, "resourceId")),
                            "{role:?} {root}/{plural}: {row:#}"
                        );
                    }
                }
                let row = rows.last().expect("a row");
                let path = format!("{root}/{plural}/{}", text(row, "id"));
                assert_eq!(
                    send(&w, account, Method::GET, &path, None).await.status,
                    404,
                    "{role:?} {path}"
                );
                for link in row["links"].as_object().into_iter().flatten().map(|(link, _)| link) {
                    assert_eq!(
                        send(&w, account, Method::GET, &format!("{path}/{link}"), None)
                            .await
                            .status,
                        404,
                        "{role:?} {path}/{link}"
                    );
                }
                for field in ["resourceId", "accountId"] {
                    let list = send(
                        &w,
                        account,
                        Method::GET,
                        &format!("{root}/{plural}?{field}={}", text(row, field)),
                        None,
                    )
                    .await;
                    assert!(
                        list.status == 404 || list.body["data"] == json!([]),
                        "{role:?} {path}: {}",
                        list.body
                    );
                }
            }
        }
    }
    assert!(looked > 20, "they see their own: {looked}");
}

#[actix_web::test]
async fn who_is_put_out_is_out_from_the_next_request_on() {
    let w = World::new().await;
    for account in ["superadmin", "1a5"] {
        key(&w, account).await;
    }
    w.engine.require_proof(true).await.expect("access control goes on");
    let (ann, bob, cid) = (user(&w, "ann").await, user(&w, "bob").await, user(&w, "cid").await);
    let own = send(
        &w,
        "superadmin",
        Method::POST,
        "/v2-beta/projects",
        Some(json!({"name": "own"})),
    )
    .await
    .ok();
    let own = text(&own, "id").to_owned();
    let member = |id: &str, role: &str| json!({"externalId": id, "externalIdType": "rancher_id", "role": role});
    let set = async |project: &str, members: Vec<Value>| {
        let path = format!("/v2-beta/projects/{project}?action=setmembers");
        send(&w, "superadmin", Method::POST, &path, Some(json!({"members": members})))
            .await
            .ok();
    };
    let act = async |path: &str, action: &str| {
        send(
            &w,
            "superadmin",
            Method::POST,
            &format!("/v2-beta/{path}?action={action}"),
            Some(json!({})),
        )
        .await
        .ok();
    };
    let status = async |account: &str, path: &str| send(&w, account, Method::GET, path, None).await.status;
    w.settle().await;
    set(
        "1a5",
        vec![
            member("1a1", "owner"),
            member(&ann, "member"),
            member(&bob, "readonly"),
            member(&cid, "member"),
        ],
    )
    .await;
    set(&own, vec![member("1a1", "owner"), member(&ann, "member")]).await;
    w.settle().await;
    let (inside, project) = ("/v2-beta/projects/1a5/stacks", "/v2-beta/projects/1a5");
    for account in [&ann, &bob, &cid] {
        assert_eq!(
            (status(account, inside).await, status(account, project).await),
            (200, 200)
        );
    }
    // From here on nothing settles: what counts is the commit, not what follows from it.
    set(
        "1a5",
        vec![member("1a1", "owner"), member(&bob, "readonly"), member(&cid, "member")],
    )
    .await;
    assert_eq!((status(&ann, inside).await, status(&ann, project).await), (403, 404));
    let listed = send(&w, &ann, Method::GET, "/v2-beta/projects", None).await.ok();
    assert_eq!(
        listed["data"]
            .as_array()
            .map(|all| all.iter().map(|p| text(p, "id")).collect::<Vec<_>>()),
        Some(vec![own.as_str()])
    );
    assert_eq!(
        status(&ann, &format!("/v2-beta/projects/{own}/stacks")).await,
        200,
        "still a member of the other"
    );

    act(&format!("accounts/{bob}"), "deactivate").await;
    assert_eq!((status(&bob, inside).await, status(&bob, "/v2-beta").await), (401, 401));
    w.settle().await;
    act(&format!("accounts/{bob}"), "remove").await;
    assert_eq!((status(&bob, inside).await, status(&bob, "/v2-beta").await), (401, 401));
    w.settle().await;
    assert_eq!(status(&bob, inside).await, 401);

    let made = send(&w, &cid, Method::POST, "/v2-beta/apikeys", Some(json!({"name": "k"})))
        .await
        .ok();
    w.settle().await;
    let basic = format!(
        "Basic {}",
        STANDARD.encode(format!("{}:{}", text(&made, "publicValue"), text(&made, "secretValue")))
    );
    let by_key = async |path: &str| {
        w.send_with(Method::GET, path, &[("authorization", &basic)], None)
            .await
            .status
    };
    assert_eq!(by_key(inside).await, 200);
    let key = format!("apikeys/{}", text(&made, "id"));
    act(&key, "deactivate").await;
    assert_eq!(
        (by_key(inside).await, status(&cid, inside).await),
        (401, 200),
        "the other key is good"
    );
    w.settle().await;
    act(&key, "activate").await;
    w.settle().await;
    assert_eq!(by_key(inside).await, 200);
    act(&key, "deactivate").await;
    w.settle().await;
    act(&key, "remove").await;
    assert_eq!(by_key(inside).await, 401);
    w.settle().await;
    assert_eq!(by_key(inside).await, 401);

    act(&format!("projects/{own}"), "deactivate").await;
    assert_eq!(
        (
            status(&ann, &format!("/v2-beta/projects/{own}/stacks")).await,
            status(&ann, "/v2-beta").await
        ),
        (403, 200)
    );
    assert_eq!(
        status(&ann, &format!("/v2-beta/projects/{own}")).await,
        404,
        "who may not come in does not learn that it sleeps"
    );
}

#[actix_web::test]
async fn who_only_reads_sees_no_environment_wherever_a_launch_configuration_stands() {
    let world = World::new().await;
    let stack = world.stack("front").await;
    let config = |name: &str| json!({"name": name, "imageUuid": "sim:web", "environment": {"PASSWORD": "hunter2"}});
    let body =
        json!({"launchConfig": {"environment": {"PASSWORD": "hunter2"}}, "secondaryLaunchConfigs": [config("side")]});
    let web = world.running(&stack, "web", body).await;
    let strategy = json!({"launchConfig": config("web"), "secondaryLaunchConfigs": [config("side")]});
    world
        .act(&web, "upgrade", json!({"inServiceStrategy": strategy}))
        .await
        .ok();
    world.settle().await;
    key(&world, "superadmin").await;
    world.engine.require_proof(true).await.expect("access control goes on");
    let (rex, mia) = (user(&world, "rex").await, user(&world, "mia").await);
    let member = |user: &str, role: &str| json!({"externalId": user, "externalIdType": "rancher_id", "role": role});
    let members = json!({"members": [member("1a1", "owner"), member(&rex, "readonly"), member(&mia, "member")]});
    send(
        &world,
        "superadmin",
        Method::POST,
        "/v2-beta/projects/1a5?action=setmembers",
        Some(members),
    )
    .await
    .ok();
    for path in [
        format!("/v2-beta/projects/1a5/services/{web}"),
        "/v2-beta/projects/1a5/services".to_owned(),
        format!("/v1/projects/1a5/services/{web}"),
        format!("/v2-beta/projects/1a5/stacks/{stack}?include=services"),
        "/v2-beta/projects/1a5/instances?include=services".to_owned(),
    ] {
        let read = send(&world, &rex, Method::GET, &path, None)
            .await
            .expect(200, json!({}))
            .to_string();
        assert!(
            read.contains("imageUuid") && !read.contains("hunter2"),
            "{path}: {read}"
        );
        let full = send(&world, &mia, Method::GET, &path, None)
            .await
            .expect(200, json!({}))
            .to_string();
        assert!(full.contains("hunter2"), "{path}: {full}");
    }
}

/// What is not shown is not found out by what a filter lets through, or by the order of a list.
#[actix_web::test]
async fn fields_that_a_role_does_not_see_neither_filter_nor_sort() {
    let w = World::new().await;
    let stack = w.stack("front").await;
    for (name, secret) in [("a", "hunter2"), ("b", "other"), ("c", "alpha")] {
        let body = json!({"name": name, "imageUuid": "sim:web", "environment": {"P": secret}, "labels": {"l": secret},
            "hostname": secret, "data": {"p": secret}});
        w.post("containers", body).await.ok();
        w.running(&stack, name, json!({})).await;
        let body = json!({"name": name, "kind": "x", "key": secret, "resourceData": {"p": secret}});
        w.post("genericobjects", body).await.ok();
    }
    key(&w, "superadmin").await;
    w.engine.require_proof(true).await.expect("access control goes on");
    let (rex, mia) = (user(&w, "rex").await, user(&w, "mia").await);
    let member = |user: &str, role: &str| json!({"externalId": user, "externalIdType": "rancher_id", "role": role});
    let members = json!({"members": [member("1a1", "owner"), member(&rex, "readonly"), member(&mia, "member")]});
    let path = "/v2-beta/projects/1a5?action=setmembers";
    send(&w, "superadmin", Method::POST, path, Some(members)).await.ok();
    let ids = |answer: Answer| -> Vec<String> {
        let rows = answer.body["data"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| text(row, "id").to_owned()).collect()
    };
    let mut tried = 0;
    for (version, prefix) in [
        (Version::V2Beta, "/v2-beta/projects/1a5"),
        (Version::V1, "/v1/projects/1a5"),
    ] {
        for (user, role) in [(&rex, Role::Readonly), (&mia, Role::Member)] {
            let seen = w.engine.registry().view(version, role).clone();
            let lists =
                |ty: &&std::sync::Arc<drover::schema::TypeView>| ty.collection_methods.iter().any(|m| m == "GET");
            for ty in seen.types.values().filter(lists) {
                let list = |query: String| {
                    let path = format!("{prefix}/{}?limit=1000{query}", ty.plural);
                    let (w, user) = (&w, user.clone());
                    async move { send(w, &user, Method::GET, &path, None).await }
                };
                let plain = ids(list(String::new()).await);
                // Processes and audit rows grow by themselves.
                if plain.len() < 2 || matches!(ty.id.as_str(), "auditLog" | "processInstance") {
                    continue;
                }
                // What is a column is shown by other types of the same rows, and may be asked for by all.
                let is_own = |name: &str| {
                    ty.def
                        .fields
                        .get(name)
                        .is_some_and(|field| field.source == Source::Fields)
                };
                let hidden = |name: &&String| !ty.fields.contains_key(*name) && is_own(name);
                for name in ty.def.fields.keys().filter(hidden) {
                    for value in ["hunter2", "zzz"] {
                        for modifier in ["", "_ne", "_prefix", "_gt", "_notnull"] {
                            let answer = list(format!("&{name}{modifier}={value}")).await;
                            assert_eq!(ids(answer), plain, "{user} {} {name}{modifier}={value}", ty.id);
                        }
                    }
                    let sorted = ids(list(format!("&sort={name}")).await);
                    let reverse = ids(list(format!("&sort={name}&order=desc")).await);
                    assert_eq!((&sorted, &reverse), (&plain, &plain), "{user} {} sort={name}", ty.id);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 100, "{tried} fields were hidden");
}
