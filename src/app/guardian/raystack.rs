//! The older family of messages. What the two share has the same numbers and types, so a message is turned into the other
//! by its bytes; fields 11 and 12 of a policy, which differ, are taken care of here.

use super::Document;
use crate::app::{Answer, App, Caller, Error};
use crate::pb::gotocompany::guardian::v1beta1 as goto;
use crate::pb::raystack::guardian::v1beta1::{
    CreatePolicyRequest, CreatePolicyResponse, GetPolicyPreferencesRequest, GetPolicyPreferencesResponse,
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse, Policy,
    PolicyAppealConfig, UpdatePolicyRequest, UpdatePolicyResponse,
};
use crate::policy::guardian::Family;
use prost::Message;

impl App {
    /// As [`App::guardian_create`].
    ///
    /// # Errors
    /// The same.
    pub async fn raystack_create(
        &self,
        caller: &Caller,
        request: CreatePolicyRequest,
    ) -> Result<Answer<CreatePolicyResponse>, Error> {
        let document = into_document(caller, request.policy.unwrap_or_default())?;
        let (mut document, warnings) =
            self.create(caller, document, request.dry_run, Family::Raystack).await?;
        let etag = document.etag.take();
        let message = CreatePolicyResponse { policy: Some(from_document(document)?) };
        Ok(Answer { message, etag, warnings })
    }

    /// As [`App::guardian_update`].
    ///
    /// # Errors
    /// The same.
    pub async fn raystack_update(
        &self,
        caller: &Caller,
        request: UpdatePolicyRequest,
    ) -> Result<Answer<UpdatePolicyResponse>, Error> {
        let document = into_document(caller, request.policy.unwrap_or_default())?;
        let (mut document, warnings) =
            self.update(caller, request.id, document, request.dry_run, Family::Raystack).await?;
        let etag = document.etag.take();
        let message = UpdatePolicyResponse { policy: Some(from_document(document)?) };
        Ok(Answer { message, etag, warnings })
    }

    /// As [`App::guardian_get`].
    ///
    /// # Errors
    /// The same.
    pub async fn raystack_get(&self, request: GetPolicyRequest) -> Result<Answer<GetPolicyResponse>, Error> {
        let mut document = self.read_one(&request.id, request.version).await?;
        let etag = document.etag.take();
        let message = GetPolicyResponse { policy: Some(from_document(document)?) };
        Ok(Answer { message, etag, warnings: Vec::new() })
    }

    /// As [`App::guardian_list`], without a filter and without pages.
    ///
    /// # Errors
    /// The same.
    pub async fn raystack_list(&self, _: ListPoliciesRequest) -> Result<Answer<ListPoliciesResponse>, Error> {
        let (documents, _) = self.list(&goto::ListPoliciesRequest::default(), true).await?;
        let policies = documents.into_iter().map(from_document).collect::<Result<_, _>>()?;
        Ok(ListPoliciesResponse { policies }.into())
    }

    /// As [`App::guardian_preferences`].
    ///
    /// # Errors
    /// The same.
    pub async fn raystack_preferences(
        &self,
        request: GetPolicyPreferencesRequest,
    ) -> Result<Answer<GetPolicyPreferencesResponse>, Error> {
        let document = self.read_one(&request.id, request.version).await?;
        let appeal = document.policy.appeal;
        let appeal = appeal.map(|appeal| reread::<PolicyAppealConfig>(&appeal)).transpose()?;
        Ok(GetPolicyPreferencesResponse { appeal }.into())
    }
}

fn into_document(caller: &Caller, mut policy: Policy) -> Result<Document, Error> {
    let title = std::mem::take(&mut policy.title);
    policy.created_by.clear();
    Ok(Document { policy: reread(&policy)?, title, created_by: caller.actor.clone(), ..Document::default() })
}

fn from_document(mut document: Document) -> Result<Policy, Error> {
    document.policy.custom_steps = None;
    document.policy.stages.clear();
    let policy: Policy = reread(&document.policy)?;
    Ok(Policy { title: document.title, created_by: document.created_by, ..policy })
}

/// The message of the other family with the same bytes; what it does not know is dropped.
fn reread<T: Message + Default>(message: &impl Message) -> Result<T, Error> {
    T::decode(message.encode_to_vec().as_slice()).map_err(|error| Error::Internal(error.to_string()))
}
