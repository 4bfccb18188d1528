# A lock says which packages an image has, and builds them again.

copy_of_seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
cp "$MINIMAL" "$PLACE/edge.yml"

composer lock lock "$PLACE/edge.yml"
check "the lock is written" eval 'ended_with 0 && at_least "$(grep -c "^package " "$PLACE/edge.yml.lock")" 120'
check "each package has its reason" equals "$(grep -c "^package .* \(essential\|wanted\|needed-by [^ ]*\)\( (essential)\)\?$" "$PLACE/edge.yml.lock")" "$(grep -c "^package " "$PLACE/edge.yml.lock")"
without_network composer again lock "$PLACE/edge.yml" --offline --diff
check "nothing changes at once" eval 'ended_with 0 && is_empty "$(cat "$OUT")"'

without_network composer locked build "$PLACE/edge.yml" -o "$PLACE/locked" --locked --offline --json
check "it is built by the lock, from the store alone" eval 'ended_with 0 && equals "$(from_json "$OUT" image.outcome)" built'
check "the image is that of the same packages without a lock" cmp "$PLACE/locked/$ARTIFACT" "$SEED/out/$ARTIFACT"
without_network composer hit build "$PLACE/edge.yml" -o "$PLACE/hit" --locked --offline
check "the second time it is there" hit

# Without one package, and without any metadata: only its file is fetched.
GONE=$(awk '$1 == "package" && $2 == "procps" { print $2 "=" $3 }' "$PLACE/edge.yml.lock")
composer clean cache clean "$GONE"
check "a package is removed" equals "$RC" 0
without_network composer offline build "$PLACE/edge.yml" -o "$PLACE/off" --locked --offline --no-image-cache
check "what is nowhere is listed" eval 'ended_with 3 && says "$ERR" "procps="'
composer online build "$PLACE/edge.yml" -o "$PLACE/online" --locked --rebuild --json
check "with a network it is fetched by the lock" eval 'ended_with 0 && equals "$(fetched)" 1 && cmp "$PLACE/online/$ARTIFACT" "$SEED/out/$ARTIFACT"'

sed -i 's/^\(package procps [^ ]* [^ ]* [^ ]* \)......../\100000000/' "$PLACE/edge.yml.lock"
composer wrong build "$PLACE/edge.yml" -o "$PLACE/wrong" --locked --no-image-cache
check "a package that is not what the lock says is refused" eval '! ended_with 0 >/dev/null && says "$ERR" procps'
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" less >"$PLACE/edge.yml"
composer other build "$PLACE/edge.yml" -o "$PLACE/wrong" --locked
check "a lock of other packages is refused, with what it lacks" eval 'ended_with 2 && says "$ERR" "it lacks less" "image-composer lock "'
check "nothing was written" test ! -e "$PLACE/wrong/$ARTIFACT"
composer renewed lock "$PLACE/edge.yml"
check "and renewed, it has it" eval 'ended_with 0 && says "$OUT" "^\\+ less "'
