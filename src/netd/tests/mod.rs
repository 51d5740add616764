//! Golden tests of names and metadata, in one small project; and of the server, on loopback.
//!
//! What the original did, and the test that shows that this one does it (those of `tests/` are named with their file):
//!
//! | Names | |
//! |---|---|
//! | `service.stack`, `sidekick.service.stack`, letters of any size | `services_answer_by_stack_and_alone_to_their_own_stack` |
//! | other names of services, which the original had not | `services_answer_by_other_names_behind_all_of_their_own` |
//! | a container's name, stopped ones too, on another's or the host's network | `containers_answer_by_name_whatever_their_state` |
//! | links by name, with the target's stack, without a name, to the linking service alone; links of containers | `links_answer_to_whom_they_belong` |
//! | several links to one service | `several_links_to_one_service_are_several_names`, `two_links_to_one_service_are_both_told` (http/told_names.rs) |
//! | aliases, recursively, without end | `aliases_give_all_that_their_targets_have_and_loops_end` |
//! | external services: addresses, host names, chains of at most 10, NXDOMAIN of the upstream | `host_names_that_are_names_of_ours_are_followed_and_circles_end`, `names_that_are_not_ours_are_asked_elsewhere` |
//! | `vip` alone; `rancher-metadata`; a service without containers has no name | `services_answer_by_stack_and_alone_to_their_own_stack` |
//! | search at the server, unknown clients, strangers | `whoever_is_unknown_gets_names_with_their_stack_and_strangers_none` |
//! | search domains, `io.rancher.container.dns`, `dns.priority` | `src/engine/instances/naming.rs` |
//! | health; if none counts, the last | `only_what_is_up_and_well_answers_or_else_the_last` |
//! | adopted containers count | `a_container_that_its_service_does_not_list_is_still_of_it` |
//! | A and CNAME alone; ANY, other classes; MX, TXT, SRV, PTR upstream | `other_types_are_empty_for_names_of_ours_and_asked_elsewhere_for_others`, `what_is_no_plain_question_is_refused_or_not_answered` |
//! | a second to live, shuffled | `an_answer_has_the_letters_of_the_question_and_a_second_to_live`, `addresses_come_in_any_order_and_names_stay_in_front` |
//! | NXDOMAIN with SOA; AAAA NXDOMAIN becomes nothing; SERVFAIL | `an_answer_of_an_upstream_is_passed_on_with_its_code_but_for_two`, `an_upstream_that_is_silent_or_closed_makes_room_for_the_next` |
//! | TC over UDP, whole over TCP | `an_answer_that_is_too_large_is_cut_to_nothing_over_udp_alone`, `what_is_too_large_for_udp_is_had_by_tcp` |
//!
//! | Metadata | |
//! |---|---|
//! | methods, editions, errors, slashes, CORS, no X-Forwarded-For | `metadata_answers_over_http` |
//! | text, escapes, lists, nulls | `text_lists_names_and_shows_values_bare` |
//! | forms | `what_a_client_accepts_decides_the_form`, `json_is_sorted_and_yaml_is_read_as_the_same` |
//! | steps by number, name, uuid; small letters | `text_lists_names_and_shows_values_bare` |
//! | waiting | `waiting_ends_with_a_change_of_what_is_waited_for`, `a_client_that_waits_too_often_is_told` |
//! | fields of each edition | `objects_have_the_fields_of_the_original` |
//! | `self`, tokens, `container:`, host network | `everybody_sees_themselves_and_their_own_token_alone` |
//!
//! | Whoever asks too much | |
//! |---|---|
//! | malformed, too long, names that point at themselves, ANY, AXFR, NOTIFY | `fuzz.rs`, `messages.rs` |
//! | floods of names, slow connections, thousands who wait | `flood.rs` |
//! | lines, files and paths of any bytes | `fuzz.rs` |

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that fails should say where"
)]

use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};

use super::answers::{Decision, decide};
use super::index::Index;
use super::message::{Question, Reply, read};
use crate::model::network_table::{Container, Environment, HealthCheck, Host, Service, Stack, Table, service_key};

mod changes;
mod flood;
mod fuzz;
mod messages;
mod metadata;
mod names;
mod served;
mod sizes;

/// A table while it is written down.
#[derive(Debug, Default)]
struct World(Table);

impl World {
    /// A project with two stacks on one host, and nothing in them.
    fn new() -> Self {
        let stack = |name: &str| Stack {
            name: name.into(),
            uuid: format!("stack-{name}"),
            system: false,
        };
        let host = Host {
            name: "Host-1".into(),
            hostname: "one.example.com".into(),
            uuid: "host-1".into(),
            host_id: 7,
            agent_ip: "192.0.2.10".into(),
            agent_state: "active".into(),
            state: "active".into(),
            ..Host::default()
        };
        Self(Table {
            number: 1,
            environment: Environment {
                name: "Default".into(),
                uuid: "environment-1".into(),
            },
            host_uuid: "host-1".into(),
            subnet: "10.42.0.0/22".into(),
            gateway: "10.42.0.1".into(),
            stacks: ["App", "Other"]
                .map(|name| (format!("stack-{name}"), stack(name)))
                .into(),
            hosts: [("host-1".into(), host)].into(),
            ..Table::default()
        })
    }

