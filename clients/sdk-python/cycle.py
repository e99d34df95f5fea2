"""Shows ConductorOne's own Python SDK at work against Countersign, over plain HTTP with a bearer token.

Creates, reads, lists, searches, updates and deletes policies, and sends every step kind and every approver arm that the SDK's
models have there and back: what its models read from the answers must hold all that was sent.

Needs the package conductorone-sdk, a server that asks for tokens, and one that may write. Usage: cycle.py SERVER_URL TOKEN
"""

import json
import sys
import uuid

from conductorone_sdk import SDK
from conductorone_sdk.models import errors, operations, shared
from conductorone_sdk.utils import marshal_json

GRANT = shared.PolicyType.POLICY_TYPE_GRANT


def approvals(other_policy):
    """One approval for each arm of the oneof, with every field that the arm has; the last ones escalate."""
    fallback = {"fallback": True, "fallback_user_ids": ["user-fallback"]}
    distinct = {"allow_self_approval": True, "require_distinct_approvers": True}
    group = shared.AppGroupApproval(
        app_id="app-1",
        app_group_id="entitlement-1",
        fallback=True,
        is_group_fallback_enabled=True,
        fallback_group_ids=[shared.AppEntitlementReference(app_id="app-2", app_entitlement_id="entitlement-2")],
        **distinct,
    )
    agent = shared.AgentApproval(
        agent_mode=shared.AgentMode.APPROVAL_AGENT_MODE_CHANGE_POLICY_ONLY,
        agent_failure_action=shared.AgentFailureAction.APPROVAL_AGENT_FAILURE_ACTION_REASSIGN_TO_USERS,
        instructions="Choose the stricter policy when in doubt.",
        policy_ids=[other_policy],
        reassign_to_user_ids=["user-1"],
    )
    arms = {
        "user_approval": shared.UserApproval(user_ids=["user-1", "user-2"], **distinct),
        "manager_approval": shared.ManagerApprovalInput(**fallback, **distinct),
        "app_owner_approval": shared.AppOwnerApproval(**distinct),
        "app_group_approval": group,
        "self_approval": shared.SelfApprovalInput(**fallback),
        "entitlement_owner_approval": shared.EntitlementOwnerApproval(**fallback, **distinct),
        "resource_owner_approval": shared.ResourceOwnerApproval(**fallback, **distinct),
        "expression_approval": shared.ExpressionApprovalInput(expressions=["appOwners"], **fallback, **distinct),
        "webhook_approval": shared.WebhookApproval(webhook_id="webhook-1"),
        "agent_approval": agent,
    }
    known = {name for name in shared.ApprovalInput.model_fields if name.endswith("_approval")}
    assert set(arms) == known, f"arms that are not tried: {known ^ set(arms)}"
    steps = [shared.ApprovalInput(**{name: arm}) for name, arm in arms.items()]
    options = {
        "allow_delegation": True,
        "allow_reassignment": True,
        "allowed_reassignees": ["user-3", "user-4"],
        "require_approval_reason": True,
        "require_denial_reason": True,
        "require_reassignment_reason": True,
        "requires_step_up_provider_id": "provider-1",
        "escalation_enabled": True,
    }
    ways = [
        {"reassign_to_approvers": shared.ReassignToApprovers(approver_ids=["user-5"])},
        {"replace_policy": shared.ReplacePolicy(policy_id=other_policy)},
    ]
    for way in ways:
        escalation = shared.Escalation(expiration=172800, escalation_comment="No answer", **way)
        manager = shared.ManagerApprovalInput()
        steps.append(shared.ApprovalInput(manager_approval=manager, escalation=escalation, **options))
    return [shared.PolicyStepInput(approval=approval) for approval in steps]


def other_steps():
    """Every step kind but approvals, provisions and the terminal ones."""
    waits = [
        shared.Wait(
            name="Training",
            wait_condition=shared.WaitCondition(condition="has(subject.profile.training)"),
            timeout_duration="604800s",
            comment_on_first_wait="Please finish the course",
            comment_on_timeout="Not finished in a week",
        ),
        shared.Wait(name="Cool down", wait_duration=shared.WaitDuration(duration="3600s")),
        shared.Wait(name="Morning", wait_until_time=shared.WaitUntilTime(hours=8, minutes=30, timezone="Europe/Berlin")),
    ]
    form = shared.FormInput(
        id="form-1",
        display_name="Why",
        description="What do you need it for?",
        fields=[
            shared.FieldInput(
                name="reason", display_name="Reason", required=True, string_field=shared.StringField(placeholder="Because")
            )
        ],
    )
    action = shared.ActionTargetAutomation(automation_template_id="automation-1")
    return [shared.PolicyStepInput(wait=wait) for wait in waits] + [
        shared.PolicyStepInput(form=shared.FormInput1(form=form)),
        shared.PolicyStepInput(action=shared.Action(action_target_automation=action)),
    ]


