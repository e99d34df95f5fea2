#!/bin/sh
# Cuts the power of a disk under load, again and again, and checks that every acknowledged write is still there.
#
#   tests/powercut/run.sh [CUTS]        default 20; needs root, loop devices, mkfs.ext4 and perl
#
# The disk is an ext4 file system in a file. The cut is its own FS_IOC_SHUTDOWN without flushing the log: nothing that was
# not yet handed to the device survives, and nothing is written any more. After each cut the file system is mounted again,
# the store is opened, and what is in it is compared with the acknowledgements that had been read *before* the cut.
# Every fourth cut hits a new database, the others one that was cut before.
#
# Says SKIPPED, and succeeds, where the machine cannot do this.
set -eu

cuts=${1:-20}
here=$(cd "$(dirname "$0")/../.." && pwd)

skip() { echo "SKIPPED: power cuts cannot be simulated here: $1"; exit 0; }
[ "$(id -u)" = 0 ] || skip "not root"
for tool in losetup mkfs.ext4 mount umount perl; do
    command -v "$tool" >/dev/null || skip "no $tool"
done

work=$(mktemp -d)
loop=
writer=
cleanup() {
    [ -z "$writer" ] || kill -9 "$writer" 2>/dev/null || true
    umount "$work/disk" 2>/dev/null || true
    [ -z "$loop" ] || losetup -d "$loop" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

truncate -s 4G "$work/image"
mkfs.ext4 -q -F "$work/image" || skip "mkfs.ext4 failed"
loop=$(losetup --find --show "$work/image" 2>/dev/null) || skip "no loop device to be had"
mkdir "$work/disk"
mount "$loop" "$work/disk" 2>/dev/null || skip "the loop device cannot be mounted"

if [ -n "${POWERCUT_BIN:-}" ]; then
    powercut=$POWERCUT_BIN
else
    (cd "$here" && cargo build --quiet --release --example powercut)
    powercut=${CARGO_TARGET_DIR:-$here/target}/release/examples/powercut
fi

# FS_IOC_SHUTDOWN is _IOR('X', 125, __u32); 2 is NOLOGFLUSH.
cut_power() {
    perl -e 'open(my $d, "<", $ARGV[0]) or die "$!\n"; my $how = pack("L", 2); ioctl($d, 0x8004587d, $how) or die "$!\n";' "$1"
}

# One cut: load with the given mode, cut, mount again, check. Fails when the store is not as promised.
one_cut() {
    "$powercut" "$1" "$work/disk/data" 1 >"$work/acks" 2>"$work/writer.log" &
    writer=$!
    # At a moment that differs from cut to cut, and never before the first acknowledgement.
    tries=0
    while [ ! -s "$work/acks" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 600 ] || { cat "$work/writer.log"; echo "FAILED: the writer acknowledged nothing"; exit 1; }
        sleep 0.05
    done
    sleep "$(perl -e 'printf "%.3f", 0.1 + rand(1.2)')"
    # Only what had been acknowledged before the cut counts.
    cp "$work/acks" "$work/acks.before"
    cut_power "$work/disk" 2>"$work/cut.log" || return 2
    kill -9 "$writer" 2>/dev/null || true
    wait "$writer" 2>/dev/null || true
    writer=
    umount "$work/disk"
    mount "$loop" "$work/disk"
    found=$("$powercut" check "$work/disk/data" "$work/acks.before" 1 2>"$work/check.log")
}

start_anew() {
    rm -rf "$work/disk/data"
    sync
}

# First the other way round: with the fdatasync left out, a cut must lose writes, or this test could not notice it.
lost=
for try in 1 2 3; do
    start_anew
    status=0
    one_cut write-unsynced || status=$?
    [ "$status" != 2 ] || skip "the file system cannot be shut down ($(cat "$work/cut.log"))"
    if [ "$status" = 1 ]; then
        lost=yes
        echo "control: without fdatasync a cut loses writes ($(tail -n 1 "$work/check.log"))"
        break
    fi
done
[ -n "$lost" ] || { echo "FAILED: three cuts without fdatasync lost nothing: this is no power cut"; exit 1; }

promised=0
cut=0
while [ "$cut" -lt "$cuts" ]; do
    [ $((cut % 4)) != 0 ] || start_anew
    cut=$((cut + 1))
    if ! one_cut write; then
        cat "$work/writer.log" "$work/cut.log" "$work/check.log"
        echo "FAILED: cut $cut"
        exit 1
    fi
    acks=$(wc -l <"$work/acks.before")
    promised=$((promised + acks))
    echo "cut $cut: $acks acknowledged before it, all there (${found#* } documents in the store)"
done
echo "OK: $cuts power cuts, $promised acknowledged commits, 0 lost"
