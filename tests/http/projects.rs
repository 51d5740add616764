//! Projects, their members, and accounts: who is in, who may change what, and what goes when one goes.

use actix_web::http::Method;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::engine::{Account, AuthType, Engine, Reach, Scope};
use drover::model::{Error, ResourceId};
use drover::schema::{Role, Version};
use serde_json::{Value, json};

use crate::support::{World, text};

/// An account of this kind, by the engine itself: the open view may have no such POST. Gives its number.
async fn account(world: &World, kind: &str, name: &str) -> i64 {
    let scope = open(&world.engine);
    let ty = world
        .engine
        .view(&scope)
        .find_by_kind("account")
        .expect("the type")
        .clone();
    let Value::Object(input) = json!({"kind": kind, "name": name}) else {
        unreachable!()
    };
    let made = world
        .engine
        .create(&scope, &ty, input)
        .await
        .expect("an account")
        .remove(0);
    world.settle().await;
    made.id.0
}

fn open(engine: &Engine) -> Scope {
    engine.admit_open(Version::V2Beta, None).expect("access is open")
}

/// What a person with a login asks with, outside any project.
fn person(engine: &Engine, id: i64) -> Scope {
    let account = Account {
        id: ResourceId(id),
        kind: "user".into(),
        name: "x".into(),
    };
    Scope {
        role: Role::User,
        reach: Reach::Account(account.id),
        auth: AuthType::Basic,
        effective: account.clone(),
        user: account,
        ..open(engine)
    }
}

async fn project(world: &World, scope: &Scope, body: Value) -> Result<i64, String> {
    let ty = world
        .engine
        .view(scope)
        .find_by_kind("project")
        .expect("the type")
        .clone();
    let Value::Object(input) = body else { unreachable!() };
    match world.engine.create(scope, &ty, input).await {
        Ok(rows) => {
            world.settle().await;
            Ok(rows[0].id.0)
        }
        Err(e) => Err(what(&e)),
    }
}

fn what(e: &Error) -> String {
    format!("{:?} {}", e.kind, e.code.as_deref().unwrap_or_default())
}

async fn put(world: &World, scope: &Scope, id: i64, name: &str) -> Result<(), String> {
    let ty = world
        .engine
        .view(scope)
        .find_by_kind("project")
        .expect("the type")
        .clone();
    let Value::Object(input) = json!({"name": name}) else {
        unreachable!()
    };
    world
        .engine
        .update(scope, &ty, ResourceId(id), input)
        .await
        .map(drop)
        .map_err(|e| what(&e))
}

async fn set_members(world: &World, scope: &Scope, id: i64, members: Value) -> Result<(), String> {
    let ty = world
        .engine
        .view(scope)
        .find_by_kind("project")
        .expect("the type")
        .clone();
    let Value::Object(input) = json!({"members": members}) else {
        unreachable!()
    };
    world
        .engine
        .act(scope, &ty, ResourceId(id), "setmembers", input)
        .await
        .map(drop)
        .map_err(|e| what(&e))
}

fn member(id: i64, role: &str) -> Value {
    json!({"externalId": format!("1a{id}"), "externalIdType": "rancher_id", "role": role})
}

