# All of it as an ordinary user.

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
WITH=composer-with-$$
WITHOUT=composer-without-$$
check "the test's users can be made" eval 'new_user "$WITH" && new_user "$WITHOUT" -K SUB_UID_COUNT=0 -K SUB_GID_COUNT=0' || return
check "one has subordinate ids" grep -q "^$WITH:" /etc/subuid /etc/subgid || return
check "the other has none" eval '! grep "^$WITHOUT:" /etc/subuid /etc/subgid' || return

# What stops the build is named before anything is downloaded: here nothing can be.
STORE=$PLACE/$WITHOUT/store
without_network as_user "$WITHOUT" composer no-ids build "$MINIMAL" -o "$PLACE/$WITHOUT/out"
check "without subordinate ids, an error names the line for /etc/subuid" eval 'ended_with "1|2" && says "$ERR" /etc/subuid "$WITHOUT"'
STORE=$PLACE/$WITH/store
without_network without_program /usr/bin/newuidmap as_user "$WITH" composer no-newuidmap build "$MINIMAL" -o "$PLACE/$WITH/out"
check "without newuidmap, an error names the package uidmap" eval 'ended_with "1|2" && says "$ERR" newuidmap "(^|[^a-z])uidmap"'
check "nothing had been downloaded" eval '[[ -z $(find "$PLACE/$WITH/store" "$PLACE/$WITHOUT/store" -name "*.zst" 2>/dev/null) ]]'

as_user "$WITH" composer first build "$MINIMAL" -o "$PLACE/$WITH/out"
check "an ordinary user builds the image" equals "$RC" 0 || return
note "the build took $ELAPSED s"
IMAGE=$PLACE/$WITH/out/$ARTIFACT
check "the output is the user's" equals "$(stat -c %U "$IMAGE")" "$WITH"
check "its table and file systems are without fault" is_whole "$IMAGE" "$PLACE/parts"
check "nothing of other owners stands in the store" is_empty "$(find "$STORE" ! -user "$WITH" | head)"

if seed; then
    cut_partitions "$SEED/out/$ARTIFACT" "$PLACE/root-parts"
    check "the files can be listed" files_of "$PLACE/parts" "$PLACE/user.files"
    check "those of root's image too" files_of "$PLACE/root-parts" "$PLACE/root.files"
    check "the files, their modes and owners are those of root's image" diff <(cut -f 1,2 "$PLACE/root.files") <(cut -f 1,2 "$PLACE/user.files")
    check "and so are their contents" diff <(cut -f 1,3 "$PLACE/root.files") <(cut -f 1,3 "$PLACE/user.files")
    check "the image is the same, byte for byte" cmp "$SEED/out/$ARTIFACT" "$IMAGE"
fi

check "it boots, and the password is right" boot "$IMAGE" raw login=root:image-composer \
    "run:state=systemctl is-system-running --wait" "run:audit=dpkg --audit" || return
check "systemd says running" answers state running
check "dpkg --audit is silent" answers audit ""

STORE=$PLACE/$WITH/store
without_network as_user "$WITH" composer again build "$MINIMAL" -o "$PLACE/$WITH/out2"
check "the second time it hits, without a network" hit

# The worker reads what the user's groups may read; what runs in the image is in none of them.
printf 'for staff' >"$PLACE/for-staff"
check "the user is in another group" eval 'usermod --append --groups staff "$WITH" && chgrp staff "$PLACE/for-staff" && chmod 640 "$PLACE/for-staff"' || return
sed "s#^systemConfig:#&\n  additionalFiles: [{ local: $PLACE/for-staff, final: /etc/for-staff }]\n  configurations: [{ cmd: 'grep -q \"^Groups:[[:space:]]*\$\" /proc/self/status' }]#" \
    "$MINIMAL" >"$PLACE/staff.yml"
without_network as_user "$WITH" composer staff build "$PLACE/staff.yml" -o "$PLACE/$WITH/staff" --offline
check "a file that one of the user's groups alone may read comes into the image, and no command is in that group" equals "$RC" 0
