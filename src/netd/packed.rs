//! Records in few bytes: what `drover netd` keeps of a project of thousands of containers has to be small, as there is one for
//! each project on each engine.
//!
//! A record is a row of bytes, field after field. A text that several records have is a number there, and stands once in
//! [`Words`]; identities and addresses are their bits. It is read back when somebody asks for it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::model::network_table::{Container, HealthCheck, Port, Service};

/// So many texts that were met once are remembered, to know those that come again.
const REMEMBERED: usize = 4096;
/// A text that is shorter is no longer than its number.
const SHORTEST_WORD: usize = 4;

/// How a text is written.
const PLAIN: u8 = 0;
const WORD: u8 = 1;
const UUID: u8 = 2;
const DIGEST: u8 = 3;
const ADDRESS: u8 = 4;

/// What can be kept in few bytes.
pub trait Pack: Sized {
    /// Writes it.
    fn pack(&self, to: &mut Packer<'_>);
    /// Reads it; none if these are not its bytes.
    fn unpack(from: &mut Unpacker<'_>) -> Option<Self>;
}

/// Texts that several records have, by number.
#[derive(Debug, Default)]
pub struct Words {
    words: Vec<Option<Word>>,
    free: Vec<u32>,
    numbers: HashMap<Arc<str>, u32>,
    met: HashSet<u64>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Word {
    text: Arc<str>,
    uses: u32,
}

/// Bytes that are written.
#[derive(Debug)]
pub struct Packer<'w> {
    bytes: Vec<u8>,
    words: &'w mut Words,
}

/// Bytes that are read.
#[derive(Debug)]
pub struct Unpacker<'w> {
    bytes: &'w [u8],
    words: &'w Words,
    /// The words that were met, for whoever gives them back.
    met: Vec<u32>,
}

impl Words {
    /// The bytes of a record. Its words are kept until it is [forgotten](Self::forget).
    pub fn pack(&mut self, record: &impl Pack) -> Box<[u8]> {
        let mut packer = Packer {
            bytes: Vec::with_capacity(256),
            words: self,
        };
        record.pack(&mut packer);
        packer.bytes.into_boxed_slice()
    }

    /// The record of these bytes.
    pub fn unpack<T: Pack + Default>(&self, bytes: &[u8]) -> T {
        T::unpack(&mut self.reader(bytes)).unwrap_or_default()
    }

    /// Nobody has this record any more.
    pub fn forget<T: Pack>(&mut self, bytes: &[u8]) {
        let mut reader = self.reader(bytes);
        let _ = T::unpack(&mut reader);
        for number in std::mem::take(&mut reader.met) {
            self.release(number);
        }
    }

    fn reader<'w>(&'w self, bytes: &'w [u8]) -> Unpacker<'w> {
        Unpacker {
            bytes,
            words: self,
            met: Vec::new(),
        }
    }

    /// The number of a text, if it came before.
    fn number(&mut self, text: &str) -> Option<u32> {
        if text.len() < SHORTEST_WORD {
            return None;
        }
        if let Some(number) = self.numbers.get(text).copied() {
            let word = self.words.get_mut(usize::try_from(number).ok()?)?.as_mut()?;
            word.uses += 1;
            return Some(number);
        }
        let hash = self.hasher.hash_one(text);
        if !self.met.remove(&hash) {
            if self.met.len() >= REMEMBERED {
                self.met.clear();
            }
            self.met.insert(hash);
            return None;
        }
        let text: Arc<str> = text.into();
        let word = Some(Word {
            text: text.clone(),
            uses: 1,
        });
        let number = match self.free.pop() {
            Some(number) => {
                *self.words.get_mut(usize::try_from(number).ok()?)? = word;
                number
            }
            None => {
                let number = u32::try_from(self.words.len()).ok()?;
                self.words.push(word);
                number
            }
        };
        self.numbers.insert(text, number);
        Some(number)
    }

    fn text(&self, number: u32) -> Option<&str> {
        let word = self.words.get(usize::try_from(number).ok()?)?.as_ref()?;
        Some(&word.text)
    }

    fn release(&mut self, number: u32) {
        let place = usize::try_from(number).ok().and_then(|at| self.words.get_mut(at));
        let Some(place) = place else { return };
        let is_last = match place.as_mut() {
            Some(word) => {
                word.uses -= 1;
                word.uses == 0
            }
            None => false,
        };
        if let Some(word) = place.take_if(|_| is_last) {
            self.numbers.remove(&word.text);
            self.free.push(number);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }
}

impl Packer<'_> {
    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.bytes.push(u8::try_from(number).unwrap_or(0));
    }

    fn plain(&mut self, text: &str) {
        self.bytes.push(PLAIN);
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn text(&mut self, text: &str) {
        if let Some(bits) = address(text) {
            self.bytes.push(ADDRESS);
            self.bytes.extend(bits.octets());
        } else if let Some(number) = self.words.number(text) {
            self.bytes.push(WORD);
            self.number(number.into());
        } else if let Some(bits) = uuid_bits(text) {
            self.bytes.push(UUID);
            self.bytes.extend(bits);
        } else if let Some(bits) = digest_bits(text) {
            self.bytes.push(DIGEST);
            self.bytes.extend(bits);
        } else {
            self.plain(text);
        }
    }
}

impl<'w> Unpacker<'w> {
    fn take(&mut self, length: usize) -> Option<&'w [u8]> {
        let (taken, left) = self.bytes.split_at_checked(length)?;
        self.bytes = left;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u64> {
        let (mut number, mut shift) = (0, 0_u32);
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte < 0x80 {
                return Some(number);
            }
            shift += 7;
        }
    }

