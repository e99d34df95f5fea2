//! What only the engine on disk does: it keeps its promises across restarts, and when the disk or its files
//! are bad.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use countersign::store::{
    self, Batch, CACHE_BYTES, Direction, Engine, Error, GroupStats, Health, KeyRange, LOG_BYTES, OpenError,
    Options, VALUE_MAX_BYTES,
};

use crate::store_suite::{decide_in_one_group, journal, sled_options};

fn open(path: &Path) -> Arc<dyn Engine> {
    store::open(sled_options(path)).unwrap()
}

fn refusal(options: Options) -> OpenError {
    store::open(options).err().unwrap()
}

async fn put(engine: &dyn Engine, key: &str, value: &str) -> Result<u64, Error> {
    let mut batch = Batch::new();
    batch.put(key, value.to_owned());
    Ok(engine.commit(batch).await?.revision)
}

async fn value(engine: &dyn Engine, key: &str) -> Option<Vec<u8>> {
    Some(engine.get(key.as_bytes()).await.unwrap()?.value.to_vec())
}

#[tokio::test]
async fn a_store_opened_again_has_everything() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("made").join("on the way");
    let mut last = 0;
    for round in 0..4_u32 {
        let engine = open(&path);
        assert_eq!(engine.revision(), last);
        for earlier in 0..round {
            let stored = engine.get(format!("k{earlier}").as_bytes()).await.unwrap().unwrap();
            assert_eq!(stored.value, format!("v{earlier}"));
            assert!(stored.revision <= last);
        }
        assert_eq!(value(&*engine, "gone").await, None);
        let mut batch = Batch::new();
        batch.put(format!("k{round}"), format!("v{round}")).put("gone", "");
        batch.journal(format!("j{round}"));
        engine.commit(batch).await.unwrap();
        let entries = journal(&*engine).await.0;
        assert_eq!(entries, (0..=round).map(|n| format!("j{n}").into_bytes()).collect::<Vec<_>>());
        let mut batch = Batch::new();
        batch.delete("gone");
        last = engine.commit(batch).await.unwrap().revision;
        // Closed by a call, or by letting go of it.
        if round % 2 == 0 {
            engine.close().await;
        }
    }
}

#[tokio::test]
async fn large_documents_make_no_side_files_and_need_no_large_cache() {
    for cache_bytes in [1024 * 1024, CACHE_BYTES] {
        let directory = tempfile::tempdir().unwrap();
        let options = || Options { cache_bytes, ..sled_options(directory.path()) };
        let engine = store::open(options()).unwrap();
        let document = |index: usize, round: u8| vec![round ^ (index % 251) as u8; VALUE_MAX_BYTES];
        for round in 0..3_u8 {
            for chunk in (0..240).collect::<Vec<usize>>().chunks(12) {
                let mut batch = Batch::new();
                for &index in chunk {
                    // Neighbours first, so that they share nodes; then another order, so that nodes are
                    // written again.
                    let index = if round == 1 { index * 97 % 240 } else { index };
                    batch.put(format!("d{index:04}"), document(index, round));
                }
                engine.commit(batch).await.unwrap();
            }
            // Thinned out, nodes merge.
            let mut batch = Batch::new();
            for index in (0..240).filter(|index| index % 8 > usize::from(round)) {
                batch.delete(format!("d{index:04}"));
            }
            engine.commit(batch).await.unwrap();
            assert_eq!(fs::read_dir(directory.path().join("blobs")).unwrap().count(), 0);
        }
        engine.close().await;
        let engine = store::open(options()).unwrap();
        let found = engine.scan(KeyRange::all(), Direction::Ascending, 1000).await.unwrap();
        assert_eq!(found.len(), 90);
        for (key, stored) in found {
            let index: usize = std::str::from_utf8(&key[1..]).unwrap().parse().unwrap();
            assert!(stored.value == document(index, 2), "{index}");
        }
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused_until_it_is_let_go_of() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let error = refusal(sled_options(directory.path()));
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    assert!(error.to_string().contains("in use by another process: stop that one"), "{error}");
    put(&*engine, "k", "v").await.unwrap();
    engine.close().await;
    assert_eq!(value(&*open(directory.path()), "k").await.unwrap(), b"v");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).close().await;
    let marker = directory.path().join("COUNTERSIGN");
    assert_eq!(fs::read_to_string(&marker).unwrap(), "countersign data directory, format 3\n");
    fs::write(&marker, "countersign data directory, format 4\n").unwrap();
    let error = refusal(sled_options(directory.path()));
    assert!(matches!(error, OpenError::NewerFormat { found: 4, known: 3, .. }), "{error:?}");
    assert!(error.to_string().contains("start that release, or a newer one"), "{error}");
    for unreadable in ["", "countersign data directory, format 0\n", "something else\n"] {
        fs::write(&marker, unreadable).unwrap();
        assert!(matches!(refusal(sled_options(directory.path())), OpenError::Damaged { .. }), "{unreadable}");
    }
}

