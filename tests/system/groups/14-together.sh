# Builds at once, on one empty store: what several of them want is made by one, and the others wait for it.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
sed 's/hostname: .*/hostname: other/' "$MINIMAL" >"$PLACE/other.yml"
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" git >"$PLACE/large.yml"
installs() { says "$LOGS/$GROUP.$1.err" '^unpacking packages'; }
waits() { says "$LOGS/$GROUP.$1.err" '^waiting for another build'; }
# ends LABEL PID: waits for one of those that were started.
ends() {
    LABEL=$1 PID=$2 OUT=$LOGS/$GROUP.$1.out ERR=$LOGS/$GROUP.$1.err
    await "$LIMIT"
    ended_with 0
}

STORE=$PLACE/store
start a build "$MINIMAL" -o "$PLACE/a" --json
A=$PID
check "the first build installs packages" comes_to "$LIMIT" installs a
start b build "$MINIMAL" -o "$PLACE/b" --json
B=$PID
start c build "$PLACE/other.yml" -o "$PLACE/c" --json --timings
C=$PID
start d build "$PLACE/large.yml" -o "$PLACE/d" --json
D=$PID
check "the first build succeeds" ends a "$A"
check "the second, of the same spec, succeeds" ends b "$B"
check "it waited for the first, and says so" says "$ERR" "^process $A .*builds the same image at the moment" '^waiting for another build'
check "and copied the image" hit
check "the third, with another host name, succeeds" ends c "$C"
check "it waited for the packages of the first" says "$ERR" "^process $A .*installs the same packages at the moment"
check "and installed and fetched none" eval 'equals "$(from_json "$OUT" root.outcome)" hit && equals "$(fetched)" 0'
check "the wait is among its times" says "$ERR" '^waiting for another build +[0-9.]+ (s|min)'
check "the fourth, with a package more, succeeds" ends d "$D"
check "it waited for what it has in common with the first" says "$ERR" "^process $A .*installs some of the same packages at the moment"
check "and installed the rest" equals "$(from_json "$OUT" root.outcome)" base
for which in a b c; do
    check "image $which is whole" is_whole "$PLACE/$which/$ARTIFACT" "$PLACE/parts-$which"
done
check "both of one spec have the same image" cmp "$PLACE/a/$ARTIFACT" "$PLACE/b/$ARTIFACT"
composer list cache list --json
check "the store has three images" equals "$RC:$(from_json "$OUT" images.#)" 0:3
check "and no claim" is_empty "$(find "$STORE/leases" -name '*.claim')"
without_network composer third build "$MINIMAL" -o "$PLACE/e"
check "a build after them hits" hit
rm -rf "$PLACE"/[a-e] "$PLACE"/parts-*

# Nobody waits for a build that has died, and who waits can be stopped.
STORE=$PLACE/another
start dies build "$MINIMAL" -o "$PLACE/f"
DIES=$PID
check "a build installs packages" comes_to "$LIMIT" installs dies
start stops build "$MINIMAL" -o "$PLACE/g"
check "another one waits" comes_to 60 waits stops
kill -INT -- "-$PID"
await 5
check "Ctrl-C ends the wait within a second" eval 'equals "$RC" 130 && at_most "$ELAPSED" 1.3'
start goes_on build "$PLACE/other.yml" -o "$PLACE/h" --json
GOES_ON=$PID
check "a third one waits" comes_to 60 waits goes_on
start aside build "$PLACE/other.yml" -o "$PLACE/i" --no-root-cache --no-image-cache
ASIDE=$PID
kill -KILL -- "-$DIES"
LABEL=dies PID=$DIES
await 10
check "when the first is killed, the third goes on" ends goes_on "$GOES_ON"
check "and installs the packages itself" equals "$(from_json "$OUT" root.outcome)" installed
check "a build without these caches waits for nobody" eval 'ends aside "$ASIDE" && ! waits aside'
check "they make the same image" cmp "$PLACE/h/$ARTIFACT" "$PLACE/i/$ARTIFACT"
composer verify cache verify
check "and the store is whole" ended_with 0

# What two lack is fetched by one of them.
STORE=$PLACE/fetching
start x fetch "$MINIMAL" --json
X=$PID
start y fetch "$PLACE/large.yml" --json
Y=$PID
check "the first of two that fetch succeeds" ends x "$X"
BY_X=$(from_json "$OUT" specs.0.packages.fetched)
check "the second succeeds" ends y "$Y"
check "together they fetched each package once" equals "$((BY_X + $(from_json "$OUT" specs.0.packages.fetched)))" "$(from_json "$OUT" specs.0.packages.total)"
TOTAL=$(from_json "$OUT" specs.0.packages.total)
composer stats cache stats --json
check "which is how often one was not there" equals "$(from_json "$OUT" packages.misses)" "$TOTAL"
