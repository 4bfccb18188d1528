# A store that was filled online builds without a network.

copy_of_seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)

without_network composer rebuilt build "$MINIMAL" -o "$PLACE/out" --offline --no-image-cache --no-root-cache
check "without image and root cache, an image is built from the store alone" equals "$RC" 0 || return
note "the build from the store took $ELAPSED s"
check "the closing line says that the image cache was off" says "$ERR" 'the image cache is off'
check "it has the size of the first" equals "$(stat -c %s "$PLACE/out/$ARTIFACT")" "$(stat -c %s "$SEED/out/$ARTIFACT")"
check "its table and file systems are without fault" is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"
composer list cache list --json
check "the image cache was not written" equals "$(from_json "$OUT" images.#)" 1

without_network composer no-flag build "$MINIMAL" -o "$PLACE/none" --no-image-cache
check "without a network and without --offline, an error names the repository" eval 'ended_with "1|3" && says "$ERR" InRelease'
check "and says how to go on" says "$ERR" '--offline'

STORE=$PLACE/empty
without_network composer empty build "$MINIMAL" -o "$PLACE/none" --offline
check "offline with an empty store, the exit code is 3" equals "$RC" 3
check "the error says what is missing and how to get it" says "$ERR" 'image-composer (fetch|build) ' 'bookworm'
check "nothing was written to the output" test ! -e "$PLACE/none/$ARTIFACT"
