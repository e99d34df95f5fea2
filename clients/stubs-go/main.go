// Shows stubs that are generated from our proto/ by the Go generators at work: create, get, masked update, etags, list,
// search, delete over gRPC. client.sh generates the packages below stubs/. Usage: stubs-go HOST:PORT
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	policyv1 "countersign.dev/clients/stubs-go/stubs/c1/api/policy/v1"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
)

// Ends the program unless `holds`.
func must(holds bool, what string, found ...any) {
	if !holds {
		log.Fatalf("%s: %v", what, found)
	}
}

func main() {
	connection, err := grpc.NewClient(os.Args[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(err == nil, "client", err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	policies := policyv1.NewPoliciesClient(connection)

	accept := &policyv1.PolicyStep{Step: &policyv1.PolicyStep_Accept{Accept: &policyv1.Accept{AcceptMessage: "Welcome"}}}
	created, err := policies.Create(ctx, &policyv1.CreatePolicyRequest{
		DisplayName: "From Go",
		Description: "as it was",
		PolicyType:  policyv1.PolicyType_POLICY_TYPE_GRANT,
		PolicySteps: map[string]*policyv1.PolicySteps{"grant": {Steps: []*policyv1.PolicyStep{accept}}},
	})
	must(err == nil, "create", err)
	id := created.GetPolicy().GetId()

	var head metadata.MD
	request := &policyv1.UpdatePolicyRequest{
		Policy:     &policyv1.Policy{Id: id, DisplayName: "ignored", Description: "by mask"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"description"}},
	}
	updated, err := policies.Update(ctx, request, grpc.Header(&head))
	must(err == nil, "update", err)
	must(updated.GetPolicy().GetDescription() == "by mask", "the mask was not applied", updated)
	must(updated.GetPolicy().GetDisplayName() == "From Go", "more than the mask was applied", updated)
	must(len(head.Get("etag")) == 1, "no etag", head)

	read, err := policies.Get(ctx, &policyv1.GetPolicyRequest{Id: id})
	must(err == nil && proto.Equal(read.GetPolicy(), updated.GetPolicy()), "get", err, read)

	request.UpdateMask.Paths = []string{"display_name"}
	conditional := metadata.AppendToOutgoingContext(ctx, "if-match", head.Get("etag")[0])
	_, err = policies.Update(conditional, request)
	must(err == nil, "update with its etag", err)
	_, err = policies.Update(conditional, request)
	must(status.Code(err) == codes.Aborted, "update with an old etag", err)

	_, err = policies.Create(ctx, &policyv1.CreatePolicyRequest{
		DisplayName: "Faulty",
		PolicyType:  policyv1.PolicyType_POLICY_TYPE_GRANT,
		Rules:       []*policyv1.Rule{{Condition: "subject.departmnet == 'IT'", Outcome: &policyv1.Rule_StepKey{StepKey: "grant"}}},
	})
	must(status.Code(err) == codes.InvalidArgument, "a faulty policy", err)
	violated := false
	for _, detail := range status.Convert(err).Details() {
		if request, ok := detail.(*errdetails.BadRequest); ok {
			violated = request.GetFieldViolations()[0].GetField() == "rules[0].condition"
		}
	}
	must(violated, "no violation with its path", status.Convert(err).Details())

	list, err := policies.List(ctx, &policyv1.ListPolicyRequest{PageSize: 10})
	must(err == nil && len(list.GetList()) == 1, "list", err, list)
	found, err := policyv1.NewPolicySearchClient(connection).Search(ctx, &policyv1.SearchPoliciesRequest{Query: "by mask"})
	must(err == nil && len(found.GetList()) == 1 && found.GetList()[0].GetId() == id, "search", err, found)
	_, err = policies.Delete(ctx, &policyv1.DeletePolicyRequest{Id: id})
	must(err == nil, "delete", err)
	_, err = policies.Delete(ctx, &policyv1.DeletePolicyRequest{Id: id})
	must(status.Code(err) == codes.NotFound, "delete again", err)
	fmt.Println("create, masked update, get, etags, violations, list, search, delete")
}
