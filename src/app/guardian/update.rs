//! UpdatePolicy: the next version of a policy. Nothing is taken over from the version before.

use super::{Document, Doing};
use crate::app::{Answer, App, Caller, Error, GuardianCode, error::invalid};
use crate::pb::gotocompany::guardian::v1beta1::{UpdatePolicyRequest, UpdatePolicyResponse};
use crate::policy::guardian::{self, Family};

/// How often an update starts again when another one got in between. Each time one of them has got its version, so
/// this is how many may meet; the deadline of the call comes first.
pub(super) const UPDATE_ATTEMPTS_MAX: u32 = 4096;

impl App {
    /// Stores the next version of a policy.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every violation, also for an unknown policy; [`Error::NoSuchVersion`] for an unknown one;
    /// [`Error::EtagMismatch`]; [`Error::NoSecretsKey`].
    pub async fn guardian_update(
        &self,
        caller: &Caller,
        request: UpdatePolicyRequest,
    ) -> Result<Answer<UpdatePolicyResponse>, Error> {
        let policy = request.policy.unwrap_or_default();
        let document = Document { policy, ..Document::default() };
        let (document, warnings) =
            self.update(caller, request.id, document, request.dry_run, Family::Goto).await?;
        let message = UpdatePolicyResponse { policy: Some(document.policy) };
        Ok(Answer { message, etag: document.etag, warnings })
    }

    /// As [`App::guardian_update`], for both families.
    pub(super) async fn update(
        &self,
        caller: &Caller,
        id: String,
        mut document: Document,
        dry_run: bool,
        family: Family,
    ) -> Result<(Document, Vec<String>), Error> {
        if id.is_empty() {
            let message = "id can't be empty";
            return Err(if self.guardian.is_strict() {
                Error::AsGuardian { code: GuardianCode::InvalidArgument, message: message.to_owned() }
            } else {
                invalid("id", "ID_REQUIRED", message)
            });
        }
        document.policy.id = id;
        let updated = if caller.apply {
            self.try_apply(caller, document, dry_run, family).await
        } else {
            self.try_update(caller, document, dry_run, family).await
        };
        updated.map_err(|error| self.guardian.worded(Doing::Update, error))
    }

    async fn try_update(
        &self,
        caller: &Caller,
        mut document: Document,
        dry_run: bool,
        family: Family,
    ) -> Result<(Document, Vec<String>), Error> {
        let around = self.guardian.surroundings(family, self.clock.now());
        guardian::prepare(&mut document.policy, around);
        let warnings = self.guardian_check(caller, Doing::Update, &document.policy, around).await?;
        let id = document.policy.id.clone();
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let head = self.guardian_head(&id).await?;
            let head = head.ok_or_else(|| Error::NoSuchVersion { id: id.clone(), version: 0 })?;
            self.guardian_require_unchanged(caller, &id, &head)?;
            document.policy.version = head.latest.checked_add(1).ok_or(Error::Damaged)?;
            if dry_run {
                self.guardian_sealed(&document.policy)?;
                return Ok((self.answered(document, dry_run)?, warnings));
            }
            self.guardian_stamp(&mut document.policy);
            let sealed = self.guardian_sealed(&document.policy)?;
            if self.guardian_write(caller, Some(head), &document, &sealed).await?.is_some() {
                return Ok((self.stored(caller, document, sealed)?, warnings));
            }
        }
        Err(Error::Contended { attempts: UPDATE_ATTEMPTS_MAX })
    }
}
