# A repository of the spec's own: signed by a key that the test makes, with a package that works and one whose script fails.

copy_of_seed || return
REPOSITORY_DIR=$PLACE/repository
export GNUPGHOME=$PLACE/gpg
mkdir -p "$REPOSITORY_DIR/pool" "$REPOSITORY_DIR/dists/test/main/binary-amd64" && install -d -m 700 "$GNUPGHOME"

# make_deb NAME POSTINST: a package with a file, a configuration file and a script.
make_deb() {
    local tree=$PLACE/tree-$1
    mkdir -p "$tree/DEBIAN" "$tree/etc" "$tree/usr/share/$1"
    echo "setting of $1" >"$tree/etc/$1.conf"
    echo "data of $1" >"$tree/usr/share/$1/data"
    printf '%s\n' "Package: $1" 'Version: 1:2.0~rc1-1' 'Architecture: amd64' 'Maintainer: Nobody <nobody@example.org>' 'Depends: libc6' \
        'Description: test' >"$tree/DEBIAN/control"
    echo "/etc/$1.conf" >"$tree/DEBIAN/conffiles"
    printf '#!/bin/sh\nset -e\n%s\n' "$2" >"$tree/DEBIAN/postinst"
    chmod 755 "$tree/DEBIAN/postinst"
    dpkg-deb --root-owner-group --build "$tree" "$REPOSITORY_DIR/pool/$1.deb" >/dev/null
}

# Writes the index of all packages and signs it.
publish() {
    local deb index=$REPOSITORY_DIR/dists/test/main/binary-amd64/Packages
    for deb in "$REPOSITORY_DIR"/pool/*.deb; do
        dpkg-deb --field "$deb"
        printf 'Filename: pool/%s\nSize: %s\nSHA256: %s\n\n' "${deb##*/}" "$(stat -c %s "$deb")" "$(sha256sum <"$deb" | cut -d ' ' -f 1)"
    done >"$index"
    {
        printf '%s\n' 'Origin: test' 'Suite: test' 'Codename: test' 'Architectures: amd64' 'Components: main' \
            "Date: $(LC_ALL=C date -Ru | sed 's/+0000/UTC/')" 'SHA256:'
        printf ' %s %s main/binary-amd64/Packages\n' "$(sha256sum <"$index" | cut -d ' ' -f 1)" "$(stat -c %s "$index")"
    } | gpg --batch --quiet --yes --clearsign --output "$REPOSITORY_DIR/dists/test/InRelease"
}

# spec_with PACKAGE: the minimal spec with the repository and one of its packages.
spec_with() {
    "$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" "$1"
    printf 'packageRepositories:\n  - codename: test\n    url: file://%s\n    component: main\n    pkey: %s\n' "$REPOSITORY_DIR" "$PLACE/key.gpg"
}

gpg --batch --quiet --passphrase '' --quick-generate-key 'Test <test@example.org>' ed25519 sign never 2>"$LOGS/gpg"
gpg --batch --quiet --export >"$PLACE/key.gpg"
make_deb works-here 'test "$1" = configure && ischroot && cat /etc/works-here.conf >/usr/share/works-here/configured'
make_deb fails-here 'echo "the reason why it fails" >&2; exit 7'
publish
check "the test has made a repository" test -s "$REPOSITORY_DIR/dists/test/InRelease" || return
spec_with works-here >"$PLACE/works.yml"
spec_with fails-here >"$PLACE/fails.yml"

composer works build "$PLACE/works.yml" -o "$PLACE/out" --json
check "a package of the spec's own repository is installed" equals "$RC" 0 || return
check "it is the only one that was fetched" equals "$(fetched)" 1
RAW=$PLACE/out/$("$PYTHON" "$HERE/spec.py" artifact "$PLACE/works.yml" raw)
check "the table and file systems are without fault" is_whole "$RAW" "$PLACE/parts"
debugfs -R 'cat /usr/share/works-here/configured' "$(part_with "$PLACE/parts" ext4)" >"$PLACE/configured" 2>/dev/null
check "its script ran, saw its configuration file, and heard that there is no init to restart" equals "$(<"$PLACE/configured")" 'setting of works-here'

composer fails build "$PLACE/fails.yml" -o "$PLACE/none"
check "a script that fails ends the build" equals "$RC" 1
check "the error names the package, and shows what it printed" says "$ERR" 'configuring fails-here' 'the reason why it fails'
check "no output was made" test ! -e "$PLACE/none/${RAW##*/}"

