#!/bin/bash
# Builds the images that store.sh measures with: v1, v2 (a few packages more and fewer) and v3 (other versions of a few packages, as security updates bring
# them; here the older ones, which the mirror still has).
#
#     benches/peers/images.sh PROGRAM DIR        makes DIR/v1.raw, DIR/v2.raw, DIR/v3.raw; what is there already stays
#
# Needs what a build needs, apt with package lists, dpkg-deb, and gpg. Packages come from the host's own mirror.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROGRAM=$(realpath "$1")
mkdir -p "$2"
DIR=$(realpath "$2")
export IMAGE_COMPOSER_STORE=$DIR/packages

# What v3 has in another version.
OTHER=(openssl libssl3 openssh-client openssh-server openssh-sftp-server libxml2 curl libcurl4 libcurl3-gnutls nginx nginx-common)

# The second best version that the mirror has.
older() { apt-cache madison "$1" | awk -F ' *[|] *' '!seen[$2]++ && ++count == 2 { print $2 }'; }

# A signed repository of those, which the spec of v3 ranks above the distribution's.
make_repository() {
    local repository=$DIR/repository name deb index
    export GNUPGHOME=$DIR/gpg
    rm -rf "$repository" "$GNUPGHOME"
    mkdir -p "$repository/pool" "$repository/dists/test/main/binary-amd64" && install -d -m 700 "$GNUPGHOME"
    index=$repository/dists/test/main/binary-amd64/Packages
    for name in "${OTHER[@]}"; do
        # A file's name with a colon or a percent sign would need to be spelled otherwise in the index.
        (cd "$repository/pool" && apt-get -qq download "$name=$(older "$name")" && mv "$name"_*.deb "$name.deb")
    done
    for deb in "$repository"/pool/*.deb; do
        dpkg-deb --field "$deb"
        printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
    done >"$index"
    gpg --batch --quiet --passphrase '' --quick-generate-key 'Test <test@example.org>' ed25519 sign never
    gpg --batch --quiet --export >"$DIR/key.gpg"
    {
        printf '%s\n' 'Origin: test' 'Suite: test' 'Codename: test' 'Architectures: amd64' 'Components: main' \
            "Date: $(LC_ALL=C date -Ru | sed 's/+0000/UTC/')" 'SHA256:'
        printf ' %s %s main/binary-amd64/Packages\n' "$(sha256sum <"$index" | cut -d ' ' -f 1)" "$(stat -c %s "$index")"
    } | gpg --batch --quiet --yes --clearsign --output "$repository/dists/test/InRelease"
}

spec() {
    case $1 in
        1) cat "$HERE/server.yml" ;;
        2) sed -e '/- tmux$/d; /- htop$/d' -e 's/^    - less$/&\n    - lsof\n    - nano\n    - strace\n    - tree/' "$HERE/server.yml" ;;
        3)
            cat "$HERE/server.yml"
            printf 'packageRepositories:\n  - { codename: test, url: "file://%s", pkey: "%s", priority: 1000 }\n' "$DIR/repository" "$DIR/key.gpg"
            ;;
    esac
}

for version in 1 2 3; do
    [[ ! -e $DIR/v$version.raw ]] || continue
    [[ $version != 3 || -e $DIR/repository/dists/test/InRelease ]] || make_repository
    spec "$version" >"$DIR/v$version.yml"
    "$PROGRAM" build "$DIR/v$version.yml" -o "$DIR/out" --no-image-cache
    mv "$DIR"/out/server-1.raw "$DIR/v$version.raw"
done
