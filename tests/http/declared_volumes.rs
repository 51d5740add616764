//! Volumes that a stack declares: templates by request or by file, shared ones, and those that each container has for itself.

use serde_json::{Value, json};

use crate::support::{World, text};

/// The volumes that rows have, by name, with their states.
async fn volumes(w: &World) -> Vec<(String, String)> {
    let rows = w.list("volumes?sort=id&removed_null=1").await;
    rows.iter()
        .map(|row| (text(row, "name").to_owned(), text(row, "state").to_owned()))
        .collect()
}

fn names(volumes: &[(String, String)]) -> Vec<&str> {
    volumes.iter().map(|(name, _)| name.as_str()).collect()
}

async fn template(w: &World, stack: &str, name: &str, more: Value) -> Value {
    let mut body = json!({"name": name, "stackId": stack, "driver": "local"});
    crate::support::lay_over(&mut body, more);
    let made = w.post("volumetemplates", body).await.expect(
        201,
        json!({"type": "volumeTemplate", "name": name, "stackId": stack, "state": "registering"}),
    );
    w.settle().await;
    w.show(&format!("volumetemplates/{}", text(&made, "id"))).await
}

#[actix_web::test]
async fn a_template_is_made_by_request_and_belongs_to_its_stack() {
    let w = World::new().await;
    let stack = w.stack("app").await;
    let made = template(&w, &stack, "data", json!({"driverOpts": {"size": "1"}})).await;
    assert_eq!(made["driverOpts"], json!({"size": "1"}), "{made}");
    // A file of nothing more than this says the same.
    let listed = w.list(&format!("stacks/{stack}/volumetemplates")).await;
    assert_eq!(listed.len(), 1, "{listed:?}");
    for (body, status, code, field) in [
        (json!({"name": "data", "stackId": stack}), 422, "NotUnique", "name"),
        (json!({"name": "more"}), 422, "MissingRequired", "stackId"),
        (json!({"stackId": stack}), 422, "MissingRequired", "name"),
        (
            json!({"name": "more", "stackId": "1st999"}),
            422,
            "InvalidReference",
            "stackId",
        ),
        (
            json!({"name": "more", "stackId": stack, "external": true, "perContainer": true}),
            422,
            "InvalidOption",
            "perContainer",
        ),
    ] {
        let answer = w.post("volumetemplates", body).await.refused(status, code);
        assert_eq!(answer["fieldName"], field, "{answer}");
    }
    // A service that names it gets the stack's own, which knows where it comes from.
    let web = w
        .running(
            &stack,
            "web",
            json!({"launchConfig": {"dataVolumes": ["data:/data", "other:/o"]}}),
        )
        .await;
    assert_eq!(names(&volumes(&w).await), ["app_data", "other"]);
    let row = w.list("volumes?name=app_data").await.remove(0);
    assert_eq!(row["volumeTemplateId"], made["id"], "{row}");
    assert_eq!(row["stackId"], *stack, "{row}");
    let of_template = w.list(&format!("volumetemplates/{}/volumes", text(&made, "id"))).await;
    assert_eq!(of_template.len(), 1, "{of_template:?}");
    let files = w.act(&stack, "exportconfig", json!({})).await.ok();
    let docker = text(&files, "dockerComposeConfig");
    assert!(
        docker.contains("volumes:\r\n  data:\r\n    driver: local\r\n    driver_opts:\r\n      size: '1'\r\n"),
        "{docker}"
    );
    // It outlives who uses it.
    w.delete(&web).await.ok();
    w.settle().await;
    assert!(
        volumes(&w)
            .await
            .contains(&("app_data".to_owned(), "detached".to_owned())),
        "{:?}",
        volumes(&w).await
    );
    let more = template(&w, &stack, "more", json!({})).await;
    let more = format!("volumetemplates/{}", text(&more, "id"));
    w.act(&more, "remove", json!({})).await.ok();
    w.settle().await;
    assert_eq!(w.list("volumetemplates").await.len(), 1);
    w.delete(&stack).await.ok();
    w.settle().await;
    assert!(w.list("volumetemplates").await.is_empty());
    let late = json!({"name": "late", "stackId": stack});
    w.post("volumetemplates", late).await.refused(422, "InvalidReference");
}

