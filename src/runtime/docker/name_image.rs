//! The image of name servers: `drover-netd` where it lies beside this program, else this very program, and the libraries that
//! it runs with. It is made of what runs here, so it needs no registry, and is another one as soon as the program is.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::stream::{self, Stream};
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::tape::{self, Access, Member};
use super::{Docker, Inner, LONG, SHORT, failure, forgive_gone};
use crate::VERSION;
use crate::runtime::{Error, Result};

/// Nobody, on all systems that have one.
pub(super) const OWNER: u32 = 65534;

/// Where the program is in the image.
/// Its process is called so among those of the machine: whoever looks for `drover` finds the server alone.
pub(super) const PROGRAM: &str = "/drover-netd";

/// What name servers keep is here.
pub(super) const DATA: &str = "/data";

/// What of this program is needed in containers, as a program of its own: a fifth of its size, and a third of its memory.
const PART: &str = "drover-netd";

/// This very program, whatever has taken its place since it was started.
const RUNNING: &str = "/proc/self/exe";

const REPOSITORY: &str = "drover-net";

/// Read and sent at a time.
const PIECE: usize = 1 << 20;

/// The image, as engines know it.
pub(super) struct Image {
    /// The tag tells one program from another.
    pub(super) reference: String,
    parts: Vec<Part>,
    /// A program that is not the running one is read as it was found, whatever takes its place.
    _held: Option<File>,
}

/// A file of this machine, and where it is to be.
pub(super) struct Part {
    from: PathBuf,
    path: String,
    is_loader: bool,
}

impl Image {
    /// What tells this program from another.
    pub(super) fn tag(&self) -> &str {
        self.reference.rsplit(':').next().unwrap_or_default()
    }

    /// Whether its program needs something else to load it.
    pub(super) fn has_loader(&self) -> bool {
        self.parts.iter().any(|part| part.is_loader)
    }

    /// Its files, each to be where `path` says.
    pub(super) fn files_as(&self, path: impl Fn(&Part) -> String) -> Vec<(PathBuf, String)> {
        self.parts.iter().map(|part| (part.from.clone(), path(part))).collect()
    }
}

impl Part {
    /// What it is called in a folder of its own; libraries keep their names.
    pub(super) fn choose<'a>(&'a self, program: &'a str, loader: &'a str) -> &'a str {
        if self.path == PROGRAM {
            program
        } else if self.is_loader {
            loader
        } else {
            self.path.rsplit('/').next().unwrap_or_default()
        }
    }
}

/// The running program with its libraries, once it is known that it runs on the engine's machine.
pub(super) async fn program(docker: &Inner) -> Result<&Image> {
    docker.name_image.get_or_try_init(|| known(docker)).await
}

impl Docker {
    /// Whether this very program can run on the engine's machine, to answer names there.
    ///
    /// # Errors
    /// Why not.
    pub async fn check_name_servers(&self) -> Result<()> {
        program(&self.inner).await.map(drop)
    }
}

/// Makes the image present, once it is known that its program runs on the engine's machine.
pub(super) async fn ensure(docker: &Inner) -> Result<()> {
    // Two projects at once make it once.
    let _guard = docker.name_servers.lock().await;
    let image = program(docker).await?;
    match docker.call(SHORT, docker.api()?.inspect_image(&image.reference)).await {
        Ok(_) => Ok(()),
        Err(Error::Gone(_)) => import(docker, image).await,
        Err(other) => Err(other),
    }
}

/// Removes an image that nothing needs any more: the engine refuses if something does.
pub(super) async fn remove_unused(docker: &Inner, reference: &str) {
    let Ok(api) = docker.api() else { return };
    let removing = api.remove_image(reference, None::<bollard::query_parameters::RemoveImageOptions>, None);
    if let Err(error) = forgive_gone(docker.call(LONG, removing).await.map(drop)) {
        log::debug!("{reference} stays: {error}");
    }
}

/// Whether a container was made of some name server's image.
pub(super) fn is_one(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(name, _)| name == REPOSITORY)
}

async fn known(docker: &Inner) -> Result<Image> {
    let info = docker.call(SHORT, docker.api()?.info()).await?;
    let (system, machine) = (info.os_type.unwrap_or_default(), info.architecture.unwrap_or_default());
    if system != std::env::consts::OS || machine != std::env::consts::ARCH {
        return Err(Error::Failed(format!(
            "the engine's machine is {system}/{machine}, and this program is for {}/{}",
            std::env::consts::OS,
            std::env::consts::ARCH
        )));
    }
    let reading = tokio::task::spawn_blocking(|| {
        let held = std::fs::read_link(RUNNING).ok().and_then(|own| part_of(&own));
        let program = held.as_ref().map_or_else(|| RUNNING.into(), open_path);
        let parts = parts(&program)?;
        let tag = digest(&parts)?;
        Ok::<_, io::Error>((parts, tag, held))
    });
    let (parts, tag, held) = reading
        .await
        .map_err(|e| Error::Failed(e.to_string()))?
        .map_err(|e| Error::Failed(format!("the program cannot be read: {e}")))?;
    Ok(Image {
        reference: format!("{REPOSITORY}:{tag}"),
        parts,
        _held: held,
    })
}

