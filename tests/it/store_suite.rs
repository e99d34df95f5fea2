//! What every store engine must do. Each engine runs every test of [`engine_suite`]; what only the engine on
//! disk does is in `store_sled.rs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use countersign::store::journal::{self, ENTRY_MAX_BYTES, Head, Section};
use countersign::store::{
    self, BATCH_MAX_BYTES, BATCH_MAX_ITEMS, Batch, Changed, ChangesError, Direction, Engine, Error, Health,
    KEY_MAX_BYTES, KeyRange, Location, Options, SCAN_MAX_RECORDS, VALUE_MAX_BYTES,
};
use proptest::prelude::*;

/// An engine, and what must stay around while it is used.
pub struct Opened {
    pub engine: Arc<dyn Engine>,
    _directory: Option<tempfile::TempDir>,
}

pub fn memory() -> Opened {
    Opened { engine: store::open(Options::new(Location::Memory)).unwrap(), _directory: None }
}

pub fn sled() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let engine = store::open(sled_options(directory.path())).unwrap();
    Opened { engine, _directory: Some(directory) }
}

/// As [`sled`], and every group of commits ends an epoch of the log, so that all of them are moved meanwhile.
pub fn sled_without_rest() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let engine = store::open(Options { log_bytes: 1, ..sled_options(directory.path()) }).unwrap();
    Opened { engine, _directory: Some(directory) }
}

/// The defaults, but without a reserve: the disk that tests run on may be small.
pub fn sled_options(path: &std::path::Path) -> Options {
    Options { reserve_bytes: 0, ..Options::new(Location::Sled(path.to_owned())) }
}

