# All that a machine without a network needs comes to it in one file.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
HERE_STORE=$PLACE/here
THERE_STORE=$PLACE/there
BUNDLE=$PLACE/edge.bundle

# Here there is a network.
STORE=$HERE_STORE
composer fetch fetch "$MINIMAL" --json
check "fetch brings packages and metadata into an empty store" equals "$RC" 0 || return
PACKAGES=$(from_json "$OUT" specs.0.packages.total)
check "all of its packages were fetched" equals "$(from_json "$OUT" specs.0.packages.fetched)" "$PACKAGES"
note "fetched $PACKAGES packages in $ELAPSED s"
composer fetch-again fetch "$MINIMAL" --json
check "the second fetch brings no package" equals "$(from_json "$OUT" specs.0.packages.fetched)" 0
check "and says so" says "$ERR" 'nothing was to be fetched'
without_network composer fetch-offline fetch "$MINIMAL" --offline
check "fetch --offline finds that all is there" equals "$RC" 0

composer plan cache export --bundle "$BUNDLE" --spec "$MINIMAL" --dry-run --json
check "a dry run writes nothing" test ! -e "$BUNDLE"
PLANNED=$(from_json "$OUT" size)
composer export cache export --bundle "$BUNDLE" --spec "$MINIMAL"
check "the spec's needs leave as a bundle" equals "$RC" 0 || return
check "it is as long as the dry run said" equals "$(stat -c %s "$BUNDLE")" "$PLANNED"
note "the bundle of $PACKAGES packages has $PLANNED bytes, written in $ELAPSED s"

# There is none there.
STORE=$THERE_STORE
without_network composer import cache import "$BUNDLE" --json
check "the bundle comes into an empty store without a network" equals "$RC" 0 || return
note "imported in $ELAPSED s"
check "with all packages" equals "$(from_json "$OUT" packages.added)" "$PACKAGES"
mkdir "$PLACE/elsewhere" && cp "$MINIMAL" "$PLACE/elsewhere/other-name.yml"
without_network with_other_habits composer built build "$PLACE/elsewhere/other-name.yml" -o "$PLACE/out" --offline
check "the image is built there from the store alone" equals "$RC" 0 || return
seed || return
STORE=$THERE_STORE
check "with one worker, in another time zone and folder, it is the same as elsewhere, byte for byte" cmp "$SEED/out/$ARTIFACT" "$PLACE/out/$ARTIFACT"
check "no package was fetched" says "$ERR" '\(0 fetched, '
check "its table and file systems are without fault" is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"
rm -rf "$PLACE/parts"
check "it boots" boot "$PLACE/out/$ARTIFACT" raw login=root:image-composer "run:state=systemctl is-system-running --wait"
check "systemd says running" answers state running

# The image goes back.
composer list cache list --json
IMAGE=$(from_json "$OUT" images.0.spec_hash)
composer one cache export --bundle "$PLACE/one.bundle" "$IMAGE"
check "the image leaves as a bundle" equals "$RC" 0 || return
note "the bundle of the image has $(stat -c %s "$PLACE/one.bundle") bytes, written in $ELAPSED s"
check "zstd knows the bundle for one of its own" zstd -q -d -f "$PLACE/one.bundle" -o "$PLACE/disk.raw"
check "and decompresses it to the disk" cmp "$PLACE/disk.raw" "$PLACE/out/$ARTIFACT"
rm -f "$PLACE/disk.raw"
STORE=$HERE_STORE
composer most cache import "$PLACE/one.bundle"
check "the image comes into the store that has its packages" equals "$RC" 0
without_network composer hit build "$MINIMAL" -o "$PLACE/copy" --offline
check "the next build of the spec takes it" hit
check "and it is the same disk" cmp "$PLACE/copy/$ARTIFACT" "$PLACE/out/$ARTIFACT"
rm -rf "$PLACE/copy"
composer twice cache import "$PLACE/one.bundle" --json
check "a second import adds nothing" equals "$(from_json "$OUT" added)" 0
composer all cache export --bundle "$PLACE/all.bundle" --all
check "everything leaves as a bundle" equals "$RC" 0 || return

