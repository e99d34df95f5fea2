//! The store's half of the power-cut test: writes as fast as it can and prints what was acknowledged, or
//! checks what is left.
//!
//! `powercut write DIRECTORY SEED` prints one line per acknowledged commit, `writer sequence`, unbuffered,
//! until its disk is taken away; `write-unsynced` does so without asking the disk to confirm. `powercut check
//! DIRECTORY ACKS SEED` opens the store and looks for every commit of the file ACKS; it fails when one is
//! missing, damaged or torn. `tests/powercut/run.sh` runs both around the cut. Uses nothing but the store.
//!
//! Each writer has its own keys. A commit writes a document, alternately small and of 120 KiB, an index entry
//! and the writer's counter, has an entry in the journal, and every eighth deletes an old document: what a policy service
//! does.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use countersign::store::journal::{self, Head, Section};
use countersign::store::table::{Key, Parts};
use countersign::store::{self, Batch, Device, Direction, Engine, KeyRange, Location, Options};

const WRITERS: u64 = 16;
const LARGE_BYTES: usize = 120 * 1024;
const SMALL_BYTES: usize = 700;
/// A commit whose number is a multiple of this deletes an older document.
const DELETE_EVERY: u64 = 8;

const DOCUMENTS: u8 = 1;
const INDEX: u8 = 2;
const COUNTERS: u8 = 3;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn document_key(writer: u64, sequence: u64) -> Key {
    Key::new(DOCUMENTS).u64(writer).u64(sequence)
}

fn index_key(writer: u64, sequence: u64) -> Key {
    Key::new(INDEX).u64(sequence).u64(writer)
}

fn counter_key(writer: u64) -> Key {
    Key::new(COUNTERS).u64(writer)
}

/// The content says who wrote it, so that a document in the wrong place is noticed.
fn document(seed: u64, writer: u64, sequence: u64) -> Vec<u8> {
    let bytes = if sequence.is_multiple_of(2) { SMALL_BYTES } else { LARGE_BYTES };
    let word = (seed ^ (writer << 40) ^ sequence).wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes();
    word.into_iter().cycle().take(bytes).collect()
}

/// The document that commit `sequence` deletes.
fn victim(sequence: u64) -> Option<u64> {
    (sequence.is_multiple_of(DELETE_EVERY) && sequence >= 2 * DELETE_EVERY)
        .then(|| sequence - DELETE_EVERY - 1)
}

/// A disk of a few hundred megabytes has no room for the usual reserve.
fn open(path: &str, device: Device) -> Result<Arc<dyn Engine>, Failure> {
    let options = Options {
        device,
        cache_bytes: 32 * 1024 * 1024,
        reserve_bytes: 64 * 1024 * 1024,
        ..Options::new(Location::Sled(PathBuf::from(path)))
    };
    Ok(store::open(options)?)
}

async fn write_on(engine: Arc<dyn Engine>, seed: u64, writer: u64) -> Result<(), Failure> {
    let counter = engine.get(counter_key(writer).as_bytes()).await?;
    let mut sequence = match counter {
        Some(stored) => u64::from_be_bytes(stored.value.as_ref().try_into()?),
        None => 0,
    };
    loop {
        sequence += 1;
        let mut batch = Batch::new();
        batch.put(counter_key(writer), sequence.to_be_bytes().to_vec());
        batch.put(document_key(writer, sequence), document(seed, writer, sequence));
        batch.put(index_key(writer, sequence), "");
        if let Some(victim) = victim(sequence) {
            batch.delete(document_key(writer, victim)).delete(index_key(writer, victim));
        }
        batch.journal(document_key(writer, sequence).into_bytes());
        engine.commit(batch).await?;
        // One write call a line: whoever reads sees it at once, or not at all.
        std::io::stdout().lock().write_all(format!("{writer} {sequence}\n").as_bytes())?;
    }
}

async fn write(path: &str, seed: u64, device: Device) -> Result<(), Failure> {
    let engine = open(path, device)?;
    let writers: Vec<_> =
        (0..WRITERS).map(|writer| tokio::spawn(write_on(engine.clone(), seed, writer))).collect();
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

/// The last acknowledged commit of each writer. A line that the cut broke off is not an acknowledgement.
fn read_acks(path: &str) -> Result<BTreeMap<u64, u64>, Failure> {
    let mut acks = BTreeMap::new();
    let text = std::fs::read_to_string(path)?;
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let (writer, sequence) = line.split_once(' ').ok_or("not an acknowledgement")?;
        acks.insert(writer.parse()?, sequence.parse()?);
    }
    Ok(acks)
}

