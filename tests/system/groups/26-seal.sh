# A sealed store on a read-only medium, as root and as an ordinary user.

command -v mksquashfs >/dev/null || quiet_apt install --no-install-recommends squashfs-tools >"$LOGS/squashfs-tools" 2>&1
check "mksquashfs is there" command -v mksquashfs || return
copy_of_seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
check "as after an interrupted download" touch "$STORE/partials/half" || return
composer seal cache seal --json
check "the store is sealed" equals "$RC" 0 || return
check "what was interrupted is gone" is_empty "$(find "$STORE/partials" "$STORE/tmp" "$STORE/leases" -mindepth 1)"
note "the index had $(from_json "$OUT" index_before) bytes and has $(from_json "$OUT" index_after)"

MEDIUM=$PLACE/medium
mkdir -p "$MEDIUM"
check "a squashfs of the store can be made" mksquashfs "$STORE" "$PLACE/store.squashfs" -quiet -no-progress || return
if mount -t squashfs -o loop,ro "$PLACE/store.squashfs" "$MEDIUM" 2>/dev/null; then
    note "the medium is a squashfs on a loop device"
elif cp -a "$STORE" "$PLACE/copy" && mount --bind "$PLACE/copy" "$MEDIUM" && mount -o remount,bind,ro "$MEDIUM"; then
    note "the kernel cannot mount a squashfs here: the medium is a read-only bind mount"
else
    check "there is a read-only medium" false
    return
fi

reads_all() {
    local who=$1 out=$2
    composer "list-$who" cache list --json
    check "$who: the image is listed" equals "$(from_json "$OUT" images.#)" 1 || return
    local image
    image=$(from_json "$OUT" images.0.spec_hash)
    composer "info-$who" cache info "$image"
    check "$who: it is told about" equals "$RC" 0
    composer "export-$who" cache export "$image" "$out/disk.raw"
    check "$who: it is exported" equals "$RC" 0
    composer "bundle-$who" cache export --bundle "$out/all.bundle" --all
    check "$who: everything leaves as a bundle" equals "$RC" 0
    composer "hit-$who" build "$MINIMAL" -o "$out" --offline
    check "$who: a build takes it" hit
    check "$who: without a warning" eval '! says "$ERR" warning'
    check "$who: export and build are the same disk" cmp "$out/disk.raw" "$out/$ARTIFACT"
    composer "verify-$who" cache verify
    check "$who: every byte is found whole" equals "$RC" 0
    composer "import-$who" cache import "$out/disk.raw"
    check "$who: an import is refused" eval 'ended_with 1 && says "$ERR" "cannot be changed: its file system is read-only"'
    rm -f "$out/disk.raw" "$out/all.bundle"
}

SEALED=$STORE
STORE=$MEDIUM
mkdir -p "$PLACE/root"
reads_all root "$PLACE/root"
without_network composer miss build "$MINIMAL" -o "$PLACE/anew" --offline --rebuild
check "root: an image is built anew from the packages on the medium" equals "$RC" 0
check "root: it says once that nothing is kept" equals "$(grep -c 'the build keeps nothing' "$ERR")" 1
check "root: it is the same disk" cmp "$PLACE/anew/$ARTIFACT" "$PLACE/root/$ARTIFACT"
rm -rf "$PLACE/anew"

USER_OF_MEDIUM=composer-medium-$$
echo "$USER_OF_MEDIUM" >>"$SCRATCH/users"
check "an ordinary user can be made" useradd --create-home --home-dir "$PLACE/$USER_OF_MEDIUM" "$USER_OF_MEDIUM" || return
as_user "$USER_OF_MEDIUM" reads_all user "$PLACE/$USER_OF_MEDIUM"
umount "$MEDIUM"

# Not a medium, but another user's.
STORE=$SEALED
as_user "$USER_OF_MEDIUM" composer list-foreign cache list --json
check "user: another user's store is listed" equals "$(from_json "$OUT" images.#)" 1
as_user "$USER_OF_MEDIUM" composer import-foreign cache import "$PLACE/$USER_OF_MEDIUM/$ARTIFACT"
check "user: and not changed" eval 'ended_with 1 && says "$ERR" "cannot be changed: this user may not write to it"'
composer again cache seal
check "a sealed store is opened and sealed again" equals "$RC" 0
