# Running image-composer: sourced by `run`.
#
# $STORE is the store, $BIN the program. What stands around a run is said by the words before `composer`, and they can be combined:
#
#     without_network as_user somebody composer offline build "$spec" -o "$out" --offline
#
# Afterwards $RC, $ELAPSED (seconds), $OUT and $ERR (files) say how it went.

WRAP=()
LIMIT=400

composer() {
    LABEL=$1
    shift
    OUT=$LOGS/$GROUP.$LABEL.out
    ERR=$LOGS/$GROUP.$LABEL.err
    RC=0
    local begin=$EPOCHREALTIME
    "${WRAP[@]}" env IMAGE_COMPOSER_STORE="$STORE" \
        timeout --kill-after=10 "$LIMIT" "$BIN" "$@" </dev/null >"$OUT" 2>"$ERR" || RC=$?
    ELAPSED=$(seconds_since "$begin")
    no_panic
}

seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'; }

# Whatever else goes wrong.
no_panic() { ! grep -q 'panicked at' "$ERR" || check "$LABEL does not panic" false; }

# Conditions on how the last one went.
ended_with() { grep -qxE "$1" <<<"$RC" || { echo "exit code $RC instead of $1"; return 1; }; }
hit() { ended_with 0 && says "$ERR" 'image cache: hit'; }

# The packages that the build with --json fetched, and that it took from the cache.
fetched() { from_json "$OUT" packages.fetched; }
present() { from_json "$OUT" packages.present; }

# How many whole blobs the store has: packages, and a few of metadata.
blobs() { find "$STORE/blobs" -name '*.zst' 2>/dev/null | wc -l; }

# A network namespace without interfaces (the loopback one is down).
without_network() { local WRAP=("${WRAP[@]}" unshare --net --); "$@"; }

# An ordinary user, with that user's environment and nothing of ours.
as_user() {
    local WRAP=("${WRAP[@]}" setpriv --reuid "$1" --regid "$1" --init-groups --reset-env --)
    shift
    "$@"
}

# new_user NAME OPTION…: makes an ordinary user, who is taken away at the end.
new_user() {
    local name=$1
    shift
    echo "$name" >>"$SCRATCH/users"
    useradd --create-home --home-dir "$PLACE/$name" --shell /bin/bash "$@" "$name"
}

# With one worker on one processor, in another time zone, and with another umask.
with_other_habits() {
    # shellcheck disable=SC2016  # expanded by the inner shell
    local WRAP=("${WRAP[@]}" taskset --cpu-list 0 env RAYON_NUM_THREADS=1 IMAGE_COMPOSER_WORKERS=1 TZ=Asia/Kathmandu LC_ALL=C
        sh -c 'umask 077 && exec "$@"' sh)
    "$@"
}

# 400 days later, as the program sees it, and what it starts on the host; package scripts have a root of their own, where this does not reach.
later() { local WRAP=("${WRAP[@]}" faketime -f "+400d"); "$@"; }

# A host on which only the store and $1 can be written.
with_read_only_host() {
    local WRAP=("${WRAP[@]}" unshare --mount --propagation private -- "$HERE/read-only-host.sh" "$STORE" "$1" --)
    shift
    "$@"
}

# A host on which the program at $1 is not there.
without_program() {
    local WRAP=("${WRAP[@]}" unshare --mount --propagation private -- "$HERE/without-program.sh" "$1" "$SCRATCH" --)
    shift
    "$@"
}

# A host whose memory is used up, as it seems: what would be made there must be made on the disk. Only for what ends before package scripts run: the
# kernel lets nobody mount a /proc for them where a part of the host's is covered.
with_little_memory() {
    local seeming=$PLACE/meminfo
    sed -E 's/^(MemFree|MemAvailable):.*/\1: 65536 kB/' /proc/meminfo >"$seeming"
    # shellcheck disable=SC2016  # expanded by the inner shell
    local WRAP=("${WRAP[@]}" unshare --mount --propagation private -- sh -c 'mount --bind "$1" /proc/meminfo && shift && exec "$@"' sh "$seeming")
    "$@"
}

# start LABEL ARGS…: the same in the background, as a terminal would start it: leader of its own process group, Ctrl-C not ignored.
# $PID is the process.
start() {
    LABEL=$1
    shift
    OUT=$LOGS/$GROUP.$LABEL.out
    ERR=$LOGS/$GROUP.$LABEL.err
    RC=running
    setsid "${WRAP[@]}" env --default-signal=INT,QUIT IMAGE_COMPOSER_STORE="$STORE" \
        "$BIN" "$@" </dev/null >"$OUT" 2>"$ERR" &
    PID=$!
}

running() { [[ -e /proc/$1/stat && $(cut -d ' ' -f 3 "/proc/$1/stat" 2>/dev/null) != Z ]]; }

# within SECONDS COMMAND…: waits until COMMAND succeeds.
within() {
    local deadline=$((${EPOCHREALTIME/[.,]/} + $1 * 1000000))
    shift
    until "$@"; do
        ((${EPOCHREALTIME/[.,]/} < deadline)) || return 1
        sleep 0.05
    done
}

ended() { ! running "$1"; }

# comes_to SECONDS COMMAND…: waits until COMMAND succeeds, but no longer than what `start` started runs.
comes_to() {
    local seconds=$1
    shift
    within "$seconds" holds_or_ended "$@"
    "$@"
}
holds_or_ended() { "$@" || ended "$PID"; }

# Waits for what `start` started, at most $1 seconds, and sets $RC; kills it if it does not end. (What the shell says of a killed job is no news.)
await() {
    local begin=$EPOCHREALTIME
    RC=0
    {
        within "$1" ended "$PID" || kill -KILL -- "-$PID"
        wait "$PID" || RC=$?
    } 2>/dev/null
    ELAPSED=$(seconds_since "$begin")
    no_panic
}

# from_json FILE KEY.KEY…: a value of a JSON document; lists are counted from 0, `#` is a length.
from_json() { "$PYTHON" "$HERE/from_json.py" "$@"; }

# A store that has built $MINIMAL once: made on first use. Its image is in $SEED/out.
seed() {
    STORE=$SEED/store
    [[ ! -e $SEED/failed ]] || { check "there is a store to go on from" false; return 1; }
    [[ ! -e $SEED/done ]] || return 0
    mkdir -p "$SEED/out"
    composer seed build "$MINIMAL" -o "$SEED/out"
    if ((RC == 0)); then
        touch "$SEED/done"
    else
        touch "$SEED/failed"
        check "a store to go on from can be made" equals "$RC" 0
    fi
}

# A copy of that store for a group that changes it.
copy_of_seed() {
    seed || return
    cp -a --sparse=always "$SEED/store" "$PLACE/store"
    STORE=$PLACE/store
}
