//! One side of a comparison: a policy of a file, or with a server one that it has.

use crate::cli::Failure;
use crate::cli::check::Severity;
use crate::cli::remote::{ANSWER_MAX_BYTES, Remote, refusal};
use crate::cli::simulator::Settings;
use crate::cli::terminal::printable;
use crate::pb::countersign::v1::policy_source::Policy;
use crate::pb::countersign::v1::revisions_client::RevisionsClient;
use crate::pb::countersign::v1::{GetRevisionRequest, PolicyDialect, PolicySource};

/// The revision that a policy has now.
const LATEST: &str = "latest";

/// What the text on the command line means.
///
/// # Errors
/// If there is no such file, what is in it has violations, or the service has no such policy.
pub(super) fn source(
    text: &str,
    settings: Settings,
    remote: Option<&Remote>,
) -> Result<PolicySource, Failure> {
    match remote {
        Some(remote) if !is_file(text) => stored(text, settings, remote),
        _ => settings.policy(text, Severity::Violation),
    }
}

/// Whether it is a file, and no id, beside a server.
fn is_file(text: &str) -> bool {
    text == "-" || text.contains('/') || [".json", ".yaml", ".yml"].iter().any(|end| text.ends_with(end))
}

/// A policy that the service has. Its revisions say of which dialect it is.
fn stored(text: &str, settings: Settings, remote: &Remote) -> Result<PolicySource, Failure> {
    let (id, revision) = text.rsplit_once('@').unwrap_or((text, LATEST));
    let client = RevisionsClient::new(remote.service());
    let mut client = client.max_decoding_message_size(ANSWER_MAX_BYTES);
    let dialect = settings.dialect().unwrap_or(PolicyDialect::Unspecified);
    let request = GetRevisionRequest {
        policy_id: id.to_owned(),
        revision: revision.to_owned(),
        dialect: dialect.into(),
    };
    let found = remote.call(client.get(request));
    let found =
        found.map_err(|status| Failure::usage(format!("{}: {}", printable(text), refusal(&status))))?;
    let number = u64::try_from(found.number).unwrap_or_default();
    let asked = if revision == LATEST { 0 } else { number };
    Ok(match found.dialect() {
        PolicyDialect::Guardian => PolicySource {
            policy: Some(Policy::GuardianId(id.to_owned())),
            version: u32::try_from(asked).unwrap_or(u32::MAX),
            ..PolicySource::default()
        },
        _ => PolicySource {
            policy: Some(Policy::Id(id.to_owned())),
            revision: asked,
            ..PolicySource::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use super::is_file;

    #[test]
    fn files_are_told_from_ids() {
        for file in ["-", "./policy", "a/b", "policy.yaml", "p.json", "p.yml"] {
            assert!(is_file(file), "{file}");
        }
        for id in ["finance", "finance@3", "01980000-0000-7000-8000-000000000000@latest"] {
            assert!(!is_file(id), "{id}");
        }
    }
}
