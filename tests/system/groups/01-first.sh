# A spec becomes an image: as root, with an empty store.

store_of_one() {
    local hash
    composer list cache list --json
    ended_with 0 && equals "$(from_json "$OUT" images.#)" 1 || return
    hash=$(from_json "$OUT" images.0.spec_hash)
    composer info cache info "${hash:0:10}" --json
    ended_with 0 && equals "$(from_json "$OUT" spec_hash)" "$hash" && at_least "$(from_json "$OUT" packages.#)" 80
}

tables_for_people() {
    composer list-plain cache list
    ended_with 0 && says "$OUT" "${ARTIFACT%-*}" && never_says "$OUT" $'\x1b'
}

esp_starts() {
    mdir -b -/ -i "$(part_with "$PLACE/parts" vfat)" :: | tee "$PLACE/esp" | grep -qix '::/EFI/BOOT/BOOTX64.EFI' || { cat "$PLACE/esp"; return 1; }
}

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
IMAGE=$SEED/out/$ARTIFACT
STORE=$SEED/store

composer validate validate "$MINIMAL" --json
check "the spec is valid, as JSON says too" equals "$RC:$(from_json "$OUT" >/dev/null && echo json)" 0:json
check "a validation makes no store" test ! -e "$STORE"

seed || return
note "the first build took $ELAPSED s, the store holds $(du -sh --apparent-size "$STORE" | cut -f 1)"
check "the image is called <name>-<version>.raw and stands alone" holds_only "$SEED/out" "$ARTIFACT"
check "the closing line says how many packages were fetched, and that the image is kept" \
    says "$ERR" "^built ${ARTIFACT%-*} .*[^0-9]0 from the package cache.*image kept as [0-9a-f]+" '[1-9][0-9]+ fetched'
check "standard output has the path of the image, and nothing else" equals "$(<"$OUT")" "$IMAGE"
check "no terminal's control characters go to a file" never_says "$ERR" $'\x1b'
check "the image takes only the room it needs" is_sparse "$IMAGE"
check "sgdisk finds no fault" sgdisk_finds_nothing "$IMAGE"
check "the partitions can be cut out" cut_partitions "$IMAGE" "$PLACE/parts"
check "fsck.fat and e2fsck find no fault" filesystems_are_clean "$PLACE/parts"
check "the EFI partition has a default boot loader" esp_starts
check "cache list and cache info show the image and its packages" store_of_one
check "cache list shows people the image's name, and no control characters in a file" tables_for_people
composer log cache info "$(from_json "$LOGS/$GROUP.list.out" images.0.spec_hash)" --log
check "the log of the build is kept: phases, packages, and what their scripts said" \
    says "$OUT" 'fetching packages: [0-9.]+ MiB in' 'fetched dash=' '\| Setting up systemd' 'making the disk: '
check "no password and no hash of one is in it" never_says "$OUT" '\$[0-9a-z]+\$'
composer dir cache dir
check "cache dir prints the store's place" equals "$RC:$(<"$OUT")" "0:$STORE"
check "backup programs leave the store out" grep -q '^Signature: 8a477f597d28d172789f06886806bc55' "$STORE/CACHEDIR.TAG"
