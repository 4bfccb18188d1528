# The next release, from the same mirror.

SPEC=$SCRATCH/fixtures/specs/debian13-minimal.yml
STORE=$PLACE/store
RAW=$PLACE/out/$("$PYTHON" "$HERE/spec.py" artifact "$SPEC" raw)

composer build build "$SPEC" -o "$PLACE/out"
check "the image is built" equals "$RC" 0 || return
note "the build took $ELAPSED s"
check "the table and file systems are without fault" is_whole "$RAW" "$PLACE/parts"
check "it boots, and root can log in" boot "$RAW" raw \
    login=root:image-composer \
    "run:state=systemctl is-system-running --wait" \
    "run:failed=systemctl --failed --no-legend --plain" \
    "run:audit=dpkg --audit" \
    "run:release=. /etc/os-release && echo \$VERSION_CODENAME" ||
    return
check "systemd says running" answers state running
check "no unit failed" answers failed ""
check "dpkg --audit is silent" answers audit ""
check "it is trixie" answers release trixie