#[tokio::test]
async fn what_is_not_ours_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "mine").unwrap();
    assert!(matches!(refusal(sled_options(directory.path())), OpenError::NotOurs { .. }));
    assert!(matches!(refusal(sled_options(&file)), OpenError::NotADirectory { .. }));
    assert!(matches!(refusal(sled_options(&file.join("below"))), OpenError::NotADirectory { .. }));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
}

#[tokio::test]
async fn a_first_start_that_was_cut_off_is_taken_up_again() {
    for written in ["", "countersign da", "\0\0\0\0\0"] {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("lost+found")).unwrap();
        fs::write(directory.path().join("COUNTERSIGN"), written).unwrap();
        put(&*open(directory.path()), "k", "v").await.unwrap();
        assert!(value(&*open(directory.path()), "k").await.is_some());
    }
}

fn remove_snapshots(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().unwrap().to_string_lossy().starts_with("snap.") {
            fs::remove_file(path).unwrap();
        }
    }
}

/// What a process that is killed now would leave.
fn crashed(directory: &Path) -> tempfile::TempDir {
    let crashed = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), crashed.path().join(entry.file_name())).unwrap();
        }
    }
    fs::create_dir(crashed.path().join("blobs")).unwrap();
    crashed
}

/// After a crash no revision is given out a second time, although the last of them may have left no record behind, and
/// none is skipped; nor is one when the store was closed.
#[tokio::test]
async fn revisions_go_on_after_the_last() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    put(&*engine, "k", "v").await.unwrap();
    let mut batch = Batch::new();
    batch.delete("k");
    let last = engine.commit(batch).await.unwrap().revision;

    let crashed = crashed(directory.path());
    let after = open(crashed.path());
    assert_eq!(after.revision(), last);
    assert_eq!(put(&*after, "k", "v").await.unwrap(), last + 1);

    assert_eq!(engine.revision(), last);
    engine.close().await;
    drop(engine);
    assert_eq!(open(directory.path()).revision(), last);
}

/// Whatever the log held when the process was killed is there, however often that happens, and wherever the epochs of the log
/// end.
#[tokio::test]
async fn a_crash_loses_nothing() {
    for log_bytes in [1, 3000, LOG_BYTES] {
        let mut directory = tempfile::tempdir().unwrap();
        for round in 0..4_u32 {
            let options = Options { log_bytes, ..sled_options(directory.path()) };
            let engine = store::open(options).unwrap();
            for number in 0..=round * 20 {
                let expected =
                    (number < round * 20).then(|| format!("{number} is {}", round - 1).into_bytes());
                assert_eq!(value(&*engine, &format!("k{number}")).await, expected, "{log_bytes} {round}");
            }
            let entries = journal(&*engine).await.0;
            assert_eq!(entries.len(), (0..round).map(|earlier| (earlier as usize + 1) * 20).sum::<usize>());
            for number in 0..(round + 1) * 20 {
                let mut batch = Batch::new();
                batch.put(format!("k{number}"), format!("{number} is {round}")).put("gone", "");
                batch.journal(format!("{number}"));
                engine.commit(batch).await.unwrap();
            }
            let mut batch = Batch::new();
            batch.delete("gone");
            engine.commit(batch).await.unwrap();
            let before = Snapshot::of(&*engine).await;
            let left = crashed(directory.path());
            let after = store::open(Options { log_bytes, ..sled_options(left.path()) }).unwrap();
            assert_eq!(Snapshot::of(&*after).await, before, "{log_bytes} {round}");
            after.close().await;
            drop(after);
            directory = left;
        }
    }
}

