# Real RPM packages become an image: it boots, its database and its files are what rpm says they should be, and dnf makes the same tree of them.

RPMS=${TEST_RPM_CACHE:-/var/cache/image-composer-test/rpm}
DNF=$PLACE/dnf

# made_of OUT FILE…: an image of these packages in the folder OUT.
made_of() { "$PYTHON" "$HERE/rpm/worker.py" "$BIN" "$@"; }

made_by_user() { setpriv --reuid "$USER_NAME" --regid "$USER_NAME" --init-groups --reset-env -- "$PYTHON" "$HERE/rpm/worker.py" "$BIN" "$@"; }

# The host's rpm on the root file system of the image, which is in $PLACE/parts. (In the image itself it takes minutes to read all files.)
in_image() {
    mkdir -p "$PLACE/mounted"
    # shellcheck disable=SC2016  # expanded by the inner shell
    unshare --mount --propagation private -- sh -c 'mount -o ro,noload,loop "$1" "$2" && shift && exec rpm --root "$@"' sh \
        "$(part_with "$PLACE/parts" ext4)" "$PLACE/mounted" --define '_dbpath /usr/lib/sysimage/rpm' "$@"
}
NAMES='%{NAME} %{EVR} %{ARCH}\n'

# The packages of the image: the bootable set, and those that look at what rpm promises to scripts.
chosen() {
    local name
    while read -r name; do printf '%s\n' "$RPMS/repository/$name"-[0-9]*.rpm; done <"$RPMS/packages"
    printf '%s\n' "$RPMS"/repository/witness-1.0* "$RPMS"/repository/witness-extra-*
}

# dnf with the test's repository and nothing of the host, into memory, with all packages in its cache. Its rpm keeps the database where the image's does.
dnf_installs() {
    local options=(-y --quiet --installroot "$DNF/root" --releasever 1 --setopt reposdir=/dev/null --setopt varsdir=/dev/null
        --setopt "cachedir=$DNF/cache" --setopt install_weak_deps=False
        --repofrompath "test,file://$RPMS/repository" --repoid test --setopt test.gpgcheck=1 --setopt "test.gpgkey=file://$RPMS/key.asc")
    mkdir -p "$DNF" && mount -t tmpfs -o size=2g dnf "$DNF" && mkdir -p "$DNF/root" "$DNF/home" || return
    echo '%_dbpath /usr/lib/sysimage/rpm' >"$DNF/home/.rpmmacros"
    HOME=$DNF/home dnf "${options[@]}" makecache &&
        HOME=$DNF/home "$PYTHON" "$HERE/rpm/measure.py" "$PLACE/dnf.figures" dnf "${options[@]}" install $(<"$RPMS/packages") witness
}

# What the two trees need not have in common: what the image is customized with, each one's leftovers, and the database, whose times are the clock's
# with dnf. What is left: each path with its kind, mode, owner, attributes and contents.
comparable() {
    grep -vE $'^/(boot/(efi|initramfs-[^/]*)|lost\\+found|proc|sys|dev/null|etc/(fstab|hostname|hosts|machine-id|shadow|kernel/(cmdline|entry-token)))\t' "$1" |
        grep -vE $'^/etc/(\\.pwd\\.lock|(passwd|group|shadow|gshadow|subuid|subgid)-)\t' |
        grep -vE $'^/(etc/dnf|var/lib/dnf|var/tmp/|var/cache/(dnf|ldconfig/aux-cache)|var/log/(dnf|hawkey)|usr/lib/sysimage/rpm/)'
}

# Two columns of figures, and how many times the one is the other.
beside() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%s %s (%.2f)", a, b, b / a }'; }

check "a repository of real packages can be made" "$HERE/rpm/make" "$RPMS" || return
# Runs cargo, which has its things in the caller's home.
# shellcheck disable=SC2016  # expanded by eval
check "versions are in rpm's order" eval '[[ $(cd "$REPOSITORY" && HOME=$CALLER_HOME cargo test --quiet --lib version::rpm -- --ignored 2>&1) == *"ok. 1 passed"* ]]'
mapfile -t FILES < <(chosen)
check "the image has more than a hundred packages" at_least "${#FILES[@]}" 101 || return

