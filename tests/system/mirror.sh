# A misbehaving mirror in front of the host's own: sourced by `run`. One at a time in a group.

MIRROR_PID=

# start_mirror FAULT…: faults as mirror.py has them. $MIRROR are the options that send image-composer there, $MIRROR_LOG what was asked.
start_mirror() {
    local port_file=$PLACE/mirror.port main security options=() fault
    stop_mirror
    main=$("$HERE/sources.sh" bookworm) && security=$("$HERE/sources.sh" bookworm-security) || return
    for fault; do options+=(--fault "$fault"); done
    rm -f "$port_file"
    MIRROR_LOG=$LOGS/$GROUP.mirror
    : >"$MIRROR_LOG"
    # Without our scratch directory in its environment: it is none of the processes that image-composer may leave.
    env -u HOME -u TMPDIR setpriv --pdeathsig TERM -- "$PYTHON" "$HERE/mirror.py" --route "/debian=$main" --route "/debian-security=$security" \
        "${options[@]}" --port-file "$port_file" --log "$MIRROR_LOG" >"$LOGS/$GROUP.mirror.err" 2>&1 </dev/null &
    MIRROR_PID=$!
    within 10 test -e "$port_file" || { cat "$LOGS/$GROUP.mirror.err"; return 1; }
    MIRROR=(--mirror "debian=http://127.0.0.1:$(<"$port_file")/debian" --mirror "debian-security=http://127.0.0.1:$(<"$port_file")/debian-security")
}

stop_mirror() {
    [[ -z $MIRROR_PID ]] || { kill "$MIRROR_PID" && wait "$MIRROR_PID"; } 2>/dev/null
    MIRROR_PID=
}

# How many requests for a path with that pattern were answered with a body.
asked_for() { grep -cE "\"path\": \"[^\"]*$1[^\"]*\".*\"sent\": [1-9]" "$MIRROR_LOG" || true; }
