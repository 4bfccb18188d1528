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