/// Everything that is in a store.
#[derive(Debug, PartialEq)]
struct Snapshot {
    revision: u64,
    records: Vec<(Vec<u8>, u64, Vec<u8>)>,
}

impl Snapshot {
    async fn of(engine: &dyn Engine) -> Snapshot {
        let found = engine.scan(KeyRange::all(), Direction::Ascending, 1024).await.unwrap();
        let record = |(key, stored): (bytes::Bytes, store::Stored)| {
            (key.to_vec(), stored.revision, stored.value.to_vec())
        };
        Snapshot { revision: engine.revision(), records: found.into_iter().map(record).collect() }
    }
}

/// Where the frames of a file of the log begin.
fn frames(content: &[u8]) -> Vec<usize> {
    (0..content.len()).step_by(16).filter(|at| content[*at..].starts_with(b"CSL1")).collect()
}

/// The last frame of the log may have been torn by the crash: wherever it ends, the store opens with what was before it. A frame
/// that has others behind it was durable, so damage to it is refused.
#[tokio::test]
async fn a_torn_end_of_the_log_is_let_go_and_damage_before_it_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    for number in 0..3 {
        put(&*engine, &format!("k{number}"), &"x".repeat(40)).await.unwrap();
    }
    let log = directory.path().join("log.1");
    let mut whole = fs::read(&log).unwrap();
    // Without what it grew by.
    whole.truncate((whole.iter().rposition(|byte| *byte != 0).unwrap() + 1).next_multiple_of(16));
    let starts = frames(&whole);
    assert_eq!(starts.len(), 3);
    for cut in (starts[2]..whole.len()).step_by(5) {
        let left = crashed(directory.path());
        let torn = [&whole[..cut], &vec![0; whole.len() - cut]].concat();
        fs::write(left.path().join("log.1"), if cut % 2 == 0 { &torn } else { &whole[..cut] }).unwrap();
        let after = open(left.path());
        // A cut within the padding takes nothing away.
        let expected = if torn == whole { 3 } else { 2 };
        assert_eq!(Snapshot::of(&*after).await.records.len(), expected, "{cut}");
        assert_eq!(put(&*after, "k9", "").await.unwrap(), expected as u64 + 1);
    }
    for at in (0..starts[2]).step_by(7) {
        // The four bytes that nothing is kept in.
        if starts.iter().any(|start| (start + 12..start + 16).contains(&at)) {
            continue;
        }
        let left = crashed(directory.path());
        let mut damaged = whole.clone();
        damaged[at] ^= 0x20;
        fs::write(left.path().join("log.1"), damaged).unwrap();
        let error = refusal(sled_options(left.path()));
        assert!(matches!(error, OpenError::Damaged { .. }), "{at}: {error:?}");
    }
}

/// A document may hold the bytes of a frame of the log. They are no frame, whatever becomes of what is around them.
#[tokio::test]
async fn what_a_client_wrote_is_not_taken_for_a_frame() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    put(&*engine, "k0", "v").await.unwrap();
    put(&*engine, "evil", "v").await.unwrap();
    let written = fs::read(directory.path().join("log.1")).unwrap();
    let frame = &written[frames(&written)[1]..][..80];
    let other = tempfile::tempdir().unwrap();
    let engine = open(other.path());
    put(&*engine, "k0", "v").await.unwrap();
    let mut batch = Batch::new();
    // At every place that a frame could begin at.
    for padding in 0..16 {
        batch.put(format!("f{padding}"), [&vec![0; padding], frame].concat());
    }
    engine.commit(batch).await.unwrap();
    let left = crashed(other.path());
    let mut torn = fs::read(left.path().join("log.1")).unwrap();
    let second = frames(&torn)[1];
    torn[second..second + 16].fill(0);
    fs::write(left.path().join("log.1"), &torn).unwrap();
    assert_eq!(Snapshot::of(&*open(left.path())).await.records.len(), 1);
}

