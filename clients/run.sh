#!/usr/bin/env bash
# Runs the clients in this folder against a real server, each against a fresh one, and says which could not run and why.
#
#   clients/run.sh             all of them
#   clients/run.sh curl ...    some of them
#
# A client is a folder with a `client.sh`. It is run with
#
#   ROOT      this repository             ADDR    the server's host and port, for plain HTTP and gRPC
#   CACHE     a folder for what it downloads and builds, outside the repository, kept between runs
#   WORK      an empty folder of its own  BIN     the countersign program
#
# and ends with 0 when everything went well, with 77 when a tool is missing (the last line it prints says which), and with
# anything else when the service failed it. Where the folder has a `prepare.sh`, that is run first, in the same place, and prints
# further flags for the server, one on a line; it may end with 77, too. This script fails if one did. `cargo test` needs none of this.
#
# CLIENTS_CACHE moves the cache; CLIENTS_BIN names a program to test instead of building one.
set -uo pipefail
# The server reads these as settings; what is tried here is its defaults.
for variable in "${!COUNTERSIGN_@}"; do unset "$variable"; done
ROOT=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${CLIENTS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/countersign-clients}
SCRATCH=$(mktemp -d)
SERVER_PID=
mkdir -p "$CACHE"

# The server that is running ends with this script, and so does everything it wrote.
stop_server() {
    [[ -n $SERVER_PID ]] && kill "$SERVER_PID" 2>/dev/null && wait "$SERVER_PID" 2>/dev/null
    SERVER_PID=
}
trap 'stop_server; rm -rf "$SCRATCH"' EXIT

# Starts a server with these further flags, waits for its line in the log, and sets ADDR.
start_server() {
    local log=$WORK/server.log
    "$BIN" serve --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 --store "sled:$WORK/data" "$@" >"$log" 2>&1 &
    SERVER_PID=$!
    for _ in $(seq 300); do
        ADDR=$(sed -n 's/.* serving.* listen=\([^ ]*\).*/\1/p' "$log")
        [[ -n $ADDR ]] && return 0
        kill -0 "$SERVER_PID" 2>/dev/null || break
        sleep 0.1
    done
    cat "$log"
    return 1
}

if [[ -n ${CLIENTS_BIN:-} ]]; then
    BIN=$CLIENTS_BIN
else
    (cd "$ROOT" && cargo build --locked --bin countersign) || exit 1
    BIN=${CARGO_TARGET_DIR:-$ROOT/target}/debug/countersign
fi
export ROOT CACHE BIN

NAMES=("$@")
[[ $# -gt 0 ]] || NAMES=($(cd "$ROOT/clients" && printf '%s\n' */client.sh | xargs -n1 dirname))
passed=0 failed=0 skipped=0
for name in "${NAMES[@]}"; do
    client=$ROOT/clients/$name
    [[ -f $client/client.sh ]] || { echo "no client is called $name"; exit 2; }
    export WORK=$SCRATCH/$name
    mkdir -p "$WORK"
    printf '\n== %s\n' "$name"
    : >"$WORK/flags"
    if [[ -f $client/prepare.sh ]]; then
        (cd "$WORK" && bash "$client/prepare.sh") >"$WORK/flags" 2>"$WORK/output" </dev/null
        case $? in
            0) ;;
            77) echo "-- $name: skipped: $(tail -n1 "$WORK/output")"; skipped=$((skipped + 1)); continue ;;
            *) cat "$WORK/output"; echo "-- $name: FAILED: not prepared"; failed=$((failed + 1)); continue ;;
        esac
    fi
    mapfile -t flags <"$WORK/flags"
    if ! start_server "${flags[@]}"; then
        echo "-- $name: FAILED: no server"
        failed=$((failed + 1))
        continue
    fi
    export ADDR
    (cd "$WORK" && bash "$client/client.sh") >"$WORK/output" 2>&1 </dev/null
    outcome=$?
    sed 's/^/   /' "$WORK/output"
    # A server that did not live to be stopped has failed its client, whatever the client saw.
    kill -0 "$SERVER_PID" 2>/dev/null || outcome=1
    stop_server
    case $outcome in
        0) echo "-- $name: passed"; passed=$((passed + 1)) ;;
        77) echo "-- $name: skipped: $(tail -n1 "$WORK/output")"; skipped=$((skipped + 1)) ;;
        *)
            echo "-- $name: FAILED; the last lines of the server's log:"
            tail -n 15 "$WORK/server.log"
            failed=$((failed + 1))
            ;;
    esac
done
printf '\n%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[[ $failed -eq 0 ]]
