//! DNS messages: from bytes to a question, and from records to bytes. It knows no names and no sockets, and takes any bytes.

use std::net::Ipv4Addr;

use hickory_proto::op::{Edns, Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, SOA};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use super::index::ZONE;

/// The largest answer over UDP, whatever a client can take: it fits one packet everywhere.
pub const LARGEST_DATAGRAM: u16 = 1232;
/// The largest answer over UDP for clients that do not say what they can take.
const PLAIN_DATAGRAM: u16 = 512;
/// How long answers may be kept, in seconds.
const TTL: u32 = 1;
/// The bytes of a header.
const HEADER: usize = 12;
/// The records that a question may have behind it: what clients may do, and a signature.
const MOST_ADDITIONALS: u16 = 2;
/// In the fourth byte of a header.
const RCODE_BITS: u8 = 0x0f;
/// In the third byte of a header.
const TRUNCATED: u8 = 0x02;

/// A question, read.
#[derive(Debug, Clone)]
pub struct Question {
    /// Its number.
    pub id: u16,
    /// What is asked, in the letters of whoever asked.
    pub query: Query,
    /// The name lower-cased, without a dot at the end; none for names of other than plain letters.
    pub name: Option<String>,
    is_recursion_desired: bool,
    is_checking_disabled: bool,
    edns: Option<Asked>,
}

/// What a client says that it can take.
#[derive(Debug, Clone, Copy)]
struct Asked {
    payload: u16,
    is_dnssec_ok: bool,
}

/// Why some bytes are no question.
#[derive(Debug, PartialEq, Eq)]
pub enum NoQuestion {
    /// Nobody waits for an answer: it is none, or too short for one.
    Silence,
    /// This is the answer.
    Answer(Vec<u8>),
}

/// What is answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reply {
    /// How it went.
    pub code: ResponseCode,
    /// It is told of the zone.
    pub is_own: bool,
    /// The zone's own record goes along: there is nothing else to tell.
    pub with_zone: bool,
    /// The answers.
    pub records: Vec<Record>,
}

impl Reply {
    /// An answer without records.
    pub fn code(code: ResponseCode) -> Self {
        Self {
            code,
            ..Self::default()
        }
    }

    /// Records of ours.
    pub fn records(records: Vec<Record>) -> Self {
        Self {
            is_own: true,
            records,
            ..Self::default()
        }
    }

    /// A name of ours without records of this type.
    pub fn empty() -> Self {
        Self {
            is_own: true,
            with_zone: true,
            ..Self::default()
        }
    }

    /// With its addresses in an order that is another one for each seed; what is no address stays in front.
    pub fn shuffle(&mut self, mut seed: u128) {
        let first = self
            .records
            .iter()
            .position(|record| record.record_type() == RecordType::A);
        let (first, end) = (first.unwrap_or(0), self.records.len());
        for left in (first + 1..end).rev() {
            let places = left - first + 1;
            let place = usize::try_from(seed % places as u128).unwrap_or(0);
            seed = seed.rotate_right(11).wrapping_mul(0x5851_f42d_4c95_7f2d);
            self.records.swap(left, first + place);
        }
    }

    /// No name of ours.
    pub fn unknown() -> Self {
        Self {
            code: ResponseCode::NXDomain,
            ..Self::empty()
        }
    }
}