/// A store of the format that had no log is read, and is of this one from then on.
#[tokio::test]
async fn a_store_of_the_first_format_is_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let engine = open(path);
    let last = put(&*engine, "k", "v").await.unwrap();
    engine.close().await;
    drop(engine);
    // As the release before left it.
    fs::write(path.join("COUNTERSIGN"), "countersign data directory, format 1\n").unwrap();
    fs::remove_file(path.join("log.0")).unwrap();
    fs::remove_file(path.join("log.1")).unwrap();
    let revision = last.to_be_bytes();
    let checksum = crc32fast::hash(&[&b"revision"[..], &revision].concat());
    let record = [&[1][..], &revision, &checksum.to_be_bytes()].concat();
    {
        let sled = sled::Config::new().path(path).segment_size(16 * 1024 * 1024).open().unwrap();
        sled.open_tree("countersign-meta").unwrap().insert("revision", record).unwrap();
        sled.flush().unwrap();
    }
    let engine = open(path);
    assert_eq!(value(&*engine, "k").await.unwrap(), b"v");
    assert_eq!(put(&*engine, "k", "w").await.unwrap(), last + 1);
    engine.close().await;
    assert!(fs::read_to_string(path.join("COUNTERSIGN")).unwrap().contains("format 3"));
    assert_eq!(value(&*open(path), "k").await.unwrap(), b"w");
}

/// A byte is flipped in each copy of each record in the log, the last one included, with and without what
/// sled remembers of the log beside it: opening refuses, or the copy was of no use any more and everything is
/// there.
#[tokio::test]
async fn damage_is_found_when_the_store_is_opened() {
    const RECORDS: usize = 12;
    let content = |index: usize| format!("<{index:03}>").repeat(100).into_bytes();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let engine = open(path);
    for index in 0..RECORDS {
        let mut batch = Batch::new();
        batch.put(format!("key{index:03}"), content(index));
        engine.commit(batch).await.unwrap();
    }
    engine.close().await;
    let whole = fs::read(path.join("db")).unwrap();
    let closed = fs::read(path.join("CLOSED")).unwrap();
    let mut refused = 0;
    for index in 0..RECORDS {
        let content_of_record = content(index);
        let copies: Vec<usize> =
            (0..whole.len() - 500).filter(|at| whole[*at..*at + 500] == content_of_record).collect();
        assert!(!copies.is_empty());
        for at in copies {
            let mut damaged = whole.clone();
            damaged[at + 250] ^= 0x10;
            fs::write(path.join("db"), damaged).unwrap();
            fs::write(path.join("CLOSED"), &closed).unwrap();
            remove_snapshots(path);
            match store::open(sled_options(path)) {
                Err(error) => {
                    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
                    assert!(error.to_string().contains("restore it from a backup"), "{error}");
                    // sled has cut its log by now; that must not make it look whole.
                    assert!(matches!(refusal(sled_options(path)), OpenError::Damaged { .. }));
                    refused += 1;
                }
                Ok(engine) => {
                    for index in 0..RECORDS {
                        assert_eq!(value(&*engine, &format!("key{index:03}")).await.unwrap(), content(index));
                    }
                }
            }
        }
    }
    assert!(refused >= RECORDS, "{refused}");
}

