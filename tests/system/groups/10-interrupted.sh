# Ctrl-C ends within a second, kill -9 leaves nothing that runs or is mounted, and the next run goes on.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
STORE=$PLACE/store
mkdir -p "$PLACE/out"
mounts() { cut -d ' ' -f 3- /proc/self/mountinfo | LC_ALL=C sort; }
MOUNTS=$(mounts)

no_process_left() { [[ -z $("$PYTHON" "$HERE/processes.py" left "$PLACE/family" "$PLACE") ]]; }

# interrupt SIGNAL WHERE: sends it, and checks what is left.
interrupt() {
    local signal=$1 where=$2
    "$PYTHON" "$HERE/processes.py" of "$PID" >"$PLACE/family"
    # Ctrl-C reaches all processes of the terminal's group, kill -9 only the one.
    if [[ $signal == INT ]]; then kill -INT -- "-$PID"; else kill -KILL "$PID"; fi
    await 10
    if [[ $signal == INT ]]; then
        check "Ctrl-C $where: the exit code is 130" equals "$RC" 130
        check "Ctrl-C $where: it ends within a second" at_most "$ELAPSED" 1.3
        check "Ctrl-C $where: it says so" says "$ERR" interrupted
        check "Ctrl-C $where: the output's directory is empty" holds_only "$PLACE/out"
        where="Ctrl-C $where"
    else
        check "kill -9 $where: it was still at work" equals "$RC" 137
        check "kill -9 $where: there is no image of that name" test ! -e "$PLACE/out/$ARTIFACT"
        where="kill -9 $where"
    fi
    within 3 no_process_left
    check "$where: no process is left" is_empty "$("$PYTHON" "$HERE/processes.py" left "$PLACE/family" "$PLACE")"
    check "$where: no mount is left" diff <(echo "$MOUNTS") <(mounts)
    check "$where: no file is left in the home or the temporary directory" is_empty "$(find "$HOME" "$TMPDIR" -mindepth 1 | head)"
}

# Downloads stop at one package; all others arrive.
stalled() { grep -q '"begins": "stall"' "$MIRROR_LOG" && (($(asked_for '\.deb') >= 40)); }
check "a mirror that stalls can be started" start_mirror 'stall:/libc6_' || return
start download-int build "$MINIMAL" -o "$PLACE/out" "${MIRROR[@]}"
check "the download comes to the package that stalls" comes_to 120 stalled || { await 0; return; }
interrupt INT "while a download stalls"

check "the packages that had arrived are in the store" at_least "$(blobs)" 40
asked_whole() { grep -oE '"path": "[^"]*\.deb", "range": null, "status": 200' "$MIRROR_LOG" | cut -d '"' -f 4 | sort; }
FIRST_ASKED=$(asked_whole)

check "the mirror can be started again" start_mirror 'stall:/libc6_' || return
resumed() { grep -q '"begins": "stall"' "$MIRROR_LOG"; }
start download-kill build "$MINIMAL" -o "$PLACE/out" "${MIRROR[@]}"
check "the next run goes on with the package that stalled" comes_to 120 resumed
interrupt KILL "while a download stalls"
stop_mirror
# But for those that were on their way at the moment of the interruption, one to a worker.
check "what had arrived is not asked for again" at_most "$(comm -12 <(echo "$FIRST_ASKED") <(asked_whole) | wc -l)" 7
check "what had come of the other package is not asked for again" grep -qE '/libc6_.*"range": "bytes=[1-9]' "$MIRROR_LOG"

# The later phases, as the plain progress lines name them.
phase_begun() { grep -q "^$1" "$ERR"; }
for point in "KILL:unpacking packages" "INT:configuring packages" "KILL:configuring packages" "INT:making the disk" "KILL:keeping the image"; do
    phase=${point#*:}
    start "${phase%% *}" build "$MINIMAL" -o "$PLACE/out"
    if check "the build comes to “$phase”" comes_to 200 phase_begun "$phase"; then
        interrupt "${point%:*}" "while $phase"
    else
        await 0
    fi
    rm -rf "$PLACE/out" && mkdir "$PLACE/out"
done

composer last build "$MINIMAL" -o "$PLACE/out" --json
check "the next run finishes" equals "$RC" 0 || return
check "it fetches no package again" equals "$(fetched)" 0
check "the output stands alone" holds_only "$PLACE/out" "$ARTIFACT"
check "the image is whole" is_whole "$PLACE/out/$ARTIFACT" "$PLACE/parts"
check "what the killed runs had staged is gone" at_most "$(du -sm "$STORE" | cut -f 1)" 700

# A tree on the disk, which little memory forces there, has directories that an ordinary user may not open: apt's, once it is configured. The build is killed
# before that (on such a host it comes no further), so the test makes one.
KILLED=composer-killed-$$
check "an ordinary user can be made" new_user "$KILLED" || return
check "it has subordinate ids" grep -q "^$KILLED:" /etc/subuid || return
check "it has the packages" eval 'cp -a --sparse=always "$STORE" "$PLACE/$KILLED/store" && chown -R "$KILLED:" "$PLACE/$KILLED/store"' || return
STORE=$PLACE/$KILLED/store
tree_on_disk() { TREE=$(find "$STORE/tmp" -type d -path '*/root-*/tree/usr' -print -quit 2>/dev/null); [[ -n $TREE ]]; }
with_little_memory as_user "$KILLED" start tree build "$MINIMAL" -o "$PLACE/$KILLED/out" --rebuild
check "the build of an ordinary user comes to a tree on the disk" comes_to 120 tree_on_disk || { await 0; return; }
rm -f "$PLACE/out/$ARTIFACT"
interrupt KILL "while an ordinary user's tree is unpacked on the disk"
id_of_apt() { echo $(($(grep "^$KILLED:" "$1" | head -n 1 | cut -d : -f 2) + 41)); }
check "the tree gets a directory of another user" \
    eval 'install -d -m 700 -o "$(id_of_apt /etc/subuid)" -g "$(id_of_apt /etc/subgid)" "$TREE/partial" && touch "$TREE/partial/file"'
as_user "$KILLED" composer after-tree cache list
check "the next command succeeds" ended_with 0
check "what the killed build of an ordinary user had on the disk is gone" is_empty "$(find "$STORE/tmp" -mindepth 1 | head)"
