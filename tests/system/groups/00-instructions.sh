# What the inner parts cost, in instructions: a count that a busy machine does not change (benches/instructions).

# Beside the program that is tested, from the same libraries; what cargo says is for who looks at a failure.
build_counted() {
    (cd "$REPOSITORY" && HOME=$CALLER_HOME cargo build --release --locked --quiet --package instructions --message-format json) 2>"$LOGS/instructions.cargo" </dev/null |
        "$PYTHON" -c 'import json, sys; print(*(line["executable"] for line in map(json.loads, sys.stdin) if line.get("executable")), sep="\n")'
}

# Millions of instructions of WORK, all that a start takes included. One thread: others only spin while they wait.
instructions() {
    RAYON_NUM_THREADS=1 valgrind --tool=callgrind --callgrind-out-file=/dev/null "$COUNTED" "$1" "$PLACE/input" >"$PLACE/said" 2>&1
    sed -n 's/.*Collected : \([0-9]*\)[0-9]\{6\}$/\1/p' "$PLACE/said"
}

# At most 3 % more than the figure that is written down; what has become much less should be written down, too.
as_before() {
    local before now=$2
    before=$(awk -v work="$1" '$1 == work { print $2 }' "$REPOSITORY/benches/instructions/counts.txt")
    [[ $before && $now ]] && ((now * 100 <= before * 103 && now * 100 >= before * 80)) && return
    echo "$1: ${now:-no} million instructions, and ${before:-none} are written in benches/instructions/counts.txt; $(HOME=$CALLER_HOME rustc --version)"
    tail -n 5 "$PLACE/said"
    return 1
}

COUNTED=$(build_counted)
check "the counted work can be built" test -x "$COUNTED"
mkdir "$PLACE/input"
check "its input is made" "$COUNTED" prepare "$PLACE/input"
for work in index resolve unpack keep write-out; do
    check "$work takes as many instructions as before" as_before "$work" "$(instructions "$work")"
done
