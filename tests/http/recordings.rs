//! Requests that a Rancher server has answered, and whether Drover answers the same: `tests/recordings`.
//!
//! Every scenario has a server of its own, whose clock moves only when something is waited for. What differs is written to
//! `target/recordings/report.txt`, by cause. `RECORDINGS=life,links` plays only these scenarios.

mod client;
mod compare;
mod facts;
mod names;
mod play;
mod purpose;
mod report;
mod script;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use play::Outcome;
use purpose::Purpose;
use report::Report;

/// The least share of requests, in thousandths, that are answered as recorded or differ on purpose only.
const FLOOR: usize = 993;

#[test]
fn answers_are_those_of_the_recordings() {
    let chosen = std::env::var("RECORDINGS").unwrap_or_default();
    let wanted: Vec<&str> = chosen
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    let mut names = script::names();
    names.retain(|name| wanted.is_empty() || wanted.contains(&name.as_str()));
    assert!(!names.is_empty(), "no scenario is called {chosen}");
    let purpose = Purpose::read();
    let mut report = Report::default();
    for (scenario, outcomes) in play_all(&names) {
        report.add(&scenario, &outcomes, &purpose);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("recordings");
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    let file = folder.join("report.txt");
    // Some lines are for what happens now and then: who mends something looks here for those that nothing needs any more.
    let unused = purpose.unused().join("\n");
    let text = format!(
        "{}\n# Lines of the list that nothing needed\n{unused}\n\n# What the lines of the list are needed for\n{}",
        report.text(),
        purpose.uses()
    );
    std::fs::write(&file, text).expect("the report can be written");
    println!(
        "{} ({} lines say what is on purpose); see {}",
        report.summary(),
        purpose.len(),
        file.display()
    );
    let is_whole = wanted.is_empty();
    assert!(
        !is_whole || report.per_mille() >= FLOOR,
        "{}; see {}",
        report.summary(),
        file.display()
    );
}

/// Plays the scenarios on as many threads as there are processors, the longest first; gives them back in order.
fn play_all(names: &[String]) -> Vec<(String, Vec<Outcome>)> {
    let mut scripts: Vec<_> = names.iter().map(|name| script::read(name)).collect();
    scripts.sort_by_key(|script| std::cmp::Reverse(script.steps.len()));
    let (next, played) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(script) = scripts.get(next.fetch_add(1, Ordering::SeqCst)) {
            let outcomes = actix_web::rt::System::new().block_on(play::play(script));
            played
                .lock()
                .expect("no scenario panics")
                .push((script.name.clone(), outcomes));
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    let mut played = played.into_inner().expect("no scenario panics");
    played.sort_by(|(a, _), (b, _)| a.cmp(b));
    played
}
