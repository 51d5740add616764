//! Lives of stacks that are made of compose files.

use serde_json::{Value, json};

use crate::matrix::{Scenario, check};
use crate::world::{Mode, Step};

fn matrix(name: &'static str, before: Vec<Step>, then: Vec<Step>) {
    check(&Scenario { name, before, then }, Mode::Plain);
}

/// Files of a stack, with all that is made for one.
const FILES: &str = "
version: '2'
services:
  web:
    image: sim:one
    links: [db]
    labels: {io.rancher.sidekicks: log}
  log: {image: 'sim:log', network_mode: 'container:web'}
  db: {image: 'sim:db', volumes: ['data:/data'], links: [web]}
volumes: {data: {}}
";

fn from_files() -> Step {
    Step::Create {
        path: "stacks",
        name: "shop",
        body: json!({"dockerCompose": FILES, "startOnCreate": true}),
    }
}

fn of_stack(action: &'static str, from: &'static [&'static str], body: Value) -> Step {
    Step::Act {
        path: "stacks",
        name: "shop",
        action,
        from,
        body,
    }
}

#[test]
fn making_a_stack_of_files() {
    let broken = Step::Create {
        path: "stacks",
        name: "broken",
        body: json!({"dockerCompose": "web: {image: 'sim:one', build: .}"}),
    };
    matrix("files", vec![], vec![from_files(), Step::Rest, broken, Step::Rest]);
}

#[test]
fn upgrading_a_stack_to_other_files_and_finishing() {
    let files = FILES.replace("sim:one", "sim:two") + "x-note: {}\n";
    let files = files.replace("  db:", "  cache: {image: 'sim:cache'}\n  db:");
    let then = vec![
        of_stack(
            "upgrade",
            &["active"],
            json!({"dockerCompose": files, "externalId": "new"}),
        ),
        Step::Rest,
        of_stack("finishupgrade", &["upgraded"], json!({})),
        Step::Rest,
    ];
    matrix("files upgrade", vec![from_files(), Step::Rest], then);
}

#[test]
fn rolling_a_stack_back_to_its_files() {
    let files = FILES
        .replace("sim:one", "sim:two")
        .replace("links: [db]", "links: ['db:other']");
    let upgrade = of_stack(
        "upgrade",
        &["active"],
        json!({"dockerCompose": files, "environment": {"A": "b"}}),
    );
    let then = vec![of_stack("rollback", &["upgraded"], json!({})), Step::Rest];
    matrix(
        "files rollback",
        vec![from_files(), Step::Rest, upgrade, Step::Rest],
        then,
    );
}
