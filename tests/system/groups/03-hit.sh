# The second time it is there at once, without a network.

seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
FIRST=$SEED/out/$ARTIFACT

without_network composer again build "$MINIMAL" -o "$PLACE/out"
check "the same command succeeds without a network" equals "$RC" 0 || return
note "the second build took $ELAPSED s"
check "it takes less than 5 s" at_most "$ELAPSED" 5
check "the closing line says hit, and when the image was built" says "$ERR" 'image cache: hit' 'built'
check "the image is the same, byte for byte" cmp "$FIRST" "$PLACE/out/$ARTIFACT"
check "it is sparse again" is_sparse "$PLACE/out/$ARTIFACT"
check "nothing stands beside it" holds_only "$PLACE/out" "$ARTIFACT"

without_network composer json build "$MINIMAL" -o "$PLACE/out" --json
check "--json says the same, over the old output" equals "$RC:$(from_json "$OUT" image.outcome)" 0:hit

mkdir "$PLACE/elsewhere"
{ echo '# The same, elsewhere and with a comment.'; cat "$MINIMAL"; } >"$PLACE/elsewhere/other-name.yml"
without_network composer moved build "$PLACE/elsewhere/other-name.yml" -o "$PLACE/out-moved"
check "a comment and another place make no other image" says "$ERR" 'image cache: hit'
check "and it is the same image" cmp "$FIRST" "$PLACE/out-moved/$ARTIFACT"