# Killed on the way in.
staged() { (($(find "$STORE/tmp" -type f -printf '%s\n' 2>/dev/null | awk "{ sum += \$1 } END { print sum + 0 }") >= $1)); }
shows_nothing() {
    composer nothing cache list --json
    equals "$(from_json "$OUT" images.#)" 0 || return
    composer offline fetch "$MINIMAL" --offline
    ended_with 3
}
STORE=$PLACE/killed
WHOLE=$(stat -c %s "$PLACE/all.bundle")
for percent in 1 40 80; do
    start "killed-$percent" cache import "$PLACE/all.bundle"
    check "the import comes to $percent %" comes_to 60 staged $((WHOLE * percent / 100)) || { await 0; return; }
    kill -KILL "$PID"
    await 5
    check "killed at $percent %: it was still at work" equals "$RC" 137
    check "killed at $percent %: nothing of the bundle is to be seen" shows_nothing
    check "killed at $percent %: no file of it has its place" is_empty "$(find "$STORE/packs" "$STORE/blobs" -type f)"
done
composer finished cache import "$PLACE/all.bundle"
check "the next import finishes" equals "$RC" 0
check "and leaves nothing beside the store's own files" is_empty "$(find "$STORE/tmp" -type f)"
without_network composer hit-after build "$MINIMAL" -o "$PLACE/copy" --offline
check "its image is served" hit
check "and it is the same disk" cmp "$PLACE/copy/$ARTIFACT" "$PLACE/out/$ARTIFACT"
rm -rf "$PLACE/copy" "$STORE"

# Damaged on the way.
STORE=$PLACE/damaged
flip() {
    "$PYTHON" - "$1" "$2" <<'PYTHON'
import sys
with open(sys.argv[1], "r+b") as file:
    file.seek(int(sys.argv[2]))
    byte = file.read(1)[0]
    file.seek(int(sys.argv[2]))
    file.write(bytes([byte ^ 1]))
PYTHON
}
for at in 3 20 500 $((WHOLE / 3)) $((WHOLE / 2)) $((WHOLE * 9 / 10)) $((WHOLE - 1)); do
    flip "$PLACE/all.bundle" "$at"
    composer "flipped-$at" cache import "$PLACE/all.bundle"
    check "a flipped bit in byte $at is refused" ended_with '1|4'
    check "a flipped bit in byte $at: nothing is to be seen" shows_nothing
    flip "$PLACE/all.bundle" "$at"
done
for len in 10 1000 $((WHOLE / 2)) $((WHOLE - 1)); do
    truncate -s "$len" "$PLACE/cut.bundle"
    dd if="$PLACE/all.bundle" of="$PLACE/cut.bundle" bs=1M iflag=count_bytes count="$len" conv=notrunc status=none
    composer "cut-$len" cache import "$PLACE/cut.bundle"
    check "the first $len bytes of a bundle are refused" ended_with '1|2|4'
    check "the first $len bytes of a bundle: nothing is to be seen" shows_nothing
done
mkdir -p "$PLACE/small"
check "a small file system can be made" mount -t tmpfs -o size=64m none "$PLACE/small" || return
STORE=$PLACE/small/store
composer no-room cache import "$PLACE/all.bundle"
check "a store without room for it takes nothing of it" equals "$RC" 1
check "and says how much is needed, and how much is free" says "$ERR" 'needs [0-9.]+ MiB, and [0-9.]+ MiB are free'
check "nothing of the bundle is to be seen" shows_nothing
umount "$PLACE/small"

STORE=$PLACE/damaged
composer whole cache import "$PLACE/all.bundle"
check "the bundle as it was is taken" equals "$RC" 0
