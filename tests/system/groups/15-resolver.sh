# Our choice of packages is apt's, for at least ten sets.

[[ -n $(find /var/lib/apt/lists -name '*_Packages*' 2>/dev/null | head -n 1) ]] || refresh_lists >"$LOGS/lists"
# Runs cargo, which has its things in the caller's home.
STATUS=0
HOME=$CALLER_HOME "$HERE/resolver.sh" >"$PLACE/out" 2>&1 </dev/null || STATUS=$?
mapfile -t SETS < <(grep -oE '^[^ :]+: .*, [0-9]+ differences$' "$PLACE/out")
for set in "${SETS[@]}"; do
    check "${set%%:*}: no difference" equals "${set##*, }" "0 differences" || grep -A 20 -F "$set" "$PLACE/out"
done
check "all sets were compared" eval 'at_least "${#SETS[@]}" 10 && equals "$STATUS" 0' || tail -n 20 "$PLACE/out"

# Repositories of a spec with priorities: what each package is taken from is what apt takes, too.
STORE=$PLACE/store
PINS=$PLACE/pins
"$PYTHON" "$HERE/pins.py" make "$PINS" >"$LOGS/pins" 2>&1 || cat "$LOGS/pins"
# pinned LABEL PACKAGE…: the lock of the minimal spec with these packages.
pinned() {
    "$PYTHON" "$HERE/pins.py" spec "$PINS" "$MINIMAL" "${@:2}" >"$PLACE/$1.yml" && composer "$1" lock "$PLACE/$1.yml" --allow-untrusted
}
WANTED=(far-above above equal same default hundred below last never needs-virtual needs-alternative)
pinned pins "${WANTED[@]/#/pins-}"
awk '$1 == "package" && $2 ~ /^pins-/ { print $2, $3 }' "$PLACE/pins.yml.lock" | LC_ALL=C sort >"$PLACE/pins.ours"
"$PYTHON" "$HERE/pins.py" apt "$PINS" "${WANTED[@]/#/pins-}" | LC_ALL=C sort >"$PLACE/pins.apt"
check "of repositories with priorities apt takes the same" eval 'at_least "$(wc -l <"$PLACE/pins.apt")" 12 && diff "$PLACE/pins.ours" "$PLACE/pins.apt"'
pinned nowhere pins-nowhere
check "neither takes what only a negative priority has" eval 'ended_with 2 && says "$ERR" pins-nowhere && ! "$PYTHON" "$HERE/pins.py" apt "$PINS" pins-nowhere'
pinned lower pins-needs-lower
check "what only a lower priority can meet is taken from there, and told" eval 'ended_with 0 && says "$ERR" "warning: pins-needed=2.*p100\) is taken, and not pins-needed=1.*p1001\)"'
