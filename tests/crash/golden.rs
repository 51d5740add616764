//! What each scenario does when nobody disturbs it, step by step, as it was reviewed: a step that does nothing, or something
//! else, is seen here, and not only one that ends otherwise after a death.

use std::path::Path;

use crate::dump::difference;
use crate::kill_points::Counts;
use crate::world::{Mode, Step};

/// The words of one run: what each step changed in the picture of the whole state.
pub struct Story {
    text: String,
    last: String,
}

impl Story {
    /// Begins with the picture of a server that has nothing to do.
    pub fn begin(start: String) -> Self {
        Self {
            text: String::new(),
            last: start,
        }
    }

    /// Adds a step and what is there after it.
    pub fn add(&mut self, step: &Step, picture: String) {
        let changes = difference(&self.last, &picture);
        let changes = if changes.is_empty() {
            "(nothing changes)\n"
        } else {
            &changes
        };
        self.text.push_str(&format!("\n# {}\n{changes}", label(step)));
        self.last = picture;
    }

    /// From here on the server may die.
    pub fn mark(&mut self) {
        self.text.push_str("\n--- from here on it may die ---\n");
    }

    /// The whole, with the number of points at which the server can die.
    pub fn end(self, counts: Counts, mode: Mode) -> String {
        let Counts {
            commits,
            calls,
            answers,
        } = counts;
        let points = match mode {
            // Commits are shared as it happens.
            Mode::ManyHands => format!("{answers} answers"),
            Mode::Plain | Mode::NewSimulator | Mode::DiesTwice | Mode::NameServers | Mode::Balancers => {
                format!("{commits} commits, {calls} calls, {answers} answers")
            }
        };
        format!("{points}\n{}", self.text)
    }
}

fn label(step: &Step) -> String {
    match step {
        Step::Create { path, name, .. } => format!("create {name} in {path}"),
        Step::Act { path, name, action, .. } => format!("{action} {name} of {path}"),
        Step::Call(name) => format!("the receiver {name} is called"),
        Step::Put { path, name, body } => format!("change {name} of {path} to {body}"),
        Step::Delete { path, name } => format!("delete {name} of {path}"),
        Step::Kill(name) => format!("{name} dies"),
        Step::Exit(name) => format!("{name} ends"),
        Step::Forget(name) => format!("{name} vanishes"),
        Step::Ail(name) => format!("{name} falls ill"),
        Step::Hear => "the engine is compared".to_owned(),
        Step::Pass(seconds) => format!("{seconds} seconds pass"),
        Step::Settle => "what is due is done".to_owned(),
        Step::Hyper { path, body: None, .. } => format!("DELETE {path} by Hyper's interface"),
        Step::Hyper {
            path, body: Some(body), ..
        } => format!("POST {path} {body} by Hyper's interface"),
        Step::Deploy { service, image } => format!("{service} is updated to {image} by Docker's interface"),
        Step::Rest => "until nothing happens any more".to_owned(),
    }
}

/// Compares a story with the one that was reviewed; `UPDATE_GOLDEN=1` takes it for that instead.
pub fn check(name: &str, mode: Mode, story: &str) {
    // A death more or a simulator less makes no difference to a run without deaths.
    let hands = if mode == Mode::ManyHands { "-many-hands" } else { "" };
    let file = format!("tests/golden/crash/{}{hands}.txt", name.replace(' ', "-"));
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(&file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder for golden files");
        // Two modes may share a file: nobody reads half of it.
        let written = path.with_extension(format!("{mode:?}.new"));
        std::fs::write(&written, story)
            .and_then(|()| std::fs::rename(&written, &path))
            .expect("a golden file");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = difference(&expected, story);
    assert!(
        expected == story,
        "{name} is not what was reviewed; read the difference, then UPDATE_GOLDEN=1 cargo test --test crash\n{file}\n{differs}"
    );
}
