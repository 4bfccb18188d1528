# Packages that a second build installs are kept decompressed: the third one reads these, and makes the same image.

copy_of_seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)

SPEC=$MINIMAL
# install LABEL OPTION…: builds with all packages installed, and looks at nothing that was kept but packages.
install() {
    rm -rf "$PLACE/out"
    without_network composer "$1" build "$SPEC" -o "$PLACE/out" --offline --no-image-cache --no-root-cache --log-file "$PLACE/$1.log" "${@:2}"
    ended_with 0 && cmp "$PLACE/out/$ARTIFACT" "$SEED/out/$ARTIFACT"
}
kept() { grep -c 'keeps .* decompressed' "$PLACE/$1.log" || true; }
use_of() {
    composer du cache du --json
    from_json "$OUT" "$1"
}
# The largest blob that begins as a package ($1: debian-binary), or as a decompressed one (ICDEB).
largest() {
    for blob in "$STORE"/blobs/*/*.zst; do
        { zstd -dcq "$blob" 2>/dev/null || true; } | head -c 40 | grep -aq "$1" && stat -c '%s %n' "$blob"
    done | sort -rn | head -n 1 | cut -d ' ' -f 2
}
# Replaces bytes in the middle of a file.
spoil() { printf spoiled | dd of="$1" bs=1 seek=$(($(stat -c %s "$1") / 2)) conv=notrunc status=none; }

check "the first build kept none" equals "$(use_of plain.count)" 0
check "where the limit has no room for it, the second build keeps none" \
    eval 'IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_MAX_SIZE_GB=0.15 install narrow && equals "$(kept narrow)" 0 && equals "$(use_of plain.count)" 0'
METADATA=$(use_of metadata.on_disk)
check "elsewhere it keeps some, and makes the same image" install second
KEPT=$(kept second)
note "$KEPT packages take $(($(use_of packages.on_disk) >> 20)) MiB and, decompressed, $(($(use_of plain.on_disk) >> 20)) MiB"
check "these are most of what there is, by size" at_least "$KEPT" 40
check "they are listed as what they are" eval 'equals "$(use_of plain.count)" "$KEPT" && equals "$(use_of metadata.on_disk)" "$METADATA"'
check "they take less than twice what packages take" at_most "$(use_of plain.on_disk)" $(($(use_of packages.on_disk) * 2))

# Nothing reads the package itself any more.
PACKAGE=$(largest debian-binary)
check "the kernel, which is the largest, is among them" says "$PLACE/second.log" 'keeps linux-image-.* decompressed'
cp "$PACKAGE" "$PLACE/package"
spoil "$PACKAGE"
check "the third build takes these, and makes the same image" eval 'install third && ! says "$ERR" damaged'
check "it keeps none anew" eval 'equals "$(kept third)" 0 && equals "$(use_of plain.count)" "$KEPT"'
cp "$PLACE/package" "$PACKAGE"

PLAIN=$(largest ICDEB)
spoil "$PLAIN"
check "where one is damaged the package itself serves" install damaged
check "the damage is reported" says "$ERR" 'warning: .*damaged'
check "and none is kept while it is not known what else is damaged" equals "$(kept damaged)" 0
# By a lock, whose packages are all gathered before.
SPEC=$PLACE/edge.yml
cp "$MINIMAL" "$SPEC"
composer lock lock "$SPEC"
check "the next build, by a lock, keeps it anew" eval 'ended_with 0 && install again --locked && equals "$(kept again)" 1'
composer verify cache verify
check "then the store is whole" ended_with 0

composer index cache rebuild-index
check "an index that is made again knows them" eval 'ended_with 0 && equals "$(use_of plain.count)" "$KEPT"'
composer removed cache clean libc6 --verbose
check "one goes with its package" eval 'ended_with 0 && says "$OUT" "^packages.*libc6" "^plain.*libc6" && equals "$(use_of plain.count)" $((KEPT - 1))'
composer small cache gc --max-size 110MB --json
check "where room is short they go first" eval 'ended_with 0 && at_most "$(use_of plain.on_disk)" 20000000 && at_least "$(use_of packages.count)" 100'
composer clean cache clean --packages
check "and all with all packages" eval 'ended_with 0 && equals "$(use_of plain.count)" 0 && at_least "$(use_of metadata.count)" 4'
