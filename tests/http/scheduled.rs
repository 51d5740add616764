//! Services with a schedule: containers that run once are started anew at each time.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{World, text};

const MINUTE: Duration = Duration::from_secs(60);

fn job(image: &str, schedule: &str) -> Value {
    json!({"launchConfig": {"imageUuid": image, "labels": {
        "io.rancher.container.start_once": "true", "io.drover.schedule": schedule,
    }}})
}

/// The runs of a service in its log, oldest first: what is said, and whether it has ended.
async fn runs(w: &World, service: &str) -> Vec<(String, bool)> {
    let path = format!("servicelogs?serviceId={service}&eventType=service.schedule&sort=id&limit=200");
    let rows = w.list(&path).await;
    rows.iter()
        .map(|row| (text(row, "description").to_owned(), !row["endTime"].is_null()))
        .collect()
}

async fn start_count(w: &World, service: &str) -> i64 {
    w.containers(service).await[0]["startCount"]
        .as_i64()
        .unwrap_or_default()
}

/// Lets time pass until it is a whole minute by the clock of the server.
async fn next_minute(w: &World) {
    let rest = 60_000 - w.clock_ms().rem_euclid(60_000);
    w.advance(Duration::from_millis(rest.unsigned_abs())).await;
}

#[actix_web::test]
async fn a_job_runs_at_each_time_and_its_log_says_how_it_ended() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "job", job("sim:exit:3:5000", "* * * * *")).await;
    next_minute(&w).await;
    w.advance(Duration::from_secs(2)).await;
    assert_eq!(start_count(&w, &id).await, 2);
    let first = runs(&w, &id).await;
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(
        first[0].0.starts_with("Running, as scheduled for 20") && !first[0].1,
        "{first:?}"
    );
    w.advance(Duration::from_secs(10)).await;
    let ended = runs(&w, &id).await;
    assert!(
        ended[0].0.ends_with(": s-job-1 exited with code 3") && ended[0].1,
        "{ended:?}"
    );
    let container = w.containers(&id).await.remove(0);
    assert_eq!(
        (text(&container, "state"), &container["healthState"]),
        ("stopped", &Value::Null)
    );
    w.advance(2 * MINUTE).await;
    assert_eq!(start_count(&w, &id).await, 4);
    assert_eq!(runs(&w, &id).await.len(), 3);
    let row = w.show(&id).await;
    assert_eq!(
        (text(&row, "state"), text(&row, "healthState")),
        ("active", "started-once")
    );
}

#[actix_web::test]
async fn a_run_that_still_goes_on_is_not_run_twice() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "job", job("sim:exit:0:90000", "* * * * *")).await;
    w.advance(Duration::from_secs(100)).await;
    next_minute(&w).await;
    w.advance(MINUTE + Duration::from_secs(2)).await;
    let said = runs(&w, &id).await;
    let skipped = said
        .iter()
        .filter(|(line, ended)| *ended && line.starts_with("Skipped the run of"))
        .count();
    // Ninety seconds each: every other minute is skipped.
    assert_eq!((skipped, said.len()), (2, 4), "{said:?}");
    assert_eq!(start_count(&w, &id).await, 3);
}

#[actix_web::test]
async fn what_was_missed_is_made_up_for_once() {
    let mut w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "job", job("sim:exit:0:1000", "* * * * *")).await;
    next_minute(&w).await;
    w.advance(Duration::from_secs(10)).await;
    assert_eq!(start_count(&w, &id).await, 2);
    // The server is down for ten minutes.
    w.clock.advance(10 * MINUTE);
    w.restart().await;
    w.advance(Duration::from_secs(5)).await;
    assert_eq!(start_count(&w, &id).await, 3, "{:?}", runs(&w, &id).await);
    w.advance(MINUTE).await;
    assert_eq!(start_count(&w, &id).await, 4);
    // It dies in the middle of a run: that is ended, and not begun again.
    next_minute(&w).await;
    w.restart().await;
    w.advance(Duration::from_secs(20)).await;
    assert_eq!(start_count(&w, &id).await, 5);
    let said = runs(&w, &id).await;
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(
        said.iter()
            .all(|(line, ended)| *ended && line.contains("exited with code 0")),
        "{said:?}"
    );
}

#[actix_web::test]
async fn a_service_that_is_not_active_runs_nothing_and_catches_nothing_up() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let id = w.running(&stack, "job", job("sim:exit:0:1000", "*/2 * * * *")).await;
    w.advance(Duration::from_secs(5)).await;
    w.act(&id, "deactivate", json!({})).await.ok();
    w.wait(&id, "inactive").await;
    w.advance(5 * MINUTE).await;
    assert_eq!(start_count(&w, &id).await, 1);
    w.act(&id, "activate", json!({})).await.ok();
    w.wait(&id, "active").await;
    w.advance(Duration::from_secs(3)).await;
    let before = start_count(&w, &id).await;
    assert!(runs(&w, &id).await.is_empty());
    w.advance(2 * MINUTE).await;
    assert_eq!(start_count(&w, &id).await, before + 1);
}

#[actix_web::test]
async fn each_of_several_runs_and_a_server_that_dies_between_starts_the_others() {
    for commits in 0..6 {
        let mut w = World::new().await;
        let stack = w.stack("s").await;
        let mut body = job("sim:exit:0:1000", "* * * * *");
        body["scale"] = json!(3);
        let id = w.running(&stack, "job", body).await;
        w.advance(Duration::from_secs(5)).await;
        w.die_after(commits);
        let rest = 60_000 - w.clock_ms().rem_euclid(60_000);
        w.clock.advance(Duration::from_millis(rest.unsigned_abs()));
        w.engine.settle().await;
        w.restart().await;
        w.advance(Duration::from_secs(20)).await;
        for row in w.containers(&id).await {
            assert_eq!(row["startCount"], 2, "{commits}: {row:#}");
        }
        let said = runs(&w, &id).await;
        assert_eq!(said.len(), 1, "{commits}: {said:?}");
        assert!(
            said[0].1 && said[0].0.matches("exited with code 0").count() == 3,
            "{commits}: {said:?}"
        );
    }
}

#[actix_web::test]
async fn a_schedule_that_is_none_is_refused() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let before = w.stored();
    for (schedule, once) in [
        ("* * * *", "true"),
        ("* * * * * *", "true"),
        ("0 0 30 2 *", "true"),
        ("* * * * *", "false"),
    ] {
        let labels = json!({"io.rancher.container.start_once": once, "io.drover.schedule": schedule});
        let config = json!({"imageUuid": "sim:job", "labels": labels});
        let body = json!({"name": "job", "stackId": stack, "launchConfig": config});
        let body = w.post("services", body).await.refused(422, "InvalidOption");
        assert_eq!(body["fieldName"], "launchConfig.labels");
        assert!(text(&body, "message").contains("label io.drover.schedule:"), "{body}");
    }
    assert_eq!(w.stored(), before);
}
