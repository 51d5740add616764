//! A few files as one zip: stored as they are, in their order, with one date for all, so that the same files are the same bytes.

/// The first of January 1980, the oldest date that a zip knows.
const DATE: u16 = 0x21;
/// Version 2.0 of the format: what every reader knows.
const FORMAT: u16 = 20;
/// Names are UTF-8.
const UTF_8: u16 = 1 << 11;

/// Packs files by their names. Files of four gigabytes and more do not fit; none that is packed here is near to that.
pub fn pack(files: &[(&str, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in files {
        let at = size(out.len());
        let mut head = Vec::new();
        for number in [FORMAT, UTF_8, 0, 0, DATE] {
            head.extend(number.to_le_bytes());
        }
        for number in [
            crc32fast::hash(bytes),
            size(bytes.len()),
            size(bytes.len()),
            size(name.len()),
        ] {
            head.extend(number.to_le_bytes());
        }
        // The last number was the length of the name and, in its upper half, that of nothing else.
        out.extend(b"PK\x03\x04");
        out.extend(&head);
        out.extend(name.as_bytes());
        out.extend(*bytes);
        directory.extend(b"PK\x01\x02");
        directory.extend(FORMAT.to_le_bytes());
        directory.extend(&head);
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, begin) = (u16::try_from(files.len()).unwrap_or(u16::MAX), size(out.len()));
    let length = size(directory.len());
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(length.to_le_bytes());
    out.extend(begin.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_are_packed_as_they_are() {
        let packed = pack(&[("a.yml", b"hello"), ("b", b"")]);
        let (first, rest) = packed.split_at(30 + 5 + 5);
        assert!(first.starts_with(b"PK\x03\x04") && first.ends_with(b"a.ymlhello"));
        assert_eq!(first.get(14..18), Some(&0x3610_a686_u32.to_le_bytes()[..]));
        assert!(rest.starts_with(b"PK\x03\x04"));
        // Two entries in the directory, and where it begins.
        let end = packed.len() - 22;
        assert_eq!(packed.get(end + 8..end + 12), Some(&[2, 0, 2, 0][..]));
        let begin = packed
            .get(end + 16..end + 20)
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]) as usize);
        assert!(
            begin
                .and_then(|at| packed.get(at..))
                .is_some_and(|directory| directory.starts_with(b"PK\x01\x02"))
        );
        assert_eq!(packed, pack(&[("a.yml", b"hello"), ("b", b"")]));
    }
}