#[tokio::test]
async fn records_that_vanished_since_the_store_was_closed_are_missed() {
    let directory = tempfile::tempdir().unwrap();
    let engine = open(directory.path());
    let last = put(&*engine, "k", "v").await.unwrap();
    engine.close().await;
    let closed = directory.path().join("CLOSED");
    assert_eq!(fs::read_to_string(&closed).unwrap(), format!("closed at revision {last}\n"));
    fs::write(&closed, format!("closed at revision {}\n", last + 1)).unwrap();
    let error = refusal(sled_options(directory.path()));
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

/// A disk whose answers a test decides.
struct Faults {
    sync_fails: Arc<AtomicBool>,
    free_bytes: Arc<AtomicU64>,
}

fn with_faults(path: &Path) -> (Options, Faults) {
    let faults = Faults { sync_fails: Arc::default(), free_bytes: Arc::new(AtomicU64::new(1000)) };
    let mut options = Options { reserve_bytes: 1000, ..sled_options(path) };
    let (sync_fails, free_bytes) = (faults.sync_fails.clone(), faults.free_bytes.clone());
    options.device.sync_data = Arc::new(move |file| {
        if sync_fails.load(Ordering::SeqCst) { Err(io::Error::other("injected")) } else { file.sync_data() }
    });
    options.device.free_bytes = Arc::new(move |_| Ok(free_bytes.load(Ordering::SeqCst)));
    (options, faults)
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged_and_reads_show_what_was_confirmed() {
    let directory = tempfile::tempdir().unwrap();
    let (options, faults) = with_faults(directory.path());
    let engine = store::open(options).unwrap();
    let confirmed = put(&*engine, "k", "confirmed").await.unwrap();
    put(&*engine, "kept", "").await.unwrap();
    let mut feed = engine.changes();
    let mut health = engine.health();
    assert_eq!(*health.borrow_and_update(), Health::Ready);

    faults.sync_fails.store(true, Ordering::SeqCst);
    let mut batch = Batch::new();
    batch.put("k", "lost").put("new", "lost").delete("kept");
    assert!(matches!(engine.commit(batch).await, Err(Error::NotReady { .. })));
    health.changed().await.unwrap();
    assert!(matches!(&*health.borrow(), Health::NotReady { why } if why.contains("did not confirm")));
    // The disk is well again, but what it holds is not known.
    faults.sync_fails.store(false, Ordering::SeqCst);
    assert!(matches!(put(&*engine, "later", "").await, Err(Error::NotReady { .. })));

    let stored = engine.get(b"k").await.unwrap().unwrap();
    assert_eq!((stored.revision, &stored.value[..]), (confirmed, &b"confirmed"[..]));
    for (direction, expected) in
        [(Direction::Ascending, [&b"k"[..], b"kept"]), (Direction::Descending, [b"kept", b"k"])]
    {
        let found = engine.scan(KeyRange::all(), direction, 10).await.unwrap();
        assert_eq!(found.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), expected);
    }
    engine.close().await;
    assert!(feed.next().await.is_err(), "nothing was published");
    assert!(!directory.path().join("CLOSED").exists());
    // What was confirmed is there after a restart; the rest may be.
    assert!(value(&*open(directory.path()), "k").await.is_some());
}

#[tokio::test]
async fn a_full_disk_refuses_writes_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let (options, faults) = with_faults(directory.path());
    let engine = store::open(options).unwrap();
    put(&*engine, "k", "v").await.unwrap();
    faults.free_bytes.store(999, Ordering::SeqCst);
    assert_eq!(put(&*engine, "k", "w").await, Err(Error::Full { free_bytes: 999, reserve_bytes: 1000 }));
    assert_eq!(value(&*engine, "k").await.unwrap(), b"v");
    assert_eq!(*engine.health().borrow(), Health::Ready);
    faults.free_bytes.store(1000, Ordering::SeqCst);
    put(&*engine, "k", "x").await.unwrap();
    assert_eq!(value(&*engine, "k").await.unwrap(), b"x");
}

/// A disk that confirms a write only when it is told to.
struct Gate {
    /// Says that the disk is being asked.
    reached: mpsc::Receiver<()>,
    /// Lets it answer once; dropped, for good.
    go_on: mpsc::Sender<()>,
}

fn with_gate(path: &Path) -> (Options, Gate) {
    let mut options = sled_options(path);
    let (reached_sender, reached) = mpsc::channel();
    let (go_on, may_go_on) = mpsc::channel::<()>();
    let may_go_on = Mutex::new(may_go_on);
    options.device.sync_data = Arc::new(move |file| {
        reached_sender.send(()).ok();
        may_go_on.lock().unwrap().recv().ok();
        file.sync_data()
    });
    (options, Gate { reached, go_on })
}

