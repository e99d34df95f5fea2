//! CreatePolicy: version 1 of a policy.

use super::{Document, Doing};
use crate::app::{Answer, App, Caller, Error};
use crate::pb::gotocompany::guardian::v1beta1::{CreatePolicyRequest, CreatePolicyResponse};
use crate::policy::guardian::{self, Family, Surroundings};

impl App {
    /// Stores a new policy.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every violation; [`Error::AlreadyExists`] for an id that is taken, which a dry run does not
    /// notice; [`Error::NoSecretsKey`].
    pub async fn guardian_create(
        &self,
        caller: &Caller,
        request: CreatePolicyRequest,
    ) -> Result<Answer<CreatePolicyResponse>, Error> {
        let policy = request.policy.unwrap_or_default();
        let document = Document { policy, ..Document::default() };
        let (document, warnings) = self.create(caller, document, request.dry_run, Family::Goto).await?;
        let message = CreatePolicyResponse { policy: Some(document.policy) };
        Ok(Answer { message, etag: document.etag, warnings })
    }

    /// As [`App::guardian_create`], for both families.
    pub(super) async fn create(
        &self,
        caller: &Caller,
        document: Document,
        dry_run: bool,
        family: Family,
    ) -> Result<(Document, Vec<String>), Error> {
        let created = self.try_create(caller, document, dry_run, family).await;
        created.map_err(|error| self.guardian.worded(Doing::Create, error))
    }

    async fn try_create(
        &self,
        caller: &Caller,
        mut document: Document,
        dry_run: bool,
        family: Family,
    ) -> Result<(Document, Vec<String>), Error> {
        let around = self.guardian.surroundings(family, self.clock.now());
        let around = Surroundings { without_database: dry_run, ..around };
        document.policy.version = 1;
        guardian::prepare(&mut document.policy, around);
        let warnings = self.guardian_check(caller, Doing::Create, &document.policy, around).await?;
        if dry_run {
            self.guardian_sealed(&document.policy)?;
            return Ok((self.answered(document, dry_run)?, warnings));
        }
        self.guardian_stamp(&mut document.policy);
        let sealed = self.guardian_sealed(&document.policy)?;
        if self.guardian_write(caller, None, &document, &sealed).await?.is_some() {
            return Ok((self.stored(caller, document, sealed)?, warnings));
        }
        // The only condition is that there is no such policy.
        let id = document.policy.id;
        self.guardian_show(&id, self.store.revision()).await;
        Err(Error::AlreadyExists { id })
    }
}
