//! `countersign revisions`: what a policy was, and writing that again.

use std::ffi::OsString;
use std::io::Write as _;
use std::time::SystemTime;

use prost::{Message as _, Name as _};
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};

use super::Failure;
use super::check::Name;
use super::remote::{self, ANSWER_MAX_BYTES, Remote, Service, refusal};
use super::terminal::printable;
use crate::pb;
use crate::pb::countersign::v1::revisions_client::RevisionsClient;
use crate::pb::countersign::v1::{
    GetRevisionRequest, ListRevisionsRequest, PolicyDialect, Revision, RollbackRequest,
};
use crate::wire::{Schema, json};

/// The largest page.
const PAGE: i32 = 100;

/// The arguments of `revisions`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// The policy.
    #[arg(value_name = "ID")]
    id: String,
    /// Print this revision with its document, as JSON: a number, or latest.
    #[arg(long, value_name = "NUMBER", conflicts_with = "rollback")]
    show: Option<String>,
    /// Write the document of this revision again: a number, or latest.
    #[arg(long, value_name = "NUMBER")]
    rollback: Option<String>,
    /// With --rollback: only if the policy still has this etag.
    #[arg(long, value_name = "ETAG", requires = "rollback")]
    if_match: Option<MetadataValue<Ascii>>,
    /// With --rollback: check everything and write nothing.
    #[arg(long, requires = "rollback")]
    validate_only: bool,
    /// Whose policy it is, if both dialects have one of this id.
    #[arg(long, value_enum)]
    dialect: Option<Name>,
    #[command(flatten)]
    remote: remote::Args,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let Args { id, show, rollback, if_match, validate_only, dialect, remote } = args;
    let remote = remote.connect(env)?;
    let client = RevisionsClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let dialect = match dialect {
        None => PolicyDialect::Unspecified,
        Some(Name::C1) => PolicyDialect::C1,
        Some(Name::Guardian) => PolicyDialect::Guardian,
    };
    let mut policy = Policy { client, remote, id, dialect: dialect.into() };
    match (show, rollback) {
        (Some(revision), _) => policy.show(revision),
        (None, Some(revision)) => policy.rollback(revision, if_match, validate_only),
        (None, None) => policy.list(),
    }
}

/// A policy of a running service.
struct Policy {
    client: RevisionsClient<Service>,
    remote: Remote,
    id: String,
    dialect: i32,
}

impl Policy {
    fn list(&mut self) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        let mut request = ListRevisionsRequest {
            policy_id: self.id.clone(),
            dialect: self.dialect,
            page_size: PAGE,
            ..Default::default()
        };
        loop {
            let page = self.remote.call(self.client.list(request.clone()));
            let page = page.map_err(|status| Failure::failed(refusal(&status)))?;
            for revision in &page.revisions {
                writeln!(out, "{}", line(revision)).map_err(Failure::output)?;
            }
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                return Ok(());
            }
        }
    }

    fn show(&mut self, revision: String) -> Result<(), Failure> {
        let request = GetRevisionRequest { policy_id: self.id.clone(), revision, dialect: self.dialect };
        let found = self.remote.call(self.client.get(request));
        let found = found.map_err(|status| Failure::failed(refusal(&status)))?;
        let ty = Schema::new(pb::pool()).message(&Revision::full_name());
        let ty = ty.ok_or_else(|| Failure::failed("the descriptors lack revisions"))?;
        let mut text = Vec::new();
        json::encode(&ty, &found.encode_to_vec(), &json::Style::default(), &mut text)
            .map_err(|_| Failure::failed("the service answered what is no revision"))?;
        let value: serde_json::Value = serde_json::from_slice(&text).map_err(Failure::failed)?;
        let text = serde_json::to_string_pretty(&value).map_err(Failure::failed)?;
        writeln!(std::io::stdout().lock(), "{text}").map_err(Failure::output)
    }

    fn rollback(
        &mut self,
        revision: String,
        if_match: Option<MetadataValue<Ascii>>,
        validate_only: bool,
    ) -> Result<(), Failure> {
        let request = RollbackRequest { policy_id: self.id.clone(), revision, dialect: self.dialect };
        let mut request = Request::new(request);
        if let Some(etag) = if_match {
            request.metadata_mut().insert("if-match", etag);
        }
        if validate_only {
            request.metadata_mut().insert("countersign-validate-only", MetadataValue::from_static("true"));
        }
        let made = self.remote.call(self.client.rollback(request));
        let made = made.map_err(|status| Failure::failed(refusal(&status)))?;
        let did = if validate_only { "would be written" } else { "written" };
        println!("revision {} {did}, with the document of revision {}", made.number, made.rolled_back_to);
        Ok(())
    }
}

/// Number, time, principal, method; then what else there is to say.
fn line(revision: &Revision) -> String {
    let time = revision.create_time.and_then(|time| SystemTime::try_from(time).ok());
    let time = time.map_or("-".to_owned(), |time| humantime::format_rfc3339_micros(time).to_string());
    let actor = if revision.actor.is_empty() { "-".to_owned() } else { printable(&revision.actor) };
    let mut line = format!("{} {time} {actor} {}", revision.number, printable(&revision.method));
    if !revision.mask.is_empty() {
        line.push_str(&format!(" mask {}", printable(&revision.mask.join(","))));
    }
    if revision.rolled_back_to > 0 {
        line.push_str(&format!(" back to {}", revision.rolled_back_to));
    }
    line
}
