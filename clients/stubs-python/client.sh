#!/usr/bin/env bash
# Generates Python stubs from this repository's proto/ with grpcio-tools, at the version that requirements.txt pins, and runs
# cycle.py with them. Needs Python 3.10 or newer with venv.
set -euo pipefail
command -v python3 >/dev/null || { echo "python3 is missing"; exit 77; }
. "$ROOT/clients/stubs-python/venv.sh"
"$venv/bin/python" -m grpc_tools.protoc -I "$ROOT/proto" --python_out="$WORK" --grpc_python_out="$WORK" \
    $(cd "$ROOT/proto" && find c1 google/api validate -name '*.proto')
# `google` is a package of the protobuf runtime's: what was generated below that name joins it.
PYTHONPATH=$WORK "$venv/bin/python" "$ROOT/clients/stubs-python/cycle.py" "$ADDR"