async fn import(docker: &Inner, image: &Image) -> Result<()> {
    log::info!("making the image {} of this program", image.reference);
    let (repository, tag) = image.reference.split_once(':').unwrap_or((&image.reference, ""));
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(repository)
        .tag(tag)
        .changes(vec![
            format!("ENTRYPOINT [\"{PROGRAM}\"]"),
            "ENV LD_LIBRARY_PATH=/lib".to_owned(),
        ])
        .build();
    let data = Access {
        owner: OWNER,
        group: OWNER,
        mode: 0o700,
    };
    let folder = tape::header(&format!("{}/", DATA.trim_start_matches('/')), Member::Folder, data)?;
    let files = image.files_as(|part| part.path.clone());
    let body = bollard::body_try_stream(archive(folder, files, tape::end()).map_ok(Into::into));
    let mut lines = Box::pin(docker.api()?.create_image(Some(options), Some(body), None));
    loop {
        let Ok(line) = tokio::time::timeout(LONG, lines.next()).await else {
            return Err(Error::Unreachable(format!("no answer within {} s", LONG.as_secs())));
        };
        match line {
            None => return Ok(()),
            Some(Err(e)) => return Err(failure(&e)),
            Some(Ok(info)) => {
                if let Some(message) = info.error_detail.and_then(|e| e.message) {
                    return Err(Error::Failed(message));
                }
            }
        }
    }
}

/// The archive of the files, between what stands before and after them, piece by piece: the program is large, and not kept in memory for this.
pub(super) fn archive(
    before: Vec<u8>,
    files: Vec<(PathBuf, String)>,
    after: Vec<u8>,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send + 'static {
    let (pieces, wanted) = mpsc::channel(2);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = write_archive(before, &files, after, &pieces) {
            // Nobody reads any more if this fails.
            let _ = pieces.blocking_send(Err(error));
        }
    });
    stream::unfold(wanted, |mut wanted| async move {
        let piece = wanted.recv().await?;
        Some((piece, wanted))
    })
}

fn write_archive(
    before: Vec<u8>,
    files: &[(PathBuf, String)],
    after: Vec<u8>,
    pieces: &mpsc::Sender<io::Result<Vec<u8>>>,
) -> io::Result<()> {
    let send = |piece: Vec<u8>| {
        pieces
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    };
    let header = |path: &str, member, access| {
        tape::header(path, member, access).map_err(|e| io::Error::new(io::ErrorKind::InvalidInput, e.to_string()))
    };
    send(before)?;
    for (from, path) in files {
        let mut file = File::open(from)?;
        let size = file.metadata()?.len();
        let access = Access {
            owner: 0,
            group: 0,
            mode: 0o755,
        };
        send(header(path.trim_start_matches('/'), Member::File(size), access)?)?;
        let mut left = size;
        while left > 0 {
            let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
            file.read_exact(&mut piece)?;
            left -= piece.len() as u64;
            send(piece)?;
        }
        send(tape::padding(size))?;
    }
    send(after)
}

/// A file that is open, by a path.
fn open_path(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What lies beside a program as the part of it that containers need, if it was made with it.
fn part_of(program: &Path) -> Option<File> {
    let beside = program.with_file_name(PART);
    let file = File::open(&beside).ok()?;
    let said = Command::new(&beside)
        .arg("--version")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let own = format!("{PART} {VERSION}\n");
    if said.is_ok_and(|said| said.status.success() && said.stdout == own.as_bytes()) {
        return Some(file);
    }
    log::warn!("{} is not of this build, and is not used", beside.display());
    None
}

/// A program, what loads it, and the libraries that are mapped now. A program that was replaced meanwhile is still read as
/// it was.
fn parts(program: &Path) -> io::Result<Vec<Part>> {
    let mut parts = vec![Part {
        from: program.to_owned(),
        path: PROGRAM.to_owned(),
        is_loader: false,
    }];
    if let Some(loader) = loader(program)? {
        parts.push(Part {
            from: PathBuf::from(&loader),
            path: loader,
            is_loader: true,
        });
    }
    for from in libraries(&std::fs::read_to_string("/proc/self/maps")?) {
        if let Some(name) = from.file_name().and_then(|name| name.to_str()) {
            let path = format!("/lib/{name}");
            if parts.iter().all(|part| part.path != path) {
                let is_loader = false;
                parts.push(Part { from, path, is_loader });
            }
        }
    }
    Ok(parts)
}

/// The shared libraries among what is mapped, each once.
fn libraries(maps: &str) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let rights = words.nth(1).unwrap_or_default();
        let path = words.nth(3).unwrap_or_default();
        let is_library = rights.contains('x') && path.starts_with('/') && path.contains(".so");
        if is_library && !all.contains(&PathBuf::from(path)) {
            all.push(PathBuf::from(path));
        }
    }
    all
}

