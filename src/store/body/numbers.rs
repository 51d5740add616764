//! The numbers of new rows. The writer, which alone inserts, counts them itself: asking the database for each would cost as
//! much as a row.
//!
//! A sequence is read from the database before its first number is given: in each transaction where that costs little, and where it
//! costs a trip, in the first and in the one after a failure. What is taken back takes back its numbers, so that none is missing
//! afterwards. Another server that took this one's place cannot have given them meanwhile: then nothing of this one is written.

use diesel::result::QueryResult;

use super::Tx;
use super::dialect::{self, Line};

/// What is numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sequence {
    /// Resources, and the rows of the audit log among them.
    Resource,
    /// Processes.
    Process,
    /// Events of the outbox.
    Event,
}

/// By their numbers: the tables in whose names the database keeps them.
const TABLES: [&str; 3] = ["resource", "process_instance", "change_event"];

/// How far the sequences are, once one of them was asked for.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Numbers(Option<[Last; TABLES.len()]>);

/// The last number of a sequence.
#[derive(Debug, Default, Clone, Copy)]
struct Last {
    given: i64,
    /// The last one that the database knows of: it notes those of rows that are inserted into the sequence's own table.
    noted: i64,
}

impl Numbers {
    fn last(&mut self, line: &mut Line, sequence: Sequence) -> QueryResult<&mut Last> {
        let all = match &mut self.0 {
            Some(all) => all,
            none => {
                let found = dialect::last_numbers(line.conn())?;
                let last = |table| {
                    found
                        .iter()
                        .find(|(name, _)| name == table)
                        .map_or(0, |(_, last)| *last)
                };
                none.insert(TABLES.map(last).map(|given| Last { given, noted: given }))
            }
        };
        let [resource, process, event] = all;
        Ok(match sequence {
            Sequence::Resource => resource,
            Sequence::Process => process,
            Sequence::Event => event,
        })
    }

    /// A number for a row of the sequence's own table, which is inserted with it at once.
    fn next(&mut self, line: &mut Line, sequence: Sequence) -> QueryResult<i64> {
        let last = self.last(line, sequence)?;
        last.given += 1;
        if dialect::NOTES_NUMBERS {
            last.noted = last.given;
        }
        Ok(last.given)
    }

    /// A number of the resources' sequence for a row of another table.
    fn next_elsewhere(&mut self, line: &mut Line) -> QueryResult<i64> {
        let last = self.last(line, Sequence::Resource)?;
        last.given += 1;
        Ok(last.given)
    }

    /// Notes a number that was chosen by whoever inserts the row.
    fn pass(&mut self, line: &mut Line, number: i64) -> QueryResult<()> {
        let last = self.last(line, Sequence::Resource)?;
        if number > last.given {
            last.given = number;
            if dialect::NOTES_NUMBERS {
                last.noted = number;
            }
        }
        Ok(())
    }

    /// The number of the newest event, if one of the sequences was asked for.
    pub(super) fn newest_event(&self) -> Option<i64> {
        let [_, _, event] = self.0.as_ref()?;
        Some(event.given)
    }

    /// Before a commit: tells the database of numbers that it does not know of.
    pub(super) fn note(&mut self, line: &mut Line) -> QueryResult<()> {
        let mut new = Vec::new();
        for (table, last) in TABLES.into_iter().zip(self.0.iter_mut().flatten()) {
            if last.noted < last.given {
                new.push((table, last.given));
                last.noted = last.given;
            }
        }
        dialect::note_numbers(line, &new)
    }
}

impl Tx {
    /// The number of a row of the sequence's own table, which is inserted with it at once.
    pub(super) fn next_number(&mut self, sequence: Sequence) -> QueryResult<i64> {
        self.numbers.next(&mut self.line, sequence)
    }

    /// A resource's number for a row of the audit log.
    pub(super) fn next_audit_number(&mut self) -> QueryResult<i64> {
        self.numbers.next_elsewhere(&mut self.line)
    }

