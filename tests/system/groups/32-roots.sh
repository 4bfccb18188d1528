# A root of installed packages serves every spec that has the same ones, and its stages every spec that has the same up to there.

copy_of_seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
composer stats cache du --json
check "a build keeps its root" equals "$(from_json "$OUT" roots)" 1
check "the root and its image share most of what they have" at_least "$(from_json "$OUT" images.shared)" 80000000

# Another host name, user and file, on another disk: the same packages.
mkdir -p "$PLACE/files"
echo hello >"$PLACE/files/motd"
sed -e 's/^  size: .*/  size: 3GiB/' -e 's/hostname: .*/hostname: other\n  additionalFiles:\n    - { local: files\/motd, final: \/etc\/motd }/' "$MINIMAL" >"$PLACE/other.yml"
check "the other spec is another one" eval '! cmp -s "$MINIMAL" "$PLACE/other.yml"'
without_network composer kept build "$PLACE/other.yml" -o "$PLACE/kept" --offline --json
check "with other files, host name and disk the kept root serves" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" hit'
note "from the kept root in $ELAPSED s"
check "its table and file systems are without fault" is_whole "$PLACE/kept/$ARTIFACT" "$PLACE/parts"
without_network composer hit build "$PLACE/other.yml" -o "$PLACE/hit" --offline --json
check "it comes out of the cache as it was made" eval 'ended_with 0 && cmp "$PLACE/hit/$ARTIFACT" "$PLACE/kept/$ARTIFACT"'
rm -rf "$PLACE/hit"
composer verify cache verify
check "and every byte of it is there" ended_with 0
without_network composer anew build "$PLACE/other.yml" -o "$PLACE/anew" --offline --rebuild --json
check "--rebuild installs the packages" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" installed'
note "from packages in $ELAPSED s"
check "and the image is the same to the last byte" cmp "$PLACE/kept/$ARTIFACT" "$PLACE/anew/$ARTIFACT"
rm -rf "$PLACE/kept" "$PLACE/parts"

# Long files of a kept root are not laid down unless somebody looks into them: a program that does, and that nobody expects to, has the build begin again.
TREE=$PLACE/looks
mkdir -p "$TREE/DEBIAN" "$TREE/usr/sbin" "$TREE/usr/share/looks" "$PLACE/packages"
printf '%s\n' 'Package: looks' 'Version: 1' 'Architecture: all' 'Maintainer: Test <test@example.org>' 'Pre-Depends: passwd' 'Description: looks into a long file' \
    >"$TREE/DEBIAN/control"
printf '#!/bin/sh\nset -e\nif [ "$1" = install ]; then dpkg-divert --package looks --rename --divert /usr/sbin/chpasswd.real /usr/sbin/chpasswd; fi\n' \
    >"$TREE/DEBIAN/preinst"
printf '#!/bin/sh\nsha256sum /usr/share/looks/long >/etc/looked\nexec /usr/sbin/chpasswd.real "$@"\n' >"$TREE/usr/sbin/chpasswd"
chmod 755 "$TREE/DEBIAN/preinst" "$TREE/usr/sbin/chpasswd"
seq 200000 >"$TREE/usr/share/looks/long"
dpkg-deb --root-owner-group --build "$TREE" "$PLACE/packages/looks.deb" >/dev/null
{ "$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" looks && printf 'packageRepositories:\n  - path: packages\n'; } >"$PLACE/looks.yml"
composer looks build "$PLACE/looks.yml" -o "$PLACE/looked" --json
check "a package that looks into a long file is installed" ended_with 0
sed 's/hostname: .*/hostname: looks/' "$PLACE/looks.yml" >"$PLACE/looks-again.yml"
composer again build "$PLACE/looks-again.yml" -o "$PLACE/again" --json --log-file "$PLACE/again.log"
check "with another host name the kept root serves" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" hit'
check "laid down whole, because somebody looked" says "$PLACE/again.log" "laid down after all: /usr/share/looks/long"
composer aside build "$PLACE/looks-again.yml" -o "$PLACE/aside" --no-image-cache --no-root-cache
check "and what was seen is what is there" cmp "$PLACE/again/$ARTIFACT" "$PLACE/aside/$ARTIFACT"
rm -rf "$PLACE/looked" "$PLACE/again" "$PLACE/aside"