/// While the disk is asked to confirm a group, readers see the state before it, and the feed has nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_a_group_before_it_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (options, Gate { reached, go_on }) = with_gate(directory.path());
    let engine = store::open(options).unwrap();
    go_on.send(()).unwrap();
    let mut first = Batch::new();
    first.put("changed", "old").put("deleted", "old");
    let revision = engine.commit(first).await.unwrap().revision;
    reached.recv().unwrap();
    let mut feed = engine.changes();

    let mut batch = Batch::new();
    batch.put("changed", "new").delete("deleted").put("added", "new").journal("new");
    let answer = tokio::spawn(engine.commit(batch));
    reached.recv().unwrap();
    assert_eq!(value(&*engine, "changed").await.unwrap(), b"old");
    assert_eq!(value(&*engine, "deleted").await.unwrap(), b"old");
    assert_eq!(value(&*engine, "added").await, None);
    assert_eq!(journal(&*engine).await.0, [[0_u8; 0]; 0]);
    let found = engine.scan(KeyRange::all(), Direction::Ascending, 10).await.unwrap();
    assert_eq!(found.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), [&b"changed"[..], b"deleted"]);
    assert!(found.iter().all(|(_, stored)| stored.revision == revision));
    assert_eq!(engine.revision(), revision);
    assert!(!answer.is_finished());

    go_on.send(()).unwrap();
    let committed = answer.await.unwrap().unwrap();
    assert_eq!(feed.next().await.unwrap().revision, committed.revision);
    assert_eq!(value(&*engine, "changed").await.unwrap(), b"new");
    assert_eq!(journal(&*engine).await.0, [b"new"]);
    let found = engine.scan(KeyRange::all().before(&[0xFF]), Direction::Descending, 10).await.unwrap();
    assert_eq!(found.iter().map(|(key, _)| &key[..]).collect::<Vec<_>>(), [&b"changed"[..], b"added"]);
    drop(go_on);
}

#[tokio::test]
async fn batches_of_one_group_see_each_other() {
    let directory = tempfile::tempdir().unwrap();
    let (options, Gate { reached, go_on }) = with_gate(directory.path());
    let engine = store::open(options).unwrap();
    go_on.send(()).unwrap();
    let old = put(&*engine, "old", "").await.unwrap();
    reached.recv().unwrap();
    // Keeps the committer busy until all batches wait behind it.
    let mut batch = Batch::new();
    batch.put("busy", "");
    let busy = engine.commit(batch);
    reached.recv().unwrap();
    decide_in_one_group(&*engine, old, || drop(go_on)).await;
    busy.await.unwrap();
}

/// Commits that wait while the disk is busy share the next sync; too many are turned away.
#[tokio::test]
async fn commits_are_grouped_and_the_queue_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let (mut options, Gate { go_on, .. }) = with_gate(directory.path());
    let groups: Arc<Mutex<Vec<GroupStats>>> = Arc::default();
    let seen = groups.clone();
    options.on_group = Some(Arc::new(move |stats| seen.lock().unwrap().push(stats)));
    let engine = store::open(options).unwrap();
    let commit = |value_bytes: usize| {
        let mut batch = Batch::new();
        batch.put("k", vec![0; value_bytes]);
        engine.commit(batch)
    };
    let mut answers: Vec<_> = (0..6000).map(|_| commit(0)).collect();
    drop(go_on);
    let mut busy = 0;
    for answer in answers.drain(..) {
        match answer.await {
            Ok(_) => {}
            Err(Error::Busy) => busy += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(busy >= 6000 - 4096 - 1024, "{busy}");
    let groups = groups.lock().unwrap();
    assert_eq!(groups.iter().map(|stats| stats.commits).sum::<usize>(), 6000 - busy);
    assert!(groups.len() <= 8 && groups.iter().all(|stats| stats.commits <= 1024), "{groups:?}");
}

/// What waits is bounded in bytes too, and what was answered does not count any more.
#[tokio::test]
async fn the_bytes_that_wait_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let (options, Gate { reached, go_on }) = with_gate(directory.path());
    let engine = store::open(options).unwrap();
    let value = bytes::Bytes::from(vec![0; VALUE_MAX_BYTES]);
    let commit = || {
        let mut batch = Batch::new();
        batch.put("k", value.clone());
        engine.commit(batch)
    };
    let first = commit();
    reached.recv().unwrap();
    let waiting: Vec<_> = (0..500).map(|_| commit()).collect();
    drop(go_on);
    first.await.unwrap();
    let mut done = 0;
    for answer in waiting {
        match answer.await {
            Ok(_) => done += 1,
            Err(error) => assert_eq!(error, Error::Busy),
        }
    }
    assert_eq!(done, 64 * 1024 * 1024 / VALUE_MAX_BYTES);
    for answer in (0..400).map(|_| commit()).collect::<Vec<_>>() {
        answer.await.unwrap();
    }
}

