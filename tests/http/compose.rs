//! Stacks from compose files: what is made of them, upgraded to them, and written as them.

use serde_json::{Value, json};

use crate::support::{World, actions, text};

const SHOP: &str = "
web:
  image: sim:web
  ports: ['8301:80']
  links: [db]
  labels: {io.rancher.sidekicks: 'log'}
  environment: {COLOR: '${COLOR}', PRICE: '5$$'}
log:
  image: sim:log
  net: 'container:web'
  volumes_from: [web]
db:
  image: sim:db
";

async fn stack(w: &World, name: &str, more: Value) -> String {
    let mut body = json!({"name": name});
    body.as_object_mut()
        .expect("an object")
        .extend(more.as_object().cloned().unwrap_or_default());
    let row = w
        .post("stacks", body)
        .await
        .expect(201, json!({"state": "activating", "transitioning": "yes"}));
    let id = text(&row, "id").to_owned();
    w.settle().await;
    id
}

/// The services of a stack, by name.
async fn services(w: &World, stack: &str) -> Vec<(String, Value)> {
    let mut found: Vec<(String, Value)> = w
        .list(&format!("services?stackId={stack}"))
        .await
        .into_iter()
        .map(|row| (text(&row, "name").to_owned(), row))
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

fn find<'a>(services: &'a [(String, Value)], name: &str) -> &'a Value {
    &services.iter().find(|(known, _)| known == name).expect(name).1
}

async fn export(w: &World, stack: &str) -> (String, String) {
    let answer = w.act(stack, "exportconfig", json!({})).await.ok();
    (
        text(&answer, "dockerComposeConfig").to_owned(),
        text(&answer, "rancherComposeConfig").to_owned(),
    )
}

#[actix_web::test]
async fn a_file_becomes_services_with_links_and_sidekicks() {
    let w = World::new().await;
    let files = json!({"dockerCompose": SHOP, "rancherCompose": "web: {scale: 2}\n", "environment": {"COLOR": "red"}});
    let id = stack(&w, "shop", files).await;
    w.get(&id).await.expect(
        200,
        json!({"state": "active", "transitioning": "no", "dockerCompose": SHOP}),
    );
    let found = services(&w, &id).await;
    assert_eq!(
        found.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["db", "web"]
    );
    let web = find(&found, "web");
    assert_eq!((text(web, "state"), &web["scale"]), ("inactive", &json!(2)));
    let launch = &web["launchConfig"];
    assert_eq!(launch["environment"], json!({"COLOR": "red", "PRICE": "5$"}));
    assert_eq!(launch["ports"], json!(["8301:80/tcp"]));
    let log = &web["secondaryLaunchConfigs"][0];
    assert_eq!(
        (
            text(log, "name"),
            text(log, "networkMode"),
            text(log, "networkLaunchConfig")
        ),
        ("log", "container", "web")
    );
    assert_eq!(log["dataVolumesFromLaunchConfigs"], json!(["web"]));
    assert_eq!(web["linkedServices"], json!({"db": find(&found, "db")["id"]}));
    assert!(w.sim().containers().is_empty());
}

#[actix_web::test]
async fn a_stack_that_is_to_start_starts_what_is_linked_to_first() {
    let w = World::new().await;
    let id = stack(&w, "shop", json!({"dockerCompose": SHOP, "startOnCreate": true})).await;
    for (name, row) in services(&w, &id).await {
        w.wait(text(&row, "id"), "active").await;
        w.get(text(&row, "id"))
            .await
            .expect(200, json!({"state": "active", "healthState": "healthy", "name": name}));
    }
    w.wait(&id, "active").await;
    assert_eq!(w.sim().containers().len(), 3);
    let warned = w.list("servicelogs?eventType=stack.import.warn").await;
    assert!(
        warned
            .iter()
            .any(|row| text(row, "description").contains("COLOR: the variable is not given")),
        "{warned:?}"
    );
}

