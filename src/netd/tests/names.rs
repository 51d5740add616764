//! Who gets which answer for which name.

use super::*;

/// Asks for addresses, as each client, for each name.
#[track_caller]
fn answers(index: &Index, cases: &[(&str, &str, &str)]) {
    for (from, name, expected) in cases {
        let from = if from.contains('.') {
            (*from).to_owned()
        } else {
            format!("10.42.0.{from}")
        };
        assert_eq!(
            decided(index, &from, name, RecordType::A),
            *expected,
            "{name} from {from}"
        );
    }
}

/// A project with one of everything.
fn project() -> Index {
    let mut w = World::new();
    w.with("Web.App", 11, &["running", "running"], |s| {
        linked(s, &[("Other/db", "mydb"), ("app/cache", "")])
    });
    w.with("log.Web.App", 13, &["running"], |_| {});
    w.with("cache.App", 14, &["running"], |_| {});
    w.with("db.Other", 15, &["running"], |s| linked(s, &[("App/Web", "front")]));
    w.service("empty.App", "service", |_| {});
    w.service("virtual.App", "service", |s| {
        s.vip = Some("10.99.0.9".into());
        s.containers = vec!["uuid-cache-App-1".into()];
    });
    w.service("fixed.App", "externalService", |s| {
        s.external_ips = vec!["203.0.113.1".into(), "203.0.113.2".into()]
    });
    w.service("far.App", "externalService", |s| {
        s.hostname = Some("Www.Example.com".into())
    });
    w.service("both.App", "dnsService", |s| {
        linked(s, &[("App/Web", ""), ("other/DB", "")])
    });
    w.service("nested.App", "dnsService", |s| {
        linked(s, &[("App/both", ""), ("App/fixed", ""), ("App/virtual", "")])
    });
    w.service("mixed.App", "dnsService", |s| {
        linked(s, &[("App/cache", ""), ("App/far", "")])
    });
    w.service("alone.App", "dnsService", |s| linked(s, &[("App/far", "")]));
    w.service("round.App", "dnsService", |s| {
        linked(s, &[("App/circle", ""), ("App/cache", "")])
    });
    w.service("circle.App", "dnsService", |s| {
        linked(s, &[("App/round", ""), ("App/circle", "")])
    });
    w.service("hollow.App", "dnsService", |s| {
        linked(s, &[("App/empty", ""), ("App/hollow", "")])
    });
    w.container("lone", 20, |c| {
        c.links = [("Peer".to_owned(), "uuid-peer".to_owned())].into();
        c.dns_search = vec!["example.com".into(), "rancher.internal".into()];
        c.dns = ["8.8.8.8", "127.0.0.1", "169.254.169.250", "junk"]
            .map(Into::into)
            .into();
    });
    w.container("peer", 21, |c| c.state = "stopped".into());
    w.container("far-away", 22, |c| c.primary_ip = None);
    w.container("on-host", 23, |c| {
        c.primary_ip = Some("192.0.2.10".into());
        c.managed = false;
    });
    // Adopted by a selector, with a link of its own that its service has, too.
    w.container("adopted", 24, |c| {
        c.links = [("mydb".to_owned(), "uuid-peer".to_owned())].into()
    });
    let adopting = w.0.services.get_mut("uuid-Web-App/Web").unwrap();
    adopting.containers.push("uuid-adopted".into());
    w.index()
}

#[test]
fn services_answer_by_stack_and_alone_to_their_own_stack() {
    let web = ".11 .12 .24";
    answers(
        &project(),
        &[
            ("14", "web.app.rancher.internal", web),
            ("14", "WEB.App.Rancher.Internal", web),
            ("14", "web.app", web),
            ("14", "web", web),
            ("15", "web", "forward []"),
            ("15", "web.app", web),
            ("14", "web.rancher.internal", "NXDomain own"),
            ("14", "db.other", ".15"),
            ("14", "db", "forward []"),
            ("14", "log.web.app.rancher.internal", ".13"),
            ("14", "log.web", ".13"),
            ("14", "log", "forward []"),
            ("11", "log", ".13"),
            ("14", "empty.app.rancher.internal", "NXDomain own"),
            ("14", "empty", "forward []"),
            ("14", "virtual", "10.99.0.9"),
            ("14", "nope.rancher.internal", "NXDomain own"),
            ("14", "rancher.internal", "NXDomain own"),
            ("14", "notrancher.internal", "forward []"),
            ("14", "example.com", "forward []"),
        ],
    );
}

