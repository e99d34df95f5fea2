#!/usr/bin/env bash
# Runs ConductorOne's Go SDK over TLS, with client credentials, which it signs assertions with. Needs Go, and a module proxy that
# serves the SDK.
set -euo pipefail
. "$ROOT/clients/sdk-go/build.sh"
set -a
. ./credentials
SSL_CERT_FILE=$WORK/tls/ca.pem
./program tls "https://$ADDR"
