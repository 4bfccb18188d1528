# Bytes of the store that turn bad are found, reported, and replaced; the build goes on.

copy_of_seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)

# Flips one bit in the middle of a file.
flip() {
    "$PYTHON" - "$1" <<'END'
import os, sys
with open(sys.argv[1], "r+b") as file:
    file.seek(os.path.getsize(sys.argv[1]) // 2)
    byte = file.read(1)[0]
    file.seek(-1, os.SEEK_CUR)
    file.write(bytes([byte ^ 1]))
END
}

# The kernel, which is the largest package: the largest blobs are it and the indexes of the repositories.
KERNEL=$(for blob in "$STORE"/blobs/*/*.zst; do
    { zstd -dcq "$blob" 2>/dev/null || true; } | head -c 400 | grep -aq debian-binary && stat -c '%s %n' "$blob"
done | sort -rn | head -n 1 | cut -d ' ' -f 2)
check "the kernel's package lies in the store" test -s "$KERNEL" || return
flip "$KERNEL"
without_network composer offline build "$MINIMAL" -o "$PLACE/out" --offline --rebuild
check "offline, a damaged package counts as missing" equals "$RC" 3
check "it is named" says "$ERR" 'damaged' 'linux-image-.*cloud'
check "no output was made" test ! -e "$PLACE/out/$ARTIFACT"

composer online build "$MINIMAL" -o "$PLACE/out" --rebuild --json
check "online it is fetched again, and the build goes on" equals "$RC" 0 || return
check "only that package was fetched" equals "$(fetched)" 1
check "the image is the same as before" cmp "$PLACE/out/$ARTIFACT" "$SEED/out/$ARTIFACT"

# While a build unpacks it: the damage is not yet known when the packages are gathered.
flip "$KERNEL"
composer midway build "$MINIMAL" -o "$PLACE/out" --rebuild --json
check "a package that turns out damaged in the middle is fetched again" equals "$RC" 0 || return
check "it is counted as fetched" equals "$(fetched)" 1
check "the damage is reported" says "$ERR" 'warning: .*damaged'

for pack in "$STORE"/packs/*; do flip "$pack"; done
composer image build "$MINIMAL" -o "$PLACE/out" --json
check "a damaged image is built again" equals "$RC:$(from_json "$OUT" image.because)" 0:damaged
check "with the same result" cmp "$PLACE/out/$ARTIFACT" "$SEED/out/$ARTIFACT"
without_network composer mended build "$MINIMAL" -o "$PLACE/out"
check "the next time it is a hit again" hit
