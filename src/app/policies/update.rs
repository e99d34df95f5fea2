//! Update: part of a policy, chosen by a field mask; the whole result is checked as a new policy would be.

use crate::app::write::{Checked, Current, PolicyWrite};
use crate::app::{ATTEMPTS_MAX, Answer, App, Caller, Error, error::invalid, etag};
use crate::pb::c1::api::policy::v1::{Policy, UpdatePolicyRequest, UpdatePolicyResponse};
use crate::policy::{Path, Report, c1};
use crate::store::Batch;
use crate::wire::mask::{MASK_PATHS_MAX_COUNT, Mask, MaskReason, merge};
use prost::Message;
use std::collections::BTreeMap;

/// The most bytes of all paths of a mask: it is kept with the revision, beside a document that may be as large as one may be.
const MASK_MAX_BYTES: usize = 8 * 1024;

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
            let added = c1::prepare(&mut new);
            let mut batch = Batch::new();
            let Checked { document, warnings } = self.check(&mut batch, Some(&old.policy), &new).await?;
            let write =
                PolicyWrite { old: Some(&old), new: &new, document, mask: mask.paths(), restores: None };
            let etag = self.write(&mut batch, caller, write);
            if self.commit_policy(caller, batch, &new).await?.is_some() {
                let mut warnings: Vec<String> =
                    added.iter().chain(&warnings).map(ToString::to_string).collect();
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
        let paths: Vec<&str> = paths.iter().map(String::as_str).filter(|path| !path.is_empty()).collect();
        if paths.is_empty() {
            return Mask::populated(&self.policy_type, patch)
                .map_err(|error| Error::Internal(error.to_string()));
        }
        let bytes: usize = paths.iter().map(|path| path.len()).sum();
        match Mask::parse(&self.policy_type, paths.iter().copied()) {
            Ok(mask) if bytes <= MASK_MAX_BYTES => Ok(mask),
            _ => Err(self.mask_faults(&paths, bytes)),
        }
    }

    /// Everything that is wrong with a mask; parsing it as a whole stops at the first path that is.
    fn mask_faults(&self, paths: &[&str], bytes: usize) -> Error {
        let root = Path::ROOT;
        let at = root.field("updateMask");
        let mut report = Report::default();
        for path in paths.iter().take(MASK_PATHS_MAX_COUNT) {
            if let Err(error) = Mask::parse(&self.policy_type, [*path]) {
                report.refuse(&at, error.reason.code(), error.to_string());
            }
        }
        if paths.len() > MASK_PATHS_MAX_COUNT {
            let message = format!("{} paths; the limit is {MASK_PATHS_MAX_COUNT}", paths.len());
            report.refuse(&at, MaskReason::TooLong.code(), message);
        } else if bytes > MASK_MAX_BYTES {
            let message = format!("{bytes} bytes of paths; the limit is {MASK_MAX_BYTES} bytes");
            report.refuse(&at, MaskReason::TooLong.code(), message);
        }
        match report.finish() {
            Err(violations) => violations.into(),
            Ok(_) => Error::Internal("a mask was refused of which every path is right".to_owned()),
        }
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
