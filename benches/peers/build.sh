#!/bin/bash
# Builds the same packages with image-composer, with mmdebstrap, the fastest builder of Debian roots, at its fastest, and with debootstrap: from a local
# repository that has these packages alone, on tmpfs, without syncs, and then `mke2fs -d` (of the first set `tar`) of what they made. And with mkosi, from the
# same repository and on tmpfs, to a directory: at first, and again with another host name, for which it keeps the tree.
#
#     benches/peers/build.sh [PROGRAM]
#
# PROGRAM is image-composer (default: target/release/image-composer). Installs what it lacks (mmdebstrap, debootstrap, eatmydata, apt-utils, bubblewrap,
# time), needs root, a mirror whose indexes apt has, and some seventy-five minutes. Sets: `base` (base.yml), `minimal` (fixtures/specs/debian12-minimal.yml) and
# `server` (server.yml). In every round all take their turn; the table has the medians of ROUNDS (5) over SETS (all), in $RESULT (build-results.md beside this
# script).
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
PROGRAM=$(realpath "${1:-$ROOT/target/release/image-composer}")
RESULT=${RESULT:-$HERE/build-results.md}
ROUNDS=${ROUNDS:-5}
read -ra SETS <<<"${SETS:-base minimal server}"

lacking=()
for need in mmdebstrap debootstrap eatmydata apt-ftparchive:apt-utils bwrap:bubblewrap /usr/bin/time:time python3; do
    command -v "${need%%:*}" >/dev/null || lacking+=("${need##*:}")
