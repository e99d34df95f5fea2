"""Shows stubs that are generated from our proto/ at work: create, get, masked update, etags, list, search, delete over gRPC.

Needs grpcio and the generated modules on the path. Usage: cycle.py HOST:PORT
"""

import sys

import grpc
from c1.api.policy.v1 import policies_pb2, policies_pb2_grpc, policy_pb2, search_pb2, search_pb2_grpc, steps_pb2
from google.protobuf import field_mask_pb2


def main(address):
    channel = grpc.insecure_channel(address)
    policies = policies_pb2_grpc.PoliciesStub(channel)

    step = policy_pb2.PolicyStep(accept=steps_pb2.Accept(accept_message="Welcome"))
    created = policies.Create(
        policies_pb2.CreatePolicyRequest(
            display_name="From Python",
            description="as it was",
            policy_type=policy_pb2.POLICY_TYPE_GRANT,
            policy_steps={"grant": policy_pb2.PolicySteps(steps=[step])},
        )
    ).policy
    assert created.id and created.created_at.seconds

    changed = policy_pb2.Policy(id=created.id, display_name="ignored", description="by mask")
    mask = field_mask_pb2.FieldMask(paths=["description"])
    updated, call = policies.Update.with_call(policies_pb2.UpdatePolicyRequest(policy=changed, update_mask=mask))
    assert (updated.policy.description, updated.policy.display_name) == ("by mask", "From Python")
    etag = dict(call.initial_metadata())["etag"]

    read, call = policies.Get.with_call(policies_pb2.GetPolicyRequest(id=created.id))
    assert read.policy == updated.policy and read.policy.policy_steps["grant"].steps[0] == step
    assert dict(call.initial_metadata())["etag"] == etag

    request = policies_pb2.UpdatePolicyRequest(policy=changed, update_mask=field_mask_pb2.FieldMask(paths=["nonsense"]))
    refused(grpc.StatusCode.INVALID_ARGUMENT, lambda: policies.Update(request))
    request.update_mask.paths[:] = ["display_name"]
    policies.Update(request, metadata=[("if-match", etag)])
    refused(grpc.StatusCode.ABORTED, lambda: policies.Update(request, metadata=[("if-match", etag)]))

    assert created.id in [policy.id for policy in policies.List(policies_pb2.ListPolicyRequest(page_size=10)).list]
    search = search_pb2_grpc.PolicySearchStub(channel)
    assert search.Search(search_pb2.SearchPoliciesRequest(query="by mask")).list[0].id == created.id
    policies.Delete(policies_pb2.DeletePolicyRequest(id=created.id))
    refused(grpc.StatusCode.NOT_FOUND, lambda: policies.Update(request))
    print("create, masked update, get, etags, list, search, delete")


def refused(code, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, f"{error.code()} instead of {code}: {error.details()}"
        return
    raise AssertionError(f"was not refused with {code}")


main(*sys.argv[1:])
