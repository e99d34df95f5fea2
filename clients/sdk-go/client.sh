#!/usr/bin/env bash
# Runs ConductorOne's Go SDK over plain HTTP, with a static token. Needs Go, and a module proxy that serves the SDK.
set -euo pipefail
. "$ROOT/clients/sdk-go/build.sh"
./program plain "http://$ADDR" "$(cat static-token)"
