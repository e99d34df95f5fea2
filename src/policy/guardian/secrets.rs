//! Which parts of a document are secret, and how a document looks to those who only read it.
//!
//! Secret are the credentials of the IAM provider `http`, and all of the configuration of metadata sources, of post
//! hooks and of custom steps. Where a document is kept, each of these places holds a sealed text instead. How one is made
//! is not known here.

use super::super::Path;
use super::iam::member;
use crate::pb::gotocompany::guardian::v1beta1::{
    Policy, PolicyAppealConfig, policy_appeal_config::MetadataSource,
};
use crate::pb::json::{Entry, Kind, Struct, Value};
use prost::Message;

/// The credentials in the configuration of `http`.
pub(super) const CREDENTIALS: [&str; 5] =
    ["password", "value", "token", "credentials_json", "credentials_json_base64"];
/// The only key of a sealed object.
const SEALED: &str = "sealed";

/// Puts a sealed text into every secret place that holds something. `change` gets the place and what is there.
///
/// # Errors
/// The first of `change`; the document is then of no use.
pub fn seal<E>(
    policy: &mut Policy,
    mut change: impl FnMut(&str, &[u8]) -> Result<String, E>,
) -> Result<(), E> {
    visit(policy, &mut |place, secret| {
        let sealed = change(place, &secret.plain())?;
        secret.put_sealed(sealed);
        Ok(())
    })
}

/// The opposite of [`seal`]: `open` gets the place and the sealed text.
///
/// # Errors
/// The first of `open`; `damaged` for a place that holds no sealed text, or whose secret is not what was sealed there.
pub fn open<E>(
    policy: &mut Policy,
    mut open: impl FnMut(&str, &str) -> Result<Vec<u8>, E>,
    damaged: impl Fn() -> E,
) -> Result<(), E> {
    visit(policy, &mut |place, secret| {
        let bytes = open(place, secret.sealed().ok_or_else(&damaged)?)?;
        secret.put_plain(bytes).ok_or_else(&damaged)
    })
}

/// Puts other sealed texts into the places of a document that is kept; `None` of `change` leaves the one that is there.
///
/// # Errors
/// As [`open`].
pub fn reseal<E>(
    policy: &mut Policy,
    mut change: impl FnMut(&str, &str) -> Result<Option<String>, E>,
    damaged: impl Fn() -> E,
) -> Result<(), E> {
    visit(policy, &mut |place, secret| {
        if let Some(sealed) = change(place, secret.sealed().ok_or_else(&damaged)?)? {
            secret.put_sealed(sealed);
        }
        Ok(())
    })
}

/// Whether the document has a place that may hold something secret. Of one without, everybody may read everything.
pub fn has_places(policy: &Policy) -> bool {
    policy.iam.is_some()
        || policy.custom_steps.is_some()
        || policy.appeal.as_ref().is_some_and(|appeal| !appeal.metadata_sources.is_empty())
        || policy.requirements.iter().any(|requirement| !requirement.post_hooks.is_empty())
}

/// Whether anything in the document is secret.
pub fn has_any(policy: &Policy) -> bool {
    let found: Result<(), ()> = seal(&mut policy.clone(), |_, _| Err(()));
    found.is_err()
}

/// A document as Get and List answer it: configurations left out, whatever they hold.
pub fn mask(policy: &mut Policy) {
    if let Some(iam) = &mut policy.iam {
        iam.config = Some(Value { kind: Some(Kind::NullValue(0)) });
    }
    if let Some(appeal) = &mut policy.appeal {
        mask_appeal(appeal);
    }
    for hook in policy.requirements.iter_mut().flat_map(|requirement| &mut requirement.post_hooks) {
        hook.config = None;
    }
    if let Some(custom) = &mut policy.custom_steps {
        custom.config = None;
    }
}

/// As [`mask`], for the part about appeals.
pub fn mask_appeal(appeal: &mut PolicyAppealConfig) {
    for source in appeal.metadata_sources.values_mut() {
        source.config = None;
    }
}