/// Makes a module of tests for an engine, one for each function named.
macro_rules! engine_suite {
    ($($test:ident),* $(,)?) => {
        mod on_memory { $(#[tokio::test] async fn $test() { super::$test(super::memory()).await; })* }
        mod on_sled { $(#[tokio::test] async fn $test() { super::$test(super::sled()).await; })* }
        mod on_sled_without_rest {
            $(#[tokio::test] async fn $test() { super::$test(super::sled_without_rest()).await; })*
        }
    };
}

engine_suite![
    what_was_put_is_there,
    a_range_is_scanned_in_order_and_bounded,
    an_empty_range_has_nothing,
    a_batch_is_all_or_nothing,
    an_unchanged_condition_holds_only_for_the_same_commit,
    a_range_condition_sees_newer_records,
    conditions_see_commits_that_are_still_on_their_way,
    of_many_creations_of_one_key_one_wins,
    of_two_writes_of_one_key_the_later_wins,
    a_batch_without_writes_only_checks,
    what_is_too_large_is_refused,
    the_largest_is_kept,
    changes_come_in_order_and_are_visible_by_then,
    a_slow_reader_is_told_and_stops_nobody,
    after_close_nothing_works,
    the_journal_has_what_took_effect_and_nothing_else,
    entries_of_many_writers_are_numbered_and_chained,
    what_the_journal_cannot_take_is_refused,
];

async fn put(engine: &dyn Engine, key: &str, value: &str) -> u64 {
    let mut batch = Batch::new();
    batch.put(key, value.to_owned());
    engine.commit(batch).await.unwrap().revision
}

async fn text(engine: &dyn Engine, key: &str) -> Option<String> {
    let stored = engine.get(key.as_bytes()).await.unwrap()?;
    Some(String::from_utf8(stored.value.to_vec()).unwrap())
}

async fn keys(engine: &dyn Engine, range: KeyRange, direction: Direction, limit: usize) -> Vec<String> {
    let found = engine.scan(range, direction, limit).await.unwrap();
    found.into_iter().map(|(key, _)| String::from_utf8(key.to_vec()).unwrap()).collect()
}

async fn what_was_put_is_there(opened: Opened) {
    let engine = opened.engine;
    assert_eq!(engine.revision(), 0);
    assert_eq!(engine.get(b"a").await, Ok(None));
    let first = put(&*engine, "a", "one").await;
    let second = put(&*engine, "b", "").await;
    assert!(0 < first && first < second);
    assert_eq!(engine.revision(), second);
    let stored = engine.get(b"a").await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.value), (first, Bytes::from_static(b"one")));
    assert_eq!(text(&*engine, "b").await.as_deref(), Some(""));
    let third = put(&*engine, "a", "two").await;
    let stored = engine.get(b"a").await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.value), (third, Bytes::from_static(b"two")));
    let mut batch = Batch::new();
    batch.delete("a").delete("never was");
    engine.commit(batch).await.unwrap();
    assert_eq!(engine.get(b"a").await, Ok(None));
}

async fn a_range_is_scanned_in_order_and_bounded(opened: Opened) {
    let engine = opened.engine;
    let mut batch = Batch::new();
    for key in ["a/1", "a/2", "a/3", "a0", "b"] {
        batch.put(key, "");
    }
    engine.commit(batch).await.unwrap();
    let range = || KeyRange::prefix(b"a/");
    assert_eq!(keys(&*engine, range(), Direction::Ascending, 10).await, ["a/1", "a/2", "a/3"]);
    assert_eq!(keys(&*engine, range(), Direction::Descending, 10).await, ["a/3", "a/2", "a/1"]);
    assert_eq!(keys(&*engine, range(), Direction::Ascending, 2).await, ["a/1", "a/2"]);
    assert_eq!(keys(&*engine, range(), Direction::Descending, 2).await, ["a/3", "a/2"]);
    assert_eq!(keys(&*engine, range().after(b"a/1"), Direction::Ascending, 10).await, ["a/2", "a/3"]);
    assert_eq!(keys(&*engine, range().before(b"a/3"), Direction::Descending, 10).await, ["a/2", "a/1"]);
    assert_eq!(keys(&*engine, KeyRange::all(), Direction::Descending, 1).await, ["b"]);
    assert_eq!(keys(&*engine, range(), Direction::Ascending, 0).await, [""; 0]);

    let mut batch = Batch::new();
    for index in 0..SCAN_MAX_RECORDS + 1 {
        batch.put(format!("many/{index:05}"), "");
    }
    engine.commit(batch).await.unwrap();
    let many = keys(&*engine, KeyRange::prefix(b"many/"), Direction::Ascending, usize::MAX).await;
    assert_eq!(many.len(), SCAN_MAX_RECORDS);
}

async fn an_empty_range_has_nothing(opened: Opened) {
    let engine = opened.engine;
    put(&*engine, "b", "").await;
    for (start, end) in [("b", "b"), ("c", "a"), ("b", "a")] {
        let range = KeyRange { start: start.into(), end: end.into() };
        for direction in [Direction::Ascending, Direction::Descending] {
            assert_eq!(keys(&*engine, range.clone(), direction, 10).await, [""; 0]);
        }
        let mut batch = Batch::new();
        batch.require_range_empty(range).put("x", "");
        engine.commit(batch).await.unwrap();
    }
    let before_everything = KeyRange::all().before(b"");
    assert_eq!(keys(&*engine, before_everything, Direction::Ascending, 10).await, [""; 0]);
}

async fn a_batch_is_all_or_nothing(opened: Opened) {
    let engine = opened.engine;
    let revision = put(&*engine, "there", "old").await;
    let mut batch = Batch::new();
    batch
        .require_unchanged("there", Some(revision))
        .require_absent("there")
        .put("there", "new")
        .put("other", "new");
    let refused = engine.commit(batch).await;
    assert_eq!(refused, Err(Error::Conflict { condition: 1, key: b"there".to_vec() }));
    assert_eq!(text(&*engine, "there").await.as_deref(), Some("old"));
    assert_eq!(text(&*engine, "other").await, None);
    assert_eq!(engine.revision(), revision);

    let mut batch = Batch::new();
    batch.require_unchanged("there", Some(revision)).delete("there").put("other", "new").put("third", "new");
    let committed = engine.commit(batch).await.unwrap();
    assert_eq!(text(&*engine, "there").await, None);
    for key in ["other", "third"] {
        assert_eq!(engine.get(key.as_bytes()).await.unwrap().unwrap().revision, committed.revision);
    }
}

async fn an_unchanged_condition_holds_only_for_the_same_commit(opened: Opened) {
    let engine = opened.engine;
    let first = put(&*engine, "k", "same").await;
    let second = put(&*engine, "k", "same").await;
    for (revision, holds) in
        [(Some(first), false), (None, false), (Some(second), true), (Some(second), false)]
    {
        let mut batch = Batch::new();
        batch.require_unchanged("k", revision).put("k", "same");
        assert_eq!(engine.commit(batch).await.is_ok(), holds, "{revision:?}");
    }
    let mut batch = Batch::new();
    batch.require_unchanged("absent", Some(second)).put("k", "");
    assert!(matches!(engine.commit(batch).await, Err(Error::Conflict { condition: 0, .. })));
}

async fn a_range_condition_sees_newer_records(opened: Opened) {
    let engine = opened.engine;
    put(&*engine, "r/1", "").await;
    let second = put(&*engine, "r/2", "").await;
    put(&*engine, "s", "").await;
    let attempt = |range: KeyRange, revision| {
        let mut batch = Batch::new();
        batch.require_range_unchanged_since(range, revision).put("x", "");
        engine.commit(batch)
    };
    attempt(KeyRange::prefix(b"r/"), second).await.unwrap();
    attempt(KeyRange::prefix(b"q/"), 0).await.unwrap();
    let refused = attempt(KeyRange::prefix(b"r/"), second - 1).await;
    assert_eq!(refused, Err(Error::Conflict { condition: 0, key: b"r/2".to_vec() }));
    assert!(attempt(KeyRange::prefix(b"r/"), 0).await.is_err());
    let mut batch = Batch::new();
    batch.delete("r/2");
    engine.commit(batch).await.unwrap();
    attempt(KeyRange::prefix(b"r/"), second - 1).await.unwrap();
    put(&*engine, "r/3", "").await;
    assert!(attempt(KeyRange::prefix(b"r/"), second).await.is_err());
}

async fn conditions_see_commits_that_are_still_on_their_way(opened: Opened) {
    let old = put(&*opened.engine, "old", "").await;
    decide_in_one_group(&*opened.engine, old, || ()).await;
}

/// Hands over batches that depend on each other before it waits for the first, then calls `release`. `old` is
/// the revision of the record `old`.
pub async fn decide_in_one_group(engine: &dyn Engine, old: u64, release: impl FnOnce()) {
    let mut created = Batch::new();
    created.require_range_empty(KeyRange::prefix(b"r/")).put("r/1", "first").delete("old");
    let mut in_range = Batch::new();
    in_range.require_range_empty(KeyRange::prefix(b"r/")).put("r/2", "second");
    let mut on_key = Batch::new();
    on_key.require_absent("r/1").put("r/1", "second");
    let mut on_deleted = Batch::new();
    on_deleted.require_unchanged("old", Some(old)).put("old", "second");
    let mut again = Batch::new();
    again.require_absent("old").put("old", "back");
    let answers = [created, in_range, on_key, on_deleted, again].map(|batch| engine.commit(batch));
    release();
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(answer.await);
    }
    let [created, in_range, on_key, on_deleted, again] = outcomes.try_into().unwrap();
    let created = created.unwrap().revision;
    assert_eq!(in_range, Err(Error::Conflict { condition: 0, key: b"r/1".to_vec() }));
    assert_eq!(on_key, Err(Error::Conflict { condition: 0, key: b"r/1".to_vec() }));
    assert_eq!(on_deleted, Err(Error::Conflict { condition: 0, key: b"old".to_vec() }));
    assert!(again.unwrap().revision > created);
    assert_eq!(text(engine, "r/1").await.as_deref(), Some("first"));
    assert_eq!(text(engine, "r/2").await, None);
    assert_eq!(text(engine, "old").await.as_deref(), Some("back"));
}

