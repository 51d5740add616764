//! Services that wait until what they are linked to is healthy.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, text};

const HEALTH_CHECK: &str = r#"{"port": 80, "interval": 1000, "healthyThreshold": 2, "responseTimeout": 500}"#;

/// A service that waits for these, not activated.
async fn waiting(w: &World, stack: &str, name: &str, links: &[&str]) -> String {
    let labels = json!({"io.drover.depends_on": "healthy"});
    let id = w
        .service(stack, name, json!({"launchConfig": {"labels": labels}}))
        .await;
    for link in links {
        let link = json!({"serviceLink": {"serviceId": link}});
        w.act(&id, "addservicelink", link).await.ok();
    }
    id
}

/// A service with a health check that fails until somebody says otherwise.
async fn ailing(w: &World, stack: &str, name: &str) -> String {
    let check: Value = serde_json::from_str(HEALTH_CHECK).expect("JSON");
    let config = json!({"healthCheck": check, "labels": {"sim.health": "unhealthy"}});
    w.service(stack, name, json!({"launchConfig": config})).await
}

async fn get_well(w: &World, container: &str) {
    let uuid = w.uuid(container).await;
    w.sim().set_health(&uuid, drover::runtime::sim::Health::Healthy);
}

async fn starts(w: &World, id: &str) {
    w.act(id, "activate", json!({})).await.ok();
    w.settle().await;
}

async fn says(w: &World, id: &str) -> (String, String) {
    let row = w.show(id).await;
    (
        text(&row, "state").to_owned(),
        text(&row, "transitioningMessage").to_owned(),
    )
}

#[actix_web::test]
async fn a_service_starts_when_what_it_is_linked_to_is_healthy() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let db = ailing(&w, &stack, "db").await;
    let web = waiting(&w, &stack, "web", &[&db]).await;
    let waits = ("activating".to_owned(), "Waiting for db to be healthy".to_owned());
    starts(&w, &web).await;
    assert_eq!(says(&w, &web).await, waits, "it is not even active");
    starts(&w, &db).await;
    w.wait(&db, "active").await;
    w.advance(Duration::from_secs(60)).await;
    assert_eq!(says(&w, &web).await, waits, "it is active, and not healthy");
    w.restart().await;
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(says(&w, &web).await, waits, "and so it is after a death");
    assert!(w.containers(&web).await.is_empty());
    get_well(&w, "s-db-1").await;
    w.wait(&web, "active").await;
    assert_eq!(w.picture(&web).await, ["s-web-1 running"]);
    // What becomes of it later is no reason to stop.
    w.act(&db, "deactivate", json!({})).await.ok();
    w.wait(&db, "inactive").await;
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(w.show(&web).await["state"], "active");
    // Activated anew, it waits anew, and for no longer than the link is there.
    w.act(&web, "deactivate", json!({})).await.ok();
    w.wait(&web, "inactive").await;
    starts(&w, &web).await;
    assert_eq!(says(&w, &web).await, waits);
    w.act(&web, "removeservicelink", json!({"serviceLink": {"serviceId": db}}))
        .await
        .ok();
    w.wait(&web, "active").await;
}

#[actix_web::test]
async fn a_service_without_the_label_does_not_wait() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let db = ailing(&w, &stack, "db").await;
    let web = w.service(&stack, "web", json!({})).await;
    w.act(&web, "addservicelink", json!({"serviceLink": {"serviceId": db}}))
        .await
        .ok();
    starts(&w, &web).await;
    w.wait(&web, "active").await;
}

#[actix_web::test]
async fn services_that_wait_for_each_other_start_and_say_so() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let c = waiting(&w, &stack, "c", &[]).await;
    let b = waiting(&w, &stack, "b", &[&c]).await;
    let a = waiting(&w, &stack, "a", &[&b]).await;
    w.act(&c, "addservicelink", json!({"serviceLink": {"serviceId": a}}))
        .await
        .ok();
    w.act(&stack, "activateservices", json!({})).await.ok();
    for id in [&a, &b, &c] {
        w.wait(id, "active").await;
    }
    let mut said = Vec::new();
    for row in w.list("servicelogs?sort=id&limit=200").await {
        let line = text(&row, "description").to_owned();
        if line.starts_with("Not waiting") {
            said.push(line);
        }
    }
    assert!(
        !said.is_empty() && said.iter().all(|line| line.ends_with("which waits for this service")),
        "{said:?}"
    );
}