check "an image is made of RPM packages" made_of "$PLACE/first" "${FILES[@]}" || return
IMAGE=$PLACE/first/disk.raw
check "its table and file systems are without fault" is_whole "$IMAGE" "$PLACE/parts"
check "its files can be listed" files_of "$PLACE/parts" "$PLACE/files" || return
USER_NAME=composer-rpm-$$
echo "$USER_NAME" >>"$SCRATCH/users"
useradd --create-home --home-dir "$PLACE/home" --shell /bin/bash "$USER_NAME"
check "an ordinary user makes an image of them, too" made_by_user "$PLACE/home/image" "${FILES[@]}"
check "which is the same, byte for byte" cmp "$IMAGE" "$PLACE/home/image/disk.raw"
rm -rf "$PLACE/home/image"

check "dnf installs the same packages" dnf_installs
"$PYTHON" "$HERE/files.py" "/=$DNF/root" >"$PLACE/dnf.files"
check "both trees have the same files, modes, owners, attributes and contents" diff <(comparable "$PLACE/dnf.files" | sed '/^ESP\//d') \
    <(comparable "$PLACE/files" | sed '/^ESP\//d')
check "and these are many" at_least "$(comparable "$PLACE/files" | wc -l)" 10000
# The scripts wrote down what they saw: that all ran, in which order, and what was there when they did.
check "scripts in shell and in Lua, and triggers of all kinds, have run" says "$DNF/root/var/lib/order" '^pretrans filesystem sees nothing' \
    '^pretrans witness sees nothing' '^pre witness 1, its file is not there' '^post witness 1, its file is there' '^post extra .*witness:witness' \
    '^triggerin coreutils' '^filetriggerin .*/usr/share/witness/café' '^transfiletriggerin .*sysusers' '^posttrans witness in lua'
read -r WALL CPU MEMORY <"$PLACE/first/figures"
read -r DNF_WALL DNF_CPU DNF_MEMORY <"$PLACE/dnf.figures" || return
note "installed ${#FILES[@]} packages, dnf and we: $(beside "$DNF_WALL" "$WALL") s, $(beside "$DNF_CPU" "$CPU") s of processor, $(beside "$DNF_MEMORY" "$MEMORY") MiB"
check "the packages are installed faster than by dnf" at_most "$WALL" "$DNF_WALL"
umount "$DNF"

check "rpm -Va finds no file that is not as its package says" is_empty "$(in_image -Va 2>&1)"
check "rpm -qa names the packages of the image, and no others" equals "$(in_image -qa --queryformat "$NAMES" | LC_ALL=C sort)" \
    "$(rpm --query --package --nosignature --queryformat "$NAMES" "${FILES[@]}" | LC_ALL=C sort)"
composer inspected inspect "$IMAGE" --json
check "inspect reads them from the image's own database" eval 'ended_with 0 && equals "$(from_json "$OUT" packages.source)" rpm'
check "and names the same" equals \
    "$(paste -d ' ' <(from_json "$OUT" "packages.list.*.name") <(from_json "$OUT" "packages.list.*.version") <(from_json "$OUT" "packages.list.*.arch") |
        LC_ALL=C sort)" "$(in_image -qa --queryformat "$NAMES" | LC_ALL=C sort)"

check "it boots to a login prompt and takes the password" boot "$IMAGE" raw login=root:image-composer \
    "run:state=systemctl is-system-running --wait" \
    "run:failed=systemctl --failed --no-legend --plain" \
    "run:database=rpm -qa | wc -l" \
    "run:verify=rpm -V witness-extra coreutils" \
    "run:owner=stat -c '%U:%G %a' /usr/share/witness/one /usr/bin/witness-setuid /var/lib/witness" \
    "run:ghost=test ! -e /var/lib/witness/state" || return
note "login prompt after $(from_json "$BOOT" boot_seconds) s"
check "systemd says running" answers state running
check "no unit failed" answers failed ""
check "its own rpm knows all packages" answers database "${#FILES[@]}"
check "and finds their files as they should be" answers verify ""
check "owners that a script of the package made have their files" answers owner $'witness:witness 644\nroot:witness 4750\nwitness:witness 2770'
check "a ghost was not made" succeeds ghost

made_of "$PLACE/broken" "${FILES[@]}" "$RPMS/repository/broken-1-1.noarch.rpm" >"$PLACE/broken.said" 2>&1
check "a script that fails ends the build" equals $? 1
check "and the error names package and script, and says what it said" says "$PLACE/broken.said" '%post scriptlet of broken-1-1\.noarch failed with exit status 3' \
    'this script fails'

