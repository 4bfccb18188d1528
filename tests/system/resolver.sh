#!/bin/sh
# Compares our choice of packages with apt's: the same indexes, an empty system, ten sets with and without recommended packages, and a desktop.
# Reads the host's apt lists and writes nothing outside a scratch directory. Needs a Debian or Ubuntu host on which `apt-get update` has run.
set -eu
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/sets" "$scratch/cache"
: >"$scratch/status"

arch=$(dpkg --print-architecture)
echo "$arch" >"$scratch/arch"

# One line for each index: the archive's identity, its pin (apt_preferences(5)), the file.
number=0
apt-get indextargets --format '$(FILENAME)|$(REPO_URI)' 'Created-By: Packages' "Architecture: $arch" | while IFS='|' read -r file uri; do
    release=${file%_*_binary-*}_InRelease
    pin=500
    if grep -q '^NotAutomatic: yes' "$release"; then
        pin=1
        if grep -q '^ButAutomaticUpgrades: yes' "$release"; then pin=100; fi
    fi
    number=$((number + 1))
    /usr/lib/apt/apt-helper cat-file "$file" >"$scratch/$number.packages"
    echo "$(basename "$uri") $pin $number.packages" >>"$scratch/indexes"
done

kernel=linux-image-$arch
if grep -q '^ID=ubuntu' /etc/os-release; then kernel=linux-image-virtual; fi
# apt counts itself among the essential packages, which no index does: name one that is essential anyway in its place.
# A failure of apt's leaves an empty list, which the comparison reports.
ask_apt() {
    apt-get -s -o Dir::State::status="$scratch/status" -o Dir::Cache="$scratch/cache" -o pkgCacheGen::ForceEssential=dpkg \
        -o APT::Install-Recommends="$2" install '?essential' "$1" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\) .*/\1 \2/p' | sort || true
}
for set in openssh-server nginx python3 "$kernel" network-manager postgresql git build-essential docker.io cloud-init; do
    ask_apt "$set" false >"$scratch/sets/$set"
    ask_apt "$set" true >"$scratch/sets/$set+recommends"
done
ask_apt task-gnome-desktop true >"$scratch/sets/task-gnome-desktop+recommends"

status=0
RESOLVER_ORACLE="$scratch" cargo test --quiet --lib resolve::oracle -- --ignored --nocapture >"$scratch/out" || status=$?
# Everything but the harness's own lines, which would follow the totals.
grep -v -e '^running ' -e '^test ' -e '^\.*$' -e '^failures:' -e '^ *resolve::oracle' "$scratch/out" || true
exit "$status"