done
((${#lacking[@]} == 0)) || DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install "${lacking[@]}" </dev/null >/dev/null

WORK=$(mktemp -d /var/tmp/image-composer-peers.XXXXXX)
MEMORY=$(mktemp -d /dev/shm/image-composer-peers.XXXXXX)
trap 'rm -rf --one-file-system "$WORK" "$MEMORY"' EXIT
export HOME=$WORK/home IMAGE_COMPOSER_STORE=$WORK/store
mkdir -p "$HOME"
cp "$ROOT/fixtures/specs/debian12-minimal.yml" "$WORK/minimal.yml"
cp "$HERE/base.yml" "$HERE/server.yml" "$WORK/"

# measure SET WHO COMMAND…: a line `set who wall cpu MiB` in $WORK/times, the last of the largest process.
measure() {
    local set=$1 who=$2
    shift 2
    /usr/bin/time --quiet -o "$WORK/time" -f '%e %U %S %M' "$@" >"$WORK/said" 2>&1 </dev/null || { cat "$WORK/said" >&2; return 1; }
    awk -v set="$set" -v who="$who" '{ print set, who, $1, $2 + $3, $4 / 1024 }' "$WORK/time" >>"$WORK/times"
}

ours() { "$PROGRAM" build "$WORK/$1.yml" -o "$WORK/out" --progress none "${@:2}"; }
export -f ours
export PROGRAM

# A repository of exactly the packages that image-composer chooses for a set, and their names in $WORK/SET.names.
make_repository() {
    local set=$1 repository=$WORK/repository-$1
    ours "$set" >/dev/null 2>&1
    "$PROGRAM" cache info "$("$PROGRAM" validate "$WORK/$set.yml" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["specs"][0]["spec_hash"])')" \
        --json | python3 -c 'import json, sys; [print(p["name"] + "=" + p["version"]) for p in json.load(sys.stdin)["packages"]]' >"$WORK/$set.versions"
    sed 's/=.*//' "$WORK/$set.versions" | paste -sd , >"$WORK/$set.names"
    mkdir -p "$repository"
    (cd "$repository" && xargs apt-get -qq download <"$WORK/$set.versions" 2>/dev/null && apt-ftparchive packages . >Packages)
    # The same as a suite: debootstrap knows no flat repositories.
    mkdir -p "$repository/dists/bookworm/main/binary-amd64"
    cp "$repository/Packages" "$repository/dists/bookworm/main/binary-amd64/"
    local of=APT::FTPArchive::Release
    apt-ftparchive -o $of::Suite=bookworm -o $of::Codename=bookworm -o $of::Components=main -o $of::Architectures=amd64 \
        release "$repository/dists/bookworm" >"$WORK/Release"
    mv "$WORK/Release" "$repository/dists/bookworm/"
    # The second build of these packages keeps them decompressed; measured is one after it.
    ours "$set" --no-image-cache --no-root-cache --offline >/dev/null 2>&1
}

mmdebstrap_and_finish() {
    local set=$1 root=$MEMORY/root
    rm -rf --one-file-system "$root"
    # Hooks bind the local repository into the root, as mmdebstrap's manual recommends for file://; of those for a merged /usr the others want a package that the
    # repository does not have.
    TMPDIR=$MEMORY eatmydata mmdebstrap --quiet --mode=root --variant=custom --dpkgopt=force-unsafe-io --include="$(cat "$WORK/$set.names")" \
        --setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh --hook-dir=/usr/share/mmdebstrap/hooks/file-mirror-automount \
        bookworm "$root" "deb [trusted=yes] file://$WORK/repository-$set ./" || return
    # What the hook bound and left.
    umount "$root$WORK/repository-$set" 2>/dev/null || true
    finish "$root" "$2"
}

debootstrap_and_finish() {
    local set=$1 root=$MEMORY/root names foreign
    rm -rf --one-file-system "$root"
    names=$(cat "$WORK/$set.names")
    # What its smallest variant has by itself.
    foreign=$(printf '%s\n' apt usr-is-merged | grep -vxFf <(tr , '\n' <<<"$names") | paste -sd ,)
    eatmydata debootstrap --no-check-gpg --variant=minbase --include="$names" --exclude="$foreign" bookworm "$root" "file://$WORK/repository-$set" &&
        finish "$root" "$2"
}

# Debian 12's own mkosi needs systemd-nspawn, which not every machine lets it run; that of the backports does without. It runs where it is unpacked: what else
# it depends on makes disks.
fetch_mkosi() {
    local mirror
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Codename: bookworm' | head -n 1)
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror bookworm-backports main" >"$WORK/backports.list"
    mkdir -p "$WORK/lists/partial"
    local apt=(apt-get -qq -o APT::Sandbox::User=root -o "Dir::Etc::SourceList=$WORK/backports.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$WORK/lists")
    (cd "$WORK" && "${apt[@]}" update && "${apt[@]}" download mkosi && dpkg-deb --extract mkosi_*.deb mkosi)
}

# mkosi_to_directory SET HOSTNAME
mkosi_to_directory() {
    local place=$MEMORY/mkosi
    mkdir -p "$place"/{empty,cache,packages,work,out}
    cd "$place/empty"
    PYTHONPATH=$WORK/mkosi/usr/lib/python3/dist-packages python3 -m mkosi --distribution debian --release bookworm \
        --local-mirror "file://$WORK/repository-$1" --package "$(cat "$WORK/$1.names")" --bootable no --hostname "$2" --incremental \
        --format directory --manifest-format '' --output root --output-dir "$place/out" --cache-dir "$place/cache" \
        --package-cache-dir "$place/packages" --workspace-dir "$place/work" --build-sources '' --force build
}

# The same from the mirrors of the host, as a first build has it.
mmdebstrap_of_mirror_and_finish() {
    local set=$1 root=$MEMORY/root
    TMPDIR=$MEMORY eatmydata mmdebstrap --quiet --mode=root --variant=custom --dpkgopt=force-unsafe-io --include="$(cat "$WORK/$set.names")" \
        --setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh bookworm "$root" "$SOURCES" && finish "$root" "$2"
}

# finish ROOT SIZE: what is delivered of a tree; `tar`, or a file system of this size.
finish() {
    rm -f "$WORK/peer.out"
    if [[ $2 == tar ]]; then tar --create --file "$WORK/peer.out" --directory "$1" .; else mke2fs -q -F -t ext4 -d "$1" "$WORK/peer.out" "$2"; fi
}
SOURCES=$(grep --files-with-matches --no-messages bookworm /etc/apt/sources.list /etc/apt/sources.list.d/*.{list,sources} | head -n 1 || true)
export -f mmdebstrap_and_finish mmdebstrap_of_mirror_and_finish debootstrap_and_finish mkosi_to_directory finish
export WORK MEMORY SOURCES

# What no set has, and little comes with.
readonly MORE=(bc tree lsof zip ed)

# add_package SET PACKAGE: the spec $WORK/SET-more.yml.
add_package() {
    if grep -q '^  packages:' "$WORK/$1.yml"; then
        sed "s/^  packages:/&\n    - $2/" "$WORK/$1.yml"
    else
        cat "$WORK/$1.yml" && printf '  packages: [ %s ]\n' "$2"
    fi >"$WORK/$1-more.yml"
}

fetch_mkosi
for set in "${SETS[@]}"; do make_repository "$set"; done
for ((round = 0; round < ROUNDS; round++)); do
    for set in "${SETS[@]}"; do
        case $set in base) size=tar ;; minimal) size=1536M ;; *) size=3840M ;; esac
        measure "$set" packages bash -c 'ours "$@"' bash "$set" --no-image-cache --no-root-cache --offline
        # What they leave goes at once: virtual machines are slow to give memory that was never touched, and who comes next would pay for it.
        for peer in mmdebstrap debootstrap mmdebstrap_of_mirror; do
            measure "$set" "$peer" bash -c '"${1}_and_finish" "${@:2}"' bash "$peer" "$set" "$size"
            rm -rf --one-file-system "$MEMORY/root" "$WORK/peer.out"
        done
        measure "$set" mkosi bash -c 'mkosi_to_directory "$@"' bash "$set" first
        measure "$set" mkosi_again bash -c 'mkosi_to_directory "$@"' bash "$set" "round-$round"
        rm -rf --one-file-system "$MEMORY/mkosi"
        measure "$set" first env IMAGE_COMPOSER_STORE="$WORK/first" bash -c 'ours "$@"' bash "$set"
        measure "$set" second env IMAGE_COMPOSER_STORE="$WORK/first" bash -c 'ours "$@"' bash "$set" --no-image-cache --no-root-cache --offline
        rm -rf "$WORK/first"
        # The first build has kept a root; what only the spec adds is another host name.
        sed "s/hostname: .*/hostname: round-$round/" "$WORK/$set.yml" >"$WORK/$set-other.yml"
        measure "$set" root bash -c 'ours "$@"' bash "$set-other" --offline
        measure "$set" hit bash -c 'ours "$@"' bash "$set-other" --offline
        # A package that no round before had; fetched first, so that no network is measured.
        add_package "$set" "${MORE[round % ${#MORE[@]}]}"
        "$PROGRAM" fetch "$WORK/$set-more.yml" --progress none >/dev/null
        measure "$set" more bash -c 'ours "$@"' bash "$set-more" --offline
        rm -rf "$WORK/out"
    done
done
python3 - "$WORK/times" "${SETS[@]}" >"$RESULT" <<'P'
import os, sys
from collections import defaultdict
from statistics import median

times = defaultdict(list)
for line in open(sys.argv[1], encoding="ascii"):
    set, who, *values = line.split()
    times[set, who].append([float(value) for value in values])
sets = sys.argv[2:]
rounds = len(times[sets[0], "mmdebstrap"])
print("# Builds and their peer\n")
print(f"Made by `benches/peers/build.sh` on {os.cpu_count()} processors: medians of {rounds} rounds, in each of which all take their turn. The peer is mmdebstrap at")
print("its fastest, with `mke2fs -d` (of base `tar`); image-composer makes a partitioned disk that boots (of base an archive), verifies all it reads, and keeps what it")
print("makes (but for the first line). Memory is that of the largest process; work trees in tmpfs come on top.\n")
print("| set | work | wall | CPU | memory | to the peer: wall | CPU |\n|---|---|---|---|---|---|---|")
names = {
    "first": "image-composer, an empty store, from the mirror",
    "mmdebstrap_of_mirror": "mmdebstrap, from the mirror",
    "second": "image-composer, packages there, no root kept: the second build, which keeps them decompressed",
    "packages": "image-composer, packages there, no root kept: every later build",
    "root": "image-composer, another host name: the kept root",
    "more": "image-composer, a small package more: the kept root without the small ones",
    "hit": "image-composer, nothing changed: the kept image",
    "mmdebstrap": "mmdebstrap",
    "debootstrap": "debootstrap",
    "mkosi": "mkosi, to a directory",
    "mkosi_again": "mkosi, another host name, to a directory: its kept tree",
}
for set in sets:
    for who, name in names.items():
        peer = [median(column) for column in zip(*times[set, "mmdebstrap_of_mirror" if who in ("first", "mmdebstrap_of_mirror") else "mmdebstrap"])]
        wall, cpu, memory = (median(column) for column in zip(*times[set, who]))
        print(f"| {set} | {name} | {wall:.2f} s | {cpu:.2f} s | {memory:.0f} MiB | {wall / peer[0]:.2f} | {cpu / peer[1]:.2f} |")
P
cat "$RESULT"
