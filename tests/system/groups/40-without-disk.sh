# Images that do not start from a disk: one that runs in memory, and one for the Windows Subsystem for Linux.

copy_of_seed || return
composer list cache list --json
ID=$(from_json "$OUT" images.0.spec_hash)

composer memory build "$SCRATCH/fixtures/specs/debian12-memory.yml" -o "$PLACE/out"
check "memory: the image is built" equals "$RC" 0 || return
note "memory: the build took $ELAPSED s"
OUT_OF=$PLACE/out/debian12-memory-1.0
check "memory: there are a kernel and an initrd, and nothing else" holds_only "$PLACE/out" "${OUT_OF##*/}.initrd.zst" "${OUT_OF##*/}.vmlinuz"
zstd -dq "$OUT_OF.initrd.zst" -o "$PLACE/initrd"
check "memory: cpio reads the initrd" eval 'cpio --quiet --list <"$PLACE/initrd" >"$PLACE/names"'
check "memory: it has the system, something to start, and the kernel's modules" eval \
    'grep -qx init "$PLACE/names" && grep -qx usr/bin/dpkg "$PLACE/names" && grep -q "^usr/lib/modules/.*\.ko" "$PLACE/names"'
check "memory: it has neither boot loader, nor kernel, nor another initrd" eval '! grep -E "^boot/(vmlinuz|initrd)|^usr/lib/systemd/boot/" "$PLACE/names"'
KERNEL=$OUT_OF.vmlinuz boot "$OUT_OF.initrd.zst" "" login=root:image-composer "run:state=systemctl is-system-running --wait" \
    "run:root=findmnt --noheadings --output FSTYPE /" "run:packages=dpkg --audit" "run:mounts=systemctl --failed --no-legend"
check "memory: it boots from memory alone" equals "$RC" 0
note "memory: login prompt after $(from_json "$BOOT" boot_seconds) s"
check "memory: systemd says running" answers state running
check "memory: its root is memory" eval 'grep -qE "rootfs|tmpfs" <<<"$(from_json "$BOOT" answers.root.output)"'
check "memory: dpkg finds no fault" answers packages ""
check "memory: no unit has failed" answers mounts ""
rm -rf "$PLACE/initrd"

composer again build "$SCRATCH/fixtures/specs/debian12-memory.yml" -o "$PLACE/again"
check "memory: the second build is a copy" hit
check "memory: and the same" diff -r "$PLACE/out" "$PLACE/again"

# Whatever is kept can leave so: a disk that boots, too.
composer exported cache export "$ID" "$PLACE/minimal.vmlinuz"
check "a kernel is exported from a disk" eval 'ended_with 0 && equals "$(dd if="$PLACE/minimal.vmlinuz" bs=1 skip=514 count=4 status=none)" HdrS'
composer gz cache export "$ID" "$PLACE/minimal.initrd.gz"
check "an initrd is exported from a disk" eval 'ended_with 0 && gzip -dc "$PLACE/minimal.initrd.gz" | cpio --quiet --list | grep -x usr/bin/dpkg'
rm -f "$PLACE"/minimal.*.gz
composer wrong cache import "$PLACE/minimal.vmlinuz" --format vmlinuz
check "what has no disk is not imported" eval 'ended_with 2 && says "$ERR" "an image is a disk" "^hint: "'

composer wsl build "$SCRATCH/fixtures/specs/debian12-wsl2.yml" -o "$PLACE/wsl"
check "wsl2: the image is built" equals "$RC" 0 || return
note "wsl2: the build took $ELAPSED s"
check "wsl2: there is an archive, and nothing else" holds_only "$PLACE/wsl" debian12-wsl2-1.0.tar.gz
mkdir "$PLACE/root"
check "wsl2: GNU tar unpacks it" tar --extract --gzip --file "$PLACE/wsl/debian12-wsl2-1.0.tar.gz" --directory "$PLACE/root" --numeric-owner --same-permissions \
    --xattrs --xattrs-include='*'
within() { chroot "$PLACE/root" "$@"; }
check "wsl2: it has no kernel, no initrd and no boot loader" eval '! find "$PLACE/root/boot" "$PLACE/root/usr/lib/modules" -type f | grep . && ! within dpkg --list | grep -E "^ii  (linux-image|initramfs|systemd-boot)"'
check "wsl2: dpkg finds no fault" equals "$(within dpkg --audit)" ""
check "wsl2: Windows is told what to start, and for whom" equals "$(cat "$PLACE/root/etc/wsl.conf")" \
    "$(printf '[boot]\nsystemd=true\n\n[network]\nhostname=debian12-wsl2\n\n[user]\ndefault=anna')"
check "wsl2: the user is there, and may do everything" eval 'within id anna && within su anna -c "sudo -n id -u" | grep -qx 0'
check "wsl2: no mount is left to be made" eval '! grep -v "^#" "$PLACE/root/etc/fstab"'
rm -rf "$PLACE/root"
