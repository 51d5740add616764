//! Archives as `tar` has them (POSIX ustar): in them an engine takes files. Pure.

use crate::runtime::{Error, Result};

/// Everything is a multiple of this long.
const BLOCK: usize = 512;

/// What a member is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    /// So many bytes follow, and [`padding`].
    File(u64),
    Folder,
}

/// Who may do what with a member.
#[derive(Clone, Copy)]
pub(super) struct Access {
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) mode: u32,
}

/// The block that a member begins with. Nothing in it tells the time, so that equal files make equal archives.
pub(super) fn header(path: &str, member: Member, access: Access) -> Result<Vec<u8>> {
    let (size, kind) = match member {
        Member::File(size) => (size, b'0'),
        Member::Folder => (0, b'5'),
    };
    if path.len() > 100 {
        return Err(Error::Failed(format!("the path {path} is too long for an archive")));
    }
    let fields: [(String, usize); 7] = [
        (path.to_owned(), 100),
        (format!("{:07o}\0", access.mode), 8),
        (format!("{:07o}\0", access.owner), 8),
        (format!("{:07o}\0", access.group), 8),
        (format!("{size:011o}\0"), 12),
        ("00000000000\0".to_owned(), 12),
        // The checksum counts itself as blanks.
        (" ".repeat(8), 8),
    ];
    let mut block = Vec::with_capacity(BLOCK);
    for (text, width) in fields {
        let end = block.len() + width;
        block.extend_from_slice(text.as_bytes());
        block.resize(end, 0);
    }
    block.push(kind);
    block.resize(257, 0);
    block.extend_from_slice(b"ustar\x0000");
    block.resize(BLOCK, 0);
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    let sum = format!("{sum:06o}\0 ");
    block.splice(148..156, sum.bytes());
    Ok(block)
}

/// What follows a file of this size, up to the next block.
pub(super) fn padding(size: u64) -> Vec<u8> {
    let block = BLOCK as u64;
    let rest = usize::try_from(size % block).unwrap_or(0);
    vec![0; (BLOCK - rest) % BLOCK]
}

/// The end of an archive.
pub(super) fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

/// An archive of one small file.
pub(super) fn of_file(path: &str, access: Access, content: &[u8]) -> Result<Vec<u8>> {
    of_files([(path, access, content)])
}

/// An archive of small files.
pub(super) fn of_files<'f>(files: impl IntoIterator<Item = (&'f str, Access, &'f [u8])>) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for (path, access, content) in files {
        let size = content.len() as u64;
        all.extend(header(path, Member::File(size), access)?);
        all.extend_from_slice(content);
        all.extend(padding(size));
    }
    all.extend(end());
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn an_archive_is_read_by_tar_itself() {
        let access = Access {
            owner: 65534,
            group: 65534,
            mode: 0o640,
        };
        let mut all = header("data/", Member::Folder, Access { mode: 0o700, ..access }).unwrap();
        all.extend(of_file("data/table.json", access, &[b'x'; 700]).unwrap());
        assert_eq!(all.len() % BLOCK, 0);
        let mut tar = Command::new("tar")
            .args(["--list", "--verbose", "--numeric-owner", "--file", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        tar.stdin.take().unwrap().write_all(&all).unwrap();
        let said = tar.wait_with_output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
        let shown: Vec<[&str; 4]> = lines.iter().map(|l| [l[0], l[1], l[2], l[l.len() - 1]]).collect();
        assert_eq!(
            shown,
            [
                ["drwx------", "65534/65534", "0", "data/"],
                ["-rw-r-----", "65534/65534", "700", "data/table.json"]
            ]
        );
        assert!(header(&"x".repeat(101), Member::Folder, access).is_err());
    }
}