/// Found when the log is moved, which does not count then.
#[tokio::test]
async fn a_side_file_stops_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let engine = store::open(Options { log_bytes: 1, ..sled_options(directory.path()) }).unwrap();
    put(&*engine, "k", "v").await.unwrap();
    let side_file = directory.path().join("blobs").join("123");
    fs::write(&side_file, "").unwrap();
    let mut health = engine.health();
    put(&*engine, "k", "w").await.unwrap();
    health.wait_for(|health| *health != Health::Ready).await.unwrap();
    assert!(matches!(&*engine.health().borrow(), Health::NotReady { why } if why.contains("side file")));
    assert!(matches!(put(&*engine, "k", "x").await, Err(Error::NotReady { .. })));
    assert_eq!(value(&*engine, "k").await.unwrap(), b"w");
    drop(engine);
    assert!(!directory.path().join("CLOSED").exists());
    // sled itself removes what it never pointed to.
    fs::remove_file(&side_file).ok();
    assert_eq!(value(&*open(directory.path()), "k").await.unwrap(), b"w");
}

/// When the log cannot be moved because the disk is full, commits are refused and not held up, and nothing is lost.
#[tokio::test]
async fn a_log_that_cannot_be_moved_refuses_commits_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let (options, faults) = with_faults(directory.path());
    let free_bytes = faults.free_bytes.clone();
    let mut options = Options { log_bytes: 1, ..options };
    // The committer finds room, the checkpoint does not: it is in need of less, so what it is told is less still.
    options.device.free_bytes = Arc::new(move |_| {
        let on_checkpoint = std::thread::current().name() == Some("store-checkpoint");
        Ok(if on_checkpoint { free_bytes.load(Ordering::SeqCst) } else { 1000 })
    });
    let engine = store::open(options).unwrap();
    faults.free_bytes.store(499, Ordering::SeqCst);
    put(&*engine, "k0", "v").await.unwrap();
    // Moves the first epoch, in vain.
    put(&*engine, "k1", "v").await.unwrap();
    assert!(matches!(put(&*engine, "k2", "v").await, Err(Error::Full { .. })));
    assert_eq!(*engine.health().borrow(), Health::Ready);
    assert_eq!(Snapshot::of(&*engine).await.records.len(), 2);
    let left = crashed(directory.path());
    assert_eq!(Snapshot::of(&*open(left.path())).await.records.len(), 2);
    faults.free_bytes.store(500, Ordering::SeqCst);
    while matches!(put(&*engine, "k2", "v").await, Err(Error::Full { .. })) {
        tokio::task::yield_now().await;
    }
    assert_eq!(Snapshot::of(&*engine).await.records.len(), 3);
    // Closed while there is no room: the next start moves the log. Whether that of k1 had been moved before decides what k3 hears.
    faults.free_bytes.store(0, Ordering::SeqCst);
    let last = put(&*engine, "k3", "v").await;
    assert!(matches!(last, Ok(_) | Err(Error::Full { .. })), "{last:?}");
    engine.close().await;
    drop(engine);
    assert!(!directory.path().join("CLOSED").exists());
    let stored = 3 + usize::from(last.is_ok());
    assert_eq!(Snapshot::of(&*open(directory.path())).await.records.len(), stored);
}
