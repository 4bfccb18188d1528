#!/bin/bash
# Stores and writes out the same images with image-composer and with what users would take instead: restic, borg, casync, and zstd (which shares nothing).
#
#     benches/peers/store.sh [PROGRAM [IMAGES]]
#
# PROGRAM is image-composer (default: target/release/image-composer), IMAGES a directory with v1.raw, v2.raw and v3.raw (default: one that is made by
# images.sh, which takes minutes and needs a mirror). Installs what it lacks; needs root for that, 10 GB beside IMAGES, and some ten minutes. In every round all
# take their turn, so that what else the machine does falls on all of them; the table has the medians of ROUNDS (3), in $RESULT (results.md beside this
# script).
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROGRAM=$(realpath "${1:-$HERE/../../target/release/image-composer}")
IMAGES=${2:-/var/tmp/image-composer-peers}
RESULT=${RESULT:-$HERE/results.md}
ROUNDS=${ROUNDS:-3}

lacking=()
for need in restic borg:borgbackup casync zstd /usr/bin/time:time python3; do
    command -v "${need%%:*}" >/dev/null || lacking+=("${need##*:}")
done
((${#lacking[@]} == 0)) || DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install "${lacking[@]}" </dev/null >/dev/null
"$HERE/images.sh" "$PROGRAM" "$IMAGES"
IMAGES=$(realpath "$IMAGES")

WORK=$(mktemp -d "$IMAGES/work.XXXXXX")
trap 'rm -rf "$WORK"' EXIT
export HOME=$WORK/home RESTIC_PASSWORD=x RESTIC_REPOSITORY=$WORK/restic BORG_REPO=$WORK/borg BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes
export BORG_RELOCATED_REPO_ACCESS_IS_OK=yes IMAGE_COMPOSER_STORE=$WORK/store
mkdir -p "$HOME"
rm -f "$IMAGES"/{times,sizes}

# measure WHO WHAT COMMAND…: a line `who what wall cpu` in $IMAGES/times.
measure() {
    local who=$1 what=$2
    shift 2
    /usr/bin/time --quiet -o "$WORK/time" -f '%e %U %S' "$@" >"$WORK/said" 2>&1 </dev/null || { cat "$WORK/said" >&2; return 1; }
    awk -v who="$who" -v what="$what" '{ print who, what, $1, $2 + $3 }' "$WORK/time" >>"$IMAGES/times"
}

# stored WHO WHAT DIRECTORY: how many bytes the files there have more than the last time, as a line `who what grown`.
stored() {
    local bytes
    bytes=$(find "$3" -type f ! -name index.redb -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }')
    echo "$1 $2 $((bytes - $(cat "$WORK/last.$1" 2>/dev/null || echo 0)))" >>"$IMAGES/sizes"
    echo "$bytes" >"$WORK/last.$1"
}

keep_ours() { measure ours "keep $1" "$PROGRAM" cache import "$IMAGES/$1.raw"; stored ours "keep $1" "$IMAGE_COMPOSER_STORE"; }
keep_restic() { measure restic "keep $1" restic -q backup "$IMAGES/$1.raw"; stored restic "keep $1" "$RESTIC_REPOSITORY"; }
keep_borg() { measure borg "keep $1" borg create --compression zstd,3 "::$1" "$IMAGES/$1.raw"; stored borg "keep $1" "$BORG_REPO"; }
keep_casync() { measure casync "keep $1" casync make --store="$WORK/casync" "$WORK/$1.caibx" "$IMAGES/$1.raw"; stored casync "keep $1" "$WORK/casync"; }

write_ours() { measure ours write "$PROGRAM" cache export "$(ours_id)" "$WORK/out.raw"; }
write_restic() { measure restic write restic -q restore latest --path "$IMAGES/v1.raw" --target "$WORK/out"; mv "$WORK/out$IMAGES/v1.raw" "$WORK/out.raw"; }
write_borg() { measure borg write sh -c 'cd "$1" && borg extract --sparse ::v1' sh "$WORK/out"; mv "$WORK/out${IMAGES}/v1.raw" "$WORK/out.raw"; }
write_casync() { measure casync write casync extract --store="$WORK/casync" "$WORK/v1.caibx" "$WORK/out.raw"; }
write_zstd() { measure zstd write zstd -q -d -f "$WORK/v1.zst" -o "$WORK/out.raw"; }
write_cp() { measure cp write cp --sparse=always "$IMAGES/v1.raw" "$WORK/out.raw"; }

ours_id() { "$PROGRAM" cache list --json | python3 -c 'import json, sys; print(next(i["spec_hash"] for i in json.load(sys.stdin)["images"] if i["imported"]["file"] == "v1.raw"))'; }

for ((round = 0; round < ROUNDS; round++)); do
    rm -rf "$WORK"/{store,restic,borg,casync,out,last.*,home/.cache} "$WORK"/*.{zst,caibx}
    mkdir -p "$WORK/casync" "$WORK/out"
    restic -q init >/dev/null && borg init --encryption=none
    # Once through the page cache, for all.
    cat "$IMAGES"/v[123].raw >/dev/null
    for version in v1 v2 v3; do
        if [[ $version == v1 ]]; then
            measure zstd "keep v1" sh -c 'zstd -q -3 -T0 -f "$1" -o "$2" && sync "$2"' sh "$IMAGES/v1.raw" "$WORK/v1.zst"
            echo "zstd keep v1 $(stat -c %s "$WORK/v1.zst")" >>"$IMAGES/sizes"
        fi
        for who in ours restic borg casync; do "keep_$who" $version; done
    done
    # What a virtual machine has not touched yet its host gives slowly, so the first to write gigabytes pays for all: that is nobody's turn.
    cp --sparse=never "$IMAGES/v1.raw" "$WORK/out.raw" && rm "$WORK/out.raw"
    for who in ours restic borg casync zstd cp; do
        "write_$who"
        cmp "$WORK/out.raw" "$IMAGES/v1.raw"
        rm -f "$WORK/out.raw"
    done
done
python3 "$HERE/table.py" "$IMAGES/times" "$IMAGES/sizes" >"$RESULT"
cat "$RESULT"