async fn of_many_creations_of_one_key_one_wins(opened: Opened) {
    let engine = opened.engine;
    let attempts: Vec<_> = (0..100)
        .map(|index| {
            let mut batch = Batch::new();
            batch.require_absent("k").put("k", format!("{index}")).put(format!("won/{index}"), "");
            engine.commit(batch)
        })
        .collect();
    let mut won = Vec::new();
    for (index, attempt) in attempts.into_iter().enumerate() {
        if attempt.await.is_ok() {
            won.push(index.to_string());
        }
    }
    assert_eq!(won.len(), 1);
    assert_eq!(text(&*engine, "k").await, Some(won[0].clone()));
    let winners = keys(&*engine, KeyRange::prefix(b"won/"), Direction::Ascending, 10).await;
    assert_eq!(winners, [format!("won/{}", won[0])]);
}

async fn of_two_writes_of_one_key_the_later_wins(opened: Opened) {
    let engine = opened.engine;
    let mut batch = Batch::new();
    batch.put("a", "1").put("a", "2").put("b", "1").delete("b").delete("c").put("c", "1");
    engine.commit(batch).await.unwrap();
    assert_eq!(text(&*engine, "a").await.as_deref(), Some("2"));
    assert_eq!(text(&*engine, "b").await, None);
    assert_eq!(text(&*engine, "c").await.as_deref(), Some("1"));
}

