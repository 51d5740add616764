//! Paths of interfaces that have a version: a project may stand first, then a version, then what is asked for.

/// A path taken apart.
#[derive(Debug, PartialEq, Eq)]
pub struct Path<'p> {
    /// The project it names.
    pub project: Option<&'p str>,
    /// The version it names.
    pub version: Option<(u32, u32)>,
    /// The rest, by segments.
    pub rest: Vec<&'p str>,
}

impl<'p> Path<'p> {
    /// Reads a path behind the place where an interface is mounted.
    pub fn read(path: &'p str) -> Self {
        let mut rest: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let mut project = None;
        if let [first, id, ..] = rest.as_slice()
            && *first == "projects"
        {
            project = Some(*id);
            rest.drain(..2);
        }
        let version = rest.first().and_then(|first| version(first));
        if version.is_some() {
            rest.remove(0);
        }
        Self { project, version, rest }
    }
}

/// `v1.41`: never `v1`, which is Rancher's.
fn version(segment: &str) -> Option<(u32, u32)> {
    number(segment.strip_prefix('v')?)
}

/// `1.41`
pub fn number(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
