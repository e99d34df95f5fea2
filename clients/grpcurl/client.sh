#!/usr/bin/env bash
# Shows that the README's grpcurl commands work as printed, by reflection alone: takes its code blocks, changes nothing but the
# address, and runs them from the repository's root. Then the rest of a policy's life, over the same tool.
# Needs Go, which builds the version of grpcurl that go.mod pins.
set -euo pipefail
command -v go >/dev/null || { echo "go is missing"; exit 77; }
tool=$CACHE/bin/grpcurl
go build -C "$ROOT/clients/grpcurl" -o "$tool" github.com/fullstorydev/grpcurl/cmd/grpcurl
awk -v dir="$WORK" -v tool=grpcurl -f "$ROOT/clients/readme.awk" "$ROOT/README.md"

ran=0
grpcurl() { ran=$((ran + 1)); "$tool" "$@"; }
cd "$ROOT"
for block in "$WORK"/[0-9][0-9].sh; do
    grep -q -- '-plaintext 127\.0\.0\.1:8080\|127\.0\.0\.1:8080' "$block" || continue
    sed -i "s/127\.0\.0\.1:8080/$ADDR/g" "$block"
    . "$block"
done
[[ $ran -ge 3 ]] || { echo "the README has only $ran grpcurl commands for this server"; exit 1; }
echo "$ran commands of the README went well"

call() { grpcurl -plaintext -d "$1" "$ADDR" "$2"; }
policies=c1.api.policy.v1.Policies
created=$(call '{"display_name": "Made by hand", "policy_type": "POLICY_TYPE_GRANT",
  "policy_steps": {"grant": {"steps": [{"accept": {}}]}}}' $policies/Create)
id=$(sed -n 's/^    "id": "\(.*\)",$/\1/p' <<<"$created")
[[ -n $id ]]
call "{\"id\": \"$id\"}" $policies/Get | grep -q '"Made by hand"'
call '{"page_size": 100}' $policies/List | grep -q "\"$id\""
call "{\"policy\": {\"id\": \"$id\", \"description\": \"changed\"}, \"update_mask\": {\"paths\": [\"description\"]}}" \
    $policies/Update | grep -q '"changed"'
call '{"query": "made by hand"}' c1.api.policy.v1.PolicySearch/Search | grep -q '"changed"'
call "{\"id\": \"$id\"}" $policies/Delete
call "{\"id\": \"$id\"}" $policies/Get | grep -q '"deletedAt"'
! call "{\"id\": \"$id\"}" $policies/Delete 2>"$WORK/refused"
grep -q 'Code: NotFound' "$WORK/refused"
grpcurl -plaintext "$ADDR" describe c1.api.policy.v1.Policies.Create | grep -q 'rpc Create'
echo "create, get, list, update, search, delete, describe"
