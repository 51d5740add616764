//! Floating addresses of Hyper's interface: who has which, and where balancers are published.

use std::time::Duration;

use serde_json::{Value, json};

use crate::hyper_support::{Client, example};
use crate::project_isolation::key;
use crate::support::{FLOATING, World, text};

async fn world() -> (World, Client) {
    let w = World::new().await;
    key(&w, "1a5").await;
    (w, Client::of("1a5"))
}

async fn list(w: &World, client: &Client, filters: &str) -> Vec<(String, String, String, String)> {
    let path = match filters {
        "" => "/fips".to_owned(),
        filters => format!("/fips?filters={filters}"),
    };
    let list = client.get(w, &path).await.json(200);
    let of = |fip: &Value, key: &str| fip[key].as_str().expect("a text").to_owned();
    let rows = list.as_array().cloned().unwrap_or_default();
    let all = rows.iter().map(|fip| {
        (
            of(fip, "fip"),
            of(fip, "name"),
            of(fip, "container"),
            of(fip, "service"),
        )
    });
    all.collect()
}

fn dangling(ip: &str) -> (String, String, String, String) {
    (ip.to_owned(), String::new(), String::new(), String::new())
}

#[actix_web::test]
async fn addresses_are_allocated_named_and_given_back() {
    let (w, client) = world().await;
    let [one, two, ..] = FLOATING;
    assert_eq!(
        client.post(&w, "/fips/allocate?count=1", Value::Null).await.json(201),
        json!([one])
    );
    assert_eq!(
        client.post(&w, "/fips/allocate", Value::Null).await.json(201),
        json!([two])
    );
    assert_eq!(list(&w, &client, "").await, [dangling(one), dangling(two)]);
    client
        .post(&w, &format!("/fips/name?ip={one}&name=web"), Value::Null)
        .await
        .empty(204);
    client
        .post(&w, &format!("/fips/name?ip={two}&name=web"), Value::Null)
        .await
        .refused(409, "another floating IP");
    client
        .post(&w, &format!("/fips/name?ip={two}&name=a%20b"), Value::Null)
        .await
        .refused(400, "name: ");
    client
        .post(&w, "/fips/name?ip=1.2.3.4&name=x", Value::Null)
        .await
        .refused(404, "No such floating IP: 1.2.3.4");
    assert_eq!(list(&w, &client, "").await[0].1, "web");
    client
        .post(&w, &format!("/fips/release?ip={one}"), Value::Null)
        .await
        .empty(204);
    client
        .post(&w, &format!("/fips/release?ip={one}"), Value::Null)
        .await
        .refused(404, "No such floating IP");
    client.post(&w, "/fips/release", Value::Null).await.refused(400, "ip: ");
    assert_eq!(
        client.post(&w, "/fips/allocate", Value::Null).await.json(201),
        json!([one]),
        "the first that is free"
    );
    for count in ["0", "-1", "x", "65"] {
        client
            .post(&w, &format!("/fips/allocate?count={count}"), Value::Null)
            .await
            .refused(400, "count: ");
    }
    let before = w.stored();
    client
        .post(&w, "/fips/allocate?count=64", Value::Null)
        .await
        .refused(403, "at most 64");
    client
        .post(&w, "/fips/allocate?count=60", Value::Null)
        .await
        .refused(409, "not so many");
    assert_eq!(w.stored(), before, "all, or none");
}

#[actix_web::test]
async fn no_two_projects_have_one_address_and_neither_sees_the_others() {
    let (w, client) = world().await;
    let made = w.post("/v2-beta/projects", json!({"name": "other"})).await.ok();
    w.settle().await;
    let project = text(&made, "id").to_owned();
    key(&w, &project).await;
    let other = Client::of(&project);
    let [one, two, ..] = FLOATING;
    assert_eq!(
        client.post(&w, "/fips/allocate", Value::Null).await.json(201),
        json!([one])
    );
    assert_eq!(
        other.post(&w, "/fips/allocate", Value::Null).await.json(201),
        json!([two])
    );
    assert_eq!(list(&w, &other, "").await, [dangling(two)]);
    other
        .post(&w, &format!("/fips/release?ip={one}"), Value::Null)
        .await
        .refused(404, "No such floating IP");
    client.made(&w, example()).await;
    other
        .post(&w, &format!("/fips/attach?ip={two}&container=http"), Value::Null)
        .await
        .refused(404, "No such container");
    other.get(&w, "/services/http").await.refused(404, "No such service");
    assert_eq!(other.get(&w, "/containers/json").await.json(200), json!([]));
}

