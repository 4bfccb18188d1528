# A cache that is switched off is neither read nor written.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)

# What is in the store: the files with size and time, but for those that every command may write on opening it.
store_files() {
    find "$STORE" -type f ! -name 'index.redb*' ! -path '*/leases/*' ! -name writer -printf '%P %s %T@\n' | LC_ALL=C sort
}
images() {
    composer "list-$1" cache list --json
    from_json "$OUT" images
}

# both_off LABEL TEXT ARGS…: a build that must not touch the caches, with a store where both would hit.
both_off() {
    local label=$1 text=$2 files entries
    shift 2
    files=$(store_files) entries=$(images "$label-before")
    composer "$label" build "$@" -o "$PLACE/out-$label" --json
    check "$text: the image is built" equals "$RC" 0 || return
    check "$text: no image was taken from the cache" equals "$(from_json "$OUT" image.because)" cache_off
    check "$text: no package was taken from the cache" equals "$(present)" 0
    check "$text: no file of the store changed" equals "$(store_files)" "$files"
    check "$text: no image's entry changed, its time of last use neither" equals "$(images "$label-after")" "$entries"
    check "$text: nothing is left in the temporary directory" is_empty "$(ls -A "$TMPDIR")"
    rm -rf "$PLACE/out-$label"
}

copy_of_seed || return
both_off flag "--no-cache" "$MINIMAL" --no-cache

"$PYTHON" "$HERE/spec.py" with-cache "$MINIMAL" false false >"$PLACE/off.yml"
both_off spec "build.cache" "$PLACE/off.yml"

cat >"$PLACE/config.yaml" <<'Y'
storage:
  package_cache:
    enabled: false
  image_cache:
    enabled: false
Y
both_off config "storage.*.enabled" "$MINIMAL" --config "$PLACE/config.yaml"

# One off, the other on. (--no-image-cache: see the group “offline”.)
BLOBS=$(blobs)
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" less >"$PLACE/more.yml"
composer package build "$PLACE/more.yml" -o "$PLACE/out" --no-package-cache --json
check "--no-package-cache: the image is built" equals "$RC" 0
check "--no-package-cache: all packages were fetched" eval 'equals "$(present)" 0 && at_least "$(fetched)" 80'
check "--no-package-cache: nothing was added but the image's record, manifest, lock and spec" at_most "$(blobs)" $((BLOBS + 4))
without_network composer package-again build "$PLACE/more.yml" -o "$PLACE/out" --no-package-cache --json
check "--no-package-cache: the image was kept, and hits" equals "$RC:$(from_json "$OUT" image.outcome)" 0:hit

# The cache does not change what is built: the spec hash is the same with the caches off, so switching them on again hits.
"$PYTHON" "$HERE/spec.py" with-cache "$MINIMAL" true true >"$PLACE/on.yml"
without_network composer on build "$PLACE/on.yml" -o "$PLACE/out" --json
check "build.cache is no part of the spec hash" equals "$RC:$(from_json "$OUT" image.outcome)" 0:hit

STORE=$PLACE/empty
composer empty cache list --json
check "looking into a store that is not there succeeds" equals "$RC:$(from_json "$OUT" images.#)" 0:0
check "and does not make it" test ! -e "$STORE/index.redb"