    fn text(&mut self) -> Option<String> {
        Some(match self.byte()? {
            PLAIN => {
                let length = usize::try_from(self.number()?).ok()?;
                std::str::from_utf8(self.take(length)?).ok()?.to_owned()
            }
            WORD => {
                let number = u32::try_from(self.number()?).ok()?;
                self.met.push(number);
                self.words.text(number)?.to_owned()
            }
            UUID => uuid_text(self.take(16)?.try_into().ok()?),
            DIGEST => hex(self.take(32)?),
            ADDRESS => Ipv4Addr::from(<[u8; 4]>::try_from(self.take(4)?).ok()?).to_string(),
            _ => return None,
        })
    }
}

/// The bits of a uuid that is written as uuids are: any other form would not come back as it was.
pub fn uuid_bits(text: &str) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let is_usual = text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    let uuid = is_usual.then(|| uuid::Uuid::try_parse(text).ok())??;
    Some(uuid.into_bytes())
}

/// The uuid of these bits.
pub fn uuid_text(bits: [u8; 16]) -> String {
    uuid::Uuid::from_bytes(bits).to_string()
}

/// The bits of what an engine calls a container.
fn digest_bits(text: &str) -> Option<[u8; 32]> {
    let mut bits = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (bits, pair) in bits.iter_mut().zip(digits.chunks_exact(2)) {
        for digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *bits = (*bits << 4) | value;
        }
    }
    Some(bits)
}

fn hex(bits: &[u8]) -> String {
    let digits = bits.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// An address that is written as addresses are.
fn address(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().ok()?;
    (address.to_string() == text).then_some(address)
}

impl Pack for String {
    fn pack(&self, to: &mut Packer<'_>) {
        to.text(self);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.text()
    }
}

impl Pack for bool {
    fn pack(&self, to: &mut Packer<'_>) {
        to.bytes.push(u8::from(*self));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        Some(from.byte()? != 0)
    }
}

impl Pack for u16 {
    fn pack(&self, to: &mut Packer<'_>) {
        to.number((*self).into());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        from.number()?.try_into().ok()
    }
}

impl Pack for i64 {
    fn pack(&self, to: &mut Packer<'_>) {
        // Small ones are short, whatever their sign.
        to.number(((self << 1) ^ (self >> 63)).cast_unsigned());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let bits = from.number()?;
        Some((bits >> 1).cast_signed() ^ -((bits & 1).cast_signed()))
    }
}

impl<T: Pack> Pack for Option<T> {
    fn pack(&self, to: &mut Packer<'_>) {
        self.is_some().pack(to);
        if let Some(value) = self {
            value.pack(to);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        match bool::unpack(from)? {
            true => T::unpack(from).map(Some),
            false => Some(None),
        }
    }
}

impl<T: Pack> Pack for Vec<T> {
    fn pack(&self, to: &mut Packer<'_>) {
        to.number(self.len() as u64);
        self.iter().for_each(|entry| entry.pack(to));
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        (0..from.number()?).map(|_| T::unpack(from)).collect()
    }
}

impl<T: Pack> Pack for BTreeMap<String, T> {
    fn pack(&self, to: &mut Packer<'_>) {
        to.number(self.len() as u64);
        for (key, value) in self {
            key.pack(to);
            value.pack(to);
        }
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        (0..from.number()?)
            .map(|_| Some((String::unpack(from)?, T::unpack(from)?)))
            .collect()
    }
}

/// What its owner wrote, of whatever shape.
impl Pack for Value {
    fn pack(&self, to: &mut Packer<'_>) {
        to.plain(&self.to_string());
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        serde_json::from_str(&from.text()?).ok()
    }
}

impl Pack for Map<String, Value> {
    fn pack(&self, to: &mut Packer<'_>) {
        let text = if self.is_empty() {
            String::new()
        } else {
            serde_json::to_string(self).unwrap_or_default()
        };
        to.plain(&text);
    }

    fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
        let text = from.text()?;
        if text.is_empty() {
            return Some(Self::new());
        }
        serde_json::from_str(&text).ok()
    }
}

/// A record is its fields, all of them: one that is added and not named here does not compile.
macro_rules! packed {
    ($kind:ident { $($field:ident),* $(,)? }) => {
        impl Pack for $kind {
            fn pack(&self, to: &mut Packer<'_>) {
                let Self { $($field),* } = self;
                $($field.pack(to);)*
            }

            fn unpack(from: &mut Unpacker<'_>) -> Option<Self> {
                Some(Self { $($field: Pack::unpack(from)?),* })
            }
        }
    };
}

packed!(Port {
    ip,
    host_ip,
    public,
    private,
    protocol
});
packed!(HealthCheck {
    response_timeout,
    interval,
    healthy_threshold,
    unhealthy_threshold,
    request_line,
    port,
});
packed!(Container {
    name,
    uuid,
    external_id,
    hostname,
    host_uuid,
    state,
    health_state,
    health_check,
    health_check_hosts,
    primary_ip,
    ips,
    primary_mac_address,
    managed,
    host_network,
    network_from_container_uuid,
    network_uuid,
    dns,
    dns_search,
    ports,
    labels,
    links,
    service_uuid,
    service_name,
    service_index,
    stack_uuid,
    stack_name,
    create_index,
    start_count,
    memory_reservation,
    milli_cpu_reservation,
    system,
});
packed!(Service {
    name,
    uuid,
    kind,
    state,
    stack_uuid,
    stack_name,
    primary_service_name,
    sidekicks,
    containers,
    links,
    more_links,
    labels,
    metadata,
    ports,
    expose,
    external_ips,
    hostname,
    vip,
    fqdn,
    health_check,
    lb_config,
    scale,
    create_index,
    token,
    system,
});