#[actix_web::test]
async fn a_file_with_an_error_makes_nothing_and_says_where_it_is() {
    let w = World::new().await;
    for (number, (docker, rancher, words)) in [
        (
            "web:\n  image: sim:x\n  build: .\n",
            "",
            "service web: build: images are built of an address only",
        ),
        ("web:\n  image: sim:x\n  ports: [a]\n", "", "service web: ports: \"a\""),
        (
            "ok:\n  image: sim:x\nweb:\n  image: sim:x\n  links: [nobody]\n",
            "",
            "service web: links: there is no service nobody",
        ),
        ("ok:\n  image: sim:x\nweb:\n\timage: sim:x\n", "", "indented by a tab"),
        ("ok:\n  image: sim:x\nok:\n  image: sim:x\n", "", "\"ok\" stands twice"),
        (
            "ok:\n  image: sim:x\nmy_web:\n  image: sim:x\n",
            "",
            "service my_web: name (InvalidChar",
        ),
        ("web:\n  image: sim:x\n", "web:\n  scale: -1\n", "service web: scale"),
        (
            "web:\n  image: sim:x\n",
            "web:\n  scale: many\n",
            "service web: scale: \"many\" is not a whole number",
        ),
        (
            "web:\n  image: sim:x\n  cap_add: [EVERYTHING]\n",
            "",
            "service web: capAdd (InvalidOption)",
        ),
        (
            "web:\n  image: sim:x\n  volumes_from: [other]\nother: {image: sim:x}\n",
            "",
            "is referencing a service other",
        ),
        (
            "lb: {image: 'sim:rancher/lb-service-haproxy'}\n",
            "lb: {lb_config: {port_rules: [{source_port: 42, target_port: 80, selector: 'a=b'}]}}\n",
            "service lb: ",
        ),
        ("web: [1]\n", "", "service web: a map is needed"),
        (
            "web: {image: 'sim:x', labels: {io.rancher.container.create_agent: 'true', io.rancher.container.agent.role: environmentAdmin}}\n",
            "",
            "only a request of its own gives containers a key",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let files = json!({"dockerCompose": docker, "rancherCompose": rancher, "startOnCreate": true});
        let id = stack(&w, &format!("s{number}"), files).await;
        let row = w
            .get(&id)
            .await
            .expect(200, json!({"state": "error", "transitioning": "error"}));
        assert!(text(&row, "transitioningMessage").contains(words), "{words}: {row}");
        assert!(services(&w, &id).await.is_empty(), "{words}");
        w.delete(&id).await.expect(200, json!({"state": "removing"}));
    }
    // A file is never longer than a request.
    let long = "#".repeat(1 << 20);
    let answer = w.post("stacks", json!({"name": "long", "dockerCompose": long})).await;
    assert_eq!(answer.status, 413);
}

#[actix_web::test]
async fn what_has_no_effect_is_written_into_the_log_of_its_service() {
    let w = World::new().await;
    let file = "version: '3.8'\nservices:\n  web:\n    image: sim:x\n    restart: always\n    colour: red\n    networks: [a]\nnetworks: {a: {}}\n";
    let id = stack(&w, "s", json!({"dockerCompose": file})).await;
    let web = find(&services(&w, &id).await, "web").clone();
    let rows = w
        .list(&format!(
            "servicelogs?serviceId={}&eventType=stack.import.warn",
            text(&web, "id")
        ))
        .await;
    let mut said: Vec<&str> = rows.iter().map(|row| text(row, "description")).collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            "networks: all containers of a project are on one network",
            "service web: colour: is not known",
            "service web: networks: all containers of a project are on one network",
            "service web: restart: a service keeps its containers running; the label io.rancher.container.start_once says otherwise",
        ]
    );
}

