//! Lists: filters, order, pages, what comes along, and the envelope around them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Answer, World, has, text};

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| text(row, "id").to_owned()).collect()
}

fn next_of(page: &Value) -> Option<String> {
    page["pagination"]["next"]
        .as_str()
        .map(|next| next.trim_start_matches("http://localhost").to_owned())
}

/// All pages of a list, one after the other; `between` runs after each.
async fn walk(w: &World, first: &str, mut between: impl AsyncFnMut(usize)) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut next = Some(first.to_owned());
    let mut pages = 0;
    while let Some(url) = next {
        let page = w.get(&url).await.expect(200, json!({"type": "collection"}));
        let data = page["data"].as_array().cloned().unwrap_or_default();
        let limit = page["pagination"]["limit"].as_u64().unwrap_or_default();
        next = next_of(&page);
        assert_eq!(page["pagination"]["partial"], next.is_some(), "{url}");
        assert!(
            next.is_none() || data.len() as u64 == limit,
            "{url}: {} of {limit}",
            data.len()
        );
        rows.extend(data);
        pages += 1;
        assert!(pages < 2_000, "{first} has no end");
        between(pages).await;
    }
    rows
}

async fn thing(w: &World, n: usize) {
    let key = if n % 4 == 3 {
        Value::Null
    } else {
        json!(format!("k{}", n % 7))
    };
    let body =
        json!({"name": format!("n{:03}", n * 37 % 101), "kind": "note", "key": key, "description": format!("d{n}")});
    w.post("genericobjects", body).await.ok();
    if n % 50 == 49 {
        w.clock.advance(std::time::Duration::from_secs(1));
    }
}

#[actix_web::test]
async fn pages_lose_and_repeat_nothing_in_any_order() {
    let w = World::new().await;
    for n in 0..230 {
        thing(&w, n).await;
    }
    w.settle().await;
    let all: BTreeSet<String> = ids(&w.list("genericobjects?limit=3000").await).into_iter().collect();
    assert_eq!(all.len(), 230);
    for sort in [
        "",
        "&sort=name",
        "&sort=key",
        "&sort=created",
        "&sort=state",
        "&sort=description",
        "&sort=id",
        "&sort=uuid",
        "&sort=removed",
    ] {
        for order in ["asc", "desc"] {
            let whole = ids(&w.list(&format!("genericobjects?limit=-1{sort}&order={order}")).await);
            let paged = ids(&walk(
                &w,
                &format!("genericobjects?limit=37{sort}&order={order}"),
                async |_| {},
            )
            .await);
            assert_eq!(whole, paged, "{sort} {order}");
            assert_eq!(paged.iter().cloned().collect::<BTreeSet<_>>(), all, "{sort} {order}");
        }
    }
    assert_eq!(w.list("genericobjects").await.len(), 100);
    // Each order is the other one backwards.
    for key in ["name", "key", "created", "id"] {
        let mut up = ids(&w.list(&format!("genericobjects?limit=3000&sort={key}&order=asc")).await);
        up.reverse();
        assert_eq!(
            up,
            ids(&w
                .list(&format!("genericobjects?limit=3000&sort={key}&order=desc"))
                .await),
            "{key}"
        );
    }
    let rows = w.list("genericobjects?limit=3000&sort=name").await;
    assert!(rows.is_sorted_by(|a, b| text(a, "name") <= text(b, "name")));
    let rows = w.list("genericobjects?limit=3000&sort=created&order=desc").await;
    assert!(rows.is_sorted_by(|a, b| a["createdTS"].as_i64() >= b["createdTS"].as_i64()));
}

#[actix_web::test]
async fn rows_that_come_and_go_disturb_no_walk() {
    let w = World::new().await;
    for n in 0..60 {
        thing(&w, n).await;
    }
    w.settle().await;
    for sort in ["", "&sort=name", "&sort=key&order=desc", "&sort=name&order=desc"] {
        let before = ids(&w.list("genericobjects?limit=3000").await);
        let doomed = before.last().cloned().unwrap_or_default();
        let seen = walk(&w, &format!("genericobjects?limit=7{sort}"), async |page| {
            if page > 6 {
                return;
            }
            thing(&w, 500 + page).await;
            if page == 2 {
                w.delete(&format!("genericobjects/{doomed}")).await.ok();
                w.settle().await;
            }
        })
        .await;
        let seen = ids(&seen);
        let once: BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "{sort}: a row came twice");
        for id in before.iter().filter(|id| **id != doomed) {
            assert!(once.contains(id), "{sort}: {id} was lost");
        }
    }
}

