# A full disk: of the store, and of the output.

small_disk() { mkdir -p "$1" && mount -t tmpfs -o "size=$2,mode=755" tmpfs "$1"; }
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
DISK=$PLACE/disk
STORE=$DISK/store

check "a small file system can be made" small_disk "$DISK" 64M || return
# Too small for the packages: what is missing lies elsewhere.
composer beside build "$MINIMAL" -o "$PLACE/out" --json
check "a store without room for the packages: the image is built all the same" eval 'ended_with 0 && is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"'
check "a store without room for the packages: a warning says so" says "$ERR" 'no room in the store .* keeps nothing; .*cache (gc|clean)'
check "a store without room for the packages: JSON says so" equals "$(from_json "$OUT" image.kept)" false
check "a store without room for the packages: it can still be used" eval 'composer list cache verify --json && ended_with 0'
rm -rf "$PLACE/out" "$PLACE/parts"

# Too small for the root tree, which little memory forces there.
mount -o remount,size=192M "$DISK"
composer packages fetch "$MINIMAL"
with_little_memory composer tree build "$MINIMAL" -o "$PLACE/out"
check "a store without room for the tree: the build fails" equals "$RC" 1
check "a store without room for the tree: the error says that the disk is full" says "$ERR" 'no space left|disk is full' '^hint: .*(room|disk space)'
check "a store without room for the tree: no output is left" eval '[[ ! -d $PLACE/out ]] || holds_only "$PLACE/out"'
composer list cache list --json
check "a store without room for the tree: it can still be used" equals "$RC" 0
check "a store without room for the tree: what was staged is gone" is_empty "$(find "$STORE/tmp" -mindepth 1)"
# With memory for the root tree, the same size lacks the room for the image alone.
composer unkept build "$MINIMAL" -o "$PLACE/out" --json
check "a store without room for the image: it is built all the same" eval 'ended_with 0 && is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"'
check "a store without room for the image: a warning says why it is not kept" says "$ERR" 'not kept.* lacks about [0-9.]+ MiB.*no space left.*; .*cache (gc|clean)' "$DISK"
check "a store without room for the image: JSON says so" equals "$(from_json "$OUT" image.kept)" false

mount -o remount,size=4G "$DISK"
composer room build "$MINIMAL" -o "$PLACE/out" --json
check "with room, the next run finishes" equals "$RC" 0
check "and fetches nothing again" equals "$(fetched)" 0

check "a small file system can be made for the output" small_disk "$PLACE/small" 24M || return
for case in hit built; do
    options=()
    [[ $case == hit ]] || options=(--no-image-cache --offline)
    composer "output-$case" build "$MINIMAL" -o "$PLACE/small" "${options[@]}"
    check "an output that is full ($case): the build fails" equals "$RC" 1
    check "an output that is full ($case): the error says so, and where" says "$ERR" 'no space left|disk is full|not enough space' "$PLACE/small"
    check "an output that is full ($case): nothing is left there" holds_only "$PLACE/small"
done
composer after build "$MINIMAL" -o "$PLACE/out"
check "the store is unharmed" hit
