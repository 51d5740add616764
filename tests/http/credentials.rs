//! Keys, passwords, and what registries are opened with: their lives, and that their secrets are shown once or never.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::schema::{Role, Version};
use serde_json::{Value, json};

use crate::support::{World, actions, text};

/// Makes a row as an administrator's view has it, which the schemas of this build may not show yet.
async fn make(world: &World, kind: &str, body: Value) -> Result<Value, String> {
    let scope = world.engine.admit_open(Version::V2Beta, None).expect("access is open");
    let view = world.engine.view(&scope).clone();
    let ty = view.find_by_kind(kind).expect("the type is there");
    let Value::Object(input) = body else {
        panic!("no object")
    };
    match world.engine.create(&scope, ty, input).await {
        Ok(rows) => Ok(
            json!({"id": format!("1c{}", rows[0].id), "fields": serde_json::from_str::<Value>(&rows[0].fields).unwrap()}),
        ),
        Err(e) => Err(format!(
            "{} {}",
            e.code.unwrap_or_default(),
            e.field.unwrap_or_default()
        )),
    }
}

#[actix_web::test]
async fn a_key_shows_its_secret_once_and_lives_as_the_matrix_says() {
    let world = World::new().await;
    let made = world.post("apikeys", json!({"name": "ci", "description": "d"})).await;
    let made = made.expect(
        201,
        json!({"type": "apiKey", "state": "registering", "accountId": "1a5", "name": "ci"}),
    );
    let (id, secret) = (
        format!("apikeys/{}", text(&made, "id")),
        text(&made, "secretValue").to_owned(),
    );
    assert!(text(&made, "publicValue").len() == 20 && secret.len() == 40);
    let row = world.wait(&id, "active").await;
    assert_eq!(row["secretValue"], Value::Null);
    assert_eq!(row["publicValue"], made["publicValue"]);
    assert_eq!(actions(&row), ["deactivate", "update"]);

    world.delete(&id).await.refused(405, "Method not allowed");
    let row = world
        .put(&id, json!({"name": "cd", "publicValue": "MINE", "secretValue": "MINE"}))
        .await
        .expect(200, json!({"name": "cd"}));
    assert_eq!(
        (&row["publicValue"], &row["secretValue"]),
        (&made["publicValue"], &Value::Null)
    );
    world
        .act(&id, "deactivate", json!({}))
        .await
        .expect(202, json!({"state": "deactivating"}));
    world.wait(&id, "inactive").await;
    world.act(&id, "activate", json!({})).await.ok();
    world.wait(&id, "active").await;
    world.act(&id, "deactivate", json!({})).await.ok();
    world.wait(&id, "inactive").await;
    world.delete(&id).await.expect(200, json!({"state": "removing"}));
    world.wait(&id, "removed").await;
    world.act(&id, "purge", json!({})).await.ok();
    world.wait(&id, "purged").await;
}

#[actix_web::test]
async fn public_halves_are_unique_in_any_case_until_their_credential_is_removed() {
    let world = World::new().await;
    let first = make(&world, "apiKey", json!({"publicValue": "Alpha", "secretValue": null}))
        .await
        .expect("a key without a secret");
    assert_eq!(
        (&first["fields"]["publicValue"], &first["fields"]["secretValue"]),
        (&json!("Alpha"), &Value::Null)
    );
    assert_eq!(
        make(&world, "apiKey", json!({"publicValue": "ALPHA"})).await,
        Err("NotUnique publicValue".into())
    );
    assert_eq!(
        make(
            &world,
            "password",
            json!({"publicValue": "alpha", "secretValue": "a long password"})
        )
        .await,
        Err("NotUnique publicValue".into())
    );
    assert_eq!(
        make(&world, "password", json!({"publicValue": "bob"})).await,
        Err("MissingRequired secretValue".into())
    );
    assert_eq!(
        make(&world, "password", json!({"secretValue": "x"})).await,
        Err("MissingRequired publicValue".into())
    );
    world.settle().await;
    let id = format!("/v2-beta/apikeys/{}", text(&first, "id"));
    world.act(&id, "deactivate", json!({})).await.ok();
    world.settle().await;
    assert_eq!(
        make(&world, "apiKey", json!({"publicValue": "ALPHA"})).await,
        Err("NotUnique publicValue".into()),
        "an inactive one counts"
    );
    world.delete(&id).await.ok();
    world.settle().await;
    make(&world, "apiKey", json!({"publicValue": "ALPHA"}))
        .await
        .expect("the name is free again");
}

