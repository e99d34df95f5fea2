//! `countersign audit tail`: one line for each entry.

use std::ffi::OsString;
use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use crate::cli::Failure;
use crate::cli::remote::{self, ANSWER_MAX_BYTES, Remote, Service, refusal};
use crate::cli::terminal::printable;
use crate::pb::countersign::v1::audit_client::AuditClient;
use crate::pb::countersign::v1::{AuditEntry, ListAuditRequest, ListAuditResponse};
use crate::pb::google::rpc::Code;

/// How long is waited between two looks for more.
const FOLLOW_PAUSE: Duration = Duration::from_secs(1);
/// The largest page.
const PAGE: i32 = 100;

/// The arguments of `audit tail`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    remote: remote::Args,
    /// Go on with the entries to come, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// How many of the entries that are there are printed.
    #[arg(long, short = 'n', default_value_t = 20)]
    lines: usize,
    /// Only entries about this policy.
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    policy: String,
    /// Only entries of this principal.
    #[arg(long, default_value = "", hide_default_value = true)]
    actor: String,
    /// Only entries of this RPC: its full name, or the part behind the slash.
    #[arg(long, default_value = "", hide_default_value = true)]
    method: String,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let Args { remote, follow, lines, policy, actor, method } = args;
    let remote = remote.connect(env)?;
    let client = AuditClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut trail = Trail { client, remote };
    let filter = ListAuditRequest { policy_id: policy, actor, method, page_size: PAGE, ..Default::default() };
    let (mut newest, mut seen) = (Vec::new(), None);
    let mut request = filter.clone();
    while newest.len() < lines || seen.is_none() {
        let page = trail.list(request.clone())?;
        seen = seen.or(Some(page.head_number));
        newest.extend(page.entries);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    newest.truncate(lines);
    newest.reverse();
    print(&newest)?;
    if follow {
        let after = seen.unwrap_or(0).max(newest.last().map_or(0, |last| last.number));
        trail.follow(&filter, after)?;
    }
    Ok(())
}

/// The trail of a running service.
pub(super) struct Trail {
    pub(super) client: AuditClient<Service>,
    pub(super) remote: Remote,
}

impl Trail {
    /// One page.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn list(&mut self, request: ListAuditRequest) -> Result<ListAuditResponse, Failure> {
        let answer = self.remote.call(self.client.list(request));
        answer.map_err(|status| Failure::failed(refusal(&status)))
    }

    /// Prints the entries after this number as they come. Ends only by a failure.
    fn follow(&mut self, filter: &ListAuditRequest, mut after_number: i64) -> Result<(), Failure> {
        loop {
            sleep(FOLLOW_PAUSE);
            let mut request =
                ListAuditRequest { after_number, order_by: "number".to_owned(), ..filter.clone() };
            loop {
                let page = self.list(request.clone())?;
                print(&page.entries)?;
                after_number = after_number.max(page.entries.last().map_or(0, |last| last.number));
                if page.next_page_token.is_empty() {
                    // What the filters dropped need not be looked at again.
                    after_number = after_number.max(page.head_number);
                    break;
                }
                request.page_token = page.next_page_token;
            }
        }
    }
}

fn print(entries: &[AuditEntry]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    for entry in entries {
        writeln!(out, "{}", line(entry)).map_err(Failure::output)?;
    }
    out.flush().map_err(Failure::output)
}

/// Number, time, principal, method, policy, code; then what else there is to say.
fn line(entry: &AuditEntry) -> String {
    let time = entry.time.and_then(|time| SystemTime::try_from(time).ok());
    let time = time.map_or("-".to_owned(), |time| humantime::format_rfc3339_micros(time).to_string());
    let code = Code::try_from(entry.code).map_or("UNKNOWN", |code| code.as_str_name());
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { printable(text) };
    let mut line = format!(
        "{} {time} {} {} {} {code}",
        entry.number,
        or_dash(&entry.actor),
        or_dash(&entry.method),
        or_dash(&entry.policy_id)
    );
    if !entry.reason.is_empty() {
        line.push_str(&format!(" {}", printable(&entry.reason)));
    }
    if entry.revision > 0 {
        line.push_str(&format!(" revision {}", entry.revision));
    }
    if !entry.mask.is_empty() {
        line.push_str(&format!(" mask {}", printable(&entry.mask.join(","))));
    }
    if entry.mask_paths_omitted > 0 {
        line.push_str(&format!(" and {} more paths", entry.mask_paths_omitted));
    }
    if entry.dropped_before > 0 {
        line.push_str(&format!(" ({} entries before this were dropped)", entry.dropped_before));
    }
    line
}