# The last byte of a payload is a part of its compression's checksum; one in the middle is a file's.
cp "$RPMS"/repository/coreutils-[0-9]*.rpm "$PLACE/coreutils.rpm"
printf 'damage' | dd of="$PLACE/coreutils.rpm" bs=1 seek=$(($(stat -c %s "$PLACE/coreutils.rpm") / 2)) conv=notrunc status=none
made_of "$PLACE/damaged" "${FILES[@]/*\/coreutils-[0-9]*/$PLACE\/coreutils.rpm}" >"$PLACE/damaged.said" 2>&1
check "a damaged package ends the build" equals $? 1
check "and the error names it" says "$PLACE/damaged.said" 'package coreutils 9'

# The same by the public commands: from a signed repository to an image, a hit, and a kept root.
MIRROR=$PLACE/mirror
mkdir -p "$MIRROR/base"
ln -s "$RPMS/repository" "$MIRROR/base/x86_64"
STORE=$PLACE/store
cat >"$PLACE/rpm.yaml" <<Y
mirrors: { azurelinux: [ "file://$MIRROR" ] }
keyrings: { azurelinux: "$RPMS/key.asc" }
Y
cat >"$PLACE/rpm.yml" <<'Y'
image: { name: rpm-minimal, version: "1" }
target: { os: azure-linux, dist: azl3, arch: x86_64, imageType: raw }
disk: { name: minimal, size: 1GiB, partitionTableType: gpt, artifacts: [ { type: raw } ] }
systemConfig:
  name: minimal
  hostname: rpm-minimal
  users: [ { name: root, password: image-composer } ]
  bootloader: { bootType: efi, provider: grub }
  sbom: cyclonedx
Y
composer fetch fetch "$PLACE/rpm.yml" --config "$PLACE/rpm.yaml"
check "the packages of a spec of azl3 are chosen and fetched" eval 'ended_with 0 && says "$ERR" " packages in the store"' || return
composer bundle cache export --bundle "$PLACE/rpm.bundle" --spec "$PLACE/rpm.yml" --config "$PLACE/rpm.yaml"
check "they leave as a bundle" ended_with 0
STORE=$PLACE/bundled.store
composer imported cache import "$PLACE/rpm.bundle" --json
check "with the lists of their repository" eval 'ended_with 0 && at_least "$(from_json "$OUT" metadata.added)" 2'
without_network composer bundled fetch "$PLACE/rpm.yml" --config "$PLACE/rpm.yaml" --offline
check "and that is all which a store without a network needs" ended_with 0
rm -rf "$STORE" "$PLACE/rpm.bundle"
STORE=$PLACE/store
without_network composer build build "$PLACE/rpm.yml" -o "$PLACE/out" --config "$PLACE/rpm.yaml" --offline --json
check "and become an image without a network" eval 'ended_with 0 && at_least "$(from_json "$OUT" packages.total)" 120' || return
note "from the store in $ELAPSED s, $(from_json "$OUT" packages.total) packages"
rm -rf "$PLACE/parts"
check "its table and file systems are without fault" is_whole "$PLACE/out/rpm-minimal-1.raw" "$PLACE/parts"
check "rpm finds no file that is not as its package says" is_empty "$(in_image -Va 2>&1)"
composer lock lock "$PLACE/rpm.yml" --config "$PLACE/rpm.yaml" --offline
check "its database has what the lock names" equals "$(in_image -qa --queryformat '%{NAME} %{EVR}\n' | LC_ALL=C sort)" \
    "$(awk '$1 == "package" { print $2, $3 }' "$PLACE/rpm.yml.lock" | LC_ALL=C sort)"
