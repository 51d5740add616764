//! A large project: everything is made in one go, and in little time.

use std::time::{Duration, Instant};

use super::*;
use crate::model::network_table::Delta;

/// So many containers, ten to a service, each service linked to the next.
fn large(count: usize) -> Table {
    let mut w = World::new();
    w.0.subnet = "10.0.0.0/8".into();
    for nth in 0..count / 10 {
        let name = format!("service-{nth}.App");
        let mut containers = Vec::new();
        for of in 0..10 {
            let number = nth * 10 + of;
            let name = format!("container-{number}");
            containers.push(format!("uuid-{name}"));
            w.container(&name, 0, |c| {
                c.primary_ip = Some(format!(
                    "10.{}.{}.{}",
                    1 + number / 62_500,
                    number / 250 % 250,
                    number % 250
                ));
            });
        }
        w.service(&name, "service", |s| {
            s.containers = containers;
            linked(s, &[(&format!("App/service-{}", nth + 1), "next")]);
        });
    }
    // Each alias has all that came before, so that a walk that forgot where it was would not end.
    for nth in 0..40 {
        w.service(&format!("alias-{nth}.App"), "dnsService", |s| {
            let links = (0..nth).map(|n| (format!("App/alias-{n}"), String::new()));
            s.links = links.chain([(format!("App/service-{nth}"), String::new())]).collect();
        });
    }
    w.0
}

#[test]
fn ten_thousand_containers_are_no_trouble() {
    let table = large(10_000);
    let begun = Instant::now();
    let index = Index::new(table.clone());
    let building = begun.elapsed();
    let alias = decided(&index, "10.1.0.1", "alias-39", RecordType::A);
    assert_eq!(alias.split(' ').count(), 400);
    assert_eq!(
        decided(&index, "10.1.0.1", "next", RecordType::A).split(' ').count(),
        10
    );
    let mut changed = Index::new(table);
    let gone: Delta = Delta {
        after: 1,
        number: 2,
        containers: (0..5_000).map(|n| (format!("uuid-container-{n}"), None)).collect(),
        ..Delta::default()
    };
    let begun = Instant::now();
    assert!(changed.apply(gone));
    let applying = begun.elapsed();
    assert!(decided(&changed, "10.1.0.1", "service-0.app", RecordType::A).starts_with("forward"));
    println!("built in {building:?}, changed in {applying:?}");
    // Tests are not optimized, and share their machine.
    for took in [building, applying] {
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
}