/// Takes over from `before`, whose secrets are open, every configuration that `policy` leaves out where the same thing had
/// one: the same IAM provider, the metadata source of that key and type, the only post hook of that name and type, custom
/// steps of that type. A configuration is taken over whole, so that no credential gets to another address.
pub fn keep(policy: &mut Policy, before: &Policy) {
    if let (Some(iam), Some(old)) = (&mut policy.iam, &before.iam)
        && iam.provider == old.provider
    {
        keep_value(&mut iam.config, &old.config);
    }
    if let (Some(appeal), Some(old)) = (&mut policy.appeal, &before.appeal) {
        for (key, source) in &mut appeal.metadata_sources {
            if let Some(old) = old.metadata_sources.get(key).filter(|old| old.r#type == source.r#type) {
                keep_value(&mut source.config, &old.config);
            }
        }
    }
    if let (Some(custom), Some(old)) = (&mut policy.custom_steps, &before.custom_steps)
        && custom.r#type == old.r#type
    {
        keep_value(&mut custom.config, &old.config);
    }
    let hooks = || before.requirements.iter().flat_map(|requirement| &requirement.post_hooks);
    for hook in policy.requirements.iter_mut().flat_map(|requirement| &mut requirement.post_hooks) {
        let mut same = hooks().filter(|old| old.name == hook.name && old.r#type == hook.r#type);
        if hook.config.as_ref().is_none_or(|config| config.fields.is_empty())
            && let (Some(old), None) = (same.next(), same.next())
        {
            hook.config.clone_from(&old.config);
        }
    }
}

fn keep_value(now: &mut Option<Value>, before: &Option<Value>) {
    if now.as_ref().is_none_or(is_null) {
        now.clone_from(before);
    }
}

/// The places of a document that may hold something secret and are empty: what Get and List leave out, among others.
pub fn left_out(policy: &Policy) -> Vec<String> {
    empty_places(policy, |_| true)
}

/// Those of them that a document needs to be of use: a metadata source of the type `static` needs no configuration.
pub fn lacking(policy: &Policy) -> Vec<String> {
    empty_places(policy, |source| source.r#type != "static")
}

fn empty_places(policy: &Policy, counts: impl Fn(&MetadataSource) -> bool) -> Vec<String> {
    let empty = |value: &Option<Value>| value.as_ref().is_none_or(is_null);
    let root = Path::ROOT;
    let mut places = Vec::new();
    if policy.iam.as_ref().is_some_and(|iam| empty(&iam.config)) {
        places.push(root.field("iam.config").to_string());
    }
    let sources = root.field("appeal.metadata_sources");
    for (key, source) in policy.appeal.iter().flat_map(|appeal| &appeal.metadata_sources) {
        if counts(source) && empty(&source.config) {
            places.push(sources.key(key).field("config").to_string());
        }
    }
    let requirements = root.field("requirements");
    for (n, requirement) in policy.requirements.iter().enumerate() {
        for (m, hook) in requirement.post_hooks.iter().enumerate() {
            if hook.config.as_ref().is_none_or(|config| config.fields.is_empty()) {
                let hooks = requirements.index(n);
                let hooks = hooks.field("post_hooks");
                places.push(hooks.index(m).field("config").to_string());
            }
        }
    }
    if policy.custom_steps.as_ref().is_some_and(|custom| empty(&custom.config)) {
        places.push(root.field("custom_steps.config").to_string());
    }
    places
}

/// What a secret place holds.
enum Secret<'a> {
    Text(&'a mut String),
    Value(&'a mut Value),
    Object(&'a mut Struct),
}

impl Secret<'_> {
    fn plain(&self) -> Vec<u8> {
        match self {
            Secret::Text(text) => text.as_bytes().to_vec(),
            Secret::Value(value) => value.encode_to_vec(),
            Secret::Object(object) => object.encode_to_vec(),
        }
    }

    fn sealed(&self) -> Option<&str> {
        let value = match self {
            Secret::Text(text) => return Some(text),
            Secret::Value(value) => value,
            Secret::Object(object) => member(object, SEALED)?,
        };
        match &value.kind {
            Some(Kind::StringValue(text)) => Some(text),
            _ => None,
        }
    }

    fn put_sealed(self, sealed: String) {
        let as_value = |sealed| Value { kind: Some(Kind::StringValue(sealed)) };
        match self {
            Secret::Text(text) => *text = sealed,
            Secret::Value(value) => *value = as_value(sealed),
            Secret::Object(object) => {
                object.fields = vec![Entry { key: SEALED.to_owned(), value: Some(as_value(sealed)) }];
            }
        }
    }

    /// `None` if these bytes are not what belongs there.
    fn put_plain(self, bytes: Vec<u8>) -> Option<()> {
        match self {
            Secret::Text(text) => *text = String::from_utf8(bytes).ok()?,
            Secret::Value(value) => *value = Value::decode(bytes.as_slice()).ok()?,
            Secret::Object(object) => *object = Struct::decode(bytes.as_slice()).ok()?,
        }
        Some(())
    }
}

/// Every secret place that holds something, always in the same order.
fn visit<E>(policy: &mut Policy, change: &mut dyn FnMut(&str, Secret<'_>) -> Result<(), E>) -> Result<(), E> {
    if let Some(iam) = policy.iam.as_mut().filter(|iam| iam.provider == "http")
        && let Some(Value { kind: Some(Kind::StructValue(config)) }) = &mut iam.config
        && let Some(Value { kind: Some(Kind::StructValue(auth)) }) = member_mut(config, "auth")
    {
        for name in CREDENTIALS {
            if let Some(Value { kind: Some(Kind::StringValue(text)) }) = member_mut(auth, name)
                && !text.is_empty()
            {
                change(&format!("iam.config.auth.{name}"), Secret::Text(text))?;
            }
        }
    }
    for (key, source) in policy.appeal.iter_mut().flat_map(|appeal| &mut appeal.metadata_sources) {
        if let Some(config) = source.config.as_mut().filter(|config| !is_null(config)) {
            change(&format!("appeal.metadata_sources.{key}.config"), Secret::Value(config))?;
        }
    }
    for (n, requirement) in policy.requirements.iter_mut().enumerate() {
        for (m, hook) in requirement.post_hooks.iter_mut().enumerate() {
            if let Some(config) = hook.config.as_mut().filter(|config| !config.fields.is_empty()) {
                change(&format!("requirements[{n}].post_hooks[{m}].config"), Secret::Object(config))?;
            }
        }
    }
    if let Some(config) = policy.custom_steps.as_mut().and_then(|custom| custom.config.as_mut())
        && !is_null(config)
    {
        change("custom_steps.config", Secret::Value(config))?;
    }
    Ok(())
}

fn is_null(value: &Value) -> bool {
    matches!(value.kind, None | Some(Kind::NullValue(_)))
}

fn member_mut<'a>(object: &'a mut Struct, name: &str) -> Option<&'a mut Value> {
    object.fields.iter_mut().find(|entry| entry.key == name)?.value.as_mut()
}