#[actix_web::test]
async fn a_service_has_one_address_and_lets_go_of_it() {
    let (w, client) = world().await;
    let [one, two, ..] = FLOATING;
    client.post(&w, "/fips/allocate?count=2", Value::Null).await.json(201);
    client.made(&w, example()).await;
    let update = |ip: &str| {
        let body = json!({"Replicas": null, "Image": null, "FIP": ip});
        client.post(&w, "/services/http/update", body)
    };
    assert_eq!(update(one).await.json(200)["FIP"], json!(one));
    assert_eq!(update(one).await.json(200)["FIP"], json!(one), "twice equals once");
    update(two)
        .await
        .refused(409, &format!("has attached with another floating IP({one})"));
    client
        .post(&w, &format!("/fips/attach?ip={two}&container=http"), Value::Null)
        .await
        .refused(409, "another floating IP");
    update("1.2.3.4").await.refused(404, "No such floating IP");
    client
        .post(&w, &format!("/fips/release?ip={one}"), Value::Null)
        .await
        .refused(409, &format!("{one} is in use"));
    let of_service = (one.to_owned(), String::new(), String::new(), "http".to_owned());
    assert_eq!(list(&w, &client, "").await, [of_service.clone(), dangling(two)]);
    for filters in [
        "%7B%22dangling%22%3A%5B%22true%22%5D%7D",
        "%7B%22dangling%22%3A%7B%22true%22%3Atrue%7D%7D",
    ] {
        assert_eq!(list(&w, &client, filters).await, [dangling(two)]);
    }
    assert_eq!(
        list(&w, &client, "%7B%22dangling%22%3A%5B%22false%22%5D%7D").await,
        [of_service]
    );
    assert_eq!(update("").await.json(200)["FIP"], "");
    assert_eq!(update("").await.json(200)["FIP"], "");
    client
        .post(&w, &format!("/fips/attach?ip={one}&container=http"), Value::Null)
        .await
        .empty(204);
    assert_eq!(client.service(&w, "http").await["FIP"], json!(one));
    assert_eq!(
        client
            .post(&w, "/fips/detach?container=http", Value::Null)
            .await
            .json(200),
        json!(one)
    );
    client
        .post(&w, "/fips/detach?container=http", Value::Null)
        .await
        .refused(404, "http has no floating IP");
    client
        .post(&w, "/fips/detach?container=nobody", Value::Null)
        .await
        .refused(404, "No such container: nobody");
    // What goes lets go of its address.
    update(two).await.json(200);
    client.delete(&w, "/services/http").await.empty(204);
    w.settle().await;
    assert_eq!(list(&w, &client, "").await, [dangling(one), dangling(two)]);
    client
        .post(&w, &format!("/fips/release?ip={two}"), Value::Null)
        .await
        .empty(204);
}

#[actix_web::test]
async fn a_container_can_have_an_address_too() {
    let (w, client) = world().await;
    let [one, two, ..] = FLOATING;
    client.post(&w, "/fips/allocate?count=2", Value::Null).await.json(201);
    let service = client.made(&w, example()).await;
    let id = service["Containers"][0].as_str().expect("an id").to_owned();
    client
        .post(
            &w,
            &format!("/fips/attach?ip={one}&container={}", &id[..12]),
            Value::Null,
        )
        .await
        .empty(204);
    let of_container = (one.to_owned(), String::new(), "hyper-http-1".to_owned(), String::new());
    assert_eq!(list(&w, &client, "").await, [of_container, dangling(two)]);
    let taken = client
        .post(
            &w,
            &format!("/fips/attach?ip={one}&container=hyper-http-2"),
            Value::Null,
        )
        .await;
    taken.refused(409, &format!("{one} is in use"));
    let second = client
        .post(
            &w,
            &format!("/fips/attach?ip={two}&container=hyper-http-1"),
            Value::Null,
        )
        .await;
    second.refused(409, &format!("has attached with another floating IP({one})"));
    assert_eq!(client.service(&w, "http").await["FIP"], "", "it is not the service's");
    assert_eq!(
        client
            .post(&w, "/fips/detach?container=hyper-http-1", Value::Null)
            .await
            .json(200),
        json!(one)
    );
}

#[actix_web::test]
async fn an_address_of_a_host_is_where_the_balancer_is_published() {
    let (mut w, client) = world().await;
    let [one, two, ..] = FLOATING;
    w.put("/v2-beta/settings/drover.host.address", json!({"value": one}))
        .await
        .ok();
    w.restart().await;
    let hosts = w.list("hosts").await;
    assert_eq!(hosts[0]["agentIpAddress"], json!(one), "the host has the address");
    client.post(&w, "/fips/allocate?count=2", Value::Null).await.json(201);
    client.made(&w, example()).await;
    let balancer = async |w: &World| w.list("services?name=http-lb").await[0].clone();
    let rest = async |w: &World| {
        for _ in 0..60 {
            w.advance(Duration::from_millis(500)).await;
        }
    };
    let first = client.service(&w, "http").await["IP"].clone();
    let body = |ip: &str| json!({"FIP": ip});
    client.post(&w, "/services/http/update", body(one)).await.json(200);
    rest(&w).await;
    let row = balancer(&w).await;
    assert_eq!(
        (&row["state"], &row["launchConfig"]["ports"]),
        (&json!("active"), &json!([format!("{one}:80:80/tcp")]))
    );
    let host = text(&hosts[0], "id");
    let rule = &row["launchConfig"]["labels"]["io.rancher.scheduler.affinity:host_label"];
    assert_eq!(*rule, json!(format!("io.drover.host.id={host}")));
    let service = client.service(&w, "http").await;
    assert_eq!(
        (&service["FIP"], service["Containers"].as_array().map(Vec::len)),
        (&json!(one), Some(2))
    );
    assert_ne!(service["IP"], first, "the balancer was made anew");
    client.post(&w, "/services/http/update", body("")).await.json(200);
    rest(&w).await;
    let row = balancer(&w).await;
    assert_eq!(
        (&row["state"], &row["launchConfig"]["ports"]),
        (&json!("active"), &json!([]))
    );
    // One that no host has is kept and shown, and nothing else happens.
    let before = text(&row["launchConfig"], "version").to_owned();
    client.post(&w, "/services/http/update", body(two)).await.json(200);
    rest(&w).await;
    let row = balancer(&w).await;
    assert_eq!(
        (&row["state"], &row["launchConfig"]["version"]),
        (&json!("active"), &json!(before))
    );
    assert_eq!(client.service(&w, "http").await["FIP"], json!(two));
}