#[test]
fn services_answer_by_other_names_behind_all_of_their_own() {
    let mut w = World::new();
    let also = |names: &str| {
        let labels = [("io.drover.network.aliases".to_owned(), names.to_owned())].into();
        move |s: &mut Service| s.labels = labels
    };
    w.with("web.App", 11, &["running"], also("front, Site, db"));
    w.with("api.App", 12, &["running", "stopped"], also("front"));
    w.with("db.App", 14, &["running"], |_| {});
    w.with("web.Other", 15, &["running"], also("front, far"));
    w.container("site", 20, |_| {});
    let cases = [
        // Those of the own stack come first.
        ("14", "front", ".11 .12"),
        ("15", "front", ".15"),
        ("14", "FRONT.app.rancher.internal", ".11 .12"),
        ("14", "front.other", ".15"),
        ("20", "front", ".11 .12 .15"),
        ("14", "far", ".15"),
        ("14", "site.app", ".11"),
        ("20", "site", ".20"),
        ("14", "db", ".14"),
        ("14", "nothing", "forward []"),
    ];
    answers(&w.index(), &cases);
}

#[test]
fn containers_answer_by_name_whatever_their_state() {
    answers(
        &project(),
        &[
            ("14", "lone.rancher.internal", ".20"),
            ("14", "lone", ".20"),
            ("14", "peer", ".21"),
            ("14", "web-app-1", ".11"),
            ("14", "on-host", "192.0.2.10"),
            ("14", "far-away", "NoError own"),
            ("14", "far-away.rancher.internal", "NoError own"),
        ],
    );
}

#[test]
fn links_answer_to_whom_they_belong() {
    answers(
        &project(),
        &[
            ("11", "mydb", ".15"),
            ("11", "mydb.rancher.internal", ".15"),
            ("11", "mydb.other.rancher.internal", ".15"),
            ("11", "mydb.other", ".15"),
            ("11", "mydb.app", "forward []"),
            ("11", "cache.app", ".14"),
            ("11", "cache.rancher.internal", ".14"),
            ("14", "mydb", "forward []"),
            ("14", "mydb.rancher.internal", "NXDomain own"),
            ("15", "front", ".11 .12 .24"),
            // A sidekick has links of its own only.
            ("13", "mydb", "forward []"),
            ("20", "PEER", ".21"),
            ("20", "peer.rancher.internal", ".21"),
            // The link of the service that adopted it wins.
            ("24", "mydb", ".15"),
        ],
    );
}

#[test]
fn aliases_give_all_that_their_targets_have_and_loops_end() {
    answers(
        &project(),
        &[
            ("14", "both", ".11 .12 .15 .24"),
            ("14", "nested", ".11 .12 .15 .24 10.99.0.9 203.0.113.1 203.0.113.2"),
            ("14", "round", ".14"),
            ("14", "circle", ".14"),
            ("14", "hollow.app.rancher.internal", "NXDomain own"),
            ("14", "fixed", "203.0.113.1 203.0.113.2"),
            ("14", "far", "hosts [] www.example.com=None"),
            ("14", "alone", "hosts [] www.example.com=None"),
            ("14", "mixed", "hosts [10.42.0.14] www.example.com=None"),
        ],
    );
}

#[test]
fn whoever_is_unknown_gets_names_with_their_stack_and_strangers_none() {
    answers(
        &project(),
        &[
            ("1", "web.app", ".11 .12 .24"),
            ("1", "web", "forward []"),
            ("1", "lone", ".20"),
            ("99", "web.app", ".11 .12 .24"),
            ("127.0.0.1", "web.app", ".11 .12 .24"),
            ("10.42.4.1", "web.app", "Refused"),
            ("192.0.2.10", "web.app", "Refused"),
            ("192.0.2.10", "example.com", "Refused"),
            // Its own name servers come first, but not those that would lead back.
            ("20", "example.com", "forward [8.8.8.8]"),
            ("20", "rancher-metadata", "10.42.3.254"),
            ("1", "rancher-metadata.rancher.internal", "10.42.3.254"),
        ],
    );
    let empty = Index::new(Table::default());
    assert_eq!(decided(&empty, "10.42.0.11", "web", RecordType::A), "Refused");
    assert_eq!(
        decided(&empty, "127.0.0.1", "rancher-metadata", RecordType::A),
        "10.42.3.254"
    );
}

#[test]
fn only_what_is_up_and_well_answers_or_else_the_last() {
    let none = |_: &mut Service| {};
    type Case<'c> = (&'c [&'c str], fn(&mut Service), &'c str);
    let cases: &[Case<'_>] = &[
        (&["running", "starting", "stopped", "stopping"], none, ".11 .12"),
        (&["running healthy", "running updating-healthy"], checked, ".11 .12"),
        (
            &["running healthy", "running unhealthy", "running initializing"],
            checked,
            ".11",
        ),
        (&["running reinitializing", "running healthy"], checked, ".12"),
        (&["stopped healthy", "running healthy"], checked, ".12"),
        // Nothing is known of its health, and something should be.
        (&["running", "running healthy"], checked, ".12"),
        (&["running unhealthy", "running"], none, ".12"),
        (&["running unhealthy", "running unhealthy"], checked, ".12"),
        (&["running initializing"], checked, ".11"),
        (&["stopped", "stopped"], none, ".12"),
        (&["running", "error"], checked, ".12"),
        (&[], none, "NXDomain own"),
    ];
    for (states, change, expected) in cases {
        let mut w = World::new();
        w.with("web.App", 11, states, change);
        let found = decided(&w.index(), "10.42.0.200", "web.app.rancher.internal", RecordType::A);
        assert_eq!(found, *expected, "{states:?}");
    }
}

