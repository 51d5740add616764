//! Templates in the texts of a launch configuration: what they stand for is put in for each container.

use actix_web::http::Method;
use serde_json::{Value, json};

use crate::docker_services::{get, made, native, post, show, until, update, web};
use crate::host_policy::House;
use crate::support::{World, text};

fn with(container: Value) -> Value {
    let mut spec = web(json!({}));
    for (key, value) in container.as_object().into_iter().flatten() {
        spec["TaskTemplate"]["ContainerSpec"][key] = value.clone();
    }
    spec
}

/// The containers of the only service.
async fn containers(w: &World) -> Vec<Value> {
    let id = text(&native(w).await, "id").to_owned();
    w.containers(&id).await
}

#[actix_web::test]
async fn dockers_templates_are_put_in_for_each_container() {
    let w = World::new().await;
    let mut spec = with(json!({
        "Hostname": "{{.Service.Name}}-{{.Task.Slot}}",
        "Env": ["WHERE={{ .Node.Hostname }} {{.Node.Platform.OS}}", "IDS={{.Service.ID}} {{.Node.ID}} {{.Task.ID}}", "NAME={{.Task.Name}}", "PLAIN=}}x"],
        "Mounts": [{"Type": "volume", "Source": "data-{{.Task.Slot}}", "Target": "/d"},
            {"Type": "bind", "Source": "/srv/{{.Service.Name}}", "Target": "/{{.Node.ID}}"}],
    }));
    spec["Mode"] = json!({"Replicated": {"Replicas": 2}});
    let id = made(&w, spec.clone()).await;
    let node = get(&w, "/nodes").await.ok()[0].clone();
    let (node_id, hostname) = (text(&node, "ID"), text(&node["Description"], "Hostname"));
    let tasks = get(&w, "/tasks").await.ok();
    for (n, row) in containers(&w).await.iter().enumerate() {
        let slot = n + 1;
        let all = tasks.as_array().expect("tasks");
        let task = all.iter().find(|task| task["Slot"] == slot).expect("a task");
        let task = text(task, "ID");
        assert_eq!(row["hostname"], format!("web-{slot}"));
        assert_eq!(
            row["environment"],
            json!({"WHERE": format!("{hostname} linux"), "IDS": format!("{id} {node_id} {task}"),
                "NAME": format!("web.{slot}.{task}"), "PLAIN": "}}x"})
        );
        let volumes = [format!("data-{slot}:/d"), format!("/srv/web:/{node_id}")];
        assert_eq!(row["dataVolumes"], json!(volumes));
        let volume = w.list(&format!("volumes?name=data-{slot}")).await;
        assert_eq!(volume.len(), 1, "a volume of its own");
    }
    let shown = show(&w, &id).await;
    for field in ["Hostname", "Env", "Mounts"] {
        let own = &shown["Spec"]["TaskTemplate"]["ContainerSpec"][field];
        assert_eq!(*own, spec["TaskTemplate"]["ContainerSpec"][field], "as it was sent");
    }
    assert!(
        show(&w, &id).await.get("UpdateStatus").is_none(),
        "nothing differs from what was asked for"
    );
    // An upgrade puts in what holds for the new containers, and the way back the old text.
    spec["TaskTemplate"]["ContainerSpec"]["Hostname"] = json!("new-{{.Task.Slot}}");
    assert_eq!(update(&w, &id, spec).await.status, 200);
    until(&w, &id, "completed").await;
    let names: Vec<Value> = containers(&w).await.iter().map(|row| row["hostname"].clone()).collect();
    assert_eq!(names, ["new-1", "new-2"]);

    for (container, field) in [
        (
            json!({"Hostname": "{{.Nobody}}"}),
            "ContainerSpec.Hostname: {{.Nobody}}",
        ),
        (json!({"Env": ["A={{if .x}}y{{end}}"]}), "ContainerSpec.Env: {{if .x}}"),
        (
            json!({"Env": ["A={{.Stack.Name}}"]}),
            "ContainerSpec.Env: {{.Stack.Name}}",
        ),
        (json!({"Env": ["{{.Task.Slot}}=1"]}), "ContainerSpec.Env: names"),
        (
            json!({"Mounts": [{"Type": "volume", "Source": "v", "Target": "/d", "VolumeOptions": {"Labels": {"a": "{{.Task.Slot}}"}}}]}),
            "ContainerSpec.Mounts: labels",
        ),
    ] {
        let mut spec = with(container);
        spec["Name"] = json!("other");
        let refused = post(&w, "/services/create", spec).await;
        assert_eq!(refused.status, 501, "{field}: {}", refused.body);
        assert!(text(&refused.body, "message").starts_with(field), "{}", refused.body);
    }
}

