//! Where more about the creator of an appeal comes from: the configuration of the IAM provider, read as Guardian reads it.
//!
//! Guardian decodes the configuration into a struct and keeps that: keys without regard to case, unknown ones dropped.
//! [`prepare`] does the same to the document, so that what is kept is what is answered.

use super::super::Path;
use super::findings::{Findings, Wording};
use super::secrets::CREDENTIALS;
use super::tags::is_url;
use super::{Family, Surroundings};
use crate::expr::guardian as language;
use crate::pb::gotocompany::guardian::v1beta1::{Policy, policy::Iam};
use crate::pb::json::{Entry, Kind, Struct, Value};

/// The kinds of authentication.
const AUTH_TYPES: [&str; 4] = ["basic", "api_key", "bearer", "google_idtoken"];
/// Keys of the configuration of `http`, in Guardian's order.
const HTTP_KEYS: [&str; 3] = ["url", "headers", "auth"];
/// Keys of `auth`, in Guardian's order.
const AUTH_KEYS: [&str; 10] = [
    "type",
    "username",
    "password",
    "in",
    "key",
    "value",
    "token",
    "audience",
    "credentials_json",
    "credentials_json_base64",
];
/// Keys of the configuration of `shield`, in Guardian's order.
const SHIELD_KEYS: [&str; 3] = ["host", "auth_header", "auth_email"];

/// Brings the IAM configuration of a document into the shape that Guardian keeps. One that cannot be read stays as it is,
/// for [`super::compile`] to refuse.
pub(super) fn prepare(policy: &mut Policy, around: Surroundings) {
    let Some(iam) = &mut policy.iam else { return };
    if let Ok(config) = read(iam, around.family) {
        iam.config = Some(Value { kind: Some(Kind::StructValue(config)) });
    }
}

/// Guardian's first step: the provider is known and the configuration can be decoded.
pub(super) fn check_readable(findings: &mut Findings, iam: &Iam) {
    if let Err(Unreadable { field, code, message, text }) = read(iam, findings.around().family) {
        let root = Path::ROOT;
        let iam = root.field("iam");
        findings.refuse(&iam.field(field), code, message, Wording::Iam(text));
    }
}

/// The struct tags of the IAM configuration.
pub(super) fn check_tags(findings: &mut Findings, iam: &Iam) {
    let Ok(config) = read(iam, findings.around().family) else { return };
    let root = Path::ROOT;
    let at = root.field("iam.config");
    if iam.provider == "shield" {
        check_shield(findings, &at, &config);
        return;
    }
    check_url(findings, &at.field("url"), "Policy.IAM.Config.URL", text(&config, "url"));
    let Some(Value { kind: Some(Kind::StructValue(auth)) }) = member(&config, "auth") else { return };
    check_auth(findings, &at.field("auth"), auth);
}

fn check_shield(findings: &mut Findings, at: &Path<'_>, config: &Struct) {
    check_url(findings, &at.field("host"), "Policy.IAM.Config.Host", text(config, "host"));
    if text(config, "auth_header").is_empty() {
        let (path, key) = (at.field("auth_header"), "Policy.IAM.Config.AuthHeader");
        findings.tag(
            &path,
            "AUTH_HEADER_REQUIRED",
            "shield needs the name of its auth header",
            key,
            "required",
        );
    }
    let (path, key) = (at.field("auth_email"), "Policy.IAM.Config.AuthEmail");
    match text(config, "auth_email") {
        "" => findings.tag(&path, "AUTH_EMAIL_REQUIRED", "shield needs an e-mail address", key, "required"),
        email if !crate::workflow::is_email(email) => {
            findings.tag(&path, "EMAIL_INVALID", "this is not an e-mail address", key, "email")
        }
        _ => {}
    }
}