def provisions():
    """One provision for each arm of its oneof, and each way in which a connector makes accounts."""
    target = shared.ProvisionTarget(app_id="app-1", app_entitlement_id="entitlement-1", grant_duration="86400s")
    vault = shared.AccountProvision(
        connector_id="connector-1",
        schema_id="schema-1",
        config={"zone": "eu", "nested": {"n": [1, True, None]}},
        save_to_vault=shared.SaveToVault(vault_ids=["vault-1"]),
    )
    unsaved = shared.AccountProvision(connector_id="connector-1", do_not_save=shared.DoNotSave())
    manual = shared.ManualProvision(instructions="By hand", user_ids=["user-1"])
    delegated = shared.DelegatedProvision(app_id="app-1", entitlement_id="entitlement-1", implicit=True)
    arms = [
        {"connector_provision": shared.ConnectorProvision(account_provision=vault)},
        {"connector_provision": shared.ConnectorProvision(account_provision=unsaved)},
        {"connector_provision": shared.ConnectorProvision(default_behavior=shared.DefaultBehavior(connector_id="connector-1"))},
        {"connector_provision": shared.ConnectorProvision(delete_account=shared.DeleteAccount(connector_id="connector-1"))},
        {"manual_provision": manual},
        {"delegated_provision": delegated},
        {"webhook_provision": shared.WebhookProvision(webhook_id="webhook-1")},
        {"unconfigured_provision": shared.UnconfiguredProvision()},
        {
            "external_ticket_provision": shared.ExternalTicketProvision(
                app_id="app-1", connector_id="connector-1", external_ticket_provisioner_config_id="config-1", instructions="Open one"
            )
        },
        {
            "action_provision": shared.ActionProvision(
                action_name="grant", app_id="app-1", connector_id="connector-1", display_name="Grant"
            )
        },
        {
            "multi_step": shared.MultiStep(
                provision_steps=[
                    shared.ProvisionPolicy(manual_provision=manual),
                    shared.ProvisionPolicy(delegated_provision=delegated),
                ]
            )
        },
    ]
    untried = set(shared.ProvisionPolicyInput.model_fields) - {name for arm in arms for name in arm}
    assert not untried, f"kinds of provision that are not tried: {untried}"
    return [
        shared.PolicyStepInput(
            provision=shared.Provision(provision_policy=shared.ProvisionPolicyInput(**arm), provision_target=target)
        )
        for arm in arms
    ]


def holds(sent, received, path):
    """Fails unless everything in `sent` is in `received`, which may have defaults besides. Both are the wire's JSON."""
    if isinstance(sent, dict):
        assert isinstance(received, dict), f"{path}: {received!r} instead of an object"
        for key, value in sent.items():
            assert key in received, f"{path}.{key} is lost"
            holds(value, received[key], f"{path}.{key}")
    elif isinstance(sent, list):
        assert isinstance(received, list) and len(sent) == len(received), f"{path}: {received!r} instead of {sent!r}"
        for n, (item, other) in enumerate(zip(sent, received)):
            holds(item, other, f"{path}[{n}]")
    else:
        assert sent == received, f"{path}: {received!r} instead of {sent!r}"


def wire(model):
    """A model as the JSON that the SDK sends for it."""
    return json.loads(marshal_json(model, type(model)))


def refused(status, call):
    """The body of the refusal, which must have this status."""
    try:
        call()
    except errors.SDKError as error:
        assert error.status_code == status, f"{error.status_code} instead of {status}: {error.body}"
        return error.body
    raise AssertionError(f"was not refused with {status}")