# The same package in a flat repository, which may give that one alone, beside a key that signed nothing.
FLAT=$PLACE/flat
mkdir -p "$FLAT/debs"
cp "$REPOSITORY_DIR"/pool/*.deb "$FLAT/debs/"
sed 's|^Filename: pool/|Filename: ./debs/|' "$REPOSITORY_DIR/dists/test/main/binary-amd64/Packages" >"$FLAT/debs/Packages"
{
    printf '%s\n' "Date: $(LC_ALL=C date -Ru | sed 's/+0000/UTC/')" 'SHA256:'
    printf ' %s %s Packages\n' "$(sha256sum <"$FLAT/debs/Packages" | cut -d ' ' -f 1)" "$(stat -c %s "$FLAT/debs/Packages")"
} | gpg --batch --quiet --yes --clearsign --output "$FLAT/debs/InRelease"
spec_with works-here | sed -e 's|codename: test|codename: debs/|' -e "s|file://.*|file://$FLAT|" -e '/component:/d' \
    -e "s|pkey: .*|pkeys: [$PLACE/key.gpg, /usr/share/keyrings/debian-archive-keyring.gpg]|" >"$PLACE/flat.yml"
echo '    allowPackages: ["works-*"]' >>"$PLACE/flat.yml"
APT=(apt-get -qq -o "Dir::Etc::SourceList=$PLACE/flat.list" -o Dir::Etc::SourceParts=- -o "Dir::State::Lists=$PLACE/lists" -o "Dir::Cache=$PLACE/apt"
    -o APT::Sandbox::User=root)
mkdir -p "$PLACE/lists/partial" "$PLACE/apt/archives/partial"
echo "deb [trusted=yes] file:$FLAT debs/" >"$PLACE/flat.list"
"${APT[@]}" update >/dev/null 2>&1
"${APT[@]}" download --print-uris works-here >"$PLACE/uris" 2>&1
check "apt looks for a package of a flat repository at the path of its index, beneath the address" says "$PLACE/uris" "file:$FLAT/(\./)?debs/works-here"
composer flat fetch "$PLACE/flat.yml" --json
check "a package of a flat repository is fetched" eval 'ended_with 0 && says "$ERR" "\(1 fetched"'
sed 's/works-here/fails-here/' "$PLACE/flat.yml" >"$PLACE/other.yml"
composer disallowed fetch "$PLACE/other.yml"
check "a package that is not allowed from it is not there" eval 'ended_with 2 && says "$ERR" fails-here'

STORE=$PLACE/other
cp -a --sparse=always "$SEED/store" "$STORE"
sed -i 's/^Origin: test/Origin: other/' "$REPOSITORY_DIR/dists/test/InRelease"
composer tampered build "$PLACE/works.yml" -o "$PLACE/none"
check "a changed InRelease is refused, by name" eval 'ended_with 4 && says "$ERR" InRelease'

# What it says without its signature is taken where the user allows it.
sed 's|pkey: .*|insecureSkipVerify: true|' "$PLACE/works.yml" >"$PLACE/unsigned.yml"
composer refused build "$PLACE/unsigned.yml" -o "$PLACE/none"
check "a repository that nothing proves is refused" eval 'ended_with 2 && says "$ERR" "unsigned.yml:[0-9]+: " allow-untrusted'
composer unsigned fetch "$PLACE/unsigned.yml" --allow-untrusted
check "with --allow-untrusted it is not, with a warning" eval 'ended_with 0 && says "$ERR" "is not verified" "\(1 fetched"'

# The packages themselves, in a folder beside the spec.
STORE=$PLACE/third
cp -a --sparse=always "$SEED/store" "$STORE"
mkdir "$PLACE/debs" && mv "$REPOSITORY_DIR/pool/works-here.deb" "$PLACE/debs/works-here_1%3a2.0.deb"
{ spec_with works-here | sed '/- codename:/,$d' && echo '  - path: debs'; } >"$PLACE/folder.yml"
composer folder build "$PLACE/folder.yml" -o "$PLACE/from-folder" --offline
check "a package of a folder is installed without a network" equals "$RC" 0
check "the table and file systems are without fault, again" is_whole "$PLACE/from-folder/${RAW##*/}" "$PLACE/parts"
debugfs -R 'cat /usr/share/works-here/configured' "$(part_with "$PLACE/parts" ext4)" >"$PLACE/configured" 2>/dev/null
check "its script ran, too" equals "$(<"$PLACE/configured")" 'setting of works-here'