/// Reads a question.
pub fn read(bytes: &[u8]) -> Result<Question, NoQuestion> {
    let mut decoder = BinDecoder::new(bytes);
    let Header { metadata, counts } = Header::read(&mut decoder).map_err(|_| NoQuestion::Silence)?;
    if metadata.message_type == MessageType::Response {
        return Err(NoQuestion::Silence);
    }
    let refuse = |code, query: Option<&Query>| {
        let mut message = Message::error_msg(metadata.id, metadata.op_code, code);
        message.metadata.recursion_desired = metadata.recursion_desired;
        message.add_queries(query.cloned());
        message.to_vec().map_or(NoQuestion::Silence, NoQuestion::Answer)
    };
    if metadata.op_code != OpCode::Query {
        return Err(refuse(ResponseCode::NotImp, None));
    }
    if counts.queries != 1 {
        return Err(refuse(ResponseCode::FormErr, None));
    }
    let query = Query::read(&mut decoder).map_err(|_| refuse(ResponseCode::FormErr, None))?;
    let is_transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
    if query.query_class != DNSClass::IN || is_transfer || query.query_type == RecordType::ANY {
        return Err(refuse(ResponseCode::NotImp, Some(&query)));
    }
    if counts.answers > 0 || counts.authorities > 0 || counts.additionals > MOST_ADDITIONALS {
        return Err(refuse(ResponseCode::FormErr, Some(&query)));
    }
    // The counts are small here, so that reading the rest takes little.
    let message = Message::from_vec(bytes).map_err(|_| refuse(ResponseCode::FormErr, Some(&query)))?;
    if message.edns.as_ref().is_some_and(|edns| edns.version() != 0) {
        return Err(bad_version(&message, query));
    }
    Ok(Question {
        id: metadata.id,
        name: plain_name(&query.name),
        query,
        is_recursion_desired: metadata.recursion_desired,
        is_checking_disabled: metadata.checking_disabled,
        edns: message.edns.map(|edns| Asked {
            payload: edns.max_payload(),
            is_dnssec_ok: edns.flags().dnssec_ok,
        }),
    })
}

/// The answer to a client that speaks a later form of EDNS.
fn bad_version(asked: &Message, query: Query) -> NoQuestion {
    let mut message = Message::error_msg(asked.metadata.id, OpCode::Query, ResponseCode::BADVERS);
    message.add_query(query);
    let mut edns = own_edns(false);
    edns.set_rcode_high(ResponseCode::BADVERS.high());
    message.set_edns(edns);
    message.to_vec().map_or(NoQuestion::Silence, NoQuestion::Answer)
}

fn own_edns(is_dnssec_ok: bool) -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(LARGEST_DATAGRAM).set_version(0);
    edns.set_dnssec_ok(is_dnssec_ok);
    edns
}

/// A name as names are compared; none if it has letters that no name of ours has.
pub fn plain_name(name: &Name) -> Option<String> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for &byte in label {
            if !byte.is_ascii_graphic() || byte == b'.' {
                return None;
            }
            text.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    Some(text)
}

impl Question {
    /// The bytes of the largest answer.
    fn most(&self, is_datagram: bool) -> usize {
        let of_datagram = || {
            self.edns.map_or(PLAIN_DATAGRAM, |asked| {
                asked.payload.clamp(PLAIN_DATAGRAM, LARGEST_DATAGRAM)
            })
        };
        usize::from(if is_datagram { of_datagram() } else { u16::MAX })
    }

    /// Whether addresses are asked for.
    pub fn is_of(&self, kind: RecordType) -> bool {
        self.query.query_type == kind
    }

    /// An address under the name that was asked.
    pub fn address(&self, address: Ipv4Addr) -> Record {
        Record::from_rdata(self.query.name.clone(), TTL, RData::A(A(address)))
    }

    /// An answer without records.
    fn answer(&self, code: ResponseCode) -> Message {
        let mut message = Message::response(self.id, OpCode::Query);
        message.metadata.response_code = code;
        message.metadata.recursion_desired = self.is_recursion_desired;
        message.metadata.recursion_available = true;
        message.add_query(self.query.clone());
        if let Some(asked) = self.edns {
            message.set_edns(own_edns(asked.is_dnssec_ok));
        }
        message
    }

    /// The bytes of an answer; over UDP none that is too large.
    pub fn write(&self, reply: &Reply, is_datagram: bool) -> Vec<u8> {
        let mut message = self.answer(reply.code);
        message.metadata.authoritative = reply.is_own;
        message.add_answers(reply.records.iter().cloned());
        message.add_authorities(reply.with_zone.then(zone).flatten());
        let bytes = message.to_vec().unwrap_or_default();
        if bytes.is_empty() || bytes.len() > self.most(is_datagram) {
            return message.truncate().to_vec().unwrap_or_default();
        }
        bytes
    }