#[actix_web::test]
async fn each_container_has_its_own_volume_until_its_unit_goes() {
    let w = World::new().await;
    let stack = w.stack("app").await;
    let made = template(&w, &stack, "data", json!({"perContainer": true})).await;
    assert_eq!(made["perContainer"], true, "{made}");
    let launch = json!({"imageUuid": "sim:db:1", "dataVolumes": ["data:/data"]});
    let db = w
        .running(&stack, "db", json!({"scale": 2, "launchConfig": launch}))
        .await;
    let first = volumes(&w).await;
    assert_eq!(first.len(), 2, "{first:?}");
    let units: Vec<String> = w
        .containers(&db)
        .await
        .iter()
        .map(|row| text(row, "deploymentUnitUuid").to_owned())
        .collect();
    for (index, unit) in units.iter().enumerate() {
        let name = format!("app_data_{}_{unit}", index + 1);
        assert!(first.contains(&(name.clone(), "active".into())), "{name}: {first:?}");
    }
    let row = w.list(&format!("volumes?name={}", first[0].0)).await.remove(0);
    assert_eq!(
        (&row["volumeTemplateId"], &row["stackId"]),
        (&made["id"], &json!(stack))
    );

    // Whoever comes in a container's place has it again.
    let old = w.containers(&db).await.remove(1);
    w.delete(text(&old, "id")).await.ok();
    w.settle().await;
    w.wait(&db, "active").await;
    assert_eq!(w.containers(&db).await.len(), 2);
    assert_eq!(volumes(&w).await, first);
    // So has the successor in an upgrade, and what a rollback brings back.
    let new = json!({"inServiceStrategy": {"launchConfig": {"imageUuid": "sim:db:2", "dataVolumes": ["data:/data"]}}});
    w.act(&db, "upgrade", new).await.ok();
    w.wait(&db, "upgraded").await;
    assert_eq!(volumes(&w).await, first);
    w.act(&db, "rollback", json!({})).await.ok();
    w.wait(&db, "active").await;
    w.settle().await;
    assert_eq!(volumes(&w).await, first);
    assert_eq!(w.sim().count("remove_volume"), 0);

    // A unit less: its volume goes, the other stays.
    w.put(&db, json!({"scale": 1})).await.ok();
    w.settle().await;
    w.wait(&db, "active").await;
    w.settle().await;
    assert_eq!(volumes(&w).await, first[..1].to_vec());
    let gone = format!("remove_volume {}", first[1].0);
    assert!(w.sim().calls().contains(&gone), "{:?}", w.sim().calls());
    // Stopped containers keep theirs; it goes with the service.
    w.act(&db, "deactivate", json!({})).await.ok();
    w.wait(&db, "inactive").await;
    assert_eq!(names(&volumes(&w).await), [first[0].0.as_str()]);
    w.delete(&db).await.ok();
    w.settle().await;
    assert!(volumes(&w).await.is_empty(), "{:?}", volumes(&w).await);
    assert_eq!(w.sim().count("remove_volume"), 2);
}

#[actix_web::test]
async fn a_unit_comes_back_to_the_host_that_has_its_volume() {
    let w = World::with_hosts(&["a", "b"]).await;
    let stack = w.stack("app").await;
    template(&w, &stack, "data", json!({"perContainer": true})).await;
    let launch = json!({"imageUuid": "sim:db:1", "dataVolumes": ["data:/data"]});
    let db = w.running(&stack, "db", json!({"launchConfig": launch})).await;
    let host = text(&w.containers(&db).await[0], "hostId").to_owned();
    // By the number of containers it would be the other one from now on.
    for n in 0..3 {
        let body = json!({"imageUuid": "sim:one", "name": format!("c{n}"), "requestedHostId": host});
        w.post("containers", body).await.ok();
    }
    w.settle().await;
    let volume = volumes(&w).await;
    let back = async |w: &World| {
        let old = w.containers(&db).await.remove(0);
        w.delete(text(&old, "id")).await.ok();
        w.settle().await;
        w.wait(&db, "active").await;
        text(&w.containers(&db).await[0], "hostId").to_owned()
    };
    assert_eq!(back(&w).await, host);
    assert_eq!(volumes(&w).await, volume);
    // Nothing new comes to a host that is taken out of service: it begins anew on the other one.
    w.act(&host, "deactivate", json!({})).await.ok();
    w.wait(&host, "inactive").await;
    assert_ne!(back(&w).await, host);
}

#[actix_web::test]
async fn files_declare_volumes_of_containers_and_are_written_with_them() {
    let w = World::new().await;
    let docker = "
version: '2'
services:
  db: {image: 'sim:db', volumes: ['data:/data', 'old:/old', 'plain:/plain']}
volumes:
  data: {per_container: true, driver: local}
  old: {external: {name: nightly}}
";
    let body = json!({"name": "app", "dockerCompose": docker, "startOnCreate": true});
    let stack = text(&w.post("stacks", body).await.ok(), "id").to_owned();
    w.settle().await;
    w.wait(&stack, "active").await;
    w.settle().await;
    let found = volumes(&w).await;
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].0.starts_with("app_data_1_"), "{found:?}");
    assert_eq!(&names(&found)[1..], ["nightly", "plain"]);
    let files = w.act(&stack, "exportconfig", json!({})).await.ok();
    let written = text(&files, "dockerComposeConfig");
    for part in [
        "    - data:/data\r\n    - nightly:/old\r\n",
        "  data:\r\n    driver: local\r\n    per_container: true\r\n",
        "  nightly:\r\n    external: true\r\n",
    ] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    let again = json!({"name": "two", "dockerCompose": written});
    let again = text(&w.post("stacks", again).await.ok(), "id").to_owned();
    w.settle().await;
    let files = w.act(&again, "exportconfig", json!({})).await.ok();
    assert_eq!(text(&files, "dockerComposeConfig"), written);
}