async fn check(path: &str, acks: &str, seed: u64) -> Result<(), Failure> {
    let acks = read_acks(acks)?;
    let engine = open(path, Device::default())?;
    let mut documents = 0;
    let journal = journal(&*engine).await?;
    for writer in 0..WRITERS {
        let counter = engine.get(counter_key(writer).as_bytes()).await?;
        let last = match counter {
            Some(stored) => u64::from_be_bytes(stored.value.as_ref().try_into()?),
            None => 0,
        };
        let acknowledged = acks.get(&writer).copied().unwrap_or(0);
        if last < acknowledged {
            return Err(format!("LOST: writer {writer} has {last}, was promised {acknowledged}").into());
        }
        // Whole commits and nothing else: the counter says exactly which documents and entries there must be.
        let mut expected: Vec<u64> = (1..=last).collect();
        for victim in (1..=last).filter_map(victim) {
            expected.retain(|sequence| *sequence != victim);
        }
        let mut found = Vec::new();
        let mut range = Key::new(DOCUMENTS).u64(writer).range();
        loop {
            let page = engine.scan(range.clone(), Direction::Ascending, 64).await?;
            let Some((key, _)) = page.last() else { break };
            range = range.after(key);
            for (key, stored) in &page {
                let sequence = u64::from_be_bytes(key.get(9..17).ok_or("not a document")?.try_into()?);
                if stored.value != document(seed, writer, sequence) {
                    return Err(format!("DAMAGED: document {sequence} of writer {writer}").into());
                }
                if engine.get(index_key(writer, sequence).as_bytes()).await?.is_none() {
                    return Err(format!("TORN: document {sequence} of writer {writer} has no entry").into());
                }
                found.push(sequence);
            }
        }
        if found != expected {
            return Err(format!("TORN: the documents of writer {writer} do not end at {last}").into());
        }
        documents += found.len();
        let told: Vec<u64> =
            journal.iter().filter(|(by, _)| *by == writer).map(|(_, sequence)| *sequence).collect();
        if told != (1..=last).collect::<Vec<_>>() {
            return Err(
                format!("TORN: the journal does not tell of the {last} commits of writer {writer}").into()
            );
        }
    }
    let entries = count(&*engine, Key::new(INDEX).range()).await?;
    if entries != documents {
        return Err(format!("TORN: {entries} index entries for {documents} documents").into());
    }
    let promised: u64 = acks.values().sum();
    std::io::stdout().lock().write_all(format!("{promised} {documents}\n").as_bytes())?;
    engine.close().await;
    Ok(())
}

/// The writer and the sequence in each entry of the journal, whose chain must be whole.
async fn journal(engine: &dyn Engine) -> Result<Vec<(u64, u64)>, Failure> {
    let (mut head, mut told) = (Head::default(), Vec::new());
    let mut range = journal::range();
    loop {
        let page = engine.scan(range.clone(), Direction::Ascending, 64).await?;
        let Some((key, _)) = page.last() else { return Ok(told) };
        range = range.after(key);
        for (key, stored) in &page {
            let section = Section::read(key, &stored.value)?;
            if (section.first, section.before) != (head.number + 1, head.hash) {
                return Err(format!("TORN: the journal breaks after entry {}", head.number).into());
            }
            for payload in &section.payloads {
                head = head.followed_by(payload);
                let mut parts = Parts::of(DOCUMENTS, payload)?;
                told.push((parts.u64()?, parts.u64()?));
            }
            if section.head() != head {
                return Err(format!("DAMAGED: the journal up to entry {}", head.number).into());
            }
        }
    }
}

async fn count(engine: &dyn Engine, mut range: KeyRange) -> Result<usize, Failure> {
    let mut count = 0;
    loop {
        let page = engine.scan(range.clone(), Direction::Ascending, 1000).await?;
        let Some((key, _)) = page.last() else { return Ok(count) };
        count += page.len();
        range = range.after(key);
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["write", path, seed] => match seed.parse() {
            Ok(seed) => write(path, seed, Device::default()).await,
            Err(_) => Err("the seed is a number".into()),
        },
        ["write-unsynced", path, seed] => match seed.parse() {
            Ok(seed) => {
                write(path, seed, Device { sync_data: Arc::new(|_| Ok(())), ..Device::default() }).await
            }
            Err(_) => Err("the seed is a number".into()),
        },
        ["check", path, acks, seed] => match seed.parse() {
            Ok(seed) => check(path, acks, seed).await,
            Err(_) => Err("the seed is a number".into()),
        },
        _ => Err("powercut write|write-unsynced DIRECTORY SEED | powercut check DIRECTORY ACKS SEED".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