#[actix_web::test]
async fn a_registry_has_one_address_and_takes_its_credentials_along() {
    let world = World::new().await;
    let registry = world
        .post("registries", json!({"serverAddress": "reg.example:5000"}))
        .await
        .expect(201, json!({"type": "registry"}));
    let registry = text(&registry, "id").to_owned();
    world
        .post("registries", json!({"serverAddress": "REG.example:5000"}))
        .await
        .refused(400, "ServerAddressUsed");
    world
        .post("registries", json!({}))
        .await
        .refused(422, "MissingRequired");
    let body = json!({"registryId": registry, "publicValue": "user", "secretValue": "hunter2-sealed"});
    let made = world
        .post("registrycredentials", body)
        .await
        .expect(201, json!({"type": "registryCredential", "publicValue": "user"}));
    assert_eq!(made["secretValue"], "hunter2-sealed", "whoever made it sees it once");
    let id = format!("registrycredentials/{}", text(&made, "id"));
    world.wait(&id, "active").await;
    world
        .put(&id, json!({"secretValue": "hunter3-sealed", "description": "d"}))
        .await
        .expect(200, json!({"description": "d", "secretValue": null, "email": null}));

    let path = format!("registries/{registry}");
    world.wait(&path, "active").await;
    world.delete(&path).await.refused(405, "Method not allowed");
    world.act(&path, "deactivate", json!({})).await.ok();
    world.wait(&path, "inactive").await;
    world.act(&path, "remove", json!({})).await.ok();
    world.wait(&path, "removed").await;
    world.get(&id).await.expect(200, json!({"state": "removed"}));
    world
        .post("registries", json!({"serverAddress": "reg.example:5000"}))
        .await
        .ok();
}

#[actix_web::test]
async fn only_roles_that_read_registry_secrets_read_them() {
    let world = World::new().await;
    let registry = text(
        &world
            .post("registries", json!({"serverAddress": "r.example"}))
            .await
            .ok(),
        "id",
    )
    .to_owned();
    let body = json!({"registryId": registry, "publicValue": "user", "secretValue": "hunter2-sealed"});
    let made = world.post("registrycredentials", body).await.ok();
    let number: i64 = text(&made, "id").trim_start_matches("1c").parse().expect("a number");
    let open = world
        .engine
        .admit_open(Version::V2Beta, Some("1a5"))
        .expect("access is open");
    for role in Role::ALL {
        let scope = drover::engine::Scope { role, ..open.clone() };
        let row = world
            .engine
            .find(&scope, drover::model::ResourceId(number))
            .expect("a read")
            .expect("the row");
        let reads = matches!(role, Role::ProjectAdmin | Role::Service | Role::Superadmin);
        assert_eq!(row.fields.contains("hunter2-sealed"), reads, "{}", role.as_str());
    }
}

#[actix_web::test]
async fn a_container_says_which_credential_its_image_was_pulled_with() {
    let world = World::new().await;
    let credential = |server: &'static str| {
        let world = &world;
        async move {
            let registry = world.post("registries", json!({"serverAddress": server})).await.ok();
            let body = json!({"registryId": registry["id"], "publicValue": "user", "secretValue": "hunter2"});
            let made = world.post("registrycredentials", body).await.ok();
            world.settle().await;
            text(&made, "id").to_owned()
        }
    };
    let (one, other) = (credential("one.example").await, credential("other.example").await);
    let pulled_with = |body: Value| {
        let world = &world;
        async move {
            let made = world.post("containers", body).await.ok();
            world.wait(text(&made, "id"), "running").await["registryCredentialId"].clone()
        }
    };
    assert_eq!(
        pulled_with(json!({"imageUuid": "sim:one.example/shop/web:2"})).await,
        json!(one)
    );
    assert_eq!(pulled_with(json!({"imageUuid": "sim:shop/web:2"})).await, Value::Null);
    let named = json!({"imageUuid": "sim:one.example/shop/web:2", "registryCredentialId": other});
    assert_eq!(pulled_with(named).await, json!(other));
    let users = world.list(&format!("registrycredentials/{one}/instances")).await;
    assert_eq!(users.len(), 1, "{users:#?}");
    // One that sleeps opens nothing.
    world
        .act(&format!("registrycredentials/{one}"), "deactivate", json!({}))
        .await
        .ok();
    world.settle().await;
    assert_eq!(
        pulled_with(json!({"imageUuid": "sim:one.example/shop/web:2"})).await,
        Value::Null
    );
}

#[actix_web::test]
async fn a_password_is_shown_to_its_own_registry_only() {
    let world = World::new().await;
    let body = json!({"serverAddress": "https://one.example/"});
    let registry = text(&world.post("registries", body).await.ok(), "id").to_owned();
    world.settle().await;
    let body = json!({"registryId": registry, "publicValue": "user", "secretValue": "hunter2"});
    let credential = text(&world.post("registrycredentials", body).await.ok(), "id").to_owned();
    world.settle().await;
    for (image, named, expected) in [
        ("one.example/shop/web:1", false, Some("https://one.example/")),
        ("one.example/shop/web:2", true, Some("https://one.example/")),
        ("one.example.evil.example/shop/web:1", false, None),
        ("one.example.evil.example/shop/web:2", true, None),
        ("one.example:5000/shop/web:1", true, None),
        ("evil.example/one.example/web:1", true, None),
        ("shop/web:1", true, None),
    ] {
        let mut body =
            json!({"imageUuid": format!("sim:{image}"), "labels": {"io.rancher.container.pull_image": "always"}});
        if named {
            body["registryCredentialId"] = json!(credential);
        }
        let made = world.post("containers", body).await.ok();
        world.wait(text(&made, "id"), "running").await;
        let shown = [image, &format!("sim:{image}")]
            .iter()
            .find_map(|image| world.sim().shown_to(image));
        assert_eq!(shown.as_deref(), expected, "{image}");
    }
}

