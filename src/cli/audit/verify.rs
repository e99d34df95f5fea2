//! `countersign audit verify`: whether the trail is whole, of a running service or in a data directory.

use std::ffi::OsString;

use super::tail::Trail;
use crate::app::{Verified, Verifier, Witness, verify_store};
use crate::cli::remote::{self, ANSWER_MAX_BYTES};
use crate::cli::terminal::printable;
use crate::cli::{FAILED, Failure};
use crate::pb::countersign::v1::ListAuditRequest;
use crate::pb::countersign::v1::audit_client::AuditClient;
use crate::store::{self, Location, Options};

/// The largest page.
const PAGE: i32 = 100;

/// The arguments of `audit verify`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    after_help = "The end of the trail is printed as NUMBER:HASH. Keep it where those who run the service cannot change \
                        it, and give it to a later verification with --expect: the trail alone cannot show that its newest \
                        end was cut off, or that all of it was written anew."
)]
pub(super) struct Args {
    #[command(flatten)]
    remote: remote::Args,
    /// Read this store itself, sled:DIRECTORY, instead of asking a service. None may be running on it.
    #[arg(long, conflicts_with = "server")]
    store: Option<Location>,
    /// That the trail once had this entry, as NUMBER:HASH. May be given more than once.
    #[arg(long, value_name = "NUMBER:HASH")]
    expect: Vec<Witness>,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let verified = match args.store {
        Some(location) => in_store(location, args.expect)?,
        None => of_service(args.remote, env, args.expect)?,
    };
    let Verified { entries, head, faults, faults_total } = verified;
    for fault in &faults {
        println!("{}", printable(fault));
    }
    if faults_total > faults.len() {
        println!("and {} more faults", faults_total - faults.len());
    }
    if faults_total > 0 {
        println!("{entries} entries; the trail is NOT whole");
        return Err(Failure::said(FAILED));
    }
    println!("{entries} entries; the trail is whole");
    println!("{head}");
    Ok(())
}

fn in_store(location: Location, witnesses: Vec<Witness>) -> Result<Verified, Failure> {
    if let Location::Sled(directory) = &location
        && !directory.exists()
    {
        return Err(Failure::usage(format!("there is no store at {}", directory.display())));
    }
    let store = store::open(Options::new(location)).map_err(Failure::failed)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    runtime.block_on(async {
        let verified = verify_store(store.as_ref(), witnesses).await;
        store.close().await;
        verified.map_err(Failure::failed)
    })
}

fn of_service(
    remote: remote::Args,
    env: impl IntoIterator<Item = (OsString, OsString)>,
    mut witnesses: Vec<Witness>,
) -> Result<Verified, Failure> {
    let remote = remote.connect(env)?;
    let client = AuditClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut trail = Trail { client, remote };
    let mut request =
        ListAuditRequest { page_size: PAGE, order_by: "number".to_owned(), ..Default::default() };
    let mut page = trail.list(request.clone())?;
    // What the service says of the end, it must keep to.
    let number = u64::try_from(page.head_number).unwrap_or(0);
    witnesses.push(Witness { number, hash: page.head_hash.clone() });
    let mut verifier = Verifier::new(witnesses);
    loop {
        page.entries.iter().for_each(|entry| verifier.take(entry));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(verifier.end());
        }
        page = trail.list(request.clone())?;
    }
}
