# One more package: the image misses, the package cache hits for all but the new packages. (What a kept root saves of that is the matter of `roots`.)

copy_of_seed || return
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" curl >"$PLACE/more.yml"

# The packages of the newest image in the store.
names() {
    composer "list-$1" cache list --json
    composer "info-$1" cache info "$(from_json "$OUT" images.0.spec_hash)" --json
    from_json "$OUT" 'packages.*.name' | LC_ALL=C sort -u
}

all_are_named() {
    local name
    for name in $NEW; do grep -qE "(^|[^a-z0-9.+-])$name([^a-z0-9.+-]|$)" "$1" || { echo "$name is not named"; return 1; }; done
}

BEFORE=$(names before)
without_network composer offline build "$PLACE/more.yml" -o "$PLACE/out" --offline
OFFLINE=$ERR
check "offline, with packages missing, the exit code is 3" equals "$RC" 3
check "the way out is a command that fetches them" says "$ERR" 'image-composer (fetch|build) '
check "no output was made" test ! -e "$PLACE/out/$("$PYTHON" "$HERE/spec.py" artifact "$PLACE/more.yml" raw)"

composer more build "$PLACE/more.yml" -o "$PLACE/out" --json --no-root-cache
check "online the image is built" equals "$RC" 0 || return
FETCHED=$(fetched) REUSED=$(present)
check "the image cache missed" equals "$(from_json "$OUT" image.outcome):$(from_json "$OUT" image.because)" built:not_there
check "and says in what this spec is another" says "$ERR" '^image cache: no hit; [0-9a-f]+, built .*, has another systemConfig.packages: \+ curl$'
check "all packages of the first image were there" at_least "$REUSED" "$(wc -l <<<"$BEFORE")"
check "the closing line has both numbers" says "$ERR" "[^0-9]$FETCHED fetched.*[^0-9]$REUSED from the package cache"

NEW=$(comm -13 <(echo "$BEFORE") <(names after))
note "curl brought $FETCHED packages, $REUSED were there"
check "only the new packages were fetched" equals "$FETCHED" "$(wc -w <<<"$NEW")"
check "there was more than one" at_least "$FETCHED" 2
check "the offline error had named every one of them" all_are_named "$OFFLINE"
composer stats cache stats --json
check "what was there counts as hits" at_least "$(from_json "$OUT" packages.hits)" "$REUSED"
composer list cache list --json
check "there are two images now" equals "$(from_json "$OUT" images.#)" 2
note "the second image made the store $(du -sm --apparent-size "$SEED/store" | cut -f 1) → $(du -sm --apparent-size "$STORE" | cut -f 1) MiB"
# Without the packages that are kept decompressed from the second time on.
check "a second, similar image takes a fraction of the first" \
    at_most "$(du -sm "$STORE/packs" | cut -f 1)" "$(($(du -sm "$SEED/store/packs" | cut -f 1) * 14 / 10))"