#[actix_web::test]
async fn no_answer_and_no_file_of_the_server_holds_a_secret() {
    let world = World::new().await;
    let key = world.post("apikeys", json!({})).await.ok();
    let registry = text(
        &world
            .post("registries", json!({"serverAddress": "r.example"}))
            .await
            .ok(),
        "id",
    )
    .to_owned();
    let body = json!({"registryId": registry, "publicValue": "user", "secretValue": "hunter2-sealed"});
    let credential = world.post("registrycredentials", body).await.ok();
    let shown = world
        .show(&format!("registrycredentials/{}", text(&credential, "id")))
        .await;
    assert!(!shown.to_string().contains("hunter2"));
    make(
        &world,
        "password",
        json!({"publicValue": "bob", "secretValue": "bobs-password"}),
    )
    .await
    .expect("a password");
    // Refused ones are logged, too.
    let refused = json!({"registryId": "1sp1", "publicValue": "user", "secretValue": "refused-secret"});
    world
        .post("registrycredentials", refused)
        .await
        .refused(422, "InvalidReference");
    world.settle().await;

    let secrets = [
        text(&key, "secretValue"),
        "hunter2-sealed",
        "bobs-password",
        "refused-secret",
    ];
    for base in ["/v1", "/v2-beta", "/v1/projects/1a5", "/v2-beta/projects/1a5"] {
        let schemas = world.list(&format!("{base}/schemas?limit=-1")).await;
        for schema in schemas
            .iter()
            .filter(|s| s["collectionMethods"].to_string().contains("GET"))
        {
            let path = format!(
                "{base}/{}?limit=-1&include=credentials",
                text(schema, "pluralName").to_lowercase()
            );
            let answer = world.get(&path).await.body.to_string();
            for secret in secrets {
                assert!(!answer.contains(secret), "{path}: {secret}");
            }
        }
    }
    // A filter on the secret finds nothing, whatever it is.
    assert!(world.list("apikeys?secretValue_notnull").await.is_empty());
    for file in world.files() {
        let bytes = std::fs::read(&file).expect("the file can be read");
        for secret in secrets {
            let holds = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!holds, "{} holds {secret}", file.display());
        }
    }
}

#[actix_web::test]
async fn a_secret_is_shown_once_and_kept_sealed() {
    let world = World::new().await;
    world
        .post("secrets", json!({"name": "tls"}))
        .await
        .refused(422, "EmptySecret");
    assert_eq!(
        world
            .post("secrets", json!({"name": "tls", "value": null}))
            .await
            .refused(422, "EmptySecret")["fieldName"],
        "value"
    );
    assert_eq!(
        world
            .post("secrets", json!({"name": "tls", "value": "not base64!"}))
            .await
            .refused(422, "InvalidBase64")["fieldName"],
        "value"
    );
    assert!(world.list("secrets").await.is_empty());

    let value = STANDARD.encode("a very long and telling secret");
    let made = world.post("secrets", json!({"name": "tls", "value": value})).await;
    let made = made.expect(201, json!({"type": "secret", "state": "creating", "value": value}));
    let id = text(&made, "id").to_owned();
    assert!(id.starts_with("1se"), "{id}");
    world.settle().await;
    let path = format!("secrets/{id}");
    let row = world.show(&path).await;
    assert_eq!((text(&row, "state"), &row["value"]), ("active", &Value::Null), "{row}");
    world
        .put(&path, json!({"description": "for the front", "value": "other"}))
        .await
        .expect(200, json!({"description": "for the front"}));
    let list = world.get("secrets?name=tls").await.ok().to_string();
    let audited = world.get("auditlogs?limit=100").await.ok().to_string();
    assert!(!list.contains(&value) && !audited.contains(&value) && audited.contains("api.secret.create"));
    for file in world.files() {
        let bytes = std::fs::read(&file).expect("a file of the server");
        for plain in [value.as_bytes(), b"telling secret"] {
            assert!(!bytes.windows(plain.len()).any(|w| w == plain), "{}", file.display());
        }
    }
    world.delete(&path).await.expect(200, json!({"state": "removing"}));
    world.settle().await;
    assert_eq!(world.show(&path).await["state"], "removed");
    assert!(world.list("secrets").await.is_empty());
}