fn check_url(findings: &mut Findings, path: &Path<'_>, key: &str, url: &str) {
    if url.is_empty() {
        findings.tag(path, "URL_REQUIRED", "a URL is needed here", key, "required");
    } else if !is_url(url) {
        findings.tag(path, "URL_INVALID", "this is not an absolute URL with a scheme", key, "url");
    }
}

fn check_auth(findings: &mut Findings, at: &Path<'_>, auth: &Struct) {
    let kind = text(auth, "type");
    let path = at.field("type");
    if kind.is_empty() {
        let message = "one of basic, api_key, bearer, google_idtoken";
        findings.tag(&path, "AUTH_TYPE_REQUIRED", message, "Policy.IAM.Config.Auth.Type", "required");
    } else if !AUTH_TYPES.contains(&kind) {
        let message = "one of basic, api_key, bearer, google_idtoken";
        findings.tag(&path, "AUTH_TYPE_UNKNOWN", message, "Policy.IAM.Config.Auth.Type", "oneof");
    }
    let needed: &[(&str, &str)] = match kind {
        "basic" => &[("username", "Username"), ("password", "Password")],
        "api_key" => &[("in", "In"), ("key", "Key"), ("value", "Value")],
        "bearer" => &[("token", "Token")],
        "google_idtoken" => &[("audience", "Audience")],
        _ => &[],
    };
    for (name, go) in needed {
        let path = at.field(name);
        let key = format!("Policy.IAM.Config.Auth.{go}");
        let value = text(auth, name);
        if value.is_empty() {
            let message = format!("authentication of the type {kind} needs it");
            findings.tag(&path, "AUTH_FIELD_REQUIRED", message, key, "required_if");
        } else if *name == "in" && !matches!(value, "query" | "header") {
            findings.tag(&path, "AUTH_IN_UNKNOWN", "one of query, header", key, "oneof");
        }
    }
}

/// The provider's own validation, which comes late and looks through `auth` without asking whether it is there.
pub(super) fn check_own(findings: &mut Findings, iam: &Iam) {
    if iam.provider != "http" || read(iam, findings.around().family).is_err() {
        return;
    }
    let config = iam.config.as_ref().and_then(fields);
    let auth = config.and_then(|config| find(config, "auth")).and_then(fields);
    if auth.is_none() {
        let root = Path::ROOT;
        let path = root.field("iam.config.auth");
        let message = "the provider http needs to know how it authenticates; Guardian panics without it";
        findings.refuse(&path, "AUTH_REQUIRED", message, Wording::Panic);
    }
}

struct Unreadable {
    field: &'static str,
    code: &'static str,
    message: String,
    /// Guardian's text.
    text: String,
}

/// The configuration as Guardian's struct has it: known keys only, in order.
fn read(iam: &Iam, family: Family) -> Result<Struct, Unreadable> {
    let known: &[&str] = match (iam.provider.as_str(), family) {
        ("http", _) => &HTTP_KEYS,
        ("shield", Family::Goto) => &SHIELD_KEYS,
        _ => {
            let known = if family == Family::Goto { "http or shield" } else { "http" };
            return Err(Unreadable {
                field: "provider",
                code: "IAM_PROVIDER_UNKNOWN",
                message: format!("the provider is {known}"),
                text: "unknown provider type".to_owned(),
            });
        }
    };
    let mut faults = Vec::new();
    let config = keep(iam.config.as_ref(), "", known, &mut faults);
    if faults.is_empty() {
        return Ok(config);
    }
    let text =
        format!("invalid client config: {} error(s) decoding:\n\n* {}", faults.len(), faults.join("\n* "));
    Err(Unreadable { field: "config", code: "IAM_CONFIG_INVALID", message: faults.join("; "), text })
}

