// Shows ConductorOne's Go SDK at work: creates, reads, lists, searches, updates and deletes policies, and sends a document with
// every step kind and approver arm through its models and back.
//
// Usage: sdk-go plain http://HOST:PORT TOKEN, or sdk-go tls https://HOST:PORT with CONDUCTORONE_CLIENT_ID and
// CONDUCTORONE_CLIENT_SECRET in the environment, and SSL_CERT_FILE naming the authority to trust.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	sdk "github.com/conductorone/conductorone-sdk-go"
	"github.com/conductorone/conductorone-sdk-go/pkg/models/operations"
	"github.com/conductorone/conductorone-sdk-go/pkg/models/shared"
)

// Ends the program unless `holds`.
func must(holds bool, what string, found ...any) {
	if !holds {
		log.Fatalf("%s: %v", what, found)
	}
}

// What the SDK's models make of this JSON.
func read[T any](text []byte) T {
	var value T
	err := json.Unmarshal(text, &value)
	must(err == nil, "the models do not take the document", err)
	return value
}

// A model as the SDK sends it, for comparing.
func wire(model any) any {
	text, err := json.Marshal(model)
	must(err == nil, "marshal", err)
	return read[any](text)
}

// Fails unless everything in `sent` is in `received`, which may have defaults besides.
func holds(sent, received any, path string) {
	switch sent := sent.(type) {
	case map[string]any:
		other, ok := received.(map[string]any)
		must(ok, path+" is no object", received)
		for key, value := range sent {
			holds(value, other[key], path+"."+key)
		}
	case []any:
		other, ok := received.([]any)
		must(ok && len(other) == len(sent), path+" is another list", received)
		for n, value := range sent {
			holds(value, other[n], fmt.Sprintf("%s[%d]", path, n))
		}
	default:
		must(sent == received, path+" changed", sent, received)
	}
}

func client(ctx context.Context) *sdk.ConductoroneAPI {
	if os.Args[1] == "plain" {
		security := shared.Security{BearerAuth: os.Args[3], Oauth: os.Args[3]}
		return sdk.New(sdk.WithServerURL(os.Args[2]), sdk.WithSecurity(security))
	}
	credentials := &sdk.ClientCredentials{
		ClientID:     os.Getenv("CONDUCTORONE_CLIENT_ID"),
		ClientSecret: os.Getenv("CONDUCTORONE_CLIENT_SECRET"),
	}
	tenant, err := sdk.WithTenantCustom(os.Args[2])
	must(err == nil, "server", err)
	api, err := sdk.NewWithCredentials(ctx, credentials, tenant)
	must(err == nil, "credentials", err)
	return api
}

func main() {
	ctx := context.Background()
	policies := client(ctx).Policies
	document, err := os.ReadFile("every-step.json")
	must(err == nil, "every-step.json", err)

	request := read[shared.CreatePolicyRequest](document)
	created, err := policies.Create(ctx, &request)
	must(err == nil, "create", err)
	id := *created.CreatePolicyResponse.Policy.ID
	got, err := policies.Get(ctx, operations.C1APIPolicyV1PoliciesGetRequest{ID: id})
	must(err == nil, "get", err)
	holds(wire(request), wire(got.GetPolicyResponse.Policy), "policy")

	changed := read[*shared.UpdatePolicyRequest]([]byte(`{"policy": {"description": "by mask", "displayName": "ignored"}, "updateMask": "description"}`))
	updated, err := policies.Update(ctx, operations.C1APIPolicyV1PoliciesUpdateRequest{ID: id, UpdatePolicyRequest: changed})
	must(err == nil, "update", err)
	holds(wire(read[any]([]byte(`{"description": "by mask", "displayName": "Every step"}`))), wire(updated.UpdatePolicyResponse.Policy), "updated")

	list, err := policies.List(ctx, operations.C1APIPolicyV1PoliciesListRequest{})
	must(err == nil && len(list.ListPolicyResponse.List) == 1, "list", err)
	query := "by mask"
	found, err := client(ctx).PolicySearch.Search(ctx, &shared.SearchPoliciesRequest{Query: &query})
	must(err == nil && *found.SearchPoliciesResponse.List[0].ID == id, "search", err)
	_, err = policies.Delete(ctx, operations.C1APIPolicyV1PoliciesDeleteRequest{ID: id})
	must(err == nil, "delete", err)
	_, err = policies.Delete(ctx, operations.C1APIPolicyV1PoliciesDeleteRequest{ID: id})
	must(err != nil, "was deleted twice")
	fmt.Println("create, get, update by mask, list, search, delete")
}