#[actix_web::test]
async fn a_project_begins_with_an_owner_and_its_networks() {
    let world = World::new().await;
    let user = account(&world, "user", "ann").await;
    let scope = person(&world.engine, user);
    let id = project(&world, &scope, json!({"name": "Shop"}))
        .await
        .expect("a project");
    let row = world.get(&format!("/v2-beta/projects/1a{id}")).await;
    row.expect(200, json!({"state": "active", "orchestration": "cattle", "healthState": "healthy", "kind": "project", "name": "Shop"}));
    let members = world.list(&format!("/v2-beta/projects/1a{id}/projectMembers")).await;
    assert_eq!(members.len(), 1);
    crate::support::has(
        &members[0],
        &json!({
            "id": format!("1i!rancher_id:1a{user}"),
            "type": "identity",
            "externalId": format!("1a{user}"),
            "externalIdType": "rancher_id",
            "role": "owner",
            "name": "ann",
            "projectId": format!("1a{id}"),
        }),
        "it",
    );
    let networks = world.list(&format!("/v2-beta/projects/1a{id}/networks")).await;
    let mut kinds: Vec<&str> = networks.iter().map(|n| text(n, "kind")).collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        ["dockerBridge", "dockerContainer", "dockerHost", "dockerNone", "network"]
    );
    assert!(networks.iter().all(|n| n["state"] == "active"));
    // A container runs there like anywhere.
    let found = world.list("/v2-beta/projects?name=sHOP").await;
    assert_eq!(found.len(), 1);
    assert!(world.list("/v2-beta/projects?name=Sh%25").await.is_empty());
}

#[actix_web::test]
async fn members_are_checked_before_anything_is_written() {
    let world = World::new().await;
    let (ann, bob) = (
        account(&world, "user", "ann").await,
        account(&world, "user", "bob").await,
    );
    let scope = person(&world.engine, ann);
    let cases = [
        (json!([member(ann, "member")]), "BadRequest InvalidFormat"),
        (
            json!([member(ann, "owner"), member(ann, "member")]),
            "BadRequest InvalidFormat",
        ),
        (
            json!([member(ann, "owner"), member(999_999, "member")]),
            "NotFound identityNotFound",
        ),
        (json!([member(5, "owner")]), "NotFound identityNotFound"),
        (
            json!([{"externalId": "x", "externalIdType": "github_user", "role": "owner"}]),
            "BadRequest InvalidIdentity",
        ),
        (
            json!([{"externalIdType": "rancher_id", "role": "owner"}]),
            "BadRequest InvalidFormat",
        ),
        (json!([member(ann, "king")]), "Invalid InvalidOption"),
    ];
    let before = world.list("/v2-beta/projects?all=true").await.len();
    for (members, expected) in cases {
        assert_eq!(
            project(&world, &scope, json!({"name": "p", "members": members})).await,
            Err(expected.into()),
            "{members}"
        );
    }
    assert_eq!(world.list("/v2-beta/projects?all=true").await.len(), before);
    let id = project(
        &world,
        &scope,
        json!({"name": "p", "members": [member(ann, "owner"), member(bob, "readonly")]}),
    )
    .await;
    let id = id.expect("a project");
    assert_eq!(
        set_members(&world, &scope, id, json!([])).await,
        Err("Invalid MissingRequired".into())
    );
    assert_eq!(
        set_members(&world, &scope, id, json!([member(bob, "member")])).await,
        Err("BadRequest InvalidFormat".into())
    );
    let names = |rows: Vec<Value>| {
        rows.iter()
            .map(|r| format!("{} {}", text(r, "name"), text(r, "role")))
            .collect::<Vec<_>>()
    };
    let path = format!("/v2-beta/projects/1a{id}/projectMembers");
    assert_eq!(names(world.list(&path).await), ["ann owner", "bob readonly"]);
    set_members(&world, &scope, id, json!([member(bob, "owner")]))
        .await
        .expect("a new list");
    assert_eq!(names(world.list(&path).await), ["bob owner"]);
    assert_eq!(
        set_members(&world, &scope, id, json!([member(ann, "owner")])).await,
        Err("NotFound ".into()),
        "ann is no member now"
    );
}

