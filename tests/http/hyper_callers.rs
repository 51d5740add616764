//! Whom Hyper's interface serves, and how far: the role of a key decides, as it does at Rancher's.

use drover::schema::Role;
use serde_json::{Value, json};

use crate::hyper_support::{Client, example};
use crate::project_isolation::scene;
use crate::support::{FLOATING, lay_over};

#[actix_web::test]
async fn each_key_has_its_project_and_its_role_has_its_limits() {
    let scene = scene().await;
    let w = &scene.world;
    assert_eq!(w.get("/hyper/v1.23/services").await.status, 401, "a stranger");
    for (account, prefix, role) in &scene.strangers {
        let mount = match prefix.contains("/projects/") {
            true => format!("/hyper/projects/{}/v1.23", scene.project),
            false => "/hyper/v1.23".to_owned(),
        };
        let client = Client {
            mount,
            ..Client::of(account)
        };
        let list = client.get(w, "/services").await;
        if *role == Role::User {
            list.refused(403, "");
            continue;
        }
        list.json(200);
        let elsewhere = Client {
            mount: "/hyper/projects/1a5/v1.23".to_owned(),
            ..client.clone()
        };
        elsewhere.get(w, "/services").await.refused(403, "");
        let name = format!("of-{}", account.to_lowercase());
        let mut body = example();
        lay_over(&mut body, json!({"Name": name, "Env": ["K=HUSH"], "Image": "sim:a"}));
        let made = client.post(w, "/services/create", body).await;
        let changes = [
            ("/fips/allocate".to_owned(), Value::Null),
            (format!("/fips/attach?ip={}&container=x", FLOATING[0]), Value::Null),
            ("/fips/detach?container=x".to_owned(), Value::Null),
            (format!("/fips/release?ip={}", FLOATING[0]), Value::Null),
            (format!("/fips/name?ip={}&name=x", FLOATING[0]), Value::Null),
            (format!("/services/{name}/update"), json!({"Replicas": 2})),
        ];
        if *role == Role::Readonly {
            made.refused(403, "may not");
            for (path, body) in changes {
                client.post(w, &path, body).await.refused(403, "may not");
            }
            client.delete(w, "/services/x").await.refused(403, "may not");
            let all = client.get(w, "/services").await;
            assert!(all.text.contains("of-") && !all.text.contains("HUSH"), "{}", all.text);
            let all = client.get(w, "/containers/json").await;
            assert!(all.status == 200 && !all.text.contains("HUSH"));
            client.get(w, "/fips").await.json(200);
        } else {
            assert_eq!(made.json(201)["Env"], json!(["K=HUSH"]), "{role:?}");
            assert_eq!(
                client.get(w, &format!("/services/{name}")).await.json(200)["Env"],
                json!(["K=HUSH"])
            );
        }
    }
    // Whose project it is not sees none of it.
    let own = Client::of("1a5").get(w, "/services").await;
    assert_eq!(own.json(200), json!([]));
    let admin = Client::of("superadmin").get(w, "/services").await;
    assert_eq!(
        admin.json(200),
        json!([]),
        "who has no project of its own is in the Default one"
    );
    let there = Client {
        mount: format!("/hyper/projects/{}/v1.23", scene.project),
        ..Client::of("superadmin")
    };
    assert!(
        there
            .get(w, "/services")
            .await
            .json(200)
            .as_array()
            .is_some_and(|all| !all.is_empty())
    );
}