#[test]
fn other_types_are_empty_for_names_of_ours_and_asked_elsewhere_for_others() {
    let index = project();
    for (name, kind, expected) in [
        ("web", RecordType::AAAA, "NoError own"),
        ("web.app.rancher.internal", RecordType::AAAA, "NoError own"),
        ("far", RecordType::AAAA, "NoError own"),
        ("far", RecordType::CNAME, "=www.example.com."),
        ("web", RecordType::CNAME, "NoError own"),
        ("mixed", RecordType::CNAME, "NoError own"),
        ("nope.rancher.internal", RecordType::AAAA, "NXDomain own"),
        ("web.app.rancher.internal", RecordType::MX, "NoError own"),
        ("web", RecordType::MX, "forward known []"),
        ("example.com", RecordType::MX, "forward []"),
        ("example.com", RecordType::TXT, "forward []"),
        ("_http._tcp.example.com", RecordType::SRV, "forward []"),
        ("11.0.42.10.in-addr.arpa", RecordType::PTR, "forward []"),
        ("example.com", RecordType::AAAA, "forward []"),
        ("rancher-metadata", RecordType::AAAA, "NoError own"),
    ] {
        assert_eq!(decided(&index, "10.42.0.14", name, kind), expected, "{name} {kind}");
    }
}

#[test]
fn host_names_that_are_names_of_ours_are_followed_and_circles_end() {
    let mut w = World::new();
    w.with("web.App", 11, &["running"], |_| {});
    let host = |w: &mut World, path: &str, host: &str| {
        w.service(path, "externalService", |s| s.hostname = Some(host.into()));
    };
    host(&mut w, "first.App", "second.app.rancher.internal.");
    host(&mut w, "second.App", "web.app");
    host(&mut w, "here.App", "there.app");
    host(&mut w, "there.App", "here.app");
    host(&mut w, "gone.App", "nothing.app.rancher.internal");
    let index = w.index();
    let chain = "second.app.rancher.internal>web.app=Some([10.42.0.11])";
    answers(
        &index,
        &[
            ("11", "first", &format!("hosts [] {chain}")),
            ("11", "gone", "hosts [] nothing.app.rancher.internal=Some([])"),
        ],
    );
    let circle = decided(&index, "10.42.0.11", "here", RecordType::A);
    assert!(
        circle.ends_with("=Some([])") && circle.matches('>').count() == 10,
        "{circle}"
    );
}

#[test]
fn a_container_that_its_service_does_not_list_is_still_of_it() {
    let mut w = World::new();
    w.with("db.Other", 15, &["running"], |_| {});
    w.with("web.App", 11, &["running"], |s| linked(s, &[("Other/db", "store")]));
    for service in w.0.services.values_mut().filter(|s| s.name == "web") {
        service.containers.clear();
    }
    answers(&w.index(), &[("11", "store", ".15"), ("11", "web.app", "forward []")]);
}

#[test]
fn of_containers_of_one_name_or_address_the_one_that_is_up_counts() {
    let mut w = World::new();
    w.container("a", 11, |c| c.state = "stopped".into());
    w.container("b", 11, |c| c.links = [("x".to_owned(), "uuid-a".to_owned())].into());
    w.container("twin", 12, |c| c.state = "stopped".into());
    w.container("Twin", 13, |_| {});
    answers(&w.index(), &[("11", "x", ".11"), ("11", "twin", ".13")]);
}

#[test]
fn several_links_to_one_service_are_several_names() {
    let mut w = World::new();
    w.with("db.Other", 15, &["running"], |_| {});
    w.with("web.App", 11, &["running"], |s| {
        linked(s, &[("Other/db", "Writer")]);
        s.more_links = [("other/DB".to_owned(), vec!["reader".to_owned(), String::new()])].into();
    });
    let cases = [
        "writer",
        "reader",
        "reader.other",
        "writer.other.rancher.internal",
        "db",
    ];
    answers(&w.index(), &cases.map(|name| ("11", name, ".15")));
    answers(
        &w.index(),
        &[("200", "reader", "forward []"), ("11", "reader.app", "forward []")],
    );
}
