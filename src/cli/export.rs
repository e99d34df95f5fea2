//! `countersign export`: the policies of a service as files that `import` takes. What only the service sets is left out, and
//! so is what it does not show, which is said.

mod layout;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use prost::Message;
use tonic::Code;

use super::Failure;
use super::check::{Name, tree_of_json};
use super::import::list_c1;
use super::per_dialect::PerDialect;
use super::remote::{self, ANSWER_MAX_BYTES, Remote, refusal};
use super::terminal::printable;
use crate::gateway::Style;
use crate::pb;
use crate::pb::c1::api::policy::v1::{GetPolicyRequest, Policy as C1Policy, policies_client::PoliciesClient};
use crate::pb::countersign::v1::revision::Document;
use crate::pb::countersign::v1::revisions_client::RevisionsClient;
use crate::pb::countersign::v1::{GetRevisionRequest, PolicyDialect};
use crate::pb::gotocompany::guardian::v1beta1::ListPoliciesRequest;
use crate::pb::gotocompany::guardian::v1beta1::guardian_service_client::GuardianServiceClient;
use crate::pb::json::Kind;
use crate::policy::guardian::secrets;
use crate::wire::json::{self, Names};
use crate::wire::{Schema, json::Style as JsonStyle};
use layout::Layout;

/// Versions of Guardian's policies that are read at a time.
const PAGE: u32 = 100;
/// What stays as it is in the name of a file.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The arguments of `export`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    dialect: PerDialect<What>,
}

#[derive(Debug, clap::Args)]
struct What {
    /// The policies; without any, all that are not deleted. Of Guardian's, the latest versions.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// A file for each policy in this directory, named by its id, instead of all on standard output.
    #[arg(long, value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
    /// How files are written; yaml for guardian and json for c1 without it.
    #[arg(long, value_enum)]
    format: Option<Layout>,
    #[command(flatten)]
    remote: remote::Args,
}

/// A policy on its way out.
struct Exported {
    id: String,
    json: Vec<u8>,
}

pub(super) fn run(args: Args, env: impl IntoIterator<Item = (OsString, OsString)>) -> Result<(), Failure> {
    let (name, what) = args.dialect.split();
    let is_guardian = name == Name::Guardian;
    let remote = what.remote.connect(env)?;
    let policies = if is_guardian { guardian(&remote, &what.ids)? } else { c1(&remote, &what.ids)? };
    let layout = what.format.unwrap_or(if is_guardian { Layout::Yaml } else { Layout::Json });
    match what.directory {
        Some(directory) => into_directory(&directory, layout, &policies),
        None => {
            let texts = policies.iter().map(|policy| lay_out(layout, policy));
            let texts = texts.collect::<Result<Vec<_>, _>>()?;
            let list = if is_guardian { "policies" } else { "list" };
            io::stdout().lock().write_all(layout.all(list, &texts).as_bytes()).map_err(Failure::output)
        }
    }
}

