# The packages that are chosen on an RPM distribution are those that dnf chooses, where their relations leave a choice.

RPMS=${TEST_RPM_CACHE:-/var/cache/image-composer-test/rpm}

check "a repository of real packages can be made" "$HERE/rpm/make" "$RPMS" || return
"$PYTHON" "$HERE/rpm/choices.py" "$BIN" "$PLACE" "$RPMS/repository" "$RPMS/key.asc" >"$PLACE/said" 2>&1
check "dnf and we choose the same packages, but for the differences that are named" equals "$?$(head -n -1 "$PLACE/said")" 0
note "$(tail -n 1 "$PLACE/said")"