async fn a_batch_without_writes_only_checks(opened: Opened) {
    let engine = opened.engine;
    let revision = put(&*engine, "k", "").await;
    let mut feed = engine.changes();
    assert_eq!(engine.commit(Batch::new()).await.unwrap().revision, revision);
    let mut batch = Batch::new();
    batch.require_absent("k");
    assert!(matches!(engine.commit(batch).await, Err(Error::Conflict { .. })));
    assert_eq!(engine.revision(), revision);
    let next = put(&*engine, "k", "").await;
    assert_eq!(feed.next().await.unwrap().revision, next);
}

async fn what_is_too_large_is_refused(opened: Opened) {
    let engine = opened.engine;
    let limit_of = |batch: Batch| {
        let answer = engine.commit(batch);
        async move {
            match answer.await {
                Err(Error::TooLarge { limit, .. }) => Some(limit),
                other => panic!("{other:?}"),
            }
        }
    };
    let mut batch = Batch::new();
    batch.put(vec![b'k'; KEY_MAX_BYTES + 1], "");
    assert_eq!(limit_of(batch).await, Some(KEY_MAX_BYTES));
    let mut batch = Batch::new();
    batch.delete(vec![b'k'; KEY_MAX_BYTES + 1]);
    assert_eq!(limit_of(batch).await, Some(KEY_MAX_BYTES));
    let mut batch = Batch::new();
    batch.put("k", vec![0; VALUE_MAX_BYTES + 1]);
    assert_eq!(limit_of(batch).await, Some(VALUE_MAX_BYTES));
    let mut batch = Batch::new();
    for index in 0..=BATCH_MAX_BYTES / VALUE_MAX_BYTES {
        batch.put(format!("{index}"), vec![0; VALUE_MAX_BYTES]);
    }
    assert_eq!(limit_of(batch).await, Some(BATCH_MAX_BYTES));
    let mut batch = Batch::new();
    for _ in 0..=BATCH_MAX_ITEMS {
        batch.delete("k");
    }
    assert_eq!(limit_of(batch).await, Some(BATCH_MAX_ITEMS));
    let mut batch = Batch::new();
    for _ in 0..=BATCH_MAX_ITEMS {
        batch.require_absent("k");
    }
    assert_eq!(limit_of(batch).await, Some(BATCH_MAX_ITEMS));
    assert_eq!(engine.revision(), 0);
}