/// The members of an object that are known, under their own names.
fn keep(value: Option<&Value>, place: &str, known: &[&str], faults: &mut Vec<String>) -> Struct {
    let mut kept = Struct::default();
    let given = match value.and_then(|value| value.kind.as_ref()) {
        None | Some(Kind::NullValue(_)) => return kept,
        Some(Kind::StructValue(given)) => given,
        Some(other) => {
            faults.push(format!("'{place}' expected a map, got '{}'", go_kind(other)));
            return kept;
        }
    };
    for name in known {
        let Some(value) = find(given, name) else { continue };
        let at = if place.is_empty() { (*name).to_owned() } else { format!("{place}.{name}") };
        let value = match *name {
            "auth" => {
                if fields(value).is_none() && !is_null(value) {
                    keep(Some(value), &at, &[], faults);
                    continue;
                }
                fields(value).map(|_| Kind::StructValue(keep(Some(value), &at, &AUTH_KEYS, faults)))
            }
            "headers" => texts(value, &at, faults).map(Kind::StructValue),
            _ => as_text(value, &at, faults).filter(|text| !text.is_empty()).map(Kind::StringValue),
        };
        if let Some(kind) = value {
            kept.fields.push(Entry { key: (*name).to_owned(), value: Some(Value { kind: Some(kind) }) });
        }
    }
    kept
}

/// An object all of whose members are texts.
fn texts(value: &Value, place: &str, faults: &mut Vec<String>) -> Option<Struct> {
    let Some(given) = fields(value) else {
        if let Some(kind) = value.kind.as_ref().filter(|_| !is_null(value)) {
            faults.push(format!("'{place}' expected a map, got '{}'", go_kind(kind)));
        }
        return None;
    };
    let mut kept = Struct::default();
    for Entry { key, value } in &given.fields {
        let place = format!("{place}[{key}]");
        let text = value.as_ref().and_then(|value| as_text(value, &place, faults)).unwrap_or_default();
        kept.fields
            .push(Entry { key: key.clone(), value: Some(Value { kind: Some(Kind::StringValue(text)) }) });
    }
    Some(kept)
}

fn as_text(value: &Value, place: &str, faults: &mut Vec<String>) -> Option<String> {
    match value.kind.as_ref()? {
        Kind::StringValue(text) => Some(text.clone()),
        Kind::NullValue(_) => None,
        other => {
            let is_credential = CREDENTIALS.iter().any(|name| place.ends_with(name));
            let shown = match other {
                Kind::NumberValue(number) if !is_credential => language::number_as_go_shows_it(*number),
                Kind::BoolValue(truth) => truth.to_string(),
                // Whatever it is, it may be a secret in the wrong place.
                _ => "...".to_owned(),
            };
            let kind = go_kind(other);
            faults.push(format!(
                "'{place}' expected type 'string', got unconvertible type '{kind}', value: '{shown}'"
            ));
            None
        }
    }
}

fn go_kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::NullValue(_) => "nil",
        Kind::NumberValue(_) => "float64",
        Kind::StringValue(_) => "string",
        Kind::BoolValue(_) => "bool",
        Kind::StructValue(_) => "map[string]interface {}",
        Kind::ListValue(_) => "slice",
    }
}

fn is_null(value: &Value) -> bool {
    matches!(value.kind, None | Some(Kind::NullValue(_)))
}

pub(super) fn fields(value: &Value) -> Option<&Struct> {
    match &value.kind {
        Some(Kind::StructValue(fields)) => Some(fields),
        _ => None,
    }
}

/// The member of this name; if there is none, the first that differs in case only.
pub(super) fn find<'a>(given: &'a Struct, name: &str) -> Option<&'a Value> {
    let folded = || given.fields.iter().find(|entry| entry.key.eq_ignore_ascii_case(name));
    given.fields.iter().find(|entry| entry.key == name).or_else(folded)?.value.as_ref()
}

pub(super) fn member<'a>(given: &'a Struct, name: &str) -> Option<&'a Value> {
    given.fields.iter().find(|entry| entry.key == name)?.value.as_ref()
}

fn text<'a>(given: &'a Struct, name: &str) -> &'a str {
    match member(given, name) {
        Some(Value { kind: Some(Kind::StringValue(text)) }) => text,
        _ => "",
    }
}