#[actix_web::test]
async fn an_export_is_read_as_what_was_exported() {
    let w = World::new().await;
    let file = "
version: '2'
services:
  web:
    image: sim:web:1
    command: [sh, -c, 'echo $$HOME']
    labels: {io.rancher.sidekicks: log, a: 'b: c'}
    links: ['db:store']
    external_links: ['other/api:api']
    mem_limit: 64m
    ulimits: {nofile: {soft: 1, hard: 2}}
    volumes: ['data:/data', '/tmp:/t:ro']
    scale: 2
    health_check: {port: 80, interval: 2000, strategy: recreateOnQuorum, recreate_on_quorum_strategy_config: {quorum: 2}}
    metadata: {list: [1, two], deep: {yes: 'no'}}
  log: {image: sim:log, network_mode: 'container:web'}
  db: {image: sim:db}
  names: {image: rancher/dns-service, links: [db]}
  out: {image: rancher/external-service, external_ips: [10.1.2.3]}
volumes:
  data: {driver: local}
";
    let other = stack(&w, "other", json!({"dockerCompose": "api: {image: sim:api}\n"})).await;
    let first = stack(&w, "one", json!({"dockerCompose": file})).await;
    w.get(&first).await.expect(200, json!({"state": "active"}));
    let (docker, rancher) = export(&w, &first).await;
    assert!(
        docker.starts_with("version: '2'\r\nservices:\r\n  db:\r\n    image: sim:db\r\n"),
        "{docker}"
    );
    let second = stack(&w, "two", json!({"dockerCompose": docker, "rancherCompose": rancher})).await;
    w.get(&second).await.expect(200, json!({"state": "active"}));
    assert_eq!(export(&w, &second).await, (docker.clone(), rancher.clone()));
    let (ones, twos) = (services(&w, &first).await, services(&w, &second).await);
    assert_eq!(ones.len(), 4);
    for ((name, one), (_, two)) in ones.iter().zip(&twos) {
        for field in [
            "type",
            "launchConfig",
            "secondaryLaunchConfigs",
            "scale",
            "metadata",
            "externalIpAddresses",
            "healthCheck",
            "retainIp",
        ] {
            assert_eq!(one[field], two[field], "{name}: {field}");
        }
    }
    // Only some of it, and as files.
    let api = text(find(&services(&w, &other).await, "api"), "id").to_owned();
    let some = w.act(&other, "exportconfig", json!({"serviceIds": [api]})).await.ok();
    assert_eq!(
        text(&some, "dockerComposeConfig"),
        "version: '2'\r\nservices:\r\n  api:\r\n    image: sim:api\r\n"
    );
    let none = w
        .act(&other, "exportconfig", json!({"serviceIds": [text(&ones[0].1, "id")]}))
        .await
        .ok();
    assert_eq!(text(&none, "dockerComposeConfig"), "version: '2'\r\n");
}

#[actix_web::test]
async fn a_stack_is_upgraded_by_what_its_files_mean_and_rolled_back() {
    let w = World::new().await;
    let old = "web:\n  image: sim:web\n  links: [db]\ndb:\n  image: sim:db\n";
    let id = stack(
        &w,
        "shop",
        json!({"dockerCompose": old, "startOnCreate": true, "externalId": "one", "environment": {"A": "1"}}),
    )
    .await;
    for (_, row) in services(&w, &id).await {
        w.wait(text(&row, "id"), "active").await;
    }
    // The same in other words: nothing is upgraded.
    let same = "version: '2'\nservices:\n  db: {image: 'sim:db', restart: always}\n  web:\n    links: ['db:db']\n    image: sim:web\n";
    w.act(&id, "upgrade", json!({"dockerCompose": same}))
        .await
        .expect(202, json!({"state": "upgrading"}));
    w.wait(&id, "upgraded").await;
    assert!(
        services(&w, &id)
            .await
            .iter()
            .all(|(_, row)| text(row, "state") == "active")
    );
    w.act(&id, "finishupgrade", json!({}))
        .await
        .expect(202, json!({"state": "finishing-upgrade"}));
    w.wait(&id, "active").await;
    // One changes, one comes, and the scale that somebody chose stays.
    let web = text(find(&services(&w, &id).await, "web"), "id").to_owned();
    w.put(&web, json!({"scale": 2})).await.expect(200, json!({"scale": 2}));
    w.wait(&web, "active").await;
    let new = "web:\n  image: sim:web2\n  links: [db]\n  environment: {A: $A}\ndb:\n  image: sim:db\ncache:\n  image: sim:cache\n";
    let asked = json!({"dockerCompose": new, "environment": {"A": "2"}, "externalId": "two", "rancherCompose": "db: {metadata: {m: 1}}\n"});
    w.act(&id, "upgrade", asked)
        .await
        .expect(202, json!({"state": "upgrading"}));
    w.wait(&id, "upgraded").await;
    w.get(&id).await.expect(
        200,
        json!({"externalId": "two", "previousExternalId": "one", "environment": {"A": "2"}, "previousEnvironment": {"A": "1"}, "dockerCompose": new}),
    );
    let found = services(&w, &id).await;
    let states: Vec<(&str, &str)> = found
        .iter()
        .map(|(name, row)| (name.as_str(), text(row, "state")))
        .collect();
    assert_eq!(states, [("cache", "active"), ("db", "active"), ("web", "upgraded")]);
    let upgraded = find(&found, "web");
    assert_eq!(
        (&upgraded["launchConfig"]["environment"]["A"], &upgraded["scale"]),
        (&json!("2"), &json!(2))
    );
    assert_eq!(find(&found, "db")["metadata"], json!({"m": 1}));
    w.act(&id, "rollback", json!({}))
        .await
        .expect(202, json!({"state": "rolling-back"}));
    w.wait(&id, "active").await;
    w.settle().await;
    let row = w.get(&id).await.expect(
        200,
        json!({"state": "active", "externalId": "one", "previousExternalId": null, "environment": {"A": "1"}, "previousEnvironment": null, "dockerCompose": same}),
    );
    assert!(actions(&row).contains(&"upgrade"));
    let found = services(&w, &id).await;
    let web = find(&found, "web");
    assert_eq!(
        (text(web, "state"), text(&web["launchConfig"], "imageUuid")),
        ("active", "sim:web")
    );
    assert_eq!(find(&found, "db")["metadata"], json!(null));
}

