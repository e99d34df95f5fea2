#!/usr/bin/env bash
# Shows one port with TLS: curl over HTTP/1.1 and HTTP/2, ConductorOne's Python SDK and grpcurl, all with a token fetched with a
# client's signed assertion, and all trusting the certificates that `countersign dev-cert` made and nothing else. Needs curl,
# Python with venv, and Go.
set -euo pipefail
for tool in curl python3 go; do command -v $tool >/dev/null || { echo "$tool is missing"; exit 77; }; done
. "$ROOT/clients/sdk-python/venv.sh"
go build -C "$ROOT/clients/grpcurl" -o "$CACHE/bin/grpcurl" github.com/fullstorydev/grpcurl/cmd/grpcurl
ca=$WORK/tls/ca.pem
here=$ROOT/clients/sdk-python

export SSL_CERT_FILE=$ca
token=$("$venv/bin/python" "$here/fetch_token.py" "https://$ADDR" assertion)
"$venv/bin/python" "$here/cycle.py" "https://$ADDR" "$token"
unset SSL_CERT_FILE

for version in 1.1 2; do
    # What curl prints last: the version of HTTP that was agreed on, and the status.
    for wanted in "200:Authorization: Bearer $token" "401:X-Nothing: here"; do
        got=$(curl -s -o "$WORK/answer" -w '%{http_version} %{http_code}' "--http$version" --cacert "$ca" \
            -H "${wanted#*:}" "https://$ADDR/api/v1/policies")
        [[ $got == "$version ${wanted%%:*}" ]] || { echo "$got instead of $version ${wanted%%:*}"; cat "$WORK/answer"; exit 1; }
    done
done
! curl -s "https://$ADDR/api/v1/policies" || { echo "curl trusted a certificate that nobody told it to trust"; exit 1; }
echo "curl over HTTP/1.1 and HTTP/2"

call() { "$CACHE/bin/grpcurl" -cacert "$ca" "$@"; }
call -H "authorization: Bearer $token" -d '{"display_name": "Over TLS", "policy_type": "POLICY_TYPE_GRANT"}' \
    "$ADDR" c1.api.policy.v1.Policies/Create | grep -q '"Over TLS"'
! call -d '{}' "$ADDR" c1.api.policy.v1.Policies/List 2>"$WORK/refused"
grep -qi 'unauthenticated' "$WORK/refused" || { cat "$WORK/refused"; exit 1; }
echo "grpcurl with and without a token"