    /// The number of a resource that is inserted with it at once: the one that was chosen for it, else the next.
    pub(super) fn resource_number(&mut self, chosen: Option<i64>) -> QueryResult<i64> {
        match chosen {
            Some(number) => self.numbers.pass(&mut self.line, number).map(|()| number),
            None => self.next_number(Sequence::Resource),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test may panic")]

    use std::path::Path;
    use std::sync::{Arc, mpsc};

    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, join_all};

    use crate::model::time::SystemClock;
    use crate::model::{Error, Fields, Resource, ResourceId, Result, State};
    use crate::store::{AuditEntry, LayoutOf, NewProcess, NewResource, Priority, Store, Tx, databases};

    struct NoLayout;

    impl LayoutOf for NoLayout {
        fn pack(&self, _: &str, _: &str, _: &Fields) -> Result<(String, String)> {
            Ok(("{}".to_owned(), String::new()))
        }

        fn sample(&self) -> Vec<u8> {
            Vec::new()
        }
    }

    fn open(file: &Path) -> Store {
        let (clock, layout) = (Arc::new(SystemClock), Arc::new(NoLayout));
        Store::open(&databases::at(file), clock, layout, Box::new(|_| {}), None)
            .unwrap()
            .0
    }

    fn insert(tx: &mut Tx<'_>, id: Option<i64>) -> Result<Resource> {
        tx.insert(NewResource {
            id: id.map(ResourceId),
            root: "stack".into(),
            kind: "stack".into(),
            state: State::ACTIVE,
            ..NewResource::default()
        })
    }

    fn record(tx: &mut Tx<'_>) -> Result<()> {
        tx.record(&AuditEntry {
            account: ResourceId(5),
            auth_type: "",
            user: "",
            identity: "",
            client_ip: "",
            event_type: "",
            resource_type: "",
            resource_id: None,
            response_code: 200,
            runtime_ms: 0,
            request: None,
            response: None,
        })
    }

    type Work = Box<dyn FnOnce(&mut Tx<'_>) -> Result<i64> + Send>;

    /// Has all of this done in one commit, part by part; what each said, or nothing if it failed.
    fn together(store: &Store, parts: Vec<Work>) -> Vec<Option<i64>> {
        let (go, told) = mpsc::channel::<()>();
        let write = |work: Work| store.write(Priority::Request, work).map(Result::ok).boxed();
        // While this one waits, the others come into the queue.
        let first: Work = Box::new(move |_| Ok(told.recv().map_or(0, |()| 1)));
        let mut all: Vec<BoxFuture<'_, Option<i64>>> = vec![write(first)];
        all.extend(parts.into_iter().map(write));
        let last = async move { go.send(()).ok().map(|()| 0) };
        all.push(last.boxed());
        let said = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(join_all(all));
        said.into_iter().skip(1).collect()
    }

    fn made(id: Option<i64>) -> Work {
        Box::new(move |tx| insert(tx, id).map(|row| row.id.0))
    }

    fn processed() -> Work {
        Box::new(|tx| {
            let row = insert(tx, None)?;
            tx.start_first_process(&NewProcess {
                resource: &row,
                process: "stack.create",
                data: "{}",
            })
        })
    }

    fn audited() -> Work {
        Box::new(|tx| record(tx).map(|()| 0))
    }

    fn failing() -> Work {
        Box::new(|tx| {
            let row = insert(tx, None)?;
            record(tx)?;
            tx.start_first_process(&NewProcess {
                resource: &row,
                process: "stack.create",
                data: "{}",
            })?;
            Err(Error::not_found())
        })
    }

    fn events(store: &Store) -> Vec<i64> {
        let events = store.events_after(0, 100).unwrap();
        events.into_iter().map(|event| event.id).collect()
    }

    #[test]
    fn what_is_taken_back_leaves_no_gap_and_what_is_kept_is_given_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drover.db");
        let store = open(&file);
        let parts = vec![
            made(None),
            failing(),
            audited(),
            made(None),
            processed(),
            failing(),
            processed(),
        ];
        let said = together(&store, parts);
        assert_eq!(
            said,
            [Some(1000), None, Some(0), Some(1002), Some(1), None, Some(2), Some(0)]
        );
        assert_eq!(events(&store), [1, 2, 3, 4]);
        let ids: Vec<i64> = store.all("stack", None).unwrap().iter().map(|row| row.id.0).collect();
        assert_eq!(ids, [1000, 1002, 1003, 1004]);
        assert!(
            store.find(ResourceId(1001)).unwrap().is_some(),
            "a row of the audit log"
        );
    }

    #[test]
    fn a_start_goes_on_behind_the_last_number_whatever_it_was_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("drover.db");
        let store = open(&file);
        together(&store, vec![made(None), audited()]);
        store.close();
        let store = open(&file);
        assert_eq!(together(&store, vec![made(None)])[0], Some(1002));
        // Seeds have numbers of their own, and one that is chosen beyond the last is the last.
        let said = together(
            &store,
            vec![made(Some(7)), made(None), made(Some(2000)), audited(), made(None)],
        );
        assert_eq!(said[..5], [Some(7), Some(1003), Some(2000), Some(0), Some(2002)]);
        store.close();
        assert_eq!(together(&open(&file), vec![audited(), made(None)])[1], Some(2004));
    }

    #[test]
    fn who_is_told_that_it_is_done_finds_it_whatever_went_wrong_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder.path().join("drover.db"));
        // What is written twice may be refused at once, or only when it is sent with what others write.
        let twice: Work = Box::new(|tx| {
            let row = insert(tx, None)?;
            for _ in 0..2 {
                tx.start_first_process(&NewProcess {
                    resource: &row,
                    process: "stack.create",
                    data: "{}",
                })?;
            }
            Ok(row.id.0)
        });
        let reads_and_fails: Work = Box::new(|tx| {
            tx.all("stack", None)?;
            Err(Error::not_found())
        });
        let said = together(&store, vec![made(None), twice, reads_and_fails, made(None)]);
        let told: Vec<i64> = said.into_iter().flatten().filter(|id| *id > 0).collect();
        let there: Vec<i64> = store.all("stack", None).unwrap().iter().map(|row| row.id.0).collect();
        assert_eq!(told, there);
        assert_eq!(together(&store, vec![made(None)]).len(), 2, "it goes on");
        assert_eq!(store.all("stack", None).unwrap().len(), there.len() + 1);
    }
}