    /// The same question, to ask an upstream with.
    pub fn forwarded(&self, id: u16) -> Vec<u8> {
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = self.is_recursion_desired;
        message.metadata.checking_disabled = self.is_checking_disabled;
        message.add_query(self.query.clone());
        if let Some(asked) = self.edns {
            message.set_edns(own_edns(asked.is_dnssec_ok));
        }
        message.to_vec().unwrap_or_default()
    }

    /// Whether an upstream's bytes answer the question that was asked with this number.
    pub fn is_answered_by(&self, id: u16, bytes: &[u8]) -> bool {
        let mut decoder = BinDecoder::new(bytes);
        let Ok(Header { metadata, counts }) = Header::read(&mut decoder) else {
            return false;
        };
        if metadata.id != id || metadata.message_type != MessageType::Response {
            return false;
        }
        // Some that fail leave the question out.
        if counts.queries == 0 {
            return metadata.response_code != ResponseCode::NoError;
        }
        counts.queries == 1 && Query::read(&mut decoder).is_ok_and(|query| query == self.query)
    }

    /// An upstream's answer, for the client. `is_known` says that the name is one of ours: then it exists, whatever the
    /// upstream knows.
    pub fn passed_on(&self, mut bytes: Vec<u8>, is_known: bool, is_datagram: bool) -> Vec<u8> {
        let code = rcode(&bytes);
        if bytes.len() > self.most(is_datagram) {
            return self
                .answer(ResponseCode::NoError)
                .truncate()
                .to_vec()
                .unwrap_or_default();
        }
        let [high, low] = self.id.to_be_bytes();
        if let Some([first, second, _, flags, ..]) = bytes.get_mut(..HEADER).map(|header| &mut *header) {
            (*first, *second) = (high, low);
            // Quirk: an upstream that knows no such name at all is not believed about the newer kind of addresses.
            let is_lenient = is_known || self.is_of(RecordType::AAAA);
            if is_lenient && code == Some(ResponseCode::NXDomain) {
                *flags &= !RCODE_BITS;
            }
        }
        bytes
    }
}

/// How an answer went, as far as its header says.
pub fn rcode(bytes: &[u8]) -> Option<ResponseCode> {
    bytes.get(3).map(|flags| ResponseCode::from_low(flags & RCODE_BITS))
}

/// Whether an answer says that it is cut short.
pub fn is_truncated(bytes: &[u8]) -> bool {
    bytes.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// A question for the addresses of a host, to ask an upstream with.
pub fn question_for(host: &str) -> Option<Question> {
    let mut name = Name::from_ascii(host).ok()?;
    name.set_fqdn(true);
    Some(Question {
        id: 0,
        name: plain_name(&name),
        query: Query::query(name, RecordType::A),
        is_recursion_desired: true,
        is_checking_disabled: false,
        edns: Some(Asked {
            payload: LARGEST_DATAGRAM,
            is_dnssec_ok: false,
        }),
    })
}

/// The addresses, and the names that lead to them, in an upstream's answer.
pub fn addresses_in(bytes: &[u8]) -> Option<(ResponseCode, Vec<Record>)> {
    let message = Message::from_vec(bytes).ok()?;
    let of_addresses = |record: &Record| matches!(record.record_type(), RecordType::A | RecordType::CNAME);
    let records = message.answers.into_iter().filter(of_addresses).collect();
    Some((message.metadata.response_code, records))
}

/// That a name is another one's.
pub fn alias(of: &Name, host: &str) -> Option<Record> {
    let mut target = Name::from_ascii(host).ok()?;
    target.set_fqdn(true);
    Some(Record::from_rdata(of.clone(), TTL, RData::CNAME(CNAME(target))))
}

/// The zone's own record: how long to believe that there is nothing.
fn zone() -> Option<Record> {
    let name = Name::from_ascii(format!("{ZONE}.")).ok()?;
    let server = Name::from_ascii("ns.dns.").ok()?.append_domain(&name).ok();
    let (server, contact) = (
        server.unwrap_or_else(|| name.clone()),
        name.prepend_label("hostmaster").ok()?,
    );
    let soa = SOA::new(server, contact, 1, 60, 10, 86_400, 1);
    Some(Record::from_rdata(name, TTL, RData::SOA(soa)))
}
