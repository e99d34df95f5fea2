#!/usr/bin/env bash
# Shows that the README's curl commands work as printed: takes its code blocks, changes nothing but the address, runs them in
# their order from the repository's root, and demands status 200 of every request, or the status that the README says.
# Needs curl.
set -euo pipefail
command -v curl >/dev/null || { echo "curl is missing"; exit 77; }
awk -v dir="$WORK" -v tool=curl -f "$ROOT/clients/readme.awk" "$ROOT/README.md"

# What the commands below call: curl itself, with a note of the status it got.
curl() { command curl --write-out '%{stderr}%{http_code} %{method} %{url}\n' "$@" 2>>"$STATUSES"; }
# The README shows Guardian's command line in one block with curl; it is a client of its own.
guardian() { :; }
export STATUSES=$WORK/statuses
cd "$ROOT"
ran=0
for block in "$WORK"/[0-9][0-9].sh; do
    if ! grep -q 'http://127\.0\.0\.1:8080' "$block"; then
        # A block that starts a server of its own is tried by others: TLS by the clients that speak it.
        grep -q '^countersign serve' "$block" && continue
        echo "a block of the README is for no server:"; cat "$block"; exit 1
    fi
    wanted=$(cat "${block%.sh}.status" 2>/dev/null || echo 200)
    : >"$STATUSES"
    sed -i "s/127\.0\.0\.1:8080/$ADDR/g" "$block"
    # In this shell, since a block uses what an earlier one has set.
    . "$block" >"$WORK/answers"
    cat "$STATUSES"
    requests=$(grep -c "^curl \|(curl " "$block")
    got=$(grep -c "^$wanted " "$STATUSES" || true)
    [[ $got -eq $requests ]] || { echo "$requests requests, of which $got were answered $wanted:"; cat "$block" "$STATUSES" "$WORK/answers"; exit 1; }
    ran=$((ran + requests))
done
[[ $ran -ge 10 ]] || { echo "the README has only $ran curl commands for this server"; exit 1; }
echo "$ran requests, all answered as the README says"
