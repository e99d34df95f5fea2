//! GetPolicy and GetPolicyPreferences, and how a document is answered.

use super::revisions::etag_of_masked;
use super::write::Sealed;
use super::{Document, Doing};
use crate::app::{Answer, App, Caller, Error, GuardianCode};
use crate::pb::gotocompany::guardian::v1beta1::{
    GetPolicyPreferencesRequest, GetPolicyPreferencesResponse, GetPolicyRequest, GetPolicyResponse, Policy,
};
use crate::policy::guardian::secrets;

/// What Guardian says when the value of a condition has not been through its database.
const UNCONVERTED: &str = "failed to parse policy: proto: invalid type: *structpb.Value";

impl App {
    /// One version of a policy, the latest for version 0.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`].
    pub async fn guardian_get(&self, request: GetPolicyRequest) -> Result<Answer<GetPolicyResponse>, Error> {
        let document = self.read_one(&request.id, request.version).await?;
        let message = GetPolicyResponse { policy: Some(document.policy) };
        Ok(Answer { message, etag: document.etag, warnings: Vec::new() })
    }

    /// What a policy says about appeals.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`].
    pub async fn guardian_preferences(
        &self,
        request: GetPolicyPreferencesRequest,
    ) -> Result<Answer<GetPolicyPreferencesResponse>, Error> {
        let document = self.read_one(&request.id, request.version).await?;
        Ok(GetPolicyPreferencesResponse { appeal: document.policy.appeal }.into())
    }

    /// A version as it is stored, its secrets sealed: for those who want to know what it means.
    ///
    /// # Errors
    /// [`Error::NoSuchVersion`].
    pub(in crate::app) async fn guardian_stored(&self, id: &str, version: u32) -> Result<Policy, Error> {
        let missing = || Error::NoSuchVersion { id: id.to_owned(), version };
        Ok(self.guardian_version(id, version).await?.ok_or_else(missing)?.policy)
    }

    /// As [`App::guardian_get`], for both families.
    pub(super) async fn read_one(&self, id: &str, version: u32) -> Result<Document, Error> {
        let found = self.try_read_one(id, version).await;
        found.map_err(|error| self.guardian.worded(Doing::Get, error))
    }

    async fn try_read_one(&self, id: &str, version: u32) -> Result<Document, Error> {
        let missing = || Error::NoSuchVersion { id: id.to_owned(), version };
        let document = self.guardian_version(id, version).await?.ok_or_else(missing)?;
        Ok(self.read_by_all(document))
    }

    /// A stored version as everybody may read it, with its etag.
    pub(super) fn read_by_all(&self, mut document: Document) -> Document {
        secrets::mask(&mut document.policy);
        document.etag = Some(etag_of_masked(&document.policy));
        self.drop_what_guardian_drops(&mut document.policy);
        document
    }

    /// A document as everybody may read it.
    pub(super) fn masked(&self, mut document: Document) -> Document {
        secrets::mask(&mut document.policy);
        self.drop_what_guardian_drops(&mut document.policy);
        document
    }

    /// A version that `caller` has stored, as it gets it back: with its secrets and its etag.
    pub(super) fn stored(
        &self,
        caller: &Caller,
        mut document: Document,
        sealed: Sealed,
    ) -> Result<Document, Error> {
        // What was only tried has no etag, because nothing has that state.
        document.etag = (!caller.validate_only).then_some(sealed.etag);
        self.answered(document, false)
    }

    /// A document as whoever wrote it gets it back: with its secrets.
    pub(super) fn answered(&self, mut document: Document, dry_run: bool) -> Result<Document, Error> {
        let conditions = document.policy.requirements.iter().filter_map(|one| one.on.as_ref());
        if self.guardian.is_strict()
            && dry_run
            && conditions.flat_map(|on| &on.conditions).any(|condition| condition.r#match.is_some())
        {
            let message = UNCONVERTED.to_owned();
            return Err(Error::AsGuardian { code: GuardianCode::Internal, message });
        }
        self.drop_what_guardian_drops(&mut document.policy);
        Ok(document)
    }

    /// Guardian takes some fields and never gives them back.
    fn drop_what_guardian_drops(&self, policy: &mut Policy) {
        if !self.guardian.is_strict() {
            return;
        }
        policy.custom_steps = None;
        for appeal in policy.requirements.iter_mut().flat_map(|requirement| &mut requirement.appeals) {
            appeal.account_type.clear();
        }
    }
}
