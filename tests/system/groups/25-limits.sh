# Caches keep to their limits after every build, and nothing that is pinned or in use goes.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" less >"$PLACE/second.yml"
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" nano >"$PLACE/third.yml"

id_of() { composer "id" validate "$1" --json >/dev/null; from_json "$OUT" specs.0.spec_hash; }
kept() { composer "kept" cache list --json; from_json "$OUT" 'images.*.spec_hash' | LC_ALL=C sort | paste -sd ' '; }
sorted() { printf '%s\n' "$@" | LC_ALL=C sort | paste -sd ' '; }
bytes_in() { du --summarize --apparent-size --block-size=1 "$1" | cut -f 1; }

# Two images may stay, and there are three specs.
copy_of_seed || return
FIRST=$(id_of "$MINIMAL") SECOND=$(id_of "$PLACE/second.yml") THIRD=$(id_of "$PLACE/third.yml")
cat >"$PLACE/two.yaml" <<'Y'
storage:
  image_cache:
    max_count: 2
Y
composer second build "$PLACE/second.yml" -o "$PLACE/second" --config "$PLACE/two.yaml" --json
check "two images stay where two may" eval 'ended_with 0 && equals "$(from_json "$OUT" collection)" null'
check "both are listed" equals "$(kept)" "$(sorted "$FIRST" "$SECOND")"
without_network composer used build "$MINIMAL" -o "$PLACE/used" --config "$PLACE/two.yaml"
check "the older one is used again" hit
composer third build "$PLACE/third.yml" -o "$PLACE/third" --config "$PLACE/two.yaml" --json
check "with the third, one image goes" eval 'ended_with 0 && equals "$(from_json "$OUT" collection.images)" 1'
check "and it is said" says "$ERR" '^limits: removed 1 image, [0-9.]+ [KM]iB$'
note "$(grep '^limits: ' "$ERR")"
check "it is the one that was not used for longest" equals "$(kept)" "$(sorted "$FIRST" "$THIRD")"
for which in first third; do
    spec=$MINIMAL original=$SEED/out
    [[ $which == first ]] || spec=$PLACE/third.yml original=$PLACE/third
    without_network composer "again-$which" build "$spec" -o "$PLACE/again"
    check "the $which image is still served" hit
    check "the $which image is the same to the last byte" cmp "$PLACE/again/$ARTIFACT" "$original/$ARTIFACT"
    rm -rf "$PLACE/again"
done
rm -rf "$PLACE/second" "$PLACE/used" "$PLACE/third"

# By hand; what is pinned stays.
composer pin cache pin "$FIRST" libc6
check "an image and a package are pinned" eval 'ended_with 0 && says "$ERR" "^pinned ${FIRST:0:12}, " "^pinned libc6="'
composer dry cache gc --max-size 0 --max-images 0 --dry-run --json
check "a dry run shows what would go" eval 'ended_with 0 && equals "$(from_json "$OUT" done)" null && at_least "$(from_json "$OUT" entries.#)" 100'
check "and removes nothing" equals "$(kept)" "$(sorted "$FIRST" "$THIRD")"
composer by-hand cache gc --max-size 0 --max-images 0
check "all goes but what is pinned" eval 'ended_with 0 && equals "$(kept)" "$FIRST"'
check "and that is said" says "$LOGS/$GROUP.by-hand.err" '^removed [0-9]+ packages, [0-9]+ metadata files, 1 image and [0-9]+ roots: ' '^2 pinned stayed$'
composer du cache du --json
check "one package is left" equals "$(from_json "$OUT" packages.count)" 1
check "the room that is told is the room that is taken" equals \
    "$(($(from_json "$OUT" packages.on_disk) + $(from_json "$OUT" metadata.on_disk) + $(from_json "$OUT" names.on_disk) + $(from_json "$OUT" images.on_disk)))" \
    "$(find "$STORE/blobs" "$STORE/packs" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')"
check "nothing of the image that is left is unused" at_most "$(from_json "$OUT" images.unused)" $(($(from_json "$OUT" images.on_disk) / 2))
without_network composer pinned build "$MINIMAL" -o "$PLACE/pinned"
check "the pinned image is served" hit
check "and is the same to the last byte" cmp "$PLACE/pinned/$ARTIFACT" "$SEED/out/$ARTIFACT"
composer stats cache stats --json
check "hits and misses were counted" eval 'at_least "$(from_json "$OUT" images.hits)" 4 && at_least "$(from_json "$OUT" images.misses)" 3 && at_least "$(from_json "$OUT" roots.hits)" 1'
rm -rf "$PLACE/pinned" "$STORE"

