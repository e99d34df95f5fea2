#!/usr/bin/env bash
# Checks packaging/Dockerfile as far as a machine without a container engine can: what its build stage is given is enough to
# build with, the binary is static, and what its image would start runs without root on a root that cannot be written.
#
#   packaging/check.sh             builds for musl; takes the time of a release build
#   packaging/check.sh BINARY      looks at this one
#
# The base images are not looked at: the compiler is this machine's, and so is the C library that musl-gcc brings. Says what it
# skipped, and ends with 1 when something is wrong. Needs root for what it runs, in namespaces of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
TARGET="$(uname -m)-unknown-linux-musl"
DOCKERFILE=packaging/Dockerfile
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT

skip() { echo "skipped: $*"; exit 0; }
fail() { echo "wrong: $*" >&2; exit 1; }

# The lines of one instruction, of the stage that builds (first) or of the image (last); continued lines are one.
instructions() {
    sed -e ':join' -e '/\\$/{N;s/\\\n *//;bjoin}' "$DOCKERFILE" |
        awk -v stage="$1" -v name="$2" '$1 == "FROM" { n++ } n == stage && $1 == name { $1 = ""; print substr($0, 2) }'
}

# Runs what the build stage runs, with nothing but what is copied into it.
build() {
    command -v musl-gcc >/dev/null || skip "the image's binary and how it runs: no musl-gcc here (Debian: musl-tools)"
    if command -v rustup >/dev/null; then rustup target add "$TARGET" >/dev/null 2>&1 || true; fi
    [[ -d "$(rustc --print sysroot)/lib/rustlib/$TARGET" ]] ||
        skip "the image's binary and how it runs: no Rust for $TARGET here"
    local context="$WORK/context" sources to command
    mkdir "$context"
    while read -r -a sources; do
        to=${sources[-1]}
        unset 'sources[-1]'
        case $to in ./ | .) cp -r "${sources[@]}" "$context/" ;; *) cp -r "${sources[@]}" "$context/$to" ;; esac
    done < <(instructions 1 COPY)
    command=$(instructions 1 RUN | grep -o 'cargo build [^&]*')
    echo "$command (for $TARGET)"
    export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$PWD/target}"
    local variable="CC_${TARGET//-/_}"
    # shellcheck disable=SC2086 # It is a line of words.
    (cd "$context" && env "$variable=musl-gcc" $command --target "$TARGET")
    BINARY="$CARGO_TARGET_DIR/$TARGET/release/countersign"
}

BINARY=${1:-}
[[ -n $BINARY ]] || build
[[ -x $BINARY ]] || fail "there is no program $BINARY"

if command -v readelf >/dev/null; then
    readelf -lW "$BINARY" | grep -q INTERP && fail "the binary needs a loader"
    readelf -dW "$BINARY" 2>/dev/null | grep -q NEEDED && fail "the binary needs libraries"
    echo "static: $(stat -c %s "$BINARY") bytes"
else
    echo "skipped: whether the binary is static: no readelf here"
fi

[[ $(id -u) == 0 ]] || skip "how the image runs: only root can try that"
for tool in unshare chroot setpriv ip; do
    command -v "$tool" >/dev/null || skip "how the image runs: no $tool here"
done
unshare --mount --net true 2>/dev/null || skip "how the image runs: no namespaces here"

# The image's root: the binary, the certificates, the volume. And what the first lines of the Dockerfile mount into it.
ROOT="$WORK/root"
USER_OF=$(instructions 2 USER)
VOLUME=$(instructions 2 VOLUME)
mkdir -p "$ROOT/etc/ssl/certs" "$ROOT/etc/countersign" "$ROOT$VOLUME"
install -m 755 "$BINARY" "$ROOT/countersign"
[[ ! -e /etc/ssl/certs/ca-certificates.crt ]] || cp /etc/ssl/certs/ca-certificates.crt "$ROOT/etc/ssl/certs/"
TOKEN=$(env -i "$BINARY" token create --name check --role admin --file "$ROOT/etc/countersign/tokens.toml")
chown "$USER_OF" "$ROOT$VOLUME" "$ROOT/etc/countersign/tokens.toml"
chmod 755 "$WORK"
mapfile -t ENVIRONMENT < <(instructions 2 ENV)
export ROOT USER_OF VOLUME TOKEN
unshare --mount --net bash -euo pipefail -s -- "${ENVIRONMENT[@]}" <<'INSIDE'
fail() { echo "wrong: $*" >&2; exit 1; }
ip link set lo up
mount --bind "$ROOT" "$ROOT"
mount --bind "$ROOT$VOLUME" "$ROOT$VOLUME"
mount -o remount,bind,ro "$ROOT"
! touch "$ROOT/x" 2>/dev/null || fail "the root can be written"
# As the engine would start it: the image's environment, its user, no capability that lasts, no way to get one.
enter() {
    exec env -i "${ENVIRONMENT[@]}" setpriv --no-new-privs --bounding-set=-all,+sys_chroot,+setuid,+setgid \
        "$(command -v chroot)" --userspec="$USER_OF" --groups= "$ROOT" /countersign "$@"
}
run() (enter "$@")
ENVIRONMENT=("$@")
code=0
run serve >"$ROOT$VOLUME/log" 2>&1 || code=$?
[[ $code == 2 ]] && grep -q insecure-no-auth "$ROOT$VOLUME/log" ||
    fail "without a way to know its callers it has to refuse: $code $(cat "$ROOT$VOLUME/log")"
ENVIRONMENT+=(COUNTERSIGN_TOKENS_FILE=/etc/countersign/tokens.toml)
! run healthcheck 2>/dev/null || fail "healthcheck is content while nothing runs"

start() {
    enter serve >"$ROOT$VOLUME/log" 2>&1 &
    server=$!
    for _ in $(seq 150); do
        if run healthcheck 2>/dev/null; then return; fi
        kill -0 "$server" 2>/dev/null || break
        sleep 0.2
    done
    fail "healthcheck never became content: $(cat "$ROOT$VOLUME/log")"
}
stop() {
    kill -TERM "$server"
    wait "$server" || fail "it did not end well: $? $(cat "$ROOT$VOLUME/log")"
}
client() {
    ENVIRONMENT+=("COUNTERSIGN_TOKEN=$TOKEN")
    run "$@" --server http://127.0.0.1:8080
    unset 'ENVIRONMENT[-1]'
}
start
grep -q "^Uid:	${USER_OF%:*}	" "/proc/$server/status" || fail "it runs as $(grep ^Uid "/proc/$server/status")"
grep -q '^CapEff:	0*$' "/proc/$server/status" || fail "it has capabilities: $(grep ^Cap "/proc/$server/status")"
policy='{"displayName": "Kept", "policyType": "POLICY_TYPE_GRANT", "policySteps": {"grant": {"steps": [{"accept": {}}]}}}'
client import c1 - <<<"$policy" >/dev/null || fail "it takes no policy: $(cat "$ROOT$VOLUME/log")"
stop
! run healthcheck 2>/dev/null || fail "healthcheck is content after the end"
start
client export c1 | grep -q Kept || fail "the policy did not outlive a restart"
stop
echo "runs as $USER_OF without capabilities, on a read-only root, with its data in $VOLUME; healthcheck works"
INSIDE
