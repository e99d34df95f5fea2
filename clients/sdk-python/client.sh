#!/usr/bin/env bash
# Runs cycle.py with ConductorOne's Python SDK, at the version that requirements.txt pins. Needs Python 3.10 or newer with venv.
set -euo pipefail
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }
venv=$CACHE/sdk-python-$(sha256sum "$ROOT/clients/sdk-python/requirements.txt" | cut -c1-16)
if [[ ! -x $venv/bin/python ]]; then
    rm -rf "$venv"
    python3 -m venv "$venv" || { rm -rf "$venv"; echo "python3 has no venv"; exit 77; }
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$ROOT/clients/sdk-python/requirements.txt" ||
        { rm -rf "$venv"; exit 1; }
fi
"$venv/bin/python" "$ROOT/clients/sdk-python/cycle.py" "http://$ADDR" any-token