    /// A container by itself, with an address in the subnet.
    fn container(&mut self, name: &str, last: u8, change: impl FnOnce(&mut Container)) -> &mut Self {
        let mut container = Container {
            name: name.into(),
            uuid: format!("uuid-{name}"),
            host_uuid: "host-1".into(),
            state: "running".into(),
            primary_ip: Some(format!("10.42.0.{last}")),
            ips: vec![format!("10.42.0.{last}")],
            managed: true,
            ..Container::default()
        };
        change(&mut container);
        self.0.containers.insert(container.uuid.clone(), container);
        self
    }

    /// A service: `name.stack` or, of a sidekick, `name.primary.stack`. Its uuid is the primary's.
    fn service(&mut self, path: &str, kind: &str, change: impl FnOnce(&mut Service)) -> &mut Self {
        let parts: Vec<&str> = path.split('.').collect();
        let (name, primary, stack) = match parts[..] {
            [name, stack] => (name, name, stack),
            [name, primary, stack] => (name, primary, stack),
            _ => panic!("{path}"),
        };
        let mut service = Service {
            name: name.into(),
            uuid: format!("uuid-{primary}-{stack}"),
            kind: kind.into(),
            state: "active".into(),
            stack_uuid: format!("stack-{stack}"),
            stack_name: stack.into(),
            primary_service_name: primary.into(),
            ..Service::default()
        };
        change(&mut service);
        for uuid in &service.containers {
            if let Some(container) = self.0.containers.get_mut(uuid).filter(|c| c.service_uuid.is_none()) {
                let (small, small_stack) = (primary.to_lowercase(), stack.to_lowercase());
                container.service_uuid = Some(service.uuid.clone());
                container.service_name = Some(service.name.clone());
                container.stack_uuid = Some(service.stack_uuid.clone());
                container.stack_name = Some(service.stack_name.clone());
                container.dns_search = vec![
                    format!("{small_stack}.rancher.internal"),
                    format!("{small}.{small_stack}.rancher.internal"),
                    "rancher.internal".into(),
                ];
            }
        }
        self.0.services.insert(service_key(&service.uuid, name), service);
        self
    }

    /// A service of containers in these states (`running`, `running unhealthy` …), whose addresses begin with this one.
    fn with(&mut self, path: &str, first: u8, states: &[&str], change: impl FnOnce(&mut Service)) -> &mut Self {
        let name = path.replace('.', "-");
        let mut containers = Vec::new();
        for (nth, state) in (1_u8..).zip(states) {
            let (state, health) = state.split_once(' ').unwrap_or((state, ""));
            let of_service = format!("{name}-{nth}");
            containers.push(format!("uuid-{of_service}"));
            self.container(&of_service, first + nth - 1, |c| {
                c.state = state.into();
                c.health_state = (!health.is_empty()).then(|| health.into());
            });
        }
        self.service(path, "service", |service| {
            service.containers = containers;
            change(service);
        })
    }

    fn index(&self) -> Index {
        Index::new(self.0.clone())
    }
}

fn checked(service: &mut Service) {
    service.health_check = Some(HealthCheck::default());
}

fn linked(service: &mut Service, links: &[(&str, &str)]) {
    let links = links
        .iter()
        .map(|(path, name)| ((*path).to_owned(), (*name).to_owned()));
    service.links = links.collect();
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The bytes of a question.
fn asked(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut name = Name::from_ascii(name).unwrap();
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    message.to_vec().unwrap()
}

fn question(name: &str, kind: RecordType) -> Question {
    read(&asked(name, kind)).unwrap()
}

/// What an index decides, in words.
fn decided(index: &Index, from: &str, name: &str, kind: RecordType) -> String {
    let own = || Some([10, 42, 3, 254].into());
    match decide(index, ip(from), own, &question(name, kind)) {
        Decision::Answer(reply) => words(&reply),
        Decision::Forward { upstreams, is_known } => {
            format!("forward{} {upstreams:?}", if is_known { " known" } else { "" })
        }
        Decision::Hosts { addresses, chains, .. } => {
            let chains = chains
                .iter()
                .map(|chain| format!("{}={:?}", chain.hosts.join(">"), chain.end));
            format!("hosts {addresses:?} {}", chains.collect::<Vec<_>>().join(" "))
        }
    }
}

/// An answer in words: its records without what they all have, addresses sorted.
fn words(reply: &Reply) -> String {
    let mut records: Vec<String> = Vec::new();
    for record in &reply.records {
        records.push(match &record.data {
            RData::A(address) => address.0.to_string().replace("10.42.0.", "."),
            RData::CNAME(name) => format!("={}", name.0),
            other => format!("{other}"),
        });
    }
    records.sort_unstable();
    match (reply.is_own, records.is_empty()) {
        (true, false) => records.join(" "),
        (is_own, _) => format!("{:?}{}", reply.code, if is_own { " own" } else { "" }),
    }
}
