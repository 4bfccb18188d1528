# The same spec and lock give the same bytes, whoever builds, where, with how many workers, and when.
#
# With systemd-boot other groups see to it: an ordinary user (“user”), an empty store on a host that cannot be written to (“repeat”), a bundle, another folder
# and one worker (“bundle”), kept roots (“roots”), again beside itself (“inspect”), RPM packages (“rpm”).

copy_of_seed || return
BUILDER=composer-same-$$
check "an ordinary user can be made" new_user "$BUILDER" || return
NAME=$("$PYTHON" "$HERE/spec.py" artifact "$GRUB" raw)
mkdir "$PLACE/spec" && cp -r "$GRUB" "${GRUB%/*}/files" "$PLACE/spec/"
SPEC=$PLACE/spec/${GRUB##*/}

composer lock lock "$SPEC"
check "the packages of a system with GRUB are locked" equals "$RC" 0 || return
composer first build "$SPEC" --locked -o "$PLACE/first" --json
check "root builds its image" equals "$RC" 0 || return
DIGEST=$(from_json "$OUT" image_digest)
note "root: $ELAPSED s"
mv "$STORE" "$PLACE/spec" "$PLACE/$BUILDER" && chown -R "$BUILDER": "$PLACE/$BUILDER"
STORE=$PLACE/$BUILDER/store
without_network as_user "$BUILDER" later with_other_habits composer second build "$PLACE/$BUILDER/spec/${SPEC##*/}" --locked --offline --rebuild \
    -o "$PLACE/$BUILDER/second" --json
check "an ordinary user builds it from the packages, 400 days later, in another folder and time zone, with one worker" eval \
    'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" installed'
note "the user: $ELAPSED s"
check "it is the same image" equals "$(from_json "$OUT" image_digest)" "$DIGEST"
for file in "$NAME" "${NAME%.raw}.qcow2"; do
    check "$file is the same file" cmp "$PLACE/first/$file" "$PLACE/$BUILDER/second/$file"
done
rm -rf "$PLACE/first" "${PLACE:?}/$BUILDER"

# The clock that package scripts see: a package moves it for every program in the root, before the first script runs.
copy_of_seed || return
TREE=$PLACE/tree LIBRARY=/usr/lib/x86_64-linux-gnu/moved-clock.so
mkdir -p "$TREE/DEBIAN" "$TREE/etc" "$TREE${LIBRARY%/*}" "$PLACE/packages"
cat >"$PLACE/clock.c" <<'C'
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
enum { LATER = 4000 * 86400 };
int clock_gettime(clockid_t clock, struct timespec *now) {
    long status = syscall(SYS_clock_gettime, clock, now);
    if (status == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += LATER;
    return (int)status;
}
time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return to ? (*to = now.tv_sec) : now.tv_sec;
}
int gettimeofday(struct timeval *restrict to, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *to = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}
C
printf '%s\n' 'Package: moved-clock' 'Version: 1' 'Architecture: amd64' 'Maintainer: Nobody <nobody@example.org>' 'Description: test' >"$TREE/DEBIAN/control"
# shellcheck disable=SC2016  # expanded by the package's script
printf '#!/bin/sh\necho "the year is $(date +%%Y), $(perl -e "print 1900 + (gmtime)[5]")"\n' >"$TREE/DEBIAN/postinst" && chmod 755 "$TREE/DEBIAN/postinst"
echo "$LIBRARY" >"$TREE/etc/ld.so.preload"
check "a library that moves the clock can be made" cc -shared -fPIC -O1 -s -o "$TREE$LIBRARY" "$PLACE/clock.c" || return
dpkg-deb --root-owner-group --build "$TREE" "$PLACE/packages/moved-clock.deb" >/dev/null
{
    "$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" moved-clock
    printf 'packageRepositories:\n  - path: packages\n'
} >"$PLACE/clock.yml"
NAME=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
without_network composer clock build "$PLACE/clock.yml" -o "$PLACE/clock" --offline --rebuild --log-file "$PLACE/clock.log"
YEAR=$(date -d '4000 days' +%Y)
check "package scripts run in the year $YEAR" eval 'ended_with 0 && says "$PLACE/clock.log" "the year is $YEAR, $YEAR"' || return
note "with another clock for scripts: $ELAPSED s"
composer clock-diff diff "$SEED/out/$NAME" "$PLACE/clock/$NAME" --times --json
# The identifiers of the disk are others, as the spec is another one.
differing() { paste -d ' ' <(from_json "$OUT" "files.*.change") <(from_json "$OUT" "files.*.path") | sed 's/[-/][0-9][^/]*-amd64//g'; }
check "nothing in the image differs but the package, and what has identifiers of the disk or the package's library" equals "$(differing)" \
    "changed /boot/efi/debian/initrd.img
changed /boot/efi/loader/entries/debian.conf
changed /boot/initrd.img
changed /etc/fstab
changed /etc/kernel/cmdline
added /etc/ld.so.preload
added $LIBRARY
added /var/lib/dpkg/info/moved-clock.list
added /var/lib/dpkg/info/moved-clock.postinst
changed /var/lib/dpkg/status"

# What is in the initrd, for each of its files a line.
initrd_of() {
    mkdir -p "$PLACE/$2" && cut_partitions "$1" "$PLACE/$2" || return
    local root path
    root=$(part_with "$PLACE/$2" ext4)
    path=/boot/$(debugfs -R "ls -p /boot" "$root" 2>/dev/null | grep -o 'initrd.img-[^/]*')
    debugfs -R "cat $path" "$root" 2>/dev/null | zstd -dcq >"$PLACE/$2.cpio"
    cpio -it --verbose --numeric-uid-gid --quiet <"$PLACE/$2.cpio" | grep -v moved-clock
    mkdir "$PLACE/$2.files"
    (cd "$PLACE/$2.files" && cpio -i --make-directories --quiet <"$PLACE/$2.cpio" && rm -f ".$LIBRARY" && find . -type f -exec sha256sum {} + | sort -k 2)
    rm -rf "${PLACE:?}/$2"
}
initrd_of "$SEED/out/$NAME" here >"$PLACE/here.list"
initrd_of "$PLACE/clock/$NAME" there >"$PLACE/there.list"
check "the initrds have the same files, times and contents" eval 'at_least "$(wc -l <"$PLACE/here.list")" 600 && diff "$PLACE/here.list" "$PLACE/there.list"'
