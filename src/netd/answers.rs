//! What is answered to a question: at once, or what has to be asked of an upstream first. Pure; `dns.rs` does it.

use std::net::{IpAddr, Ipv4Addr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{RData, Record, RecordType};

use super::index::{Client, Found, Index, LONGEST_CHAIN, Records, in_zone};
use super::message::{Question, Reply, alias};

/// What is to be done about a question.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// This is the answer.
    Answer(Reply),
    /// The client's upstreams know. If the name is one of ours, it exists whatever they say.
    Forward {
        /// Those that the client's owner asked for.
        upstreams: Vec<IpAddr>,
        /// The name is one of ours.
        is_known: bool,
    },
    /// Hosts have to be asked for.
    Hosts {
        /// Those that the client's owner asked for.
        upstreams: Vec<IpAddr>,
        /// What the answer has already.
        addresses: Vec<Ipv4Addr>,
        /// Where each host name leads.
        chains: Vec<Chain>,
    },
}

/// Where a host name leads: from name to name, as far as they are ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// The host names, in order.
    pub hosts: Vec<String>,
    /// What the last one stands for; none if an upstream has to be asked.
    pub end: Option<Vec<Ipv4Addr>>,
}

/// What is to be done about a question of somebody at this address. `own` is this server's address as the client sees it.
pub fn decide(index: &Index, from: IpAddr, own: impl FnOnce() -> Option<Ipv4Addr>, question: &Question) -> Decision {
    if !index.admits(from) {
        return Decision::Answer(Reply::code(ResponseCode::Refused));
    }
    let client = index.client(from);
    let forward = |is_known| Decision::Forward {
        upstreams: Client::upstreams(client),
        is_known,
    };
    let Some(name) = question.name.as_deref() else {
        return forward(false);
    };
    let is_in_zone = in_zone(name).is_some();
    let Some(found) = index.find(client, name) else {
        return match is_in_zone {
            true => Decision::Answer(Reply::unknown()),
            false => forward(false),
        };
    };
    let is_ours = matches!(
        question.query.query_type,
        RecordType::A | RecordType::AAAA | RecordType::CNAME
    );
    if !is_ours && !is_in_zone {
        return forward(true);
    }
    match found {
        Found::Own if question.is_of(RecordType::A) => {
            Decision::Answer(own().map_or_else(Reply::empty, |address| Reply::records(vec![question.address(address)])))
        }
        Found::Own => Decision::Answer(Reply::empty()),
        Found::Records(records) => of_records(index, client, question, &records),
    }
}

fn of_records(index: &Index, client: Option<Client<'_>>, question: &Question, records: &Records) -> Decision {
    let hosts = &records.hosts;
    if question.is_of(RecordType::CNAME)
        && let [host] = hosts.as_slice()
        && records.addresses.is_empty()
        && let Some(record) = alias(&question.query.name, host)
    {
        return Decision::Answer(Reply::records(vec![record]));
    }
    if !question.is_of(RecordType::A) {
        return Decision::Answer(Reply::empty());
    }
    if !hosts.is_empty() {
        return Decision::Hosts {
            upstreams: Client::upstreams(client),
            addresses: records.addresses.clone(),
            chains: hosts.iter().map(|host| chain(index, client, host)).collect(),
        };
    }
    if records.addresses.is_empty() {
        return Decision::Answer(Reply::empty());
    }
    let addresses = records.addresses.iter().map(|address| question.address(*address));
    Decision::Answer(Reply::records(addresses.collect()))
}

/// Follows a host name as long as it leads to names of ours. What leads in circles ends with nothing.
fn chain(index: &Index, client: Option<Client<'_>>, host: &str) -> Chain {
    let mut hosts = vec![host.to_owned()];
    while hosts.len() <= LONGEST_CHAIN {
        let Some(last) = hosts.last() else { break };
        let end = match index.find(client, last) {
            None if in_zone(last).is_some() => Some(Vec::new()),
            None => None,
            Some(Found::Own) => Some(Vec::new()),
            Some(Found::Records(records)) => match records.hosts.as_slice() {
                [next] if records.addresses.is_empty() => {
                    let next = next.clone();
                    hosts.push(next);
                    continue;
                }
                _ => Some(records.addresses.clone()),
            },
        };
        return Chain { hosts, end };
    }
    Chain {
        hosts,
        end: Some(Vec::new()),
    }
}

/// What an upstream said of the last name of a chain.
#[derive(Debug)]
pub enum Told {
    /// It answered this.
    Answer(ResponseCode, Vec<Record>),
    /// None answered.
    Nothing,
}

/// The answer, once the hosts are known. One host alone is told by its name; among others only its addresses are.
pub fn with_hosts(question: &Question, addresses: &[Ipv4Addr], chains: &[Chain], told: &[Told]) -> Reply {
    if let ([chain], [told], []) = (chains, told, addresses) {
        return with_host(question, chain, told);
    }
    let mut all = addresses.to_vec();
    for (chain, told) in chains.iter().zip(told) {
        all.extend(chain.end.iter().flatten());
        if let Told::Answer(_, records) = told {
            all.extend(
                records
                    .iter()
                    .filter_map(|record| record.data.ip_addr())
                    .filter_map(|ip| match ip {
                        IpAddr::V4(address) => Some(address),
                        IpAddr::V6(_) => None,
                    }),
            );
        }
    }
    all.sort_unstable();
    all.dedup();
    if !all.is_empty() {
        return Reply::records(all.into_iter().map(|address| question.address(address)).collect());
    }
    match told.iter().any(|told| matches!(told, Told::Nothing)) {
        true => Reply::code(ResponseCode::ServFail),
        false => Reply::empty(),
    }
}

fn with_host(question: &Question, chain: &Chain, told: &Told) -> Reply {
    let mut records = Vec::new();
    let mut name = question.query.name.clone();
    for host in &chain.hosts {
        let Some(record) = alias(&name, host) else {
            return Reply::unknown();
        };
        if let RData::CNAME(CNAME(target)) = &record.data {
            name = target.clone();
        }
        records.push(record);
    }
    match (&chain.end, told) {
        (Some(addresses), _) if addresses.is_empty() => Reply::unknown(),
        (Some(addresses), _) => {
            for address in addresses {
                let mut record = question.address(*address);
                record.name = name.clone();
                records.push(record);
            }
            Reply::records(records)
        }
        (None, Told::Nothing) => Reply::code(ResponseCode::ServFail),
        (None, Told::Answer(ResponseCode::NoError, more)) => {
            records.extend(more.iter().cloned());
            Reply::records(records)
        }
        (None, Told::Answer(ResponseCode::NXDomain, _)) => Reply::unknown(),
        (None, Told::Answer(code, _)) => Reply::code(*code),
    }
}
