#!/usr/bin/env bash
# Runs ConductorOne's Python SDK, at the version that requirements.txt pins, once with each kind of token that the service gives
# out. Needs Python 3.10 or newer with venv.
set -euo pipefail
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }
. "$ROOT/clients/sdk-python/venv.sh"
here=$ROOT/clients/sdk-python
for kind in static assertion secret; do
    token=$("$venv/bin/python" "$here/fetch_token.py" "http://$ADDR" "$kind")
    "$venv/bin/python" "$here/cycle.py" "http://$ADDR" "$token"
    echo "with a token from $kind"
done
