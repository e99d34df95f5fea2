//! What travels beside a message: metadata into a [`Caller`], and an [`Answer`] into metadata.

use super::status;
use super::subject::Subject;
use crate::app::{Answer, App, Attempt, Caller, Error};
use crate::auth::{ANONYMOUS, Principal};
use std::borrow::Cow;
use std::future::Future;
use tonic::metadata::{Ascii, MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};
use tonic_types::StatusExt as _;

/// The key of the etag of the policy in a response, and of a header of that name.
const ETAG: &str = "etag";
/// The key that asks an update to keep what it leaves out, and to write nothing that changes nothing.
const APPLY: &str = "countersign-apply";
/// The key that asks for all checks and no write.
const VALIDATE_ONLY: &str = "countersign-validate-only";
/// The key of the warnings of a response, one value each.
const WARNING: &str = "countersign-warning";
/// How much room the warnings of one response have, in bytes of metadata. Several gRPC implementations take no more than
/// 8 KiB of metadata at their defaults, and to their callers a write would seem to have failed that did not.
const WARNINGS_MAX_BYTES: usize = 4096;
/// What each line counts beside its text: its key, and what RFC 9113 (section 6.5.2) adds to every header.
const WARNING_OVERHEAD_BYTES: usize = WARNING.len() + 32;

/// The request message, and who sent it: the principal that the server has put among the extensions. `method` is the full
/// name of the RPC.
pub(super) fn open<T>(request: Request<T>, method: &'static str) -> Result<(Caller, T), Status> {
    let (metadata, extensions, message) = request.into_parts();
    let caller = Caller {
        actor: extensions.get::<Principal>().map_or(ANONYMOUS, |principal| &principal.name).to_owned(),
        method,
        if_match: list(&metadata, "if-match")?,
        idempotency_key: single(&metadata, "idempotency-key")?,
        validate_only: flag(&metadata, VALIDATE_ONLY)?,
        apply: flag(&metadata, APPLY)?,
    };
    Ok((caller, message))
}

/// A call that writes, from its metadata to its answer. What comes of it is in the audit trail: by the write itself, and
/// here when there was none. Who only tries a write leaves no trace.
pub(super) async fn write<T, R, F>(
    app: &App,
    request: Request<T>,
    method: &'static str,
    operation: impl FnOnce(Caller, T) -> F,
) -> Result<Response<R>, Status>
where
    T: Subject,
    F: Future<Output = Result<Answer<R>, Error>>,
{
    let (caller, message) = open(request, method)?;
    let trial = caller.validate_only || message.is_trial();
    let attempt = Attempt::of(&caller, message.policy_id(), message.mask());
    let answer = close(operation(caller, message).await);
    if let Err(status) = &answer
        && !trial
    {
        let reason = status.get_details_error_info().map(|info| info.reason).unwrap_or_default();
        app.audit_failed(&Attempt { code: status.code().into(), reason, ..attempt });
    }
    answer
}

/// The response, with its etag and its warnings as metadata; or the status of the error.
pub(super) fn close<T>(answer: Result<Answer<T>, Error>) -> Result<Response<T>, Status> {
    let Answer { message, etag, warnings } = answer.map_err(|error| status::of(&error))?;
    let mut response = Response::new(message);
    let metadata = response.metadata_mut();
    if let Some(etag) = etag.and_then(|etag| value(&etag)) {
        metadata.insert(ETAG, etag);
    }
    for line in lines(&warnings) {
        metadata.append(WARNING, line);
    }
    Ok(response)
}

/// The warnings as metadata, as many as there is room for.
fn lines(warnings: &[String]) -> Vec<MetadataValue<Ascii>> {
    let mut room = WARNINGS_MAX_BYTES;
    let mut lines = Vec::new();
    for (n, line) in warnings.iter().enumerate() {
        let Some(line) = value(line) else { continue };
        match room.checked_sub(line.len() + WARNING_OVERHEAD_BYTES) {
            Some(left) => room = left,
            None => {
                let more =
                    format!("MORE_WARNINGS : at least {} more warnings are not listed", warnings.len() - n);
                lines.extend(value(&more));
                break;
            }
        }
        lines.push(line);
    }
    lines
}

/// Every value of the key, in which a tab is a space, as over REST.
fn texts(metadata: &MetadataMap, key: &'static str) -> Result<Vec<String>, Status> {
    let values = metadata.get_all(key).iter().map(|value| match value.to_str() {
        Ok(text) => Ok(text.replace('\t', " ")),
        Err(_) => Err(status::invalid_metadata(key, "is not ASCII text")),
    });
    values.collect()
}

/// Several lines are one list (RFC 9110, section 5.3).
fn list(metadata: &MetadataMap, key: &'static str) -> Result<Option<String>, Status> {
    let texts = texts(metadata, key)?;
    Ok(if texts.is_empty() { None } else { Some(texts.join(", ")) })
}

/// A value that may be said again, and not differently.
fn single(metadata: &MetadataMap, key: &'static str) -> Result<Option<String>, Status> {
    let mut texts = texts(metadata, key)?;
    texts.dedup();
    match texts.len() {
        0 | 1 => Ok(texts.pop()),
        _ => Err(status::invalid_metadata(key, "is given twice, and differently")),
    }
}

/// `true` or `false`, once; whoever writes something else must not find out by what was written.
fn flag(metadata: &MetadataMap, key: &'static str) -> Result<bool, Status> {
    let mut values = metadata.get_all(key).iter();
    let value = values.next().map(|value| value.as_bytes());
    match (value, values.next()) {
        (None, _) | (Some(b"false"), None) => Ok(false),
        (Some(b"true"), None) => Ok(true),
        _ => Err(status::invalid_metadata(key, "is true or false, once")),
    }
}

fn value(text: &str) -> Option<MetadataValue<Ascii>> {
    ascii(text).parse().ok()
}

/// A text as metadata have it, which are ASCII: every other character is written as Rust and JSON escape it.
pub(crate) fn ascii(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c == ' ' || c.is_ascii_graphic();
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if plain(c) { c.to_string() } else { c.escape_unicode().to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn metadata_is_ascii() {
        assert_eq!(value("a b").unwrap(), "a b");
        assert_eq!(value("größe\n").unwrap(), "gr\\u{f6}\\u{df}e\\u{a}");
    }
}