#[actix_web::test]
async fn markers_that_mean_nothing_are_the_first_page() {
    let w = World::new().await;
    for n in 0..12 {
        thing(&w, n).await;
    }
    let first = ids(&w.list("genericobjects?limit=5").await);
    let other = w.get("genericobjects?limit=5&sort=name").await.ok();
    let foreign = next_of(&other)
        .and_then(|n| n.split("marker=").nth(1).map(str::to_owned))
        .unwrap_or_default();
    for marker in [
        "",
        "m",
        "m0",
        "m-1",
        "mk",
        "mkAAAA",
        "mk%00",
        "x5",
        "m99999999999999999999",
        "mkW10",
        "mp7",
        "%F0%9F%92%A9",
        &foreign,
    ] {
        assert_eq!(
            ids(&w.list(&format!("genericobjects?limit=5&marker={marker}")).await),
            first,
            "{marker}"
        );
    }
    // What older clients make up is an offset.
    assert_eq!(
        ids(&w.list("genericobjects?limit=5&marker=m5").await),
        ids(&w.list("genericobjects").await)[5..10]
    );
    assert!(w.list("genericobjects?limit=5&marker=m500").await.is_empty());
}

#[actix_web::test]
async fn filters_choose_what_their_modifiers_say() {
    let w = World::new().await;
    for (name, key) in [
        ("Alpha", Some("a_b")),
        ("beta", Some("a%b")),
        ("gamma", None),
        ("gam", Some("zz")),
    ] {
        w.post("genericobjects", json!({"name": name, "kind": "note", "key": key}))
            .await
            .ok();
        w.clock.advance(std::time::Duration::from_secs(10));
    }
    w.settle().await;
    let rows = w.list("genericobjects").await;
    let (second, created) = (text(&rows[1], "id").to_owned(), rows[1]["createdTS"].clone());
    let iso = text(&rows[1], "created").to_owned();
    let cases = [
        ("name=beta".to_owned(), "beta"),
        ("name_eq=beta".into(), "beta"),
        ("name_ne=beta".into(), "Alpha gamma gam"),
        ("name_prefix=gam".into(), "gamma gam"),
        ("name_like=%25a%25m%25".into(), "gamma gam"),
        ("name_like=b_ta".into(), "beta"),
        ("name_notlike=%25eta".into(), "Alpha gamma gam"),
        ("name_null".into(), ""),
        ("name_notnull=".into(), "Alpha beta gamma gam"),
        ("key_null=true".into(), "gamma"),
        ("key_notnull".into(), "Alpha beta gam"),
        ("key=a_b".into(), "Alpha"),
        ("key_prefix=a_".into(), "Alpha"),
        ("key_prefix=a%25".into(), "beta"),
        // Absent is not different: SQL's own rule, and cattle's.
        ("key_ne=zz".into(), "Alpha beta"),
        (format!("id={second}"), "beta"),
        (format!("id_gt={second}"), "gamma gam"),
        (format!("id_lte={second}"), "Alpha beta"),
        (format!("created={created}"), "beta"),
        (format!("created_lt={iso}"), "Alpha"),
        (format!("created_gte={iso}"), "beta gamma gam"),
        (format!("created_gt={iso}&name_prefix=gam&name_ne=gam"), "gamma"),
        ("created_lt=now".into(), "Alpha beta gamma gam"),
        ("created_lt=never".into(), ""),
        ("state=active".into(), "Alpha beta gamma gam"),
        ("state_ne=active".into(), ""),
        ("state=nope".into(), ""),
        ("name_ne=Alpha&name_ne=beta".into(), "gamma gam"),
        ("name=Alpha&name=beta".into(), ""),
        ("accountId=1a5".into(), "Alpha beta gamma gam"),
        ("accountId=1a1".into(), ""),
        ("accountId=nope".into(), ""),
        ("removed_null".into(), "Alpha beta gamma gam"),
        ("removed_notnull".into(), ""),
        // What is not known filters nothing.
        (
            "nope=1&resourceData=x&name_nope=1&key_gt=1&Name=beta".into(),
            "Alpha beta gamma gam",
        ),
    ];
    for (query, expected) in cases {
        let rows = w.list(&format!("genericobjects?{query}")).await;
        let names: Vec<&str> = rows.iter().map(|row| text(row, "name")).collect();
        assert_eq!(names.join(" "), expected, "{query}");
    }
    // Removed rows are shown only to those who ask.
    w.delete(&format!("genericobjects/{second}")).await.ok();
    w.settle().await;
    for (query, count) in [
        ("", 3),
        ("_removed", 4),
        ("_removed=false", 4),
        ("removed_notnull", 1),
        ("removed_null", 3),
        ("state=removed", 0),
    ] {
        let rows = w.list(&format!("genericobjects?{query}")).await;
        assert_eq!(rows.len(), count, "{query}");
    }
}

