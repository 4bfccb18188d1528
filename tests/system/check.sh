# Counting what holds and what does not: sourced by `run`.
#
# A group's checks append one line each to $RESULTS (`pass GROUP TEXT` or `fail GROUP TEXT`), so that groups can run in subshells.

# check TEXT COMMAND…: the promise TEXT holds if COMMAND succeeds. Quiet if so; else shows what COMMAND said and how image-composer ended.
check() {
    local text=$1 said status=0
    shift
    # In this shell, not in a subshell: what the command sets stays set.
    "$@" >"$LOGS/$GROUP.check" 2>&1 || status=$?
    said=$(<"$LOGS/$GROUP.check")
    if ((status == 0)); then
        printf 'pass %s %s\n' "$GROUP" "$text" >>"$RESULTS"
        return 0
    fi
    printf 'fail %s %s\n' "$GROUP" "$text" >>"$RESULTS"
    printf 'FAILED %s: %s\n    %s → %d\n' "$GROUP" "$text" "$*" "$status"
    [[ -z $said ]] || tail -n 25 <<<"$said" | cut -c 1-300 | sed 's/^/    | /'
    if [[ -s ${ERR:-} ]]; then
        printf '    %s ended with %s; its last lines:\n' "$LABEL" "$RC"
        tail -n 15 "$ERR" | cut -c 1-300 | sed 's/^/    > /'
    fi
    return 1
}

# A line for the reader that is neither.
note() {
    printf 'note   %s: %s\n' "$GROUP" "$*"
}

count() {
    grep -c "^$1 ${2:-}" "$RESULTS" || true
}

# The conditions that checks are made of.
equals() { [[ $1 == "$2" ]] || { printf 'expected: %s\ngot:      %s\n' "$2" "$1"; return 1; }; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a <= b) }' || { printf '%s is more than %s\n' "$1" "$2"; return 1; }; }
at_least() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a >= b) }' || { printf '%s is less than %s\n' "$1" "$2"; return 1; }; }
is_empty() { [[ -z $1 ]] || { printf 'expected nothing, got:\n%s\n' "$1"; return 1; }; }
# says FILE PATTERN…: every extended, case-insensitive pattern is in the file.
says() {
    local file=$1 pattern
    shift
    for pattern; do grep -qiE -e "$pattern" "$file" || { printf 'nothing says “%s”\n' "$pattern"; return 1; }; done
}
never_says() { ! grep -iE -e "$2" "$1"; }
holds_only() {
    local there
    there=$(cd "$1" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort)
    shift
    equals "$there" "$(printf '%s\n' "$@" | LC_ALL=C sort)"
}