without_network composer again build "$PLACE/rpm.yml" -o "$PLACE/again" --config "$PLACE/rpm.yaml"
check "the second time it is there" hit
without_network composer kept build "$PLACE/rpm.yml" -o "$PLACE/kept" --config "$PLACE/rpm.yaml" --offline --no-image-cache --json
check "a kept root serves" eval 'ended_with 0 && equals "$(from_json "$OUT" root.outcome)" hit'
check "and the image is the same" cmp "$PLACE/out/rpm-minimal-1.raw" "$PLACE/kept/rpm-minimal-1.raw"
without_network composer locked build "$PLACE/rpm.yml" -o "$PLACE/locked" --config "$PLACE/rpm.yaml" --offline --locked --no-root-cache
check "by its lock it is the same" eval 'ended_with 0 && cmp "$PLACE/out/rpm-minimal-1.raw" "$PLACE/locked/rpm-minimal-1.raw"'
# As packages of Azure Linux's kernels do it after an update (its macros.grub2).
RENEWED='grep -q -e "automatically generated by grub2-mkconfig" /boot/grub2/grub.cfg && grub2-mkconfig >/boot/grub2/grub.cfg 2>/tmp/said'
check "it boots to a login prompt" boot "$PLACE/out/rpm-minimal-1.raw" raw login=root:image-composer \
    "run:state=systemctl is-system-running --wait" \
    "run:loader=grep -c 'BOOT_IMAGE=/boot/vmlinuz-' /proc/cmdline && test -d /sys/firmware/efi" \
    "run:renewed=$RENEWED && grub2-script-check /boot/grub2/grub.cfg && grep -c 'linux.*/boot/vmlinuz-.* root=UUID=.*console=ttyS0' /boot/grub2/grub.cfg" \
    "run:verify=rpm -V grub2 grub2-configuration" || return
note "through GRUB, login prompt after $(from_json "$BOOT" boot_seconds) s"
check "and runs" answers state running
check "GRUB has started it" answers loader 1
check "an update of its kernel renews the menu, with the same console" eval 'at_least "$(from_json "$BOOT" answers.renewed.output)" 2 && succeeds renewed'
check "which is then as its package says" answers verify ""

# Another primary.xml than the signed one.
cp -rL "$MIRROR" "$PLACE/tampered"
for file in "$PLACE"/tampered/base/x86_64/repodata/*-primary.xml.gz; do zcat "$file" | sed 's/<size package="/&1/' | gzip >"$file.new" && mv "$file.new" "$file"; done
STORE=$PLACE/empty
composer tampered fetch "$PLACE/rpm.yml" --config "$PLACE/rpm.yaml" --mirror "azurelinux=file://$PLACE/tampered"
check "a list that is not the signed one is refused" ended_with 4
rm -f "$PLACE"/tampered/base/x86_64/repodata/repomd.xml.asc
composer unsigned fetch "$PLACE/rpm.yml" --config "$PLACE/rpm.yaml" --mirror "azurelinux=file://$PLACE/tampered"
check "a repository without a signature is refused" eval '! ended_with 0 >/dev/null && says "$ERR" "there is no signature"'

# Packages are proven one by one, whoever signed the list: with a key of its own here.
sign_list() {
    local -x GNUPGHOME=$PLACE/gnupg
    mkdir -m 700 "$GNUPGHOME" &&
        gpg --batch --quiet --passphrase '' --quick-generate-key 'Test list <list@example.org>' rsa3072 sign never 2>/dev/null &&
        createrepo_c --quiet "$1" && gpg --batch --armor --detach-sign --output "$1/repodata/repomd.xml.asc" "$1/repodata/repomd.xml" &&
        gpg --batch --armor --export >"$PLACE/list.asc" && cat "$RPMS/key.asc" "$PLACE/list.asc" >"$PLACE/both.asc" && gpgconf --kill all
}
mkdir -p "$PLACE/forged/base/x86_64"
cp -rs "$RPMS"/repository/*.rpm "$PLACE/forged/base/x86_64/"
for file in "$PLACE"/forged/base/x86_64/coreutils-[0-9]*.rpm; do cp --remove-destination "$(readlink "$file")" "$file" && rpmsign --delsign "$file"; done >/dev/null
check "a list with an unsigned package can be made" sign_list "$PLACE/forged/base/x86_64"
STORE=$PLACE/forged.store
forged() {
    sed "s,$RPMS/key.asc,$2," "$PLACE/rpm.yaml" >"$PLACE/$1.yaml"
    composer "$1" fetch "$PLACE/rpm.yml" --config "$PLACE/$1.yaml" --mirror "azurelinux=file://$PLACE/forged"
}
forged forged "$PLACE/both.asc"
check "a package that is not signed is refused, though the list is" ended_with 4
check "and the error names it, and no other" eval 'says "$ERR" "a package is not proven by a signature" "coreutils=9.*there is no signature" "rpmsign"'
forged stranger "$PLACE/list.asc"
check "packages of another key than the list's are refused" eval 'ended_with 4 && says "$ERR" "packages are not proven" "unknown key" "and [0-9]+ more"'