#[actix_web::test]
async fn every_filter_and_every_order_of_every_type_is_answered() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    w.running(&stack, "web", json!({"launchConfig": {"ports": ["80"]}}))
        .await;
    for base in ["/v1", "/v2-beta/projects/1a5"] {
        for schema in w.list(&format!("{base}/schemas")).await {
            let listed = schema["collectionMethods"]
                .as_array()
                .is_some_and(|m| m.iter().any(|m| m == "GET"));
            if !listed || matches!(text(&schema, "id"), "subscribe" | "schema" | "typeDocumentation") {
                continue;
            }
            let url = text(&schema["links"], "collection")
                .trim_start_matches("http://localhost")
                .to_owned();
            for (field, filter) in schema["collectionFilters"].as_object().into_iter().flatten() {
                for modifier in filter["modifiers"].as_array().into_iter().flatten() {
                    let modifier = modifier.as_str().unwrap_or_default();
                    for value in ["1", "1s1", "2020-01-01T00:00:00Z"] {
                        let page = w.get(&format!("{url}?{field}_{modifier}={value}&limit=1")).await;
                        page.expect(200, json!({"type": "collection"}));
                    }
                }
                let sorted = format!("{url}?sort={field}&order=desc&limit=1");
                let whole = ids(&w
                    .get(&sorted.replace("limit=1", "limit=3000"))
                    .await
                    .expect(200, json!({}))["data"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default());
                if !w.get(&url).await.body["pagination"].is_object() {
                    continue;
                }
                let paged = walk(&w, &sorted, async |_| {}).await;
                assert_eq!(ids(&paged), whole, "{sorted}");
            }
        }
    }
}

#[actix_web::test]
async fn a_collection_has_all_parts_of_its_envelope() {
    let w = World::new().await;
    w.stack("a").await;
    w.stack("b").await;
    let page = w.get("stacks?limit=1&sort=name&name_ne=x&unknown=1").await.ok();
    let keys: Vec<&String> = page.as_object().into_iter().flatten().map(|(key, _)| key).collect();
    let expected = [
        "type",
        "resourceType",
        "links",
        "createTypes",
        "actions",
        "data",
        "sortLinks",
        "pagination",
        "sort",
        "filters",
        "createDefaults",
    ];
    assert_eq!(keys, expected);
    has(
        &page,
        &json!({
            "type": "collection",
            "resourceType": "stack",
            "links": {"self": "http://localhost/v2-beta/projects/1a5/stacks"},
            "actions": {},
            "pagination": {"first": null, "previous": null, "limit": 1, "total": null, "partial": true},
            "sort": {"name": "name", "order": "asc", "reverse": "http://localhost/v2-beta/projects/1a5/stacks?limit=1&sort=name&name_ne=x&unknown=1&order=desc"},
            "filters": {"name": [{"value": "x", "modifier": "ne"}], "state": null},
            "createDefaults": {},
        }),
        "page",
    );
    let next = next_of(&page).unwrap_or_default();
    assert!(next.contains("sort=name&name_ne=x&unknown=1&marker="), "{next}");
    has(
        &page["createTypes"],
        &json!({"kubernetesStack": "http://localhost/v2-beta/projects/1a5/kubernetesstacks"}),
        "create types",
    );
    assert_eq!(
        page["sortLinks"]["state"],
        "http://localhost/v2-beta/projects/1a5/stacks?limit=1&name_ne=x&unknown=1&sort=state"
    );
    // What is not paged comes whole.
    has(
        &w.get("/v2-beta/projects").await.ok(),
        &json!({"pagination": null, "sort": null, "sortLinks": {}}),
        "projects",
    );
}

