#!/usr/bin/env bash
# Lints the protos, and compares them with the last release, or with the commit before where there is no release yet: neither
# the bytes nor the JSON of a message may change. Needs npm, which brings the buf binary; says so and passes without it.
set -euo pipefail
cd "$(dirname "$0")/../.."

if ! command -v npm >/dev/null; then
    echo "buf: skipped, because there is no npm on this machine"
    exit 0
fi
(cd tools/buf && npm install --silent --no-audit --no-fund --no-package-lock)
buf=tools/buf/node_modules/.bin/buf

"$buf" lint
echo "buf: lint passed"

before=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null || git rev-parse --verify --quiet HEAD~1 || true)
if [ -z "$before" ]; then
    echo "buf: nothing to compare with"
    exit 0
fi
"$buf" breaking proto --config buf.yaml --against ".git#ref=$before,subdir=proto" --against-config buf.yaml
echo "buf: no breaking change since $before"
