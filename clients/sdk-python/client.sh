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

# The README's Python is run as printed, but for the address.
{
    echo "import sys; token = sys.argv[1]"
    awk '/^```python/ { on = 1; next } /^```/ { on = 0 } on' "$ROOT/README.md" | sed "s/127\.0\.0\.1:8080/$ADDR/"
} >readme.py
"$venv/bin/python" readme.py "$(cat static-token)"
echo "the README's Python"