#[actix_web::test]
async fn a_project_is_there_for_its_members_only() {
    let world = World::new().await;
    let (ann, bob, eve) = (
        account(&world, "user", "ann").await,
        account(&world, "user", "bob").await,
        account(&world, "user", "eve").await,
    );
    let (owner, other, stranger) = (
        person(&world.engine, ann),
        person(&world.engine, bob),
        person(&world.engine, eve),
    );
    let id = project(
        &world,
        &owner,
        json!({"name": "p", "members": [member(ann, "owner"), member(bob, "member")]}),
    )
    .await
    .expect("it");
    let sees = |scope: &Scope| world.engine.find(scope, ResourceId(id)).expect("a read").is_some();
    assert!(sees(&owner) && sees(&other) && !sees(&stranger));
    assert_eq!(put(&world, &owner, id, "q").await, Ok(()));
    world.settle().await;
    assert_eq!(put(&world, &other, id, "r").await, Err("Forbidden ".into()));
    assert_eq!(put(&world, &stranger, id, "s").await, Err("NotFound ".into()));
    assert_eq!(
        set_members(&world, &other, id, json!([member(bob, "owner")])).await,
        Err("Forbidden ".into())
    );
    assert_eq!(
        set_members(&world, &stranger, id, json!([member(eve, "owner")])).await,
        Err("NotFound ".into())
    );
    let listed = |scope: &Scope| {
        let ty = world
            .engine
            .view(scope)
            .find_by_kind("project")
            .expect("the type")
            .clone();
        let query = drover::engine::ListQuery {
            limit: 100,
            all: true,
            ..Default::default()
        };
        world
            .engine
            .list(scope, &ty, &query)
            .expect("a list")
            .rows
            .iter()
            .map(|r| r.id.0)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (listed(&owner), listed(&other), listed(&stranger)),
        (vec![id], vec![id], vec![])
    );
    // One that sleeps is there for its owners.
    world
        .act(&format!("/v2-beta/projects/1a{id}"), "deactivate", json!({}))
        .await
        .expect(200, json!({"type": "project", "state": "deactivating"}));
    world.settle().await;
    assert!(sees(&owner) && !sees(&other));
    assert_eq!((listed(&owner), listed(&other)), (vec![id], vec![]));
}

#[actix_web::test]
async fn a_removed_project_shows_who_was_in_it_to_the_last() {
    let world = World::new().await;
    let (ann, bob, eve) = (
        account(&world, "user", "ann").await,
        account(&world, "user", "bob").await,
        account(&world, "user", "eve").await,
    );
    let scope = person(&world.engine, ann);
    let members = json!([member(ann, "owner"), member(bob, "member"), member(eve, "member")]);
    let id = project(&world, &scope, json!({"name": "p", "members": members})).await;
    let id = id.expect("a project");
    set_members(&world, &scope, id, json!([member(ann, "owner"), member(bob, "member")]))
        .await
        .expect("who left before is not among them");
    world.settle().await;
    let path = format!("/v2-beta/projects/1a{id}");
    let members = json!([{"externalId": format!("1a{ann}"), "role": "owner"}, {"externalId": format!("1a{bob}"), "role": "member"}]);
    let shows = |row: &Value| {
        assert_eq!(row["members"].as_array().map(Vec::len), Some(2), "{row:#}");
        crate::support::has(&row["members"], &members, "the members");
    };
    shows(&world.show(&path).await);
    world.delete(&path).await.ok();
    shows(&world.wait(&path, "removed").await);
    shows(&world.act(&path, "purge", json!({})).await.ok());
    let left = world.list(&format!("{path}/projectMembers")).await;
    assert!(left.is_empty(), "{left:#?}");
}