#[actix_web::test]
async fn a_label_makes_templates_of_the_texts_of_any_service() {
    let w = World::new().await;
    let stack = w.stack("shop").await;
    let launch = |label: Value| {
        json!({"imageUuid": "sim:web", "hostname": "{{.Stack.Name}}-{{.Service.Name}}-{{.Task.Slot}}", "labels": label,
            "environment": {"IDS": "{{.Service.ID}} {{.Node.ID}} {{.Task.ID}} {{.Task.Name}}"}, "dataVolumes": ["{{.Node.Hostname}}:/d"]})
    };
    let labelled = launch(json!({"io.drover.templates": "rancher"}));
    let service = w.running(&stack, "web", json!({"launchConfig": labelled})).await;
    let row = w.containers(&service).await[0].clone();
    let (host, id) = (text(&row, "hostId").to_owned(), text(&row, "id").to_owned());
    let service_id = service.trim_start_matches("services/");
    assert_eq!(row["hostname"], "shop-web-1");
    assert_eq!(
        row["environment"]["IDS"],
        format!("{service_id} {host} {id} shop-web-1")
    );
    let plain = w
        .running(
            &stack,
            "plain",
            json!({"launchConfig": {"imageUuid": "sim:web", "hostname": "{{.Task.Slot}}"}}),
        )
        .await;
    assert_eq!(
        w.containers(&plain).await[0]["hostname"],
        "{{.Task.Slot}}",
        "without the label it is a text"
    );
    let mut wrong = launch(json!({"io.drover.templates": "rancher"}));
    wrong["hostname"] = json!("{{.Nobody}}");
    for wrong in [wrong, launch(json!({"io.drover.templates": "true"}))] {
        let refused = w
            .post(
                "services",
                json!({"name": "x", "stackId": stack, "launchConfig": wrong}),
            )
            .await;
        assert_eq!(refused.status, 422);
        assert!(
            refused.body.to_string().contains("label io.drover.templates:"),
            "{}",
            refused.body
        );
    }
    let alone = w
        .post(
            "containers",
            json!({"imageUuid": "sim:web", "labels": {"io.drover.templates": "rancher"}}),
        )
        .await;
    assert!(
        alone.status == 422 && alone.body.to_string().contains("is for containers of services"),
        "{}",
        alone.body
    );
}

#[actix_web::test]
async fn a_template_leads_to_no_place_that_a_policy_does_not_allow() {
    let house = House::new().await;
    let stack = house.made("stacks", json!({"name": "s"})).await;
    let policy = |binds: Value| json!({"hostPolicy": {"binds": binds}});
    let sent = async |volume: &str| {
        let launch =
            json!({"imageUuid": "sim:web", "dataVolumes": [volume], "labels": {"io.drover.templates": "rancher"}});
        let body = json!({"name": "x", "stackId": stack, "scale": 0, "launchConfig": launch});
        let answer = house.post("v2-beta", "services", body).await;
        if answer.status == 201 {
            let id = text(&answer.body, "id").to_owned();
            let path = format!("/v2-beta/services/{id}");
            house.send(&house.project, Method::DELETE, &path, json!({})).await;
            house.w.settle().await;
        }
        answer.status
    };
    for (binds, volume, status) in [
        (json!(["/srv"]), "/srv/{{.Service.Name}}:/d", 201),
        (json!(["/srv"]), "/srv{{.Service.Name}}:/d", 422),
        (json!(["/srv"]), "/{{.Service.Name}}/a:/d", 422),
        // Who is called so would have the engine's socket.
        (json!(["/var/run"]), "/var/run/{{.Service.Name}}.sock:/d", 422),
        (json!(["/"]), "/{{.Service.Name}}:/d", 422),
        (json!([]), "data-{{.Task.Slot}}:/d", 201),
    ] {
        let path = format!("/v2-beta/projects/{}", house.project);
        house
            .send("ADMIN", Method::PUT, &path, policy(binds.clone()))
            .await
            .ok();
        assert_eq!(sent(volume).await, status, "{binds} {volume}");
    }
}

#[actix_web::test]
async fn what_selinux_is_told_is_an_option_of_the_engine() {
    let w = World::new().await;
    let context = json!({"Disable": true, "User": "u", "Role": "", "Type": "t", "Level": ""});
    let id = made(
        &w,
        with(json!({"Privileges": {"CredentialSpec": null, "SELinuxContext": context}})),
    )
    .await;
    let launch = native(&w).await["launchConfig"].clone();
    assert_eq!(
        launch["securityOpt"],
        json!(["label=user:u", "label=type:t", "label=disable"])
    );
    let shown = show(&w, &id).await;
    assert_eq!(
        shown["Spec"]["TaskTemplate"]["ContainerSpec"]["Privileges"]["SELinuxContext"],
        context
    );
    let mut credentials = with(json!({"Privileges": {"CredentialSpec": {"File": "x"}}}));
    credentials["Name"] = json!("other");
    assert_eq!(post(&w, "/services/create", credentials).await.status, 501);
}
