# The tree's own code gets nothing of the host: as root, where the numbers of users are the host's own, and as an ordinary user.

export SECRET=of-the-host
VICTIM=$PLACE/victim
mkdir -m 750 "$VICTIM"
install -m 644 "$HERE/attack" "$PLACE/attack"
echo 'of the host' >"$PLACE/open"
SPEC=$PLACE/spec.yml
sed "s#^systemConfig:#&\n  additionalFiles:\n    - local: $PLACE/attack\n      final: /attack\n  configurations:\n    - cmd: sh /attack $VICTIM#" "$MINIMAL" >"$SPEC"
ATTACKER=composer-attacked-$$
echo "$ATTACKER" >>"$SCRATCH/users"
check "the test's user can be made" useradd --create-home --home-dir "$PLACE/$ATTACKER" --shell /bin/bash "$ATTACKER" || return

# attacked TEXT COMMAND…: the build reaches the end of the attack, which got nothing.
attacked() {
    local text=$1
    shift
    "$@" build "$SPEC" -o "$(dirname "$STORE")/out" 7<"$PLACE/open"
    # The links that it leaves lead out of the image, so the build fails after it.
    check "$text: the attack got nothing" never_says "$ERR" 'OPEN:|of configurations failed'
    check "$text: the build does not follow its links" says "$ERR" 'cannot (empty|set the mode of) /(tmp|root)'
    check "$text: the host's folder has its mode" equals "$(stat -c %a "$VICTIM")" 750
    check "$text: nothing that it started is left" eval '! pgrep -f "sleep 9876[5]"'
}

STORE=$PLACE/store
attacked "as root" composer root
STORE=$PLACE/$ATTACKER/store
attacked "as an ordinary user" as_user "$ATTACKER" composer user