#[actix_web::test]
async fn include_brings_what_links_lead_to() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let web = w.running(&stack, "web", json!({"scale": 2})).await;
    let db = w.service(&stack, "db", json!({})).await;
    let rows = w.list("services?include=instances&sort=name&order=desc").await;
    assert_eq!(rows[0]["instances"].as_array().map(Vec::len), Some(2));
    assert_eq!(rows[0]["instances"][0]["type"], "container");
    assert!(rows[1].get("instances").is_none(), "nothing to bring");
    let row = w.show(&format!("{web}?include=stack")).await;
    assert_eq!(
        (row["stack"]["id"].as_str(), &row["stack"]["type"]),
        (Some(stack.as_str()), &json!("stack"))
    );
    let row = w.show(&format!("{stack}?include=services")).await;
    let mut services = ids(row["services"].as_array().map_or(&[], Vec::as_slice));
    services.sort();
    let mut expected = vec![web.clone(), db];
    expected.sort();
    assert_eq!(services, expected);
    for include in ["nope", "", "self"] {
        assert_eq!(
            w.show(&format!("{web}?include={include}")).await,
            w.show(&web).await,
            "{include}"
        );
    }
    // Links of a row, and making one more at their end.
    assert_eq!(w.list(&format!("stacks/{stack}/services")).await.len(), 2);
    let page = w.get(&format!("stacks/{stack}/services")).await.ok();
    assert_eq!(page["createDefaults"], json!({"stackId": stack}));
    let third = w
        .post(
            &format!("stacks/{stack}/services"),
            json!({"name": "third", "launchConfig": {"imageUuid": "sim:x"}}),
        )
        .await;
    third.expect(201, json!({"stackId": stack, "name": "third"}));
    w.get(&format!("services/{web}/stack"))
        .await
        .expect(200, json!({"id": stack}));
    w.get(&format!("services/{web}/nope")).await.refused(404, "Not Found");
}

#[actix_web::test]
async fn the_two_versions_show_one_thing_by_two_names() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let web = w.running(&stack, "web", json!({})).await;
    let number = stack.trim_start_matches("1st");
    let old = format!("1e{number}");
    let row = w
        .get(&format!("/v1/projects/1a5/environments/{old}"))
        .await
        .expect(200, json!({"id": old, "type": "environment"}));
    assert_eq!(row["baseType"], "environment");
    assert_eq!(
        row["serviceIds"],
        json!([web]),
        "no schema of v1 lists it, and rows have it"
    );
    assert!(text(&row["links"], "self").ends_with(&format!("/v1/projects/1a5/environments/{old}")));
    let service = w
        .get(&format!("/v1/projects/1a5/services/{web}"))
        .await
        .expect(200, json!({"environmentId": old}));
    assert!(
        text(&service["links"], "environment").ends_with(&format!("/v1/projects/1a5/environments/{old}")),
        "{service:#}"
    );
    assert!(service["links"].get("stack").is_none());
    assert_eq!(w.list(&format!("/v1/services?environmentId={old}")).await.len(), 1);
    assert_eq!(w.list(&format!("/v1/services?environmentId={stack}")).await.len(), 1);
    assert_eq!(w.list("/v1/services?environmentId=1e999999").await.len(), 0);
    w.get("/v1/stacks").await.refused(404, "Not Found");
    w.get("/v2-beta/environments").await.refused(404, "Not Found");
    let body = json!({"name": "older", "environmentId": old, "launchConfig": {"imageUuid": "sim:x"}});
    w.post("/v1/projects/1a5/services", body)
        .await
        .expect(201, json!({"environmentId": old, "type": "service"}));
    w.post("/v1/projects/1a5/services", json!({"name": "x"}))
        .await
        .expect(422, json!({"code": "InvalidState", "fieldName": "environmentId"}));
    w.post("/v1/projects/1a5/environments", json!({"name": "env"}))
        .await
        .expect(201, json!({"type": "environment"}));
}