async fn the_largest_is_kept(opened: Opened) {
    let engine = opened.engine;
    let key = vec![b'k'; KEY_MAX_BYTES];
    let value = Bytes::from(vec![7; VALUE_MAX_BYTES]);
    let mut batch = Batch::new();
    batch.put(key.clone(), value.clone()).put("", "the empty key");
    engine.commit(batch).await.unwrap();
    assert_eq!(engine.get(&key).await.unwrap().unwrap().value, value);
    assert_eq!(text(&*engine, "").await.as_deref(), Some("the empty key"));
    assert_eq!(engine.scan(KeyRange::all(), Direction::Ascending, 10).await.unwrap().len(), 2);
}

async fn changes_come_in_order_and_are_visible_by_then(opened: Opened) {
    let engine = opened.engine;
    let before = put(&*engine, "before", "").await;
    let mut feed = engine.changes();
    assert_eq!(feed.since(), before);
    let answers: Vec<_> = (0..200)
        .map(|index| {
            let mut batch = Batch::new();
            batch.put(format!("k{index}"), "").delete(format!("d{index}"));
            engine.commit(batch)
        })
        .collect();
    let mut last = before;
    for index in 0..200 {
        let change = feed.next().await.unwrap();
        assert!(change.revision > last);
        assert!(engine.revision() >= change.revision);
        last = change.revision;
        let (key, gone) = (format!("k{index}").into_bytes(), format!("d{index}").into_bytes());
        assert_eq!(change.writes, [Changed::Put { key: key.clone() }, Changed::Deleted { key: gone }]);
        assert_eq!(engine.get(&key).await.unwrap().unwrap().revision, change.revision);
    }
    for answer in answers {
        answer.await.unwrap();
    }
    engine.close().await;
    assert_eq!(feed.next().await, Err(ChangesError::Closed));
}

async fn a_slow_reader_is_told_and_stops_nobody(opened: Opened) {
    let engine = opened.engine;
    let mut feed = engine.changes();
    let mut last = 0;
    for _ in 0..6 {
        let answers: Vec<_> = (0..1000)
            .map(|_| {
                let mut batch = Batch::new();
                batch.put("k", "");
                engine.commit(batch)
            })
            .collect();
        for answer in answers {
            last = answer.await.unwrap().revision;
        }
    }
    assert!(matches!(feed.next().await, Err(ChangesError::Lagged { missed_commits: 1.. })));
    let mut seen = 0;
    while seen < last {
        seen = feed.next().await.unwrap().revision;
    }
    drop(feed);
    put(&*engine, "k", "").await;
}

async fn after_close_nothing_works(opened: Opened) {
    let engine = opened.engine;
    let mut health = engine.health();
    assert_eq!(*health.borrow_and_update(), Health::Ready);
    let mut batch = Batch::new();
    batch.put("handed over before", "");
    let pending = engine.commit(batch);
    engine.close().await;
    assert!(pending.await.is_ok());
    assert_eq!(engine.commit(Batch::new()).await, Err(Error::Closed));
    assert_eq!(engine.get(b"k").await, Err(Error::Closed));
    assert_eq!(engine.scan(KeyRange::all(), Direction::Ascending, 1).await, Err(Error::Closed));
    assert_eq!(engine.changes().next().await, Err(ChangesError::Closed));
    assert!(matches!(&*health.borrow_and_update(), Health::NotReady { .. }));
    engine.close().await;
}