#[actix_web::test]
async fn files_bring_up_a_stack_in_the_order_of_its_health() {
    let w = World::new().await;
    let docker = "web:\n  image: sim:web\n  links: [db]\n  labels:\n    io.drover.depends_on: healthy\ndb:\n  image: sim:db\n  labels:\n    sim.health: unhealthy\n";
    let rancher = "db:\n  scale: 1\n  health_check:\n    port: 80\n    interval: 1000\n    healthy_threshold: 2\n    unhealthy_threshold: 3\n    response_timeout: 500\n";
    let body = json!({"name": "files", "startOnCreate": true, "dockerCompose": docker, "rancherCompose": rancher});
    w.post("stacks", body).await.ok();
    w.advance(Duration::from_secs(20)).await;
    let web = w.list("services?name=web").await.remove(0);
    assert_eq!(web["transitioningMessage"], "Waiting for db to be healthy");
    get_well(&w, "files-db-1").await;
    w.wait(text(&web, "id"), "active").await;
}

#[actix_web::test]
async fn what_is_depended_on_is_healthy_or_nothing() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let before = w.stored();
    let labels = json!({"io.drover.depends_on": "started"});
    let body = json!({"name": "web", "stackId": stack, "launchConfig": {"imageUuid": "sim:web", "labels": labels}});
    let body = w.post("services", body).await.refused(422, "InvalidOption");
    assert_eq!(body["fieldName"], "launchConfig.labels");
    assert!(text(&body, "message").contains("io.drover.depends_on"), "{body}");
    assert_eq!(w.stored(), before);
}

/// Services of which each is linked to the one before it, none of them activated.
async fn chain(w: &World, stack: &str, length: usize, waits: bool) -> Vec<String> {
    let mut chain: Vec<String> = Vec::new();
    for n in 0..length {
        let name = format!("s{n}");
        let links: Vec<&str> = chain.last().into_iter().map(String::as_str).collect();
        let id = match waits {
            true => waiting(w, stack, &name, &links).await,
            false => {
                let id = w.service(stack, &name, json!({})).await;
                for link in links {
                    // By its name, which is found again each time.
                    let link = json!({"serviceLink": {"service": w.show(link).await["name"]}});
                    w.act(&id, "addservicelink", link).await.ok();
                }
                id
            }
        };
        chain.push(id);
    }
    chain
}

#[actix_web::test]
async fn a_chain_of_links_comes_up_without_a_second_for_each() {
    for waits in [false, true] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let chain = chain(&w, &stack, 6, waits).await;
        let began = w.clock_ms();
        w.act(&stack, "activateservices", json!({})).await.ok();
        for _ in &chain {
            w.pass().await;
        }
        assert_eq!(w.clock_ms(), began, "the clock stands still");
        let mut made = Vec::new();
        for id in &chain {
            assert_eq!(w.show(id).await["state"], "active", "{id}, waits for health: {waits}");
            made.push(w.containers(id).await.remove(0)["id"].clone());
        }
        let mut sorted = made.clone();
        sorted.sort_by_key(|id| text(&json!({"id": id}), "id").to_owned());
        assert_eq!(made, sorted, "one after the other");
    }
}

#[actix_web::test]
async fn who_waits_goes_on_at_once_without_its_link_or_what_it_leads_to() {
    for removes in [false, true] {
        let w = World::new().await;
        let stack = w.stack("s").await;
        let db = ailing(&w, &stack, "db").await;
        let web = waiting(&w, &stack, "web", &[&db]).await;
        starts(&w, &web).await;
        assert_eq!(w.show(&web).await["state"], "activating");
        let began = w.clock_ms();
        match removes {
            true => w.delete(&db).await,
            false => {
                let link = json!({"serviceLink": {"serviceId": db}});
                w.act(&web, "removeservicelink", link).await
            }
        }
        .ok();
        w.pass().await;
        w.pass().await;
        assert_eq!(w.show(&web).await["state"], "active", "with db removed: {removes}");
        assert_eq!(w.clock_ms(), began, "the clock stands still");
    }
}