#[actix_web::test]
async fn a_link_leads_to_a_list_with_pages_and_filters() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    for name in ["a", "b", "c"] {
        w.service(&stack, name, json!({})).await;
    }
    let other = w.stack("t").await;
    w.service(&other, "d", json!({})).await;
    let mut names = Vec::new();
    let mut next = format!("stacks/{stack}/services?limit=2&sort=name&order=desc");
    while !next.is_empty() {
        let page = w.get(&next).await.ok();
        assert_eq!(page["createDefaults"], json!({"stackId": stack}));
        names.extend(
            page["data"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|row| text(row, "name").to_owned()),
        );
        next = page["pagination"]["next"]
            .as_str()
            .unwrap_or_default()
            .replace("http://localhost", "");
    }
    assert_eq!(names, ["c", "b", "a"]);
    let found = w
        .list(&format!("stacks/{stack}/services?name_ne=b&state=inactive"))
        .await;
    assert_eq!(found.len(), 2);
    assert!(w.list(&format!("stacks/{stack}/services?name=d")).await.is_empty());
}

#[actix_web::test]
async fn a_list_that_is_asked_for_again_and_again_shows_every_change() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        ids.push(w.service(&stack, name, json!({"startOnCreate": false})).await);
    }
    let shown = async |filter: &str| {
        let mut rows = Vec::new();
        // What is asked for twice is kept; from then on it is not read again.
        for nth in 0..4 {
            let now: Vec<(String, String)> = w
                .list(&format!("services?sort=name&stackId={stack}{filter}"))
                .await
                .iter()
                .map(|row| (text(row, "name").to_owned(), text(row, "state").to_owned()))
                .collect();
            assert!(nth == 0 || now == rows, "{now:?} {rows:?}");
            rows = now;
        }
        rows.into_iter()
            .map(|(name, state)| format!("{name} {state}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown("").await, ["a inactive", "b inactive", "c inactive"]);
    w.put(&ids[0], json!({"name": "z"})).await.ok();
    w.settle().await;
    assert_eq!(
        shown("&state=inactive").await,
        ["b inactive", "c inactive", "z inactive"]
    );
    w.act(&ids[1], "activate", json!({})).await.ok();
    assert_eq!(shown("&state=inactive").await, ["c inactive", "z inactive"]);
    assert_eq!(shown("&name=b").await, ["b activating"]);
    w.settle().await;
    assert_eq!(shown("").await, ["b active", "c inactive", "z inactive"]);
    w.delete(&ids[2]).await.ok();
    w.settle().await;
    let more = w.service(&stack, "y", json!({"startOnCreate": false})).await;
    assert_eq!(shown("").await, ["b active", "y inactive", "z inactive"]);
    // One row of several has changed: all of them are those of one moment.
    w.put(&more, json!({"description": "new"})).await.ok();
    let rows = w.list(&format!("services?sort=name&stackId={stack}")).await;
    assert_eq!(
        rows.iter().map(|row| row["description"].clone()).collect::<Vec<_>>(),
        [json!(null), json!("new"), json!(null)]
    );
}

#[actix_web::test]
async fn a_client_says_which_fields_it_wants() {
    let world = World::new().await;
    let id = world.stack("short").await;
    let list = world.get("stacks?fields=name,state,links").await.body;
    let row = list["data"]
        .as_array()
        .and_then(|rows| rows.iter().find(|row| row["id"] == *id))
        .unwrap();
    let keys: Vec<&String> = row.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["id", "type", "name", "state", "links"]);
    assert_eq!(
        world.get(&format!("stacks/{id}?fields=name")).await.body,
        json!({"id": id, "type": "stack", "name": "short"})
    );
    for wrong in ["fields=nothing", "fields=name,%22"] {
        let refused = world.get(&format!("stacks?{wrong}")).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (422, &json!("InvalidOption")),
            "{wrong}"
        );
        assert_eq!(refused.body["fieldName"], "fields");
    }
    assert!(world.get("stacks?fields=").await.body["data"][0]["uuid"].is_string());
}

