//! Update: part of a policy, chosen by a field mask; the whole result is checked as a new policy would be.

use crate::app::write::{Current, PolicyWrite};
use crate::app::{ATTEMPTS_MAX, Answer, App, Caller, Error, error::invalid, etag};
use crate::pb::c1::api::policy::v1::{Policy, PolicyScope, UpdatePolicyRequest, UpdatePolicyResponse};
use crate::policy::c1;
use crate::store::Batch;
use crate::wire::mask::{Mask, MaskError, merge};
use prost::Message;
use std::collections::BTreeMap;

impl App {
    /// Writes the masked fields. Without a mask, the fields that are populated (AIP-134).
    ///
    /// # Errors
    /// [`Error::Invalid`] with every violation of the mask or of the result; [`Error::NotFound`];
    /// [`Error::EtagMismatch`] by `If-Match`.
    pub async fn policy_update(
        &self,
        caller: &Caller,
        request: UpdatePolicyRequest,
    ) -> Result<Answer<UpdatePolicyResponse>, Error> {
        let missing = || invalid("policy", "POLICY_REQUIRED", "the body is {\"policy\": {...}}");
        let sent = request.policy.ok_or_else(missing)?;
        let patch = sent.encode_to_vec();
        let mask = self.mask(request.update_mask.map(|mask| mask.paths).unwrap_or_default(), &patch)?;
        for _ in 0..ATTEMPTS_MAX {
            let old = self.live(&sent.id).await?;
            etag::require(caller.if_match.as_deref(), &sent.id, &old.etag())?;
            let mut new = self.merged(&mask, &old, &sent, &patch)?;
            require_same_scope(old.policy.scope.as_ref(), new.scope.as_ref())?;
            let mut batch = Batch::new();
            let mut warnings = c1::prepare(&mut new);
            warnings.extend(c1::compile(&new, self.surroundings(Some(&sent.id)))?.warnings);
            self.check_references(&mut batch, Some(&old.policy), &new).await?;
            let write = PolicyWrite { old: Some(&old), new: &new, mask: mask.paths(), restores: None };
            let etag = self.write(&mut batch, caller, write)?;
            if self.commit_policy(caller, batch, &new).await?.is_some() {
                let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
                if caller.validate_only {
                    warnings.extend(Box::pin(self.analysis_warnings(&new)).await?);
                }
                return Ok(Answer {
                    message: UpdatePolicyResponse { policy: Some(new) },
                    etag: (!caller.validate_only).then_some(etag),
                    warnings,
                });
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS_MAX })
    }

    fn mask(&self, paths: Vec<String>, patch: &[u8]) -> Result<Mask, Error> {
        // An empty path comes of an empty text in JSON, which stands for no mask at all.
        let mut paths = paths.iter().map(String::as_str).filter(|path| !path.is_empty()).peekable();
        if paths.peek().is_none() {
            return Mask::populated(&self.policy_type, patch)
                .map_err(|error| Error::Internal(error.to_string()));
        }
        let refuse = |error: MaskError| invalid("updateMask", error.reason.code(), error.to_string());
        Mask::parse(&self.policy_type, paths).map_err(refuse)
    }

    /// The policy with the masked fields taken from what was sent, and everything that only the service sets as it was.
    fn merged(&self, mask: &Mask, old: &Current, sent: &Policy, patch: &[u8]) -> Result<Policy, Error> {
        let merged = merge(&self.policy_type, mask, &old.record.document, patch);
        let merged = merged.map_err(|error| Error::Internal(error.to_string()))?;
        let merged = Policy::decode(merged.as_slice()).map_err(|error| Error::Internal(error.to_string()))?;
        let kept = &old.policy;
        Ok(Policy {
            annotations: annotations(mask, &kept.annotations, &sent.annotations),
            id: kept.id.clone(),
            created_at: kept.created_at,
            updated_at: Some(self.clock.now()),
            deleted_at: kept.deleted_at,
            system_builtin: kept.system_builtin,
            ..merged
        })
    }
}

/// Annotations are merged whatever the mask says: keys that were not sent stay, an empty value removes its key.
fn annotations(
    mask: &Mask,
    kept: &BTreeMap<String, String>,
    sent: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let all = mask.contains("annotations");
    let masked = sent.iter().filter(|(key, _)| all || mask.contains(&format!("annotations.`{key}`")));
    c1::merge_annotations(kept, &masked.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// A scope is given when a policy is created and never changes.
pub(in crate::app) fn require_same_scope(
    old: Option<&PolicyScope>,
    new: Option<&PolicyScope>,
) -> Result<(), Error> {
    if old == new {
        return Ok(());
    }
    Err(invalid("scope", "SCOPE_IMMUTABLE", "the scope of a policy cannot change; create another policy"))
}