/// Every entry of the journal, once it is known that they are numbered without a gap and that every hash is right; and
/// where the chain ends.
pub async fn journal(engine: &dyn Engine) -> (Vec<Vec<u8>>, Head) {
    let mut head = Head::default();
    let mut entries = Vec::new();
    let mut range = journal::range();
    loop {
        let found = engine.scan(range.clone(), Direction::Ascending, SCAN_MAX_RECORDS).await.unwrap();
        let Some((last, _)) = found.last() else { return (entries, head) };
        range = range.after(last);
        for (key, stored) in found {
            let section = Section::read(&key, &stored.value).unwrap();
            assert_eq!((section.first, section.before), (head.number + 1, head.hash));
            for payload in &section.payloads {
                head = head.followed_by(payload);
                entries.push(payload.to_vec());
            }
            assert_eq!(section.head(), head);
        }
    }
}

async fn the_journal_has_what_took_effect_and_nothing_else(opened: Opened) {
    let engine = opened.engine;
    assert_eq!(journal(&*engine).await, (Vec::new(), Head::default()));
    let mut feed = engine.changes();
    let mut batch = Batch::new();
    batch.put("k", "").journal("one").journal("two");
    let first = engine.commit(batch).await.unwrap().revision;
    assert_eq!(feed.next().await.unwrap().writes, [Changed::Put { key: b"k".to_vec() }]);
    let mut batch = Batch::new();
    batch.require_absent("k").put("k", "").journal("of a batch that did not take effect");
    assert!(matches!(engine.commit(batch).await, Err(Error::Conflict { .. })));
    let mut batch = Batch::new();
    batch.journal("three, with nothing beside it");
    let second = engine.commit(batch).await.unwrap().revision;
    assert!(second > first);
    assert_eq!(feed.next().await.unwrap().revision, second);
    let (entries, _) = journal(&*engine).await;
    assert_eq!(entries, [&b"one"[..], b"two", b"three, with nothing beside it"]);
    let up_to = engine.scan(journal::range_up_to(2), Direction::Descending, 1).await.unwrap();
    assert_eq!(Section::read(&up_to[0].0, &up_to[0].1.value).unwrap().first, 1);
}

async fn entries_of_many_writers_are_numbered_and_chained(opened: Opened) {
    let engine = opened.engine;
    let answers: Vec<_> = (0..300)
        .map(|index| {
            let mut batch = Batch::new();
            batch.put(format!("{index}"), "").journal(vec![7; index]);
            engine.commit(batch)
        })
        .collect();
    for answer in answers {
        answer.await.unwrap();
    }
    let (entries, head) = journal(&*engine).await;
    let lengths: Vec<usize> = entries.iter().map(Vec::len).collect();
    assert_eq!(
        (lengths, head.number),
        ((0..300).collect(), 300),
        "in the order in which they were handed over"
    );
}

async fn what_the_journal_cannot_take_is_refused(opened: Opened) {
    let engine = opened.engine;
    let mut batch = Batch::new();
    batch.journal(vec![0; ENTRY_MAX_BYTES]);
    engine.commit(batch).await.unwrap();
    let mut batch = Batch::new();
    batch.put("k", "").journal(vec![0; ENTRY_MAX_BYTES + 1]);
    let refused = engine.commit(batch).await;
    assert!(matches!(refused, Err(Error::TooLarge { limit: ENTRY_MAX_BYTES, .. })), "{refused:?}");
    assert_eq!(text(&*engine, "k").await, None);
    let records = engine.scan(journal::range(), Direction::Ascending, 1).await.unwrap();
    let key = records[0].0.to_vec();
    for batch in [Batch::new().put(key.clone(), ""), Batch::new().delete(key.clone())] {
        let refused = engine.commit(batch.clone()).await;
        assert_eq!(refused, Err(Error::Reserved { key: key.clone() }));
    }
    assert_eq!(journal(&*engine).await.0, [vec![0; ENTRY_MAX_BYTES]]);
}

