//! The matrix: each scenario dies at each of its points and must end as the run that nobody disturbed, which is itself as it was
//! reviewed.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::{SystemTime, UNIX_EPOCH};

use drover::runtime::Life;
use futures_util::FutureExt;

use crate::dump::difference;
use crate::golden::{self, Story};
use crate::kill_points::{Counts, Death};
use crate::world::{Mode, Step, World};

/// A plain `cargo test` dies at every so many points only.
const EVERY: usize = 7;
/// So many failures are shown; more say nothing new.
const SHOWN: usize = 3;

/// What is done before the server may die, and while it may.
pub struct Scenario {
    pub name: &'static str,
    pub before: Vec<Step>,
    pub then: Vec<Step>,
}

struct End {
    counts: Counts,
    dump: String,
    story: String,
}

async fn run(scenario: &Scenario, death: Option<Death>, mode: Mode) -> Result<End, String> {
    let mut world = World::new(mode).await;
    // A run that dies is compared at its end: where it dies its pictures are others.
    let mut story = death.is_none().then(|| Story::begin(world.dump()));
    for step in &scenario.before {
        world.step(step, false).await.expect("nobody dies yet");
        story.iter_mut().for_each(|story| story.add(step, world.dump()));
    }
    story.iter_mut().for_each(Story::mark);
    world.begin(death);
    let mut deaths = 0;
    for step in &scenario.then {
        let mut again = deaths > 0;
        while world.step(step, again).await.is_err() {
            again = true;
            loop {
                deaths += 1;
                if deaths > 2 {
                    return Err("died again and again".into());
                }
                let next = if mode == Mode::DiesTwice && deaths == 1 {
                    death.map(next_death)
                } else {
                    None
                };
                if world
                    .restart(next, death.is_some_and(|d| d.number() % 2 == 0))
                    .await
                    .is_ok()
                {
                    break;
                }
            }
        }
        story.iter_mut().for_each(|story| story.add(step, world.dump()));
    }
    let expected = if mode == Mode::DiesTwice { 1..=2 } else { 1..=1 };
    if death.is_some() && !expected.contains(&deaths) {
        return Err(format!("died {deaths} times"));
    }
    let counts = world.fate.end();
    let dump = world.dump();
    world.check().map_err(|wrong| format!("{wrong}\n{dump}"))?;
    // A later comparison finds nothing to do.
    world.compare().await.expect("nobody dies any more");
    world.step(&Step::Rest, false).await.expect("nobody dies any more");
    let later = world.dump();
    if later != dump {
        return Err(format!("was not at rest:\n{}", difference(&dump, &later)));
    }
    let story = story.map(|story| story.end(counts, mode)).unwrap_or_default();
    Ok(End { counts, dump, story })
}

/// The second server dies early, while it still finds out what the first one left.
fn next_death(first: Death) -> Death {
    match first {
        Death::Commit(n) | Death::Answer(n) => Death::Commit(n % 5 + 1),
        Death::Before(n) => Death::After(n % 3 + 1),
        Death::After(n) => Death::Commit(n % 7 + 1),
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Every point of a life, or every n-th from a seed that is printed.
fn sampled(counts: Counts, mode: Mode) -> Vec<Death> {
    let mut all = Vec::new();
    // With many hands commits are shared as it happens, and some calls made twice: only the first ones come again.
    let (commits, calls) = match mode {
        Mode::ManyHands => (counts.commits / 2, counts.calls * 3 / 4),
        Mode::Plain | Mode::NewSimulator | Mode::DiesTwice | Mode::NameServers | Mode::Balancers => {
            (counts.commits, counts.calls)
        }
    };
    all.extend((1..=commits).map(Death::Commit));
    all.extend((1..=calls).flat_map(|n| [Death::Before(n), Death::After(n)]));
    all.extend((1..=counts.answers).map(Death::Answer));
    let every = number("DROVER_TEST_CRASH_EVERY").unwrap_or(EVERY).max(1);
    let seed = number("DROVER_TEST_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        usize::try_from(now.subsec_millis()).expect("small")
    });
    println!("{} points, every {every}th, DROVER_TEST_SEED={seed}", all.len());
    all.into_iter().skip(seed % every).step_by(every).collect()
}

/// Runs a scenario undisturbed, then once for each point at which it can die.
pub fn check(scenario: &Scenario, mode: Mode) {
    actix_web::rt::System::new().block_on(async {
        let calm = run(scenario, None, mode)
            .await
            .unwrap_or_else(|wrong| panic!("{} undisturbed: {wrong}", scenario.name));
        println!("{}: {:?}\n{}", scenario.name, calm.counts, calm.dump);
        golden::check(scenario.name, mode, &calm.story);
        let mut failures = Vec::new();
        for death in sampled(calm.counts, mode) {
            let ended = AssertUnwindSafe(run(scenario, Some(death), mode)).catch_unwind().await;
            let ended = ended.unwrap_or_else(|panic| Err(panic.downcast_ref::<String>().cloned().unwrap_or_default()));
            match ended {
                Ok(end) if end.dump == calm.dump => {}
                Ok(end) => failures.push(format!(
                    "{death:?} ends otherwise:\n{}",
                    difference(&calm.dump, &end.dump)
                )),
                Err(wrong) => failures.push(format!("{death:?}: {wrong}")),
            }
        }
        let shown = failures
            .iter()
            .take(SHOWN)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            failures.is_empty(),
            "{}: {} points fail, the first:\n{shown}",
            scenario.name,
            failures.len()
        );
    });
}

/// The uuids of what runs on the engine, by name: before and after what a scenario does undisturbed.
pub fn containers(scenario: &Scenario) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let running = |world: &World| {
        let all = world.sim.containers().into_iter().filter(|c| c.life == Life::Running);
        all.map(|c| (c.name, c.uuid)).collect()
    };
    actix_web::rt::System::new().block_on(async {
        let mut world = World::new(Mode::Plain).await;
        for step in &scenario.before {
            world.step(step, false).await.expect("nobody dies");
        }
        let before = running(&world);
        for step in &scenario.then {
            world.step(step, false).await.expect("nobody dies");
        }
        (before, running(&world))
    })
}