#[actix_web::test]
async fn lists_are_counted_by_what_their_rows_share() {
    let world = World::new().await;
    let (one, other) = (world.stack("one").await, world.stack("other").await);
    for (name, stack) in [("a", &one), ("b", &one), ("c", &other)] {
        let body = json!({"name": name, "stackId": stack, "launchConfig": {"imageUuid": "sim:web"}});
        world.post("services", body).await.expect(201, json!({}));
    }
    world.settle().await;
    let counted = |answer: Answer| answer.body["data"].clone();
    assert_eq!(
        counted(world.get("services?counts=stackId,state").await),
        json!([
            {"type": "count", "stackId": one, "state": "inactive", "count": 2},
            {"type": "count", "stackId": other, "state": "inactive", "count": 1},
        ])
    );
    assert_eq!(
        counted(world.get("services?counts=&limit=1").await),
        json!([{"type": "count", "count": 3}])
    );
    assert_eq!(
        counted(world.get("services?counts=type&name=a").await),
        json!([{"type": "service", "count": 1}])
    );
    assert_eq!(counted(world.get("services?counts=&name=nobody").await), json!([]));
    for wrong in [
        "services?counts=launchConfig",
        "services?counts=state,state",
        "services?counts=nothing",
        "auditlogs?counts=",
    ] {
        let refused = world.get(wrong).await;
        assert_eq!(
            (refused.status, &refused.body["code"]),
            (422, &json!("InvalidOption")),
            "{wrong}"
        );
    }
}

#[actix_web::test]
async fn columns_that_a_role_does_not_see_filter_where_its_schemas_list_them_and_nothing_else_does() {
    let w = World::new().await;
    let stack = w.stack("s").await;
    let check = json!({"port": 80, "interval": 1000, "responseTimeout": 1000});
    let id = w
        .running(&stack, "web", json!({"launchConfig": {"healthCheck": check}}))
        .await;
    let gone = w.service(&stack, "gone", json!({})).await;
    w.delete(&gone).await.ok();
    w.wait(&gone, "removed").await;
    let schema = w.show("schemas/service").await;
    assert!(schema["resourceFields"]["removeTime"].is_null());
    assert!(schema["collectionFilters"]["removeTime"].is_object());
    let names = async |path: &str| -> Vec<String> {
        let rows = w.list(path).await;
        rows.iter().map(|row| text(row, "name").to_owned()).collect()
    };
    assert_eq!(
        names("services?removed_notnull=true&removeTime_notnull=true").await,
        ["gone"]
    );
    assert!(
        names("services?removed_notnull=true&removeTime_null=true")
            .await
            .is_empty()
    );
    assert_eq!(names("services?removeTime_null=true").await, ["web"]);
    assert!(w.show(&gone).await["removeTime"].is_null());
    let schema = w.show("schemas/instance").await;
    assert!(schema["resourceFields"]["healthState"].is_null());
    w.wait(&id, "active").await;
    w.advance(std::time::Duration::from_secs(5)).await;
    assert_eq!(names("instances?healthState=healthy").await, ["s-web-1"]);
    assert!(names("instances?healthState=unhealthy").await.is_empty());
    // What stands in a row's own text says nothing to who does not see it.
    let schema = w.show("schemas/container").await;
    assert!(schema["resourceFields"]["agentId"].is_null() && schema["collectionFilters"]["agentId"].is_object());
    for filter in ["agentId_null", "agentId_notnull"] {
        assert_eq!(
            names(&format!("containers?{filter}=true")).await,
            ["s-web-1"],
            "{filter}"
        );
    }
}
