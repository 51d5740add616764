//! Ids as MedStack Control has them: what it is, and letters and digits that say nothing. The same row has the same id as long as the
//! database lives, and an id leads back to its row without a search.

use sha2::{Digest as _, Sha256};

use crate::model::ResourceId;
use crate::model::docker_ids::{mix, unmix};

/// So many digits follow what it is.
const LENGTH: usize = 11;
const DIGITS: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// The ids of one server.
#[derive(Debug, Clone)]
pub struct Ids {
    mask: u64,
}

impl Ids {
    /// Of a server with this uuid.
    pub fn new(server: &str) -> Self {
        let digest = Sha256::digest(format!("medstack {server}").as_bytes());
        let mask = digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        Self { mask }
    }

    /// The id of a row that is of this kind: `service_4fGhJ…`.
    pub fn of(&self, kind: &str, row: ResourceId) -> String {
        let mut rest = mix(row.0.cast_unsigned() ^ self.mask);
        let mut text = [b'0'; LENGTH];
        for digit in text.iter_mut().rev() {
            let at = usize::try_from(rest % 62).unwrap_or(0);
            *digit = DIGITS.get(at).copied().unwrap_or(b'0');
            rest /= 62;
        }
        let digits: String = text.iter().map(|digit| char::from(*digit)).collect();
        format!("{kind}_{digits}")
    }

    /// The row of an id of this kind.
    pub fn row(&self, kind: &str, id: &str) -> Option<ResourceId> {
        let digits = id.strip_prefix(kind)?.strip_prefix('_')?;
        if digits.len() != LENGTH {
            return None;
        }
        let mut whole = 0_u128;
        for digit in digits.bytes() {
            let value = DIGITS.iter().position(|d| *d == digit)?;
            whole = whole.checked_mul(62)?.checked_add(u128::try_from(value).ok()?)?;
        }
        let whole = u64::try_from(whole).ok()?;
        Some(ResourceId((unmix(whole) ^ self.mask).cast_signed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_row() {
        let (ids, other) = (Ids::new("a"), Ids::new("b"));
        for row in [1, 2, 1000, i64::MAX, -7].map(ResourceId) {
            let id = ids.of("service", row);
            assert_eq!(ids.row("service", &id), Some(row), "{id}");
            assert_ne!(other.row("service", &id), Some(row));
            assert_eq!(ids.row("node", &id), None);
        }
        for bad in [
            "",
            "service",
            "service_",
            "service_ZZZZZZZZZZZ",
            "service_-----------",
            "service_0000000000000",
        ] {
            assert_eq!(ids.row("service", bad), None, "{bad}");
        }
    }
}