#[actix_web::test]
async fn a_project_takes_everything_in_it_along() {
    let world = World::new().await;
    let id = project(&world, &open(&world.engine), json!({"name": "gone"}))
        .await
        .expect("a project");
    let base = format!("/v2-beta/projects/1a{id}");
    let stack = text(
        &world.post(&format!("{base}/stacks"), json!({"name": "s"})).await.ok(),
        "id",
    )
    .to_owned();
    let service = json!({"name": "web", "stackId": stack, "scale": 2, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    world.post(&format!("{base}/services"), service).await.ok();
    world.post(&format!("{base}/apikeys"), json!({"name": "k"})).await.ok();
    world.pass().await;
    assert!(
        !world.list(&format!("{base}/instances")).await.is_empty()
            || world.list(&format!("{base}/hosts")).await.is_empty()
    );

    world
        .act(&base, "delete", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    world.wait(&base, "removed").await;
    world.get(&format!("{base}/stacks")).await.refused(403, "Forbidden");
    for kind in [
        "stacks",
        "services",
        "instances",
        "apikeys",
        "networks",
        "projectmembers",
    ] {
        let left = world
            .list(&format!("/v2-beta/{kind}?accountId=1a{id}&removed_null"))
            .await;
        assert!(left.iter().all(|row| !row["removed"].is_null()), "{kind}: {left:#?}");
    }
    assert!(
        !world
            .list(&format!("/v2-beta/auditlogs?accountId=1a{id}"))
            .await
            .is_empty(),
        "the log stays"
    );
    world
        .act("/v2-beta/projects/1a5", "delete", json!({}))
        .await
        .refused(405, "Method not allowed");
}

#[actix_web::test]
async fn the_last_admin_stays_and_so_do_the_servers_own_accounts() {
    let world = World::new().await;
    let scope = open(&world.engine);
    let ty = world
        .engine
        .view(&scope)
        .find_by_kind("account")
        .expect("the type")
        .clone();
    let act = |id: i64, action: &'static str| {
        let (engine, scope, ty) = (world.engine.clone(), scope.clone(), ty.clone());
        async move {
            engine
                .act(&scope, &ty, ResourceId(id), action, Default::default())
                .await
                .map(drop)
                .map_err(|e| what(&e))
        }
    };
    assert_eq!(
        act(1, "deactivate").await,
        Err("MethodNotAllowed LastAdminAccount".into())
    );
    for own in [2, 3, 4, 6, 7] {
        assert_eq!(act(own, "deactivate").await, Err("MethodNotAllowed ".into()), "{own}");
    }
    let second = account(&world, "admin", "second").await;
    act(1, "deactivate").await.expect("there is another one");
    world.settle().await;
    assert_eq!(
        act(second, "deactivate").await,
        Err("MethodNotAllowed LastAdminAccount".into())
    );
    let Value::Object(demotion) = json!({"kind": "user"}) else {
        unreachable!()
    };
    let demoted = world
        .engine
        .update(&scope, &ty, ResourceId(second), demotion.clone())
        .await;
    assert_eq!(
        demoted.map(drop).map_err(|e| what(&e)),
        Err("MethodNotAllowed LastAdminAccount".into())
    );
    act(1, "activate").await.expect("back again");
    world.settle().await;
    let demoted = world
        .engine
        .update(&scope, &ty, ResourceId(second), demotion)
        .await
        .expect("there is another one again");
    assert_eq!(demoted.kind, "user");
}

#[actix_web::test]
async fn identities_are_found_by_name_in_whole_or_in_part() {
    let world = World::new().await;
    let ann = account(&world, "user", "Ann Example").await;
    let own = world.list("/v2-beta/identities").await;
    assert_eq!(own.len(), 1);
    crate::support::has(
        &own[0],
        &json!({"id": "1i!rancher_id:1a1", "externalId": "1a1", "externalIdType": "rancher_id", "user": true}),
        "own",
    );
    let ids = |rows: Vec<Value>| rows.iter().map(|r| text(r, "id").to_owned()).collect::<Vec<_>>();
    let expected = format!("1i!rancher_id:1a{ann}");
    assert_eq!(
        ids(world.list("/v2-beta/identities?name=ann%20example").await),
        std::slice::from_ref(&expected)
    );
    assert!(world.list("/v2-beta/identities?name=ann").await.is_empty());
    assert_eq!(
        ids(world.list("/v2-beta/identities?all=exam").await),
        std::slice::from_ref(&expected)
    );
    world
        .get(&format!("/v2-beta/identities/{expected}"))
        .await
        .expect(200, json!({"name": "Ann Example", "user": false}));
    world
        .get("/v2-beta/identities/1i!rancher_id:2")
        .await
        .refused(404, "Not Found");
}

#[actix_web::test]
async fn the_default_project_says_how_it_is_run() {
    let w = World::new().await;
    w.get("/v2-beta/projects/1a5").await.expect(
        200,
        json!({"name": "Default", "orchestration": "cattle", "state": "active"}),
    );
}

#[actix_web::test]
async fn the_default_project_belongs_to_the_first_admin() {
    let mut w = World::new().await;
    for _ in 0..2 {
        let members = w.list("/v2-beta/projects/1a5/projectmembers").await;
        assert_eq!(members.len(), 1, "{members:?}");
        assert_eq!(
            (&members[0]["externalId"], &members[0]["role"]),
            (&json!("1a1"), &json!("owner"))
        );
        // Another start changes nothing.
        w.restart().await;
    }
}

#[actix_web::test]
async fn projects_are_made_from_public_templates_and_from_ones_own() {
    let world = World::new().await;
    let mut keys = Vec::new();
    for name in ["ann", "ben"] {
        let id = account(&world, "user", name).await;
        world
            .engine
            .set_key(&format!("1a{id}"), format!("key-{name}"), "secret")
            .await
            .expect("a key");
        keys.push(format!("Basic {}", STANDARD.encode(format!("key-{name}:secret"))));
    }
    world.engine.require_proof(true).await.expect("access control goes on");
    let ask = |who: usize, method: Method, path: &'static str, body: Option<Value>| {
        let (world, key) = (&world, keys[who].clone());
        async move { world.send_with(method, path, &[("authorization", &key)], body).await }
    };
    let names = |list: Value| -> Vec<String> {
        list["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| text(row, "name").to_owned())
            .collect()
    };

    // As Terraform looks for it, in its own case.
    let found = ask(
        0,
        Method::GET,
        "/v2-beta/projecttemplates?isPublic=true&name=cattle&sort=created",
        None,
    )
    .await
    .ok();
    assert_eq!(names(found.clone()), ["Cattle"]);
    let public = text(&found["data"][0], "id").to_owned();
    let body = json!({"name": "from-public", "projectTemplateId": public});
    let made = ask(0, Method::POST, "/v2-beta/projects", Some(body)).await;
    made.expect(201, json!({"orchestration": "cattle", "projectTemplateId": public}));

    let stacks = json!([{"name": "web", "dockerCompose": "web:\n  image: nginx"}]);
    let body = json!({"name": "mine", "stacks": stacks});
    let own = ask(0, Method::POST, "/v2-beta/projecttemplates", Some(body))
        .await
        .expect(201, json!({"name": "mine", "stacks": stacks}));
    let own = text(&own, "id").to_owned();
    assert_eq!(
        names(ask(0, Method::GET, "/v2-beta/projecttemplates", None).await.ok()),
        ["Cattle", "mine"]
    );
    assert_eq!(
        names(
            ask(0, Method::GET, "/v2-beta/projecttemplates?isPublic=false", None)
                .await
                .ok()
        ),
        ["mine"]
    );
    assert_eq!(
        names(ask(1, Method::GET, "/v2-beta/projecttemplates", None).await.ok()),
        ["Cattle"],
        "another's is not shown"
    );
    let body = json!({"name": "from-anothers", "projectTemplateId": own});
    ask(1, Method::POST, "/v2-beta/projects", Some(body.clone()))
        .await
        .refused(422, "InvalidReference");
    // Its stacks would be made by what this build has not.
    let refused = ask(0, Method::POST, "/v2-beta/projects", Some(body))
        .await
        .refused(501, "NotImplemented");
    assert_eq!(refused["fieldName"], "projectTemplateId");
    let projects = ask(0, Method::GET, "/v2-beta/projects", None).await.ok();
    assert_eq!(names(projects), ["from-public"], "what is refused makes no project");
}

/// A project with a host that an agent speaks for, a service and a container on it, and a key.
async fn furnished(w: &World) -> (String, String) {
    let id = project(w, &open(&w.engine), json!({"name": "shop"}))
        .await
        .expect("a project");
    let base = format!("/v2-beta/projects/1a{id}");
    let agent = json!({"uri": "sim://shop", "agentResourcesAccountId": format!("1a{id}")});
    let agent = text(&w.post("/v2-beta/agents", agent).await.ok(), "id").to_owned();
    w.pass().await;
    let stack = text(
        &w.post(&format!("{base}/stacks"), json!({"name": "front"})).await.ok(),
        "id",
    )
    .to_owned();
    let service = json!({"name": "web", "stackId": stack, "scale": 2, "startOnCreate": true, "launchConfig": {"imageUuid": "sim:web"}});
    let service = text(&w.post(&format!("{base}/services"), service).await.ok(), "id").to_owned();
    w.post(
        &format!("{base}/containers"),
        json!({"imageUuid": "sim:web", "dataVolumes": ["d:/d"]}),
    )
    .await
    .ok();
    w.post(&format!("{base}/volumes"), json!({"name": "v", "driver": "local"}))
        .await
        .ok();
    w.post(&format!("{base}/registrationtokens"), json!({})).await.ok();
    w.wait(&format!("{base}/services/{service}"), "active").await;
    assert_eq!(w.list(&format!("{base}/containers?state=running")).await.len(), 3);
    (base, agent)
}

#[actix_web::test]
async fn a_project_that_sleeps_keeps_everything() {
    let w = World::new().await;
    let (base, _) = furnished(&w).await;
    w.act(&base, "deactivate", json!({}))
        .await
        .expect(200, json!({"state": "deactivating"}));
    let row = w.wait(&base, "inactive").await;
    assert_eq!(
        crate::support::actions(&row),
        [
            "activate",
            "defaultNetworkId",
            "delete",
            "remove",
            "setmembers",
            "update"
        ]
    );
    w.advance(std::time::Duration::from_secs(120)).await;
    assert_eq!(
        w.agents.lock().unwrap()["shop"].containers().len(),
        3,
        "what runs there goes on"
    );
    w.act(&base, "activate", json!({}))
        .await
        .expect(202, json!({"state": "activating"}));
    w.wait(&base, "active").await;
    assert_eq!(w.list(&format!("{base}/containers?state=running")).await.len(), 3);
    assert_eq!(w.list(&format!("{base}/hosts?state=active")).await.len(), 1);
}

#[actix_web::test]
async fn a_project_that_is_deleted_takes_hosts_and_what_runs_on_them_along() {
    for asleep in [false, true] {
        let w = World::new().await;
        let (base, agent) = furnished(&w).await;
        if asleep {
            w.act(&base, "deactivate", json!({})).await.ok();
            w.wait(&base, "inactive").await;
        }
        let state = if asleep { "removing" } else { "deactivating" };
        w.delete(&base)
            .await
            .expect(200, json!({"type": "collection", "data": [{"state": state}]}));
        w.wait(&base, "removed").await;
        w.advance(std::time::Duration::from_secs(10)).await;
        assert_eq!(w.show(&format!("/v2-beta/agents/{agent}")).await["state"], "removed");
        assert!(w.agents.lock().unwrap()["shop"].containers().is_empty());
        let account = base.rsplit('/').next().expect("an id").to_owned();
        for kind in [
            "stacks",
            "services",
            "instances",
            "hosts",
            "volumes",
            "storagepools",
            "ipaddresses",
            "registrationtokens",
            "networks",
        ] {
            let left = w
                .list(&format!("/v2-beta/{kind}?accountId={account}&removed_null"))
                .await;
            assert!(left.is_empty(), "{kind}: {left:#?}");
        }
        // The server's own host, of another project, is as it was; and one that is gone is not deleted twice.
        assert_eq!(w.list("hosts?state=active").await.len(), 1);
        w.delete(&base).await.refused(404, "Not Found");
        w.act(&base, "purge", json!({}))
            .await
            .expect(202, json!({"state": "purging"}));
        w.wait(&base, "purged").await;
    }
}
