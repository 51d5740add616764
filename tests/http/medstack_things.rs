//! Secrets, configs and volumes of MedStack Control's interface.

use actix_web::http::Method;
use serde_json::json;

use crate::medstack::{Desk, refused};
use crate::support::text;

#[actix_web::test]
async fn secrets_are_never_shown_and_configs_are_those_of_dockers_interface() {
    let d = Desk::new().await;
    let secret = d.post("/secrets", json!({"name": "mysecret", "data": "hush"})).await;
    let secret = secret.expect(201, json!({"object": "secret", "name": "mysecret"}));
    assert!(
        !secret.to_string().contains("hush") && secret.get("data").is_none() && text(&secret, "created").ends_with('Z')
    );
    let config = d.post("/configs", json!({"name": "myconfig", "data": "a: 1\n"})).await;
    let config = config.expect(201, json!({"object": "config", "name": "myconfig", "data": "a: 1\n"}));
    let one = d.get(&format!("/configs/{}", text(&config, "id"))).await;
    assert_eq!(one.expect(200, json!({})), config);
    assert_eq!(d.list("/secrets").await, std::slice::from_ref(&secret));
    assert_eq!(d.list("/configs").await, std::slice::from_ref(&config));
    let login = crate::project_isolation::login("1a5");
    for (kind, name) in [("secrets", "mysecret"), ("configs", "myconfig")] {
        let path = format!("/docker/v1.41/{kind}");
        let listed =
            d.w.send_with(Method::GET, &path, &[("authorization", &login)], None)
                .await;
        assert_eq!(listed.expect(200, json!([{}]))[0]["Spec"]["Name"], name);
    }
    for (body, param, why) in [
        (json!({"data": "x"}), "name", "must be a string"),
        (json!({"name": 1, "data": "x"}), "name", "must be a string"),
        (
            json!({"name": "a b", "data": "x"}),
            "name",
            "must have letters, digits, dots, hyphens and underscores, at most 64",
        ),
        (json!({"name": "new"}), "data", "must be a string"),
        (json!({"name": "new", "data": []}), "data", "must be a string"),
        (json!({"name": "new", "data": "x", "more": 1}), "more", "is not known"),
    ] {
        refused(d.post("/secrets", body.clone()).await, param, why);
        refused(d.post("/configs", body).await, param, why);
    }
    refused(
        d.post("/secrets", json!({"name": "MySecret", "data": "x"})).await,
        "name",
        "must be unique",
    );
    refused(
        d.post("/configs", json!({"name": "myconfig", "data": "x"})).await,
        "name",
        "must be unique",
    );
    refused(
        d.post("/secrets", json!({"name": "new", "data": ""})).await,
        "data",
        "must have from 1 to 512000 bytes",
    );
}

#[actix_web::test]
async fn what_a_service_has_cannot_go() {
    let d = Desk::new().await;
    let secret = d.thing("secrets", "one").await;
    let config = d.thing("configs", "two").await;
    let volume = d.thing("volumes", "three").await;
    let service = d
        .service(
            json!({"name": "web", "image": "sim:a", "secrets": [{"name": secret, "file_name": "s"}],
            "configs": [{"name": config, "file_name": "c"}], "mounts": [{"source": volume, "target": "/data"}]}),
        )
        .await;
    let volumes = d.list("/volumes").await;
    assert_eq!(volumes.len(), 1, "{volumes:?}");
    assert_eq!(
        (text(&volumes[0], "name"), &volumes[0]["service_usage"]),
        ("three", &json!(["web"]))
    );
    let conflict = json!({"code": 409, "type": "conflict error", "message": "Request conflicts with the resource's current state"});
    let paths = [
        format!("/secrets/{secret}"),
        format!("/configs/{config}"),
        format!("/volumes/{volume}"),
    ];
    for path in &paths {
        assert_eq!(
            d.at(Method::DELETE, path, None).await.expect(409, json!({})),
            conflict,
            "{path}"
        );
    }
    d.at(Method::DELETE, &format!("/services/{service}"), None).await.ok();
    d.pass(5).await;
    for path in &paths {
        assert_eq!(d.at(Method::DELETE, path, None).await.status, 204, "{path}");
        d.w.settle().await;
        assert_eq!(d.at(Method::DELETE, path, None).await.status, 404, "{path}");
    }
    for kind in ["secrets", "configs", "volumes"] {
        assert!(d.list(&format!("/{kind}")).await.is_empty(), "{kind}");
    }
}

#[actix_web::test]
async fn a_volume_has_a_name_and_one_that_a_service_names_is_made_with_it() {
    let d = Desk::new().await;
    let made = d.post("/volumes", json!({"name": "mine"})).await;
    made.expect(201, json!({"object": "volume", "name": "mine", "service_usage": []}));
    refused(
        d.post("/volumes", json!({"name": "mine"})).await,
        "name",
        "must be unique",
    );
    refused(d.post("/volumes", json!({})).await, "name", "must be a string");
    refused(
        d.post("/volumes", json!({"name": "/etc"})).await,
        "name",
        "must have letters, digits, dots, hyphens and underscores, from 2 to 255",
    );
    let id = "d91d32507ad09fa24908464abf9450370ab5870a2dd50e5ba27ff0104f63d204";
    d.service(json!({"name": "web", "image": "sim:a", "mounts": [{"source": id, "target": "/data"}]}))
        .await;
    let volumes = d.list("/volumes").await;
    let names: Vec<&str> = volumes.iter().map(|volume| text(volume, "name")).collect();
    assert_eq!(names, [id, "mine"]);
    assert_eq!(volumes[0]["service_usage"], json!(["web"]));
}
