//! Secrets as files in containers: who gets which, when, and until when.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover::runtime::SecretFile;
use serde_json::{Value, json};

use crate::support::{World, text};

async fn secret(w: &World, name: &str, value: &str) -> String {
    let body = json!({"name": name, "value": STANDARD.encode(value)});
    let id = text(&w.post("secrets", body).await.ok(), "id").to_owned();
    w.wait(&format!("secrets/{id}"), "active").await;
    id
}

/// Name, content, user, group and mode.
type Told = (String, String, u32, u32, u32);

fn told(files: &[SecretFile]) -> Vec<Told> {
    let each = files.iter().map(|file| {
        let (content, access) = (String::from_utf8_lossy(&file.content).into_owned(), file.access);
        (file.name.clone(), content, access.uid, access.gid, access.mode)
    });
    each.collect()
}

async fn held(w: &World, container: &str) -> Option<Vec<Told>> {
    let row = w.show(&format!("containers/{container}")).await;
    w.sim().secrets_of(text(&row, "uuid")).as_deref().map(told)
}

#[actix_web::test]
async fn a_container_has_its_secrets_from_its_start_to_its_stop() {
    let w = World::new().await;
    let (key, word) = (
        secret(&w, "key", "s3cret").await,
        secret(&w, "word", "open sesame").await,
    );
    let secrets = json!([
        {"secretId": key},
        {"secretId": word, "name": "password", "uid": "1000", "gid": "50", "mode": "0400"},
    ]);
    let body = json!({"imageUuid": "sim:one", "name": "keeper", "secrets": secrets});
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    let row = w.wait(&id, "running").await;
    assert_eq!(row["secrets"][1]["name"], "password", "{row}");
    let both = Some(vec![
        ("key".to_owned(), "s3cret".to_owned(), 0, 0, 0o444),
        ("password".to_owned(), "open sesame".to_owned(), 1000, 50, 0o400),
    ]);
    assert_eq!(held(&w, &id).await, both);
    // Delivered before the first process begins.
    let calls = w.sim().calls();
    let at = |call: &str| {
        calls
            .iter()
            .position(|each| each == call)
            .unwrap_or_else(|| panic!("{call} in {calls:?}"))
    };
    assert!(at("create keeper") < at("deliver_secrets keeper") && at("deliver_secrets keeper") < at("start keeper"));

    // A machine that was started anew has forgotten them.
    w.sim().forget_secrets();
    w.engine.resync().await.expect("a comparison");
    assert_eq!(held(&w, &id).await, both);

    w.act(&id, "stop", json!({})).await.ok();
    w.wait(&id, "stopped").await;
    assert_eq!(held(&w, &id).await, None);
    w.act(&id, "start", json!({})).await.ok();
    w.wait(&id, "running").await;
    assert_eq!(held(&w, &id).await, both);
    let uuid = text(&row, "uuid").to_owned();
    w.delete(&id).await.ok();
    w.settle().await;
    assert_eq!(w.sim().secrets_of(&uuid), None);
    let stored = w.stored().join(" ");
    for plain in [
        "s3cret",
        "open sesame",
        &STANDARD.encode("s3cret"),
        &STANDARD.encode("open sesame"),
    ] {
        assert!(!stored.contains(plain), "{plain} is in the database");
    }
}

#[actix_web::test]
async fn an_upgrade_changes_secrets_and_a_rollback_brings_them_back() {
    let w = World::new().await;
    let (old, new) = (secret(&w, "old", "1").await, secret(&w, "new", "2").await);
    let stack = w.stack("vault").await;
    let config = |id: &str| json!({"imageUuid": "sim:web", "secrets": [{"secretId": id, "name": "it"}]});
    let service = w.running(&stack, "web", json!({"launchConfig": config(&old)})).await;
    let content = |files: Option<Vec<Told>>| files.map(|all| all[0].1.clone());
    let first = text(&w.containers(&service).await[0], "id").to_owned();
    assert_eq!(content(held(&w, &first).await).as_deref(), Some("1"));
    let upgrade = json!({"inServiceStrategy": {"launchConfig": config(&new), "batchSize": 1, "intervalMillis": 100}});
    w.act(&service, "upgrade", upgrade).await.ok();
    w.wait(&service, "upgraded").await;
    let all = w.containers(&service).await;
    let second = all
        .iter()
        .map(|row| text(row, "id"))
        .find(|id| *id != first)
        .expect("a second")
        .to_owned();
    assert_eq!(content(held(&w, &second).await).as_deref(), Some("2"));
    assert_eq!(held(&w, &first).await, None, "the old one is stopped");
    w.act(&service, "rollback", json!({})).await.ok();
    w.wait(&service, "active").await;
    assert_eq!(content(held(&w, &first).await).as_deref(), Some("1"));
}