#[actix_web::test]
async fn an_upgrade_with_an_error_is_refused_and_changes_nothing() {
    let w = World::new().await;
    let id = stack(&w, "s", json!({"dockerCompose": "web: {image: 'sim:x'}\n"})).await;
    let refusal = w
        .act(
            &id,
            "upgrade",
            json!({"dockerCompose": "web: {image: 'sim:x', build: .}\n"}),
        )
        .await;
    let refusal = refusal.refused(422, "InvalidFormat");
    assert!(text(&refusal, "message").contains("service web: build"), "{refusal}");
    let refusal = w
        .act(
            &id,
            "upgrade",
            json!({"dockerCompose": "web: {image: rancher/dns-service}\n"}),
        )
        .await;
    assert!(text(&refusal.refused(422, "InvalidFormat"), "message").contains("cannot become a dnsService"));
    w.get(&id).await.expect(
        200,
        json!({"state": "active", "dockerCompose": "web: {image: 'sim:x'}\n"}),
    );
}

#[actix_web::test]
async fn a_stack_is_read_as_files_by_links() {
    let w = World::new().await;
    let id = stack(&w, "s", json!({"dockerCompose": "web: {image: 'sim:x'}\n"})).await;
    let row = w.show(&id).await;
    assert!(row["links"].get("composeConfig").is_some(), "{row}");
    let read = async |link: &str, media: &str| {
        let answer = w.get(&format!("stacks/{id}/{link}")).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some(media)),
            "{link}"
        );
        answer.body.as_str().expect("no JSON").to_owned()
    };
    let plain = "text/plain; charset=utf-8";
    let docker = read("dockercomposeconfig", plain).await;
    assert_eq!(docker, "version: '2'\r\nservices:\r\n  web:\r\n    image: sim:x\r\n");
    let rancher = read("rancherComposeConfig", plain).await;
    assert!(rancher.starts_with("version: '2'\r\nservices:\r\n  web:\r\n    scale: 1\r\n"));
    let zip = read("composeConfig", "application/zip").await;
    assert!(zip.starts_with("PK\u{3}\u{4}") && zip.contains(&docker) && zip.contains(&rancher));
    assert_eq!(zip, read("composeconfig", "application/zip").await);
    w.get("stacks/1st999999/composeconfig").await.refused(404, "Not Found");
}

