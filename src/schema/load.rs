//! Reading the schema files: the built-in ones, and a folder laid over them.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::Path;

use include_dir::{Dir, File, include_dir};
use serde::de::DeserializeOwned;

use super::file::{CommonFile, ProcessFile, TypeFile, VersionsFile};
use super::grant_file::{GrantFile, RolesFile};
use super::{Descriptions, Problem};

/// Folders of files that each stand for one thing.
const FOLDERS: [&str; 3] = ["types", "processes", "grants"];

/// Which views show which fields of the built-in schemas.
pub(super) const SHOWN: &str = "shown.txt";

static BUILT_IN: Dir = include_dir!("$CARGO_MANIFEST_DIR/schemas");

/// All files, parsed; where an overlay has a file of the same name, the overlay's.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By canonical id.
    pub types: BTreeMap<String, TypeFile>,
    /// By the name of the set.
    pub processes: BTreeMap<String, ProcessFile>,
    pub common: CommonFile,
    pub versions: VersionsFile,
    /// By the name of the table.
    pub grants: BTreeMap<String, GrantFile>,
    pub roles: RolesFile,
}

/// Reads everything; all that cannot be read is a problem, not only the first.
pub(super) fn read(overlay: Option<&Path>) -> (Files, Vec<Problem>) {
    let (mut files, mut problems) = read_built_in();
    let laid_over = overlay.map(|overlay| (overlay, read_overlay(overlay, &mut files, &mut problems)));
    if let Some((overlay, Err(error))) = laid_over {
        problems.push(Problem::new(
            overlay.display().to_string(),
            format!("cannot be read: {error}"),
        ));
    }
    (files, problems)
}

/// The built-in files. A start waits for this, so half of them are read beside the others.
fn read_built_in() -> (Files, Vec<Problem>) {
    let all: Vec<(&str, &File)> = folders(&BUILT_IN)
        .flat_map(|(folder, dir)| dir.files().map(move |file| (folder, file)))
        .collect();
    let read = |part: &[(&str, &File)]| {
        let (mut files, mut problems) = (Files::default(), Vec::new());
        for (folder, file) in part {
            let name = file.path().file_name().unwrap_or_default().to_string_lossy();
            take(&mut files, &mut problems, folder, &name, file.contents());
        }
        (files, problems)
    };
    // Most are types, which come first: the rest, where the files stand that there is one of, is in the second half.
    let (some, others) = all.split_at(all.len() / 2);
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| read(some));
        let (mut files, mut problems) = read(others);
        let (mut read, found) = beside.join().unwrap_or_else(|panic| resume_unwind(panic));
        files.types.append(&mut read.types);
        files.processes.append(&mut read.processes);
        files.grants.append(&mut read.grants);
        problems.extend(found);
        (files, problems)
    })
}

/// What was worked out before of the built-in schemas.
pub(super) fn shown() -> &'static str {
    let file = BUILT_IN.get_file(SHOWN);
    file.and_then(File::contents_utf8).unwrap_or_default()
}

/// What types and fields are for.
pub(super) fn texts() -> Descriptions {
    let file = BUILT_IN.get_file("docs.json");
    let read = parse(file.map_or(b"", File::contents));
    // Never in a build that passed its tests.
    read.unwrap_or_else(|sentence| {
        log::error!("docs.json {sentence}");
        Descriptions::default()
    })
}

fn folders<'a>(root: &'a Dir<'a>) -> impl Iterator<Item = (&'static str, &'a Dir<'a>)> {
    FOLDERS
        .into_iter()
        .filter_map(|name| Some((name, root.get_dir(name)?)))
        .chain([("", root)])
}

fn read_overlay(overlay: &Path, files: &mut Files, problems: &mut Vec<Problem>) -> std::io::Result<()> {
    // A folder that is missing is a wrong path on the command line; a missing sub-folder is not.
    std::fs::read_dir(overlay)?;
    for folder in FOLDERS {
        let dir = overlay.join(folder);
        if !dir.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            take(files, problems, folder, &name, &std::fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// Puts one file where it belongs.
fn take(files: &mut Files, problems: &mut Vec<Problem>, folder: &str, name: &str, contents: &[u8]) {
    let path = if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    };
    let Some(stem) = name.strip_suffix(".json") else { return };
    let outcome = match (folder, stem) {
        ("types", _) => parse::<TypeFile>(contents).and_then(|file| {
            if file.id != stem {
                return Err(format!("has the id {:?}, which is not its name", file.id));
            }
            files.types.insert(file.id.clone(), file);
            Ok(())
        }),
        ("processes", _) => parse(contents).map(|file| {
            files.processes.insert(stem.to_owned(), file);
        }),
        ("grants", _) => parse(contents).map(|file| {
            files.grants.insert(stem.to_owned(), file);
        }),
        (_, "roles") => parse(contents).map(|file| files.roles = file),
        (_, "common") => parse(contents).map(|file| files.common = file),
        (_, "versions") => parse(contents).map(|file| files.versions = file),
        _ => Ok(()),
    };
    if let Err(sentence) = outcome {
        problems.push(Problem::new(path, sentence));
    }
}

fn parse<T: DeserializeOwned>(contents: &[u8]) -> Result<T, String> {
    serde_json::from_slice(contents).map_err(|error| format!("is not a schema file: {error}"))
}
