# Specs that are wrong: where, what, and the way out; quickly; before anything is fetched.

STORE=$PLACE/empty
SPEC=$PLACE/spec.yml

# wrong LABEL TEXT CODE PATTERN…: validating (and building) $SPEC without a network fails with the code and says the patterns.
wrong() {
    local label=$1 text=$2 code=$3
    shift 3
    without_network composer "$label" build "$SPEC" -o "$PLACE/out"
    check "$text: the exit code" ended_with "$code"
    check "$text: what is said" says "$ERR" "$@"
    check "$text: it is quick" at_most "$ELAPSED" 3
    composer "$label-validate" validate "$SPEC"
    check "$text: validate finds it too" ended_with "$code"
}

LINES_OF_MINIMAL=$(wc -l <"$MINIMAL")
sed 's/^systemConfig:/systemConfig:\n  pakages:\n    - less/' "$MINIMAL" >"$SPEC"
AT=$(grep -n pakages "$SPEC" | cut -d : -f 1)
wrong key "an unknown key" 2 "spec\.yml:$AT:3" pakages packages
cat "$MINIMAL" - >"$SPEC" <<<$'bulid:\n  cache: {}\ntarget2: 3'
wrong two "two errors" 2 "spec\.yml:$((LINES_OF_MINIMAL + 1)):1" "spec\.yml:$((LINES_OF_MINIMAL + 3)):1" bulid target2
cat "$MINIMAL" - >"$SPEC" <<<$'image:\n  name: again\n  version: "1"'
wrong duplicate "a key that is there twice" 2 "spec\.yml:$((LINES_OF_MINIMAL + 1)):1" image
cat "$MINIMAL" - >"$SPEC" <<<$'build:\n\tcache: {}'
wrong tab "a tab" 2 "spec\.yml:$((LINES_OF_MINIMAL + 2)):" tab
echo 'a0: &a0 [x, x, x, x, x, x, x, x, x, x]' >"$SPEC"
for i in {1..12}; do printf 'a%d: &a%d [%s]\n' "$i" "$i" "$(printf "*a$((i - 1)), %.0s" {1..9})"; done >>"$SPEC"
wrong bomb "a YAML bomb" 2 'spec\.yml'
{ cat "$MINIMAL"; head -c 100000000 /dev/zero | tr '\0' '#'; } >"$SPEC"
wrong huge "a spec of 100 MB" 2 'spec\.yml'
head -c 65536 /dev/urandom >"$SPEC"
wrong binary "a spec that is no text" 2 'spec\.yml'
: >"$SPEC"
wrong empty "an empty spec" 2 'spec\.yml'
sed -E 's/^( *)dist:.*/\1dist: debian21/' "$MINIMAL" >"$SPEC"
wrong dist "an unknown distribution" 2 debian21 debian12
rm "$SPEC"
wrong missing "a spec that is not there" '2|3' 'spec\.yml' 'no such file|not found'
check "none of them made a store" test ! -e "$STORE"

composer option build "$MINIMAL" --no-such-option
check "an unknown option is a usage error" equals "$RC" 2
composer command bulid "$MINIMAL"
check "an unknown command is a usage error, with the nearest one" eval 'equals "$RC" 2 && says "$ERR" build'

# What only the repository knows.
copy_of_seed || return
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" opensh-server >"$SPEC"
without_network composer unknown build "$SPEC" -o "$PLACE/out" --offline
check "a package that is not there: the exit code" ended_with '2|3'
check "a package that is not there: its name, and the nearest one" says "$ERR" opensh-server openssh-server
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" exim4-daemon-light >"$PLACE/one.yml"
"$PYTHON" "$HERE/spec.py" with-package "$PLACE/one.yml" postfix >"$SPEC"
without_network composer conflict build "$SPEC" -o "$PLACE/out" --offline
check "packages that exclude each other: the build fails" ended_with '1|2|3'
check "packages that exclude each other: both are named" says "$ERR" exim4-daemon-light postfix
check "no output was made" eval '[[ ! -d $PLACE/out ]] || holds_only "$PLACE/out"'