def main(server, token):
    sdk = SDK(server_url=server, security=shared.Security(bearer_auth=token, oauth=token))

    # What comes with a token is not what comes without.
    stranger = SDK(server_url=server, security=shared.Security(bearer_auth="stranger", oauth="stranger"))
    refused(401, lambda: stranger.policies.list(request=operations.C1APIPolicyV1PoliciesListRequest()))

    def create(request):
        return sdk.policies.create(request=request).create_policy_response.policy

    def get(policy_id):
        return sdk.policies.get(request=operations.C1APIPolicyV1PoliciesGetRequest(id=policy_id)).get_policy_response.policy

    def update(policy_id, policy, mask=None):
        body = shared.UpdatePolicyRequest(policy=policy, update_mask=mask)
        request = operations.C1APIPolicyV1PoliciesUpdateRequest(id=policy_id, update_policy_request=body)
        return sdk.policies.update(request=request).update_policy_response.policy

    def delete(policy_id):
        request = operations.C1APIPolicyV1PoliciesDeleteRequest(id=policy_id)
        assert sdk.policies.delete(request=request).delete_policy_response is not None

    plain = shared.PolicyStepsInput(steps=[shared.PolicyStepInput(accept=shared.Accept(accept_message="Welcome"))])
    other = create(shared.CreatePolicyRequest(display_name="Other", policy_type=GRANT, policy_steps={"grant": plain}))

    sequences = {
        "grant": shared.PolicyStepsInput(
            steps=approvals(other.id) + other_steps() + provisions() + [shared.PolicyStepInput(accept=shared.Accept(accept_message="Done"))]
        ),
        "refused": shared.PolicyStepsInput(
            steps=[shared.PolicyStepInput(reject=shared.Reject(reject_message="Not for contractors"))]
        ),
    }
    request = shared.CreatePolicyRequest(
        display_name="Everything",
        description="Each step kind, each approver",
        policy_type=GRANT,
        policy_steps=sequences,
        rules=[shared.Rule(condition='subject.employmentType == "Contractor"', policy_key="refused")],
        post_actions=[],
        reassign_tasks_to_delegates=False,
    )
    created = create(request)
    assert created.id and created.created_at and created.deleted_at is None
    read = get(created.id)
    holds(wire(request), wire(read), "create")
    kinds = {kind for steps in wire(read)["policySteps"].values() for step in steps["steps"] for kind in step}
    untried = set(shared.PolicyStepInput.model_fields) - kinds
    assert not untried, f"step kinds that are not tried: {untried}"
    print(f"{sum(len(s.steps) for s in sequences.values())} steps of every kind there and back")

    # What was read is sent back whole, as scripts do: nothing may change but the time.
    back = shared.PolicyInput.model_validate(wire(read))
    again = update(created.id, back)
    before, after = wire(read), wire(again)
    del before["updatedAt"], after["updatedAt"]
    assert before == after, "sending back what was read changed it"

    changed = update(created.id, shared.PolicyInput(description="By mask", display_name="Ignored"), mask="description")
    assert (changed.description, changed.display_name) == ("By mask", "Everything")
    assert wire(changed)["policySteps"] == wire(read)["policySteps"]
    print("updates, whole and by mask")

    label = uuid.uuid4().hex
    for n in range(12):
        create(shared.CreatePolicyRequest(display_name=f"Page {n:02} {label}", policy_type=GRANT, policy_steps={"grant": plain}))
    ids, page_token = set(), None
    while page_token != "":
        page = sdk.policies.list(
            request=operations.C1APIPolicyV1PoliciesListRequest(page_size=10, page_token=page_token)
        ).list_policy_response
        ids |= {policy.id for policy in page.list}
        page_token = page.next_page_token or ""
    assert {created.id, other.id} <= ids and len(ids) >= 14, ids

    found, answer = [], sdk.policy_search.search(request=shared.SearchPoliciesRequest(query=label, page_size=5))
    while answer is not None:
        found += [policy.display_name for policy in answer.search_policies_response.list]
        answer = answer.next()
    assert sorted(found) == [f"Page {n:02} {label}" for n in range(12)], found
    print("lists and searches, page by page")

    markers = sdk.policy_validate.validate_cel(request=shared.EditorValidateRequest(text="subject.departmnet == 1"))
    assert markers.editor_validate_response.markers, "a faulty expression has no markers"
    clean = sdk.policy_validate.validate_cel(request=shared.EditorValidateRequest(text="subject.department == 'IT'"))
    assert not clean.editor_validate_response.markers
    tested = sdk.account_provision_policy_test.test(request=shared.TestAccountProvisionPolicyRequest(cel="1 + 1"))
    assert tested.test_account_provision_policy_response.value == "2", tested
    assert "displayName" in refused(400, lambda: create(shared.CreatePolicyRequest(display_name="", policy_type=GRANT)))

    assert created.id in refused(400, lambda: delete(other.id)), "a policy that others refer to was deleted"
    delete(created.id)
    assert get(created.id).deleted_at is not None, "a deleted policy reads as if it were not"
    refused(404, lambda: get("never-was"))
    deleted = sdk.policy_search.search(request=shared.SearchPoliciesRequest(query="everything", include_deleted=True))
    assert deleted.search_policies_response.list[0].deleted_at is not None
    print("expressions, refusals, deletes")


main(*sys.argv[1:])
