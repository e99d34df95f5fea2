#!/usr/bin/env bash
# Shows Guardian's own command line at work: policy create, list, view, edit, plan and apply, with files. Needs Go, and a module
# proxy that serves github.com/goto/guardian.
set -euo pipefail
command -v go >/dev/null || { echo "go is missing"; exit 77; }
version=v0.12
GOBIN=$CACHE/bin go install "github.com/goto/guardian@$version" 2>"$WORK/install" ||
    { cat "$WORK/install"; echo "github.com/goto/guardian $version cannot be had or built here"; exit 77; }
guardian() { "$CACHE/bin/guardian" policy "$@" -H "$ADDR"; }

sed 's/DESCRIPTION/one signature/' "$ROOT/clients/guardian/policy.yaml" >policy.yaml
guardian create -f policy.yaml --dry-run
! guardian view staging-access@1
guardian create -f policy.yaml
guardian list | grep -q 'staging-access'
guardian view staging-access@0 | grep -q 'one signature'
sed -i 's/one signature/two signatures/' policy.yaml
guardian plan -f policy.yaml | grep -q 'two signatures'
guardian edit -f policy.yaml
guardian view staging-access@2 | grep -q 'two signatures'
guardian view staging-access@1 | grep -q 'one signature'
guardian apply -f policy.yaml
guardian view staging-access -v 3 -o json | grep -q '"version": *3'
sed 's/id: .*/id: fresh-access/' policy.yaml >fresh.yaml
guardian apply -f fresh.yaml
guardian view fresh-access@0 | grep -q 'version: 1'
