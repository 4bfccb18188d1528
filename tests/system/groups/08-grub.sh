# GRUB, two formats of output, a second user, a file and a command of the spec.

# What the spec says.
WHO=alice:image-composer
MOTD=$(sha256sum <"${GRUB%/*}/files/motd")

STORE=$PLACE/store
RAW=$PLACE/out/$("$PYTHON" "$HERE/spec.py" artifact "$GRUB" raw)
QCOW2=${RAW%.raw}.qcow2
[[ ! -e $SEED/done ]] || cp -a --sparse=always "$SEED/store" "$STORE"

mkdir "$PLACE/spec" && cp -r "${GRUB%/*}/files" "$PLACE/spec/"
"$PYTHON" "$HERE/spec.py" with-package "$GRUB" openssh-server >"$PLACE/spec/grub.yml"
GRUB=$PLACE/spec/grub.yml
composer build build "$GRUB" -o "$PLACE/out"
check "the image is built" equals "$RC" 0 || return
note "the build took $ELAPSED s"
check "there are a raw and a qcow2 image, and nothing else" holds_only "$PLACE/out" "${RAW##*/}" "${QCOW2##*/}"
check "the table and file systems are without fault" is_whole "$RAW" "$PLACE/parts"
ROOT=$(part_with "$PLACE/parts" ext4)
in_root() { debugfs -R "stat $1" "$ROOT" 2>&1; }
# What each machine makes for itself is not there yet.
check "the machine's id is empty" eval 'in_root /etc/machine-id >"$PLACE/stat" && says "$PLACE/stat" "Size: 0$"'
for path in /var/lib/systemd/random-seed /var/lib/dbus/machine-id /var/lib/systemd/credential.secret; do
    check "$path is not there" eval 'in_root "$path" >"$PLACE/stat" && says "$PLACE/stat" "not found"'
done
debugfs -R "ls -p /etc/ssh" "$ROOT" >"$PLACE/ssh" 2>/dev/null
check "the server has its configuration, and no keys" eval 'says "$PLACE/ssh" sshd_config && never_says "$PLACE/ssh" ssh_host'
check "there is no seed for the boot loader" is_empty "$(mdir -/ -b -i "$(part_with "$PLACE/parts" vfat)" :: | grep -i random-seed)"
check "qemu-img finds no fault in the qcow2 image" qemu-img check "$QCOW2"
check "both images have the same contents" qemu-img compare "$RAW" "$QCOW2"
qemu-img info --output=json "$QCOW2" >"$PLACE/info"
check "the qcow2 image says its format" equals "$(from_json "$PLACE/info" format)" qcow2
check "the qcow2 image says the disk's size" equals "$(from_json "$PLACE/info" virtual-size)" "$(stat -c %s "$RAW")"
check "the qcow2 image takes only the room it needs" takes_little_room "$(stat -c %s "$QCOW2")" "$(stat -c %s "$RAW")"

check "the qcow2 image boots, root is locked, and the spec's user can log in" boot "$QCOW2" qcow2 \
    refuse=root: "login=$WHO" \
    "run:state=systemctl is-system-running --wait" \
    "run:failed=systemctl --failed --no-legend --plain" \
    "run:audit=dpkg --audit" \
    "run:loader=test -d /sys/firmware/efi && sudo -n grep -q vmlinuz /boot/grub/grub.cfg" \
    "run:cmdline=grep -q 'console=tty0 console=ttyS0,115200' /proc/cmdline" \
    "run:sudo=sudo -n id -u" \
    "run:locked=sudo -n passwd --status root | cut -d ' ' -f 2" \
    "run:groups=id -nG | tr ' ' '\\n' | grep -x adm" \
    "run:home=test \$PWD = /home/alice && test -O . && touch mine" \
    "run:keys=stat -c '%a %U' .ssh .ssh/authorized_keys && grep -c alice@example .ssh/authorized_keys" \
    "run:motd=sha256sum </etc/motd" \
    "run:command=systemctl is-enabled systemd-networkd" \
    "run:package=less --version | head -n 1" \
    "run:server=sudo -n ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key && systemctl is-active ssh" \
    "run:efi=findmnt --fstab -no FSTYPE,OPTIONS /boot/efi && sudo -n ls /boot/efi/EFI" ||
    return
note "login prompt after $(from_json "$BOOT" boot_seconds) s"
check "systemd says running" answers state running
check "no unit failed" answers failed ""
check "dpkg --audit is silent" answers audit ""
check "GRUB has its configuration" succeeds loader
check "the kernel has the spec's command line" succeeds cmdline
check "the user becomes root with sudo, without a password" answers sudo 0
check "root's password is locked" answers locked L
check "the user is in the group adm" succeeds groups
check "the user's home is the user's" succeeds home
check "the user's key is where sshd accepts it" answers keys $'700 alice\n600 alice\n1'
check "the file of the spec is there" answers motd "$MOTD"
check "the command of the spec was run" answers command enabled
check "the package of the spec is there" succeeds package
check "the machine has made keys for its server, which runs" succeeds server
check "the EFI partition is where the spec says" succeeds efi

without_network composer again build "$GRUB" -o "$PLACE/out2"
check "the second time both formats come from the cache" hit
check "the same raw image" cmp "$RAW" "$PLACE/out2/${RAW##*/}"
check "the same qcow2 image" cmp "$QCOW2" "$PLACE/out2/${QCOW2##*/}"