# A package cache that has less room than one build needs.
LARGEST=$(find "$SEED/store/blobs" -type f -printf '%s\n' | sort -n | tail -n 1)
STORE=$PLACE/small
cat >"$PLACE/small.yaml" <<'Y'
storage:
  package_cache:
    max_size_gb: 0.05
Y
for spec in "$MINIMAL" "$PLACE/second.yml"; do
    name=$(basename "$spec" .yml)
    composer "small-$name" build "$spec" -o "$PLACE/out" --no-image-cache --config "$PLACE/small.yaml" --json
    check "$name is built although its packages are over the limit" eval 'ended_with 0 && is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"'
    check "after $name the packages are within it" at_most "$(bytes_in "$STORE/blobs")" 50000000
    # Nine tenths, less the last that went: at most the largest of all.
    check "after $name no more went than had to" at_least "$(bytes_in "$STORE/blobs")" $((45000000 - LARGEST))
    note "after $name: $(bytes_in "$STORE/blobs") bytes, $(present) packages were there, $(fetched) fetched"
    rm -rf "$PLACE/parts" "$PLACE/out"
done

# Old packages: 30 days, unless the configuration says otherwise.
copy_of_seed || return
later() { local WRAP=("${WRAP[@]}" faketime -f "+$1d"); shift; "$@"; }
PACKAGES=$(blobs)
later 29 composer month cache gc --json
check "after 29 days nothing is old" eval 'ended_with 0 && equals "$(from_json "$OUT" entries.#)" 0'
later 31 composer old cache gc --json
check "after 31 days all packages are" eval 'ended_with 0 && at_least "$(from_json "$OUT" entries.#)" 100 && equals "$(from_json "$OUT" entries.0.because)" age'
check "they are gone" at_most "$(blobs)" $((PACKAGES - 100))
check "an image has no age, unless the configuration says so" equals "$(kept)" "$FIRST"
IMAGE_COMPOSER_STORAGE_IMAGE_CACHE_RETENTION_DAYS=7 later 8 composer old-image cache gc
check "with one of 7 days it goes on the 8th" eval 'ended_with 0 && is_empty "$(kept)"'
check "and nothing is left of it" is_empty "$(find "$STORE/packs" "$STORE/blobs" -type f)"
rm -rf "$STORE"

# collect_until_end NAME: collects everything, over and over, as long as the process $PID runs.
collect_until_end() {
    local pid=$PID out=$OUT err=$ERR
    COLLECTIONS=0 FAILED_COLLECTIONS=0
    while running "$pid"; do
        composer "$1-collect" cache gc --max-size 0 --max-images 0 --max-age 0s
        COLLECTIONS=$((COLLECTIONS + 1))
        ((RC == 0)) || FAILED_COLLECTIONS=$((FAILED_COLLECTIONS + 1))
    done
    LABEL=$1 PID=$pid OUT=$out ERR=$err
    await 1
}

# A build under way, and collections of everything beside it: online from the first moment, offline from when it has begun to use its packages.
for way in online offline; do
    copy_of_seed || return
    if [[ $way == online ]]; then
        start online build "$PLACE/second.yml" -o "$PLACE/out"
    else
        start offline build "$MINIMAL" -o "$PLACE/out" --no-image-cache --no-root-cache --offline
        check "offline: the build comes to its packages" comes_to "$LIMIT" says "$ERR" 'unpacking packages'
    fi
    collect_until_end "$way"
    check "$way: the build beside collections succeeds" equals "$RC" 0
    check "$way: its image is whole" is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"
    check "$way: the collections succeed" equals "$FAILED_COLLECTIONS" 0
    check "$way: there were some" at_least "$COLLECTIONS" 5
    note "$way: $COLLECTIONS collections beside the build"
    composer "$way-rest" cache gc --max-size 0 --max-images 0
    check "$way: when it is done, nothing stays" eval 'ended_with 0 && is_empty "$(find "$STORE/packs" "$STORE/blobs" -type f)"'
    rm -rf "$PLACE/out" "$PLACE/parts" "$STORE"
done