fn into_directory(directory: &std::path::Path, layout: Layout, policies: &[Exported]) -> Result<(), Failure> {
    let failed =
        |path: &std::path::Path, error: io::Error| Failure::failed(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    for policy in policies {
        let path =
            directory.join(format!("{}.{}", utf8_percent_encode(&policy.id, PLAIN), layout.extension()));
        std::fs::write(&path, lay_out(layout, policy)?).map_err(|error| failed(&path, error))?;
        writeln!(io::stdout().lock(), "{}", printable(&path.display().to_string()))
            .map_err(Failure::output)?;
    }
    Ok(())
}

fn lay_out(layout: Layout, policy: &Exported) -> Result<String, Failure> {
    let broken = || {
        Failure::failed(format!(
            "policy {}: a key of it is too long for YAML, or it is nested too deeply",
            printable(&policy.id)
        ))
    };
    let text = std::str::from_utf8(&policy.json).map_err(|_| broken())?;
    let (tree, root) = tree_of_json(text).ok_or_else(broken)?;
    Ok(layout.text(&tree, root))
}

/// The latest version of each policy, in the order of their ids.
fn guardian(remote: &Remote, ids: &[String]) -> Result<Vec<Exported>, Failure> {
    let wanted = if ids.is_empty() { guardian_ids(remote)? } else { ids.iter().cloned().collect() };
    // As revisions, since Guardian's own calls may drop what an import would then take away.
    let mut client = RevisionsClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut exported = Vec::new();
    for id in wanted {
        let request = GetRevisionRequest {
            policy_id: id.clone(),
            revision: "latest".to_owned(),
            dialect: PolicyDialect::Guardian.into(),
        };
        let answer = remote.call(client.get(request)).map_err(|status| unread(&id, &status))?;
        let Some(Document::Guardian(mut policy)) = answer.document else {
            return Err(Failure::failed(format!("policy {}: the answer has no document", printable(&id))));
        };
        (policy.version, policy.created_at, policy.updated_at) = (0, None, None);
        let left_out = secrets::left_out(&policy);
        if let Some(iam) = &mut policy.iam
            && iam.config.as_ref().is_some_and(|config| matches!(config.kind, Some(Kind::NullValue(_))))
        {
            iam.config = None;
        }
        if !left_out.is_empty() {
            eprintln!(
                "countersign: policy {}: not in the file, because the service shows it to nobody: {}; an import keeps \
                 what the service has",
                printable(&id),
                printable(&left_out.join(", "))
            );
        }
        let json = encode("gotocompany.guardian.v1beta1.Policy", &policy, Style::GUARDIAN.write.names)?;
        exported.push(Exported { id, json });
    }
    Ok(exported)
}

/// The ids of all of Guardian's policies.
fn guardian_ids(remote: &Remote) -> Result<BTreeSet<String>, Failure> {
    let client = GuardianServiceClient::new(remote.service());
    let mut client = client.max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut ids = BTreeSet::new();
    let mut offset = 0;
    loop {
        let request = ListPoliciesRequest { size: PAGE, offset, ..ListPoliciesRequest::default() };
        let page = remote.call(client.list_policies(request));
        let page =
            page.map_err(|status| Failure::failed(format!("the list: {}", refusal(&status))))?.policies;
        let length = u32::try_from(page.len()).unwrap_or(u32::MAX);
        ids.extend(page.into_iter().map(|policy| policy.id));
        if length < PAGE {
            return Ok(ids);
        }
        offset = offset.saturating_add(length);
    }
}

/// Live policies, in the order in which they were made.
fn c1(remote: &Remote, ids: &[String]) -> Result<Vec<Exported>, Failure> {
    let mut client = PoliciesClient::new(remote.service()).max_decoding_message_size(ANSWER_MAX_BYTES);
    let mut policies: Vec<C1Policy> = Vec::new();
    for id in ids {
        let answer = remote.call(client.get(GetPolicyRequest { id: id.clone() }));
        let policy = answer.map_err(|status| unread(id, &status))?.policy.unwrap_or_default();
        if policy.deleted_at.is_some() {
            return Err(Failure::failed(format!("policy {} has been deleted", printable(id))));
        }
        policies.push(policy);
    }
    if ids.is_empty() {
        policies = list_c1(remote, &mut client)?;
    }
    let mut exported = Vec::new();
    for mut policy in policies {
        (policy.system_builtin, policy.created_at, policy.updated_at) = (false, None, None);
        let json = encode("c1.api.policy.v1.Policy", &policy, Style::CONDUCTORONE.write.names)?;
        exported.push(Exported { id: policy.id, json });
    }
    Ok(exported)
}

fn unread(id: &str, status: &tonic::Status) -> Failure {
    match status.code() {
        Code::NotFound => Failure::failed(format!("there is no policy {}", printable(id))),
        _ => Failure::failed(format!("policy {}: {}", printable(id), refusal(status))),
    }
}

/// The JSON of a message, without the fields that are not set.
fn encode(name: &str, message: &impl Message, names: Names) -> Result<Vec<u8>, Failure> {
    let ty = Schema::new(pb::pool()).message(name);
    let ty = ty.ok_or_else(|| Failure::failed("the protobuf descriptors lack the policy"))?;
    let mut out = Vec::new();
    json::encode(&ty, &message.encode_to_vec(), &JsonStyle { names, defaults: false }, &mut out)
        .map_err(|_| Failure::failed("the service's answer cannot be read"))?;
    Ok(out)
}
