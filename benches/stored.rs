//! The store without a server around it: one read, and durable writes of many at a time, in a file, in a PostgreSQL beside it, and in
//! one that is half a millisecond away.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use drover::model::{Fields, ResourceId, State};
use drover::schema::Registry;
use drover::store::{Database, ListSpec, NewResource, PostgresUrl, Priority, Store, StoreConfig};

use super::Options;
use super::fill::{self, Filled};
use super::http::scattered;
use super::machine::median;
use super::report::{Figure, Limit};

/// So many rows are read one by one.
const READ: usize = 2000;
/// How long a word takes to a database that is away, there and back.
const AWAY: Duration = Duration::from_micros(500);
/// Those who write at a time.
const WRITERS: [usize; 2] = [1, 32];

/// How it fares on one database, and what it must reach.
struct Place {
    name: &'static str,
    config: StoreConfig,
    /// Microseconds of a GET by id and of a list of 100.
    reads: [Limit; 2],
    /// A second, by [`WRITERS`].
    creates: [Limit; 2],
}

/// The same rows in a file and in a database.
pub fn both(options: &Options, url: &str, file: &Path, filled: &Filled) -> Vec<Figure> {
    let postgres = |url: &str| StoreConfig::of(Database::Postgres(PostgresUrl(url.to_owned())));
    let far = Far::before(url);
    let free = || [Limit::None, Limit::None];
    let places = [
        Place {
            name: "SQLite",
            config: StoreConfig::new(file),
            reads: free(),
            creates: free(),
        },
        Place {
            name: "PostgreSQL",
            config: postgres(url),
            reads: [Limit::AtMost(80.0, 50.0), Limit::AtMost(1000.0, 650.0)],
            creates: free(),
        },
        Place {
            name: "PostgreSQL 0.5 ms away",
            config: postgres(&far.url),
            reads: free(),
            creates: [Limit::None, Limit::AtLeast(3000.0, 6000.0)],
        },
    ];
    let registry = Arc::new(Registry::load(None).expect("schemas that fit"));
    places
        .into_iter()
        .flat_map(|place| {
            let store = fill::store(&place.config, registry.clone());
            let mut figures = reads(&place, &store, filled);
            figures.extend(creates(options, &place, &store, filled));
            store.close();
            figures
        })
        .collect()
}

fn line(place: &Place, what: &str, (value, unit): (f64, &'static str), limit: Limit, from: String) -> Figure {
    let figure = Figure {
        name: format!("the store on {}: {what}", place.name),
        value: Some(value),
        unit,
        limit,
        from,
    };
    eprintln!("{}: {value:.0}{unit}  ({})", figure.name, figure.from);
    figure
}

fn reads(place: &Place, store: &Store, filled: &Filled) -> Vec<Figure> {
    // What was read once is kept in memory: each row is asked for once.
    let each: Vec<ResourceId> = filled.containers.iter().take(READ).map(|id| ResourceId(*id)).collect();
    let one = median_of(&each, |id| drop(store.find(*id).expect("an answer").expect("the row")));
    let mut nth = 0;
    let list = median_of(&each, |_| {
        nth += 1;
        let spec = ListSpec {
            root: "instance".to_owned(),
            account: Some(ResourceId(filled.projects[scattered(nth, filled.projects.len())])),
            limit: 100,
            ..ListSpec::default()
        };
        assert_eq!(store.list(&spec).expect("an answer").0.len(), 100);
    });
    let from = || format!("median of {}", each.len());
    let [find, page] = place.reads;
    vec![
        line(place, "GET by id", (one, " us"), find, from()),
        line(place, "list of 100", (list, " us"), page, from()),
    ]
}

/// Microseconds.
fn median_of<T>(each: &[T], mut ask: impl FnMut(&T)) -> f64 {
    let mut took: Vec<f64> = each
        .iter()
        .map(|value| {
            let began = Instant::now();
            ask(value);
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    median(&mut took)
}

/// A row, its state and an event, acknowledged when it is on the disk.
fn creates(options: &Options, place: &Place, store: &Store, filled: &Filled) -> Vec<Figure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let account = ResourceId(filled.projects[0]);
    let measure = |writers: usize| {
        let (made, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let began = Instant::now();
        let all: Vec<_> = (0..writers)
            .map(|_| {
                let (store, made, is_over) = (store.clone(), made.clone(), is_over.clone());
                runtime.spawn(async move {
                    while !is_over.load(Ordering::Acquire) {
                        let row = object(account);
                        let written = store.write(Priority::Request, move |tx| tx.insert(row).map(drop));
                        written.await.expect("it is written");
                        made.fetch_add(1, Ordering::AcqRel);
                    }
                })
            })
            .collect();
        std::thread::sleep(options.round);
        is_over.store(true, Ordering::Release);
        let (made, took) = (made.load(Ordering::Acquire), began.elapsed().as_secs_f64());
        runtime.block_on(async {
            for one in all {
                one.await.expect("no panic");
            }
        });
        made as f64 / took
    };
    let pairs = WRITERS.into_iter().zip(place.creates);
    pairs
        .map(|(writers, limit)| {
            let mut rounds: Vec<f64> = (0..options.rounds).map(|_| measure(writers)).collect();
            let what = format!("durable creates by {writers}");
            let from = format!("median of {}", rounds.len());
            line(place, &what, (median(&mut rounds), " /s"), limit, from)
        })
        .collect()
}

fn object(account: ResourceId) -> NewResource {
    NewResource {
        root: "genericObject".to_owned(),
        kind: "genericObject".to_owned(),
        account_id: Some(account),
        name: "made".to_owned(),
        state: State::ACTIVE,
        fields: Fields::parse(&fill::object(7).to_string()).expect("an object"),
        ..NewResource::default()
    }
}

/// Stands before the socket of a database, and holds back what is said in both directions.
struct Far {
    url: String,
    folder: PathBuf,
}

impl Far {
    /// Before the database whose socket's folder is the `host` of this URL.
    fn before(url: &str) -> Self {
        let host = url.split(['?', '&']).find_map(|part| part.strip_prefix("host="));
        let near = PathBuf::from(host.expect("a socket's folder")).join(".s.PGSQL.5432");
        let folder = std::env::temp_dir().join(format!("drover-far-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a writable folder");
        let listener = UnixListener::bind(folder.join(".s.PGSQL.5432")).expect("a socket");
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&near)) else {
                    return;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let both = (from.try_clone(), to.try_clone());
                    carry(both.0.expect("a socket"), both.1.expect("a socket"));
                }
            }
        });
        let url = url.replace(host.expect("a folder"), &folder.display().to_string());
        Self { url, folder }
    }
}

impl Drop for Far {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Everything that is read on one side is written to the other when its time has come.
fn carry(mut from: UnixStream, mut to: UnixStream) {
    let (sender, pieces) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut room = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut room) {
            if sender.send((Instant::now() + AWAY / 2, room[..read].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        for (due, piece) in pieces {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                return;
            }
        }
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
}