/// What the system loads before a program, which says so itself (`PT_INTERP`); none for one that needs nothing.
fn loader(program: &Path) -> io::Result<Option<String>> {
    let mut head = Vec::new();
    File::open(program)?.take(PIECE as u64).read_to_end(&mut head)?;
    Ok(loader_in(&head))
}

/// In the beginning of an ELF file of 64 bits, little-endian.
fn loader_in(head: &[u8]) -> Option<String> {
    const INTERP: u64 = 3;
    let number = |at: usize, width: usize| {
        let bytes = head.get(at..at.checked_add(width)?)?;
        Some(bytes.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)))
    };
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let (first, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for n in 0..count {
        let at = usize::try_from(first.checked_add(n.checked_mul(size)?)?).ok()?;
        if number(at, 4)? == INTERP {
            let from = usize::try_from(number(at.checked_add(8)?, 8)?).ok()?;
            let length = usize::try_from(number(at.checked_add(32)?, 8)?).ok()?;
            let text = head.get(from..from.checked_add(length)?)?;
            return Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned());
        }
    }
    None
}

/// What tells these files from others, short enough for a tag.
fn digest(parts: &[Part]) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut piece = vec![0; PIECE];
    for part in parts {
        let mut file = File::open(&part.from)?;
        hash.update(part.path.as_bytes());
        hash.update(file.metadata()?.len().to_be_bytes());
        loop {
            let read = file.read(&mut piece)?;
            match piece.get(..read) {
                None | Some([]) => break,
                Some(read) => hash.update(read),
            }
        }
    }
    Ok(hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed test may panic")]

    use super::*;

    #[test]
    fn libraries_are_what_is_mapped_to_be_run() {
        let maps = "\
            55d0-55d1 r-xp 00000000 08:01 1 /usr/bin/drover\n\
            7f00-7f01 r--p 00000000 08:01 2 /usr/lib/x/libc.so.6\n\
            7f01-7f02 r-xp 00001000 08:01 2 /usr/lib/x/libc.so.6\n\
            7f03-7f04 r-xp 00001000 08:01 2 /usr/lib/x/libc.so.6\n\
            7f05-7f06 r-xp 00000000 08:01 3 /usr/lib/x/libm.so.6 (deleted)\n\
            7f07-7f08 rw-s 00000000 08:01 4 /var/lib/drover/drover.db-shm\n\
            7ffd-7ffe r-xp 00000000 00:00 0 [vdso]\n";
        let expected = ["/usr/lib/x/libc.so.6", "/usr/lib/x/libm.so.6"].map(PathBuf::from);
        assert_eq!(libraries(maps), expected);
    }

    #[test]
    fn only_what_was_made_with_a_program_stands_for_it_in_containers() {
        use std::os::unix::fs::PermissionsExt as _;

        let folder = tempfile::tempdir().unwrap();
        let (own, beside) = (folder.path().join("drover"), folder.path().join(PART));
        assert!(part_of(&own).is_none());
        let says = |words: &str| {
            // The other one has its place taken, as an upgrade does it.
            let new = folder.path().join("new");
            std::fs::write(&new, format!("#!/bin/sh\necho '{words}'\n")).unwrap();
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).unwrap();
            std::fs::rename(&new, &beside).unwrap();
        };
        says("drover-netd 0.0.1 (another)");
        assert!(part_of(&own).is_none());
        says(&format!("{PART} {VERSION}"));
        let held = part_of(&own).unwrap();
        says("drover-netd 0.0.1 (another)");
        let read = std::fs::read_to_string(open_path(&held)).unwrap();
        assert!(read.contains(VERSION), "{read}");
        std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(part_of(&own).is_none());
    }

    #[test]
    fn the_parts_of_this_program_have_it_and_its_loader_and_one_digest() {
        let parts = parts(Path::new(RUNNING)).unwrap();
        assert_eq!(parts[0].path, PROGRAM);
        if cfg!(target_env = "gnu") {
            assert!(parts.iter().any(|part| part.path.contains("/ld-")));
            assert!(parts.iter().any(|part| part.path == "/lib/libc.so.6"));
        }
        let tag = digest(&parts).unwrap();
        assert_eq!((tag.len(), &tag), (16, &digest(&parts).unwrap()));
        assert_ne!(digest(&parts[1..]).unwrap(), tag);
        assert_eq!(loader_in(b"#!/bin/sh\n"), None);
        assert!(is_one("drover-net:1") && !is_one("nginx:1") && !is_one("drover-net"));
    }
}