/// One step of the model test. Keys and revisions are drawn from few, so that steps meet.
#[derive(Debug, Clone)]
enum Step {
    Commit { conditions: Vec<(u8, bool)>, empty_ranges: Vec<u8>, writes: Vec<(u8, Option<u8>)> },
    Scan { prefix: u8, reverse: bool, limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let conditions = prop::collection::vec((0..12_u8, prop::bool::weighted(0.9)), 0..3);
    let writes = prop::collection::vec((0..12_u8, prop::option::weighted(0.7, any::<u8>())), 0..5);
    let empty_ranges = prop::collection::vec(0..4_u8, 0..2);
    prop_oneof![
        4 => (conditions, empty_ranges, writes)
            .prop_map(|(conditions, empty_ranges, writes)| Step::Commit { conditions, empty_ranges, writes }),
        1 => (0..4_u8, any::<bool>(), 0..6_usize)
            .prop_map(|(prefix, reverse, limit)| Step::Scan { prefix, reverse, limit }),
    ]
}

fn key_of(index: u8) -> Vec<u8> {
    vec![b'a' + index / 4, b'0' + index % 4]
}

type Model = BTreeMap<Vec<u8>, (u64, Vec<u8>)>;

/// Takes one step with the engine and the model, and compares.
async fn take(step: Step, engine: &dyn Engine, model: &mut Model) {
    match step {
        Step::Commit { conditions, empty_ranges, writes } => {
            let mut batch = Batch::new();
            let mut holds = true;
            for (index, truthful) in conditions {
                let found = model.get(&key_of(index)).map(|(revision, _)| *revision);
                let claimed = if truthful { found } else { Some(found.unwrap_or(0) + 1) };
                holds &= truthful;
                batch.require_unchanged(key_of(index), claimed);
            }
            for group in empty_ranges {
                let prefix = [b'a' + group];
                holds &= !model.keys().any(|key| key.starts_with(&prefix));
                batch.require_range_empty(KeyRange::prefix(&prefix));
            }
            for (index, value) in &writes {
                match value {
                    Some(value) => batch.put(key_of(*index), vec![*value; 3]),
                    None => batch.delete(key_of(*index)),
                };
            }
            let answer = engine.commit(batch).await;
            assert_eq!(answer.is_ok(), holds, "{answer:?}");
            let Ok(committed) = answer else { return };
            for (index, value) in writes {
                match value {
                    Some(value) => model.insert(key_of(index), (committed.revision, vec![value; 3])),
                    None => model.remove(&key_of(index)),
                };
            }
        }
        Step::Scan { prefix, reverse, limit } => {
            let prefix = [b'a' + prefix];
            let mut expected: Vec<_> = model
                .iter()
                .filter(|(key, _)| key.starts_with(&prefix))
                .map(|(key, at)| (key.clone(), at.clone()))
                .collect();
            if reverse {
                expected.reverse();
            }
            expected.truncate(limit);
            let direction = if reverse { Direction::Descending } else { Direction::Ascending };
            let found = engine.scan(KeyRange::prefix(&prefix), direction, limit).await.unwrap();
            let found: Vec<_> = found
                .into_iter()
                .map(|(key, stored)| (key.to_vec(), (stored.revision, stored.value.to_vec())))
                .collect();
            assert_eq!(found, expected);
        }
    }
}

fn follows_the_model(opened: Opened, steps: Vec<Step>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut model = Model::new();
        for step in steps {
            take(step, &*opened.engine, &mut model).await;
        }
        for index in 0..12 {
            let found = opened.engine.get(&key_of(index)).await.unwrap();
            let found = found.map(|stored| (stored.revision, stored.value.to_vec()));
            assert_eq!(found, model.get(&key_of(index)).cloned());
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn memory_follows_the_model(steps in prop::collection::vec(step(), 1..60)) {
        follows_the_model(memory(), steps);
    }

    #[test]
    fn sled_follows_the_model(steps in prop::collection::vec(step(), 1..60)) {
        follows_the_model(sled(), steps);
    }
}
