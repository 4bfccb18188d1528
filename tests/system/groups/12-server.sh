# A server that lies, breaks off, or does not answer.

STORE=$PLACE/store
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)

# refused LABEL CODE TEXT FAULT PATTERN…: a build against that fault ends with the code and says the patterns.
refused() {
    local label=$1 code=$2 text=$3 fault=$4
    shift 4
    start_mirror "$fault" || return
    composer "$label" build "$MINIMAL" -o "$PLACE/out" "${MIRROR[@]}"
    check "$text: the exit code" ended_with "$code"
    check "$text: the error names it" says "$ERR" "$@"
    check "$text: no output" eval '[[ ! -d $PLACE/out ]] || holds_only "$PLACE/out"'
}

refused inrelease 4 "an InRelease that was changed" 'flip:/dists/bookworm/InRelease$' 'dists/bookworm/InRelease' signature
refused index 4 "an index that was changed" 'flip:/dists/bookworm/main/binary-amd64/' 'bookworm/main/binary-amd64' 'sha256|digest'
refused nothing '1|3' "no InRelease" 'missing:Release' 'InRelease' 404

# All that fail are named, not only the first, and all others are kept.
start_mirror 'cut:/base-files_' 'flip:/dpkg_' 'missing:/tzdata_' || return
composer packages build "$MINIMAL" -o "$PLACE/out" "${MIRROR[@]}"
check "packages that are cut, changed and missing: the exit code" equals "$RC" 4
check "packages that are cut, changed and missing: each is named" says "$ERR" 'base-files.*bytes' 'dpkg.*sha256' 'tzdata.*404'
check "the others are kept" at_least "$(blobs)" 80

# Ctrl-C while nobody answers.
silent() { grep -q '"begins": "silent"' "$MIRROR_LOG"; }
start_mirror 'silent:/dists/' || return
STORE=$PLACE/silent-store
start silent build "$MINIMAL" -o "$PLACE/out" "${MIRROR[@]}"
if check "a server that does not answer is asked" comes_to 60 silent; then kill -INT -- "-$PID"; fi
await 5
check "Ctrl-C ends the wait within a second" eval 'equals "$RC" 130 && at_most "$ELAPSED" 1.3'

# Connections that break once: resumed. And only what was not there is fetched.
STORE=$PLACE/store
start_mirror 'stop:/base-files_:1' 'stop:/dpkg_:1' 'broken:/tzdata_:1' || return
composer well build "$MINIMAL" -o "$PLACE/out" "${MIRROR[@]}" --json
check "against a mirror that breaks off once, the build succeeds" equals "$RC" 0
check "only what was missing is fetched" equals "$(fetched)" 3
check "a download that was cut is resumed" grep -qE '/dpkg_.*"range": "bytes=[1-9]' "$MIRROR_LOG"

# Packages are installed while others are still fetched: one of these is slow, and another does not come at all.
STORE=$PLACE/overlapping-store
start_mirror 'slow:/linux-image-' 'missing:/systemd_' || return
composer overlapping build "$MINIMAL" -o "$PLACE/out-overlapping" "${MIRROR[@]}"
check "a package that does not come ends a build that has begun to install others" eval 'ended_with 1 && says "$ERR" "systemd.*404" "run the same command again"'
check "these were configured before all were fetched" \
    awk '/^configuring packages/ { begun = 1 } /^fetching packages: .* in / { done = begun } END { exit !done }' "$ERR"
check "no output, and no process, is left of it" eval 'holds_only "$PLACE/out-overlapping" && is_empty "$("$PYTHON" "$HERE/processes.py" left /dev/null "$PLACE")"'
stop_mirror
# (With no room for decompressed packages: what is damaged below shall be what is read.)
IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_MAX_SIZE_GB=0.15 composer again build "$MINIMAL" -o "$PLACE/out-overlapping" --json
check "the next run fetches that package alone" eval 'ended_with 0 && equals "$(fetched)" 1'
AGAIN=$PLACE/out-overlapping/$ARTIFACT
seed || return
check "and makes the same image" cmp "$AGAIN" "$SEED/out/$ARTIFACT"

# A package turns out damaged while another does not come: that one is not waited for, and only the rest of it is asked for again.
STORE=$PLACE/overlapping-store
composer clean cache clean systemd
DAMAGED=$(for blob in "$STORE"/blobs/*/*.zst; do if head -c 400 "$blob" | grep -aq 'nameddpkg'; then echo "$blob"; fi; done)
check "a package is there to be damaged" test -f "$DAMAGED" || return
printf '\377\377\377\377' | dd of="$DAMAGED" bs=1 seek=$(($(stat -c %s "$DAMAGED") / 2)) conv=notrunc status=none
start_mirror 'stall:/systemd_:1' || return
IMAGE_COMPOSER_STORAGE_PACKAGE_CACHE_MAX_SIZE_GB=0.15 composer damaged build "$MINIMAL" -o "$PLACE/out-overlapping" "${MIRROR[@]}" --rebuild --json
check "both are fetched again" eval 'ended_with 0 && equals "$(fetched)" 2 && says "$ERR" "warning: .*damaged"'
check "the one that stalled from where it stopped" grep -qE '/systemd_.*"range": "bytes=[1-9]' "$MIRROR_LOG"
# A silent connection is given up after half a minute.
check "before the silence was too long" at_most "$(grep -oP '"fault": "stall", "seconds": \K[0-9.]+' "$MIRROR_LOG")" 25
check "the image is still the same" cmp "$AGAIN" "$SEED/out/$ARTIFACT"
