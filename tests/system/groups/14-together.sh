# Two builds of one spec at once, on one empty store.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
STORE=$PLACE/store
start a build "$MINIMAL" -o "$PLACE/a"
A=$PID A_ERR=$ERR
start b build "$MINIMAL" -o "$PLACE/b"
await "$LIMIT"
check "the second build succeeds" equals "$RC" 0
PID=$A ERR=$A_ERR LABEL=a
await "$LIMIT"
check "the first build succeeds" equals "$RC" 0

for which in a b; do
    check "image $which is whole" is_whole "$PLACE/$which/$ARTIFACT" "$PLACE/parts-$which"
done
composer list cache list --json
check "the store has one image" equals "$RC:$(from_json "$OUT" images.#)" 0:1
without_network composer third build "$MINIMAL" -o "$PLACE/c"
check "a third build hits" hit