#[actix_web::test]
async fn what_cannot_be_a_secret_is_refused_or_told() {
    let w = World::new().await;
    let key = secret(&w, "key", "1").await;
    let refused = [
        (
            json!([{"secretId": key, "name": "../etc/passwd"}]),
            "InvalidFormat",
            "name",
        ),
        (json!([{"secretId": key, "mode": "rw"}]), "InvalidFormat", "mode"),
        (json!([{"secretId": key, "uid": "root"}]), "InvalidFormat", "uid"),
        (json!([{"name": "x"}]), "MissingRequired", "secretId"),
        (json!([{"secretId": "1se999"}]), "InvalidReference", "secretId"),
        (
            json!([{"secretId": key, "name": "a"}, {"secretId": key, "name": "a"}]),
            "NotUnique",
            "name",
        ),
    ];
    for image in ["sim:one", "docker:busybox:1"] {
        for (secrets, code, field) in &refused {
            let body = json!({"imageUuid": image, "secrets": secrets});
            let answer = w.post("containers", body).await.refused(422, code);
            assert_eq!(answer["fieldName"], **field, "{secrets}: {answer}");
        }
    }
    assert!(w.list("containers").await.is_empty());

    // Names that only the secrets have are compared when they are known.
    let other = secret(&w, "other", "2").await;
    let body = json!({"imageUuid": "sim:one", "name": "twice", "secrets": [{"secretId": key}, {"secretId": other, "name": "key"}]});
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    let row = w.wait(&id, "error").await;
    assert!(
        text(&row, "transitioningMessage").contains("two secrets are to be called key"),
        "{row}"
    );

    // One that is gone before the start is told of, and nothing starts without it.
    let body = json!({"imageUuid": "sim:one", "name": "late", "startOnCreate": false, "secrets": [{"secretId": key}]});
    let id = text(&w.post("containers", body).await.ok(), "id").to_owned();
    w.wait(&id, "stopped").await;
    w.delete(&format!("secrets/{key}")).await.ok();
    w.settle().await;
    w.act(&id, "start", json!({})).await.ok();
    let row = w.wait(&id, "error").await;
    assert!(
        text(&row, "transitioningMessage").contains(&format!("secret {key} is gone")),
        "{row}"
    );
    assert_eq!(w.sim().count("start"), 0);
    let _: Value = row;
}

const FILES: &str = "
version: '3.1'
services:
  keeper:
    image: sim:one
    secrets: [key, {source: word, target: password, uid: 1000, gid: '50', mode: 0400}]
    labels: {io.rancher.sidekicks: helper}
  helper: {image: 'sim:two', secrets: [plain]}
secrets:
  key: {external: true}
  word: {external: {name: 'word-${YEAR}'}}
";

#[actix_web::test]
async fn files_name_secrets_of_the_project_and_are_written_with_them() {
    let w = World::new().await;
    let body = |name: &str, files: &str| json!({"name": name, "dockerCompose": files, "environment": {"YEAR": "2026"}, "startOnCreate": true});
    // One that is not there is told of by its name, and nothing is made.
    let missing = text(&w.post("stacks", body("missing", FILES)).await.ok(), "id").to_owned();
    let row = w.wait(&missing, "error").await;
    assert!(
        text(&row, "transitioningMessage").contains("service keeper: there is no secret key"),
        "{row}"
    );
    assert!(w.list("services").await.is_empty());

    let key = secret(&w, "key", "s3cret").await;
    let word = secret(&w, "word-2026", "open sesame").await;
    let plain = secret(&w, "plain", "p").await;
    let stack = text(&w.post("stacks", body("vault", FILES)).await.ok(), "id").to_owned();
    w.wait(&stack, "active").await;
    w.settle().await;
    let service = w.list("services?name=keeper").await.remove(0);
    let told = &service["launchConfig"]["secrets"];
    assert_eq!(told[0]["secretId"], *key, "{told}");
    assert_eq!(
        (&told[1]["secretId"], &told[1]["name"], &told[1]["mode"]),
        (&json!(word), &json!("password"), &json!("0400"))
    );
    assert_eq!(service["secondaryLaunchConfigs"][0]["secrets"][0]["secretId"], *plain);
    let container = w.list("containers?name=vault-keeper-1").await.remove(0);
    assert_eq!(
        held(&w, text(&container, "id")).await,
        Some(vec![
            ("key".to_owned(), "s3cret".to_owned(), 0, 0, 0o444),
            ("password".to_owned(), "open sesame".to_owned(), 1000, 50, 0o400),
        ])
    );

    // Written by name, without the values, and read as the same.
    let files = w.act(&stack, "exportconfig", json!({})).await.ok();
    let written = text(&files, "dockerComposeConfig").to_owned();
    for part in [
        "    secrets:\r\n    - key\r\n    - gid: '50'\r\n      mode: '0400'\r\n      source: word-2026\r\n      target: password\r\n      uid: '1000'\r\n",
        "secrets:\r\n  key:\r\n    external: true\r\n  plain:\r\n    external: true\r\n  word-2026:\r\n    external: true\r\n",
    ] {
        assert!(written.contains(part), "{part}\n{written}");
    }
    let again = text(&w.post("stacks", body("again", &written)).await.ok(), "id").to_owned();
    w.wait(&again, "active").await;
    w.settle().await;
    let files = w.act(&again, "exportconfig", json!({})).await.ok();
    assert_eq!(text(&files, "dockerComposeConfig"), written);

    // The same files upgrade nothing; another secret does, and a rollback brings the old one back.
    w.act(&stack, "upgrade", json!({"dockerCompose": FILES})).await.ok();
    w.wait(&stack, "upgraded").await;
    let service = text(&service, "id").to_owned();
    w.get(&service).await.expect(200, json!({"state": "active"}));
    w.act(&stack, "finishupgrade", json!({})).await.ok();
    w.wait(&stack, "active").await;
    let other = FILES.replace("secrets: [key, ", "secrets: [plain, ");
    w.act(&stack, "upgrade", json!({"dockerCompose": other})).await.ok();
    w.wait(&stack, "upgraded").await;
    let row = w.get(&service).await.expect(200, json!({"state": "upgraded"}));
    assert_eq!(row["launchConfig"]["secrets"][0]["secretId"], *plain, "{row}");
    w.act(&stack, "rollback", json!({})).await.ok();
    w.wait(&stack, "active").await;
    let row = w.get(&service).await.expect(200, json!({"state": "active"}));
    assert_eq!(row["launchConfig"]["secrets"][0]["secretId"], *key, "{row}");
}