# The packages themselves are not needed.
composer packages cache clean --packages
without_network composer without build "$PLACE/other.yml" -o "$PLACE/without" --offline --no-image-cache --json
check "without its packages a kept root serves, offline" eval 'ended_with 0 && cmp "$PLACE/without/$ARTIFACT" "$PLACE/anew/$ARTIFACT"'
without_network composer off build "$PLACE/other.yml" -o "$PLACE/off" --offline --no-image-cache --no-root-cache
check "--no-root-cache needs the packages" equals "$RC" 3

# A large package is installed onto what the profile has, and a small one onto both; from its packages alone it is the same image.
"$PYTHON" "$HERE/spec.py" with-package "$PLACE/other.yml" git >"$PLACE/large.yml"
composer large build "$PLACE/large.yml" -o "$PLACE/large" --json
check "with one more package the root of the profile serves" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" base'
check "all together are kept, too" equals "$(from_json "$OUT" root.kept)" true
note "with a large package more in $ELAPSED s"
rm -rf "$PLACE/large"
"$PYTHON" "$HERE/spec.py" with-package "$PLACE/large.yml" less >"$PLACE/more.yml"
composer more build "$PLACE/more.yml" -o "$PLACE/more" --json
check "with a small one more, the root with the large one serves" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" base'
check "nothing else is installed" equals "$(($(fetched) + $(from_json "$OUT" packages.present)))" 1
note "with a small package more in $ELAPSED s"
composer rebuilt build "$PLACE/more.yml" -o "$PLACE/rebuilt" --rebuild --json
check "--rebuild installs them all" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" installed'
check "and the image is the same to the last byte" cmp "$PLACE/more/$ARTIFACT" "$PLACE/rebuilt/$ARTIFACT"
rm -rf "$PLACE/rebuilt"

# One that takes part in the making of initrds: they are made again.
"$PYTHON" "$HERE/spec.py" with-package "$PLACE/other.yml" busybox >"$PLACE/hook.yml"
composer hook build "$PLACE/hook.yml" -o "$PLACE/hook" --json --log-file "$PLACE/hook.log"
check "a package with a hook has the initrd made again" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" base &&
    says "$PLACE/hook.log" "the initrd may depend on /.*busybox" "update-initramfs"'
without_network composer unkept build "$PLACE/hook.yml" -o "$PLACE/unkept" --offline --no-image-cache --no-root-cache
check "without kept roots it is the same" cmp "$PLACE/hook/$ARTIFACT" "$PLACE/unkept/$ARTIFACT"
rm -rf "$PLACE/hook" "$PLACE/unkept"

# A damaged root is installed again.
"$PYTHON" - "$STORE/packs" <<'P'
import os, sys
for name in os.listdir(sys.argv[1]):
    path = os.path.join(sys.argv[1], name)
    os.chmod(path, 0o644)
    with open(path, "r+b") as pack:
        pack.seek(os.path.getsize(path) // 2)
        byte = pack.read(1)
        pack.seek(-1, 1)
        pack.write(bytes([byte[0] ^ 1]))
P
# Where nobody can write down that it is damaged, too.
MEDIUM=$PLACE/medium
mkdir -p "$MEDIUM"
if check "the store can be mounted for reading alone" eval 'mount --bind "$STORE" "$MEDIUM" && mount -o remount,bind,ro "$MEDIUM"'; then
    STORE=$MEDIUM without_network composer medium build "$PLACE/more.yml" -o "$PLACE/again" --offline --no-image-cache --json
    check "a damaged root on a read-only medium is not used" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" installed &&
        says "$ERR" "root is damaged"'
    check "and the image is the same" cmp "$PLACE/more/$ARTIFACT" "$PLACE/again/$ARTIFACT"
    umount "$MEDIUM"
    rm -rf "$PLACE/again"
fi
composer damaged build "$PLACE/more.yml" -o "$PLACE/again" --no-image-cache --json
check "a damaged root is not used" eval 'ended_with 0 && ! equals "$(from_json "$OUT" root.outcome)" hit >/dev/null && says "$ERR" "root is damaged"'
check "and the image is the same" cmp "$PLACE/more/$ARTIFACT" "$PLACE/again/$ARTIFACT"
composer clean cache clean --roots
composer left cache du --json
check "roots can be cleaned away" equals "$(from_json "$OUT" roots)" 0