#[actix_web::test]
async fn a_balancer_is_made_after_what_it_balances_and_stays_the_same() {
    let w = World::new().await;
    let docker = "lb: {image: 'sim:rancher/lb-service-haproxy', ports: ['80:80']}\nweb: {image: 'sim:web'}\n";
    let rancher = "lb:\n  lb_config:\n    port_rules: [{source_port: 80, target_port: 8080, service: web}]\n";
    let files = json!({"dockerCompose": docker, "rancherCompose": rancher, "startOnCreate": true});
    let id = stack(&w, "s", files).await;
    let found = services(&w, &id).await;
    let lb = find(&found, "lb");
    assert_eq!(text(lb, "type"), "loadBalancerService");
    let rule = &lb["lbConfig"]["portRules"][0];
    assert_eq!(
        (&rule["serviceId"], &rule["targetPort"], &rule["selector"]),
        (&find(&found, "web")["id"], &json!(8080), &Value::Null)
    );
    w.wait(text(lb, "id"), "active").await;
    // The link that follows from a rule is no link of the file: an upgrade leaves it, and no export has it.
    let linked = async || {
        w.list(&format!("serviceconsumemaps?serviceId={}", text(lb, "id")))
            .await
            .len()
    };
    assert_eq!(linked().await, 1);
    let (first, _) = export(&w, &id).await;
    assert!(!first.contains("links"), "{first}");
    w.act(
        &id,
        "upgrade",
        json!({"dockerCompose": format!("{docker}# the same\n")}),
    )
    .await
    .expect(202, json!({"state": "upgrading"}));
    w.wait(&id, "upgraded").await;
    w.get(text(lb, "id")).await.expect(200, json!({"state": "active"}));
    assert_eq!(linked().await, 1);
    let (docker, rancher) = export(&w, &id).await;
    assert_eq!(docker, first);
    // The check that a balancer is given is read as it was written, too.
    let again = stack(&w, "t", json!({"dockerCompose": docker, "rancherCompose": rancher})).await;
    assert_eq!(export(&w, &again).await, (docker.clone(), rancher.clone()));
    assert!(
        rancher.contains("service: web") && !rancher.contains("type:"),
        "{docker}{rancher}"
    );
    let finished = w.act(&id, "finishupgrade", json!({})).await;
    finished.expect(202, json!({"state": "finishing-upgrade"}));
    w.wait(&id, "active").await;
    let files = json!({"dockerCompose": docker, "rancherCompose": rancher});
    w.act(&id, "upgrade", files)
        .await
        .expect(202, json!({"state": "upgrading"}));
    w.wait(&id, "upgraded").await;
    w.get(text(lb, "id")).await.expect(200, json!({"state": "active"}));
}

#[actix_web::test]
async fn a_compose_project_is_a_stack_of_its_templates() {
    let w = World::new().await;
    let templates = json!({"docker-compose.yml": "web:\n  image: sim:x\n  environment: {WHO: $WHO}\n"});
    let body = json!({"name": "cp", "templates": templates, "environment": {"WHO": "me"}});
    let made = w.post("composeprojects", body.clone()).await;
    let made = made.expect(
        201,
        json!({"type": "composeProject", "baseType": "stack", "state": "activating", "templates": templates}),
    );
    let id = text(&made, "id").to_owned();
    let row = w.wait(&id, "active").await;
    let services = w.list(&format!("services?stackId={id}")).await;
    assert_eq!(row["serviceIds"], json!([services[0]["id"]]));
    assert_eq!(services[0]["name"], "web");
    assert_eq!(services[0]["launchConfig"]["environment"], json!({"WHO": "me"}));
    let projects = w.list("composeprojects").await;
    assert_eq!(projects[0]["id"], id);
    // Its files are checked as those of any stack, and its name is one among them.
    w.post("composeprojects", body).await.refused(422, "NotUnique");
    w.post("composeprojects", json!({"name": "none"}))
        .await
        .expect(422, json!({"code": "MissingRequired", "fieldName": "templates"}));
    let bad = json!({"name": "bad", "templates": {"docker-compose.yml": "web: [1]\n"}});
    let bad = text(&w.post("composeprojects", bad).await.ok(), "id").to_owned();
    let bad = w.wait(&bad, "error").await;
    assert_eq!(
        bad["transitioningMessage"],
        "docker-compose.yml: service web: a map is needed (line 1)"
    );
    w.delete(&id).await.ok();
    w.wait(&id, "removed").await;
    assert!(w.list(&format!("services?stackId={id}")).await.is_empty());
}
