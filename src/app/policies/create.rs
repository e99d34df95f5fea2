//! Create: a new policy, checked and stored.

use crate::app::replay::{Replay, Replayed};
use crate::app::write::{Checked, PolicyWrite};
use crate::app::{ATTEMPTS_MAX, Answer, App, Caller, Error};
use crate::pb::c1::api::policy::v1::{CreatePolicyRequest, CreatePolicyResponse, Policy};
use crate::policy::c1;
use crate::store::Batch;

impl App {
    /// Stores a new policy. With an idempotency key that was used before, gives the first answer again.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every violation; [`Error::KeyReused`] if the key belongs to another request.
    pub async fn policy_create(
        &self,
        caller: &Caller,
        request: CreatePolicyRequest,
    ) -> Result<Answer<CreatePolicyResponse>, Error> {
        let replay = Replay::of(caller, &request)?;
        let mut policy = document(request);
        // Once: what is added to the document would not be missing, nor warned of, at the next attempt.
        let added = c1::prepare(&mut policy);
        for _ in 0..ATTEMPTS_MAX {
            let before = match &replay {
                None => None,
                Some(replay) => match Box::pin(self.replayed(replay)).await? {
                    Replayed::Answer(answer) => return Ok(*answer),
                    Replayed::Nothing(before) => before,
                },
            };
            self.stamp(&mut policy);
            let mut batch = Batch::new();
            let Checked { document, warnings } = self.check(&mut batch, None, &policy).await?;
            let warnings: Vec<String> = added.iter().chain(&warnings).map(ToString::to_string).collect();
            let etag = self.write(
                &mut batch,
                caller,
                PolicyWrite { old: None, new: &policy, document, mask: Vec::new(), restores: None },
            );
            if let Some(replay) = &replay {
                self.remember(&mut batch, replay, before, &policy, &warnings);
            }
            if self.commit_policy(caller, batch, &policy).await?.is_some() {
                if caller.validate_only {
                    let mut warnings = warnings;
                    // Boxed, so that a create that is meant needs no room for it.
                    warnings.extend(Box::pin(self.analysis_warnings(&policy)).await?);
                    // Nobody shall look for it under an id that it does not get.
                    policy.id.clear();
                    let message = CreatePolicyResponse { policy: Some(policy) };
                    return Ok(Answer { message, etag: None, warnings });
                }
                if replay.is_some() {
                    self.clear_ended().await;
                }
                let message = CreatePolicyResponse { policy: Some(policy) };
                return Ok(Answer { message, etag: Some(etag), warnings });
            }
        }
        Err(Error::Contended { attempts: ATTEMPTS_MAX })
    }

    /// Sets what only the service sets.
    fn stamp(&self, policy: &mut Policy) {
        let now = self.clock.now();
        policy.id = self.clock.new_id(self.newest).to_string();
        policy.created_at = Some(now);
        policy.updated_at = Some(now);
    }
}

/// The policy that a request describes; what only the service sets is left unset.
#[allow(deprecated, reason = "a deprecated field is still stored and given back")]
fn document(request: CreatePolicyRequest) -> Policy {
    Policy {
        display_name: request.display_name,
        description: request.description,
        policy_type: request.policy_type,
        policy_steps: request.policy_steps,
        rules: request.rules,
        post_actions: request.post_actions,
        reassign_tasks_to_delegates: request.reassign_tasks_to_delegates,
        baseline_policy_id: request.baseline_policy_id,
        scope: request.scope,
        annotations: c1::merge_annotations(&Default::default(), &request.annotations),
        ..Policy::default()
    }
}
