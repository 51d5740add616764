//! Ids of rows as Docker has them: 25 digits and small letters, of the number of a row. The same row has the same id as long as the
//! database lives, and an id leads back to its row without a search.

use sha2::{Digest as _, Sha256};

use super::ResourceId;

/// How long an id is.
pub const LENGTH: usize = 25;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The ids of one server.
#[derive(Debug, Clone)]
pub struct DockerIds {
    mask: u64,
    salt: String,
}

impl DockerIds {
    /// Of a server with this uuid.
    pub fn new(server: &str) -> Self {
        Self {
            mask: half(&Sha256::digest(server.as_bytes())),
            salt: server.to_owned(),
        }
    }

    /// The id of a row.
    pub fn of(&self, row: ResourceId) -> String {
        let high = mix(row.0.cast_unsigned() ^ self.mask);
        let check = Sha256::digest(format!("{} {}", self.salt, row.0).as_bytes());
        let mut rest = u128::from(high) << 64 | u128::from(half(&check));
        let mut text = [b'0'; LENGTH];
        for digit in text.iter_mut().rev() {
            let at = usize::try_from(rest % 36).unwrap_or(0);
            *digit = DIGITS.get(at).copied().unwrap_or(b'0');
            rest /= 36;
        }
        text.iter().map(|digit| char::from(*digit)).collect()
    }

    /// The row of an id, if it is one of this server's.
    pub fn row(&self, id: &str) -> Option<ResourceId> {
        if id.len() != LENGTH {
            return None;
        }
        let mut whole = 0_u128;
        for digit in id.bytes() {
            let value = DIGITS.iter().position(|d| *d == digit)?;
            whole = whole.checked_mul(36)?.checked_add(u128::try_from(value).ok()?)?;
        }
        let high = u64::try_from(whole >> 64).ok()?;
        let row = ResourceId((unmix(high) ^ self.mask).cast_signed());
        (self.of(row) == id).then_some(row)
    }
}

/// The first eight bytes of a digest.
fn half(digest: &[u8]) -> u64 {
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Spreads numbers that follow each other over all there are (the finalizer of splitmix64, which can be undone).
pub fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Undoes [`mix`].
pub fn unmix(mut x: u64) -> u64 {
    x = (x ^ (x >> 31) ^ (x >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    x = (x ^ (x >> 27) ^ (x >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    x ^ (x >> 30) ^ (x >> 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_leads_back_to_its_row_and_to_no_other() {
        let (ids, other) = (DockerIds::new("a"), DockerIds::new("b"));
        for row in [1, 2, 1000, i64::MAX].map(ResourceId) {
            let id = ids.of(row);
            assert!(id.len() == LENGTH && id.bytes().all(|b| DIGITS.contains(&b)), "{id}");
            assert_eq!(ids.row(&id), Some(row));
            assert_eq!(other.row(&id), None);
        }
        assert_ne!(ids.of(ResourceId(1)).get(..3), ids.of(ResourceId(2)).get(..3));
        for bad in ["", "x", "zzzzzzzzzzzzzzzzzzzzzzzzz", "AAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(ids.row(bad), None, "{bad}");
        }
    }
}
