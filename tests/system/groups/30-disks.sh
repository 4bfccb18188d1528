# Disks of several partitions, disks that a BIOS starts, and one that grows.

copy_of_seed || return

# legacy NAME DISK: a spec for a BIOS.
legacy() {
    cat >"$PLACE/$1.yml" <<Y
image: {name: $1, version: "1"}
target: {os: debian, dist: debian12, arch: x86_64}
disk: {$2}
systemConfig:
  users: [{name: root, password: image-composer}]
  kernel: {packages: [linux-image-cloud-amd64]}
  bootloader: {bootType: legacy, provider: grub}
Y
}

# starts TEXT FILE FORMAT STEP…: it boots to a system that is whole, with its swap.
starts() {
    local text=$1
    shift
    check "$text: boots" boot "$@" login=root:image-composer "run:state=systemctl is-system-running --wait" \
        "run:failed=systemctl --failed --no-legend --plain" "run:mounts=findmnt -rno TARGET,FSTYPE --real | grep -v autofs | LC_ALL=C sort" \
        "run:fstab=findmnt --verify" "run:swap=swapon --noheadings --raw | grep -c ^/dev" \
        "run:size=findmnt -bno SIZE \$(test -e /home/alice && echo /home || echo /)" || return
    check "$text: systemd says running" answers state running
    check "$text: no unit failed" answers failed ""
    check "$text: fstab is without fault" succeeds fstab
}

composer many build "$SCRATCH/fixtures/specs/debian12-partitions.yml" -o "$PLACE/many"
check "a disk of six partitions is built" ended_with 0
MANY=$(<"$OUT")
check "its table is without fault" sgdisk_finds_nothing "$MANY"
check "its types are those of the spec" equals "$(sgdisk -p "$MANY" | awk 'table { print $6 } /^Number/ { table = 1 }' | paste -sd ' ')" \
    "EF00 EA00 8304 8200 8310 8302"
cut_partitions "$MANY" "$PLACE/parts"
for number in 2 3 5 6; do check "partition $number is without fault" e2fsck -fn "$PLACE/parts/$number.part"; done
check "the FAT has 16 bits" eval 'fsck.fat -nv "$PLACE/parts/1.part" | grep -q "16 bit"'
check "the system's state is on its own partition alone" eval \
    'debugfs -R "stat /lib/dpkg/status" "$PLACE/parts/5.part" | grep -q "Type: regular" && is_empty "$(debugfs -R "ls -p /var" "$PLACE/parts/3.part" 2>/dev/null | grep dpkg)"'
rm -rf "$PLACE/parts"
qemu-img create -q -f qcow2 -F raw -b "$MANY" "$PLACE/grown.qcow2" 5G
starts "on a larger disk" "$PLACE/grown.qcow2" qcow2 && {
    check "all is mounted where the spec says" answers mounts "$(printf '%s\n' '/ ext4' '/boot ext2' '/boot/efi vfat' '/home ext4' '/var ext4')"
    check "swap is in use" answers swap 1
    check "the last partition has taken the rest" at_least "$(from_json "$BOOT" answers.size.output)" 2500000000
}
rm -rf "$PLACE/many" "$PLACE/grown.qcow2"

FIRMWARE=bios
legacy mbr 'size: 2GiB, partitionTableType: mbr, partitions: [
  {id: root, type: linux, start: 1MiB, end: 1600MiB, fsType: ext3, mountPoint: /},
  {id: swap, type: linux-swap, start: 1600MiB, end: 1700MiB},
  {id: data, type: linux, start: 1700MiB, end: "0", fsType: vfat, fsLabel: DATA, mountPoint: /data}]'
composer mbr build "$PLACE/mbr.yml" -o "$PLACE/mbr"
check "a disk with an MBR is built" ended_with 0
check "blkid sees a DOS table" equals "$(blkid --probe --match-tag PTTYPE --output value "$(<"$OUT")")" dos
starts "a BIOS and an MBR" "$(<"$OUT")" raw && {
    check "all of them is mounted" answers mounts "$(printf '%s\n' '/ ext3' '/data vfat')"
    check "its swap is in use" answers swap 1
}
legacy gpt 'size: 1536MiB, artifacts: [{type: raw}, {type: qcow2, compression: gz}, {type: raw, compression: zstd}]'
composer gpt build "$PLACE/gpt.yml" -o "$PLACE/gpt"
check "a disk with a GPT for a BIOS is built" ended_with 0
check "each artifact has the name of its format and compression" equals "$(sed 's|.*/||' "$OUT" | paste -sd ' ')" "gpt-1.raw gpt-1.qcow2.gz gpt-1.raw.zst"
GPT=$PLACE/gpt/gpt-1.raw
check "zstd reads the disk" cmp <(zstd -dc "$GPT.zst") "$GPT"
check "gzip reads the qcow2" eval 'gzip -dc "$PLACE/gpt/gpt-1.qcow2.gz" >"$PLACE/qcow2" && qemu-img compare -f raw -F qcow2 "$GPT" "$PLACE/qcow2"'
check "the table of the default disk for a BIOS is without fault" sgdisk_finds_nothing "$GPT"
starts "a BIOS and a GPT" "$GPT" raw
composer again build "$PLACE/gpt.yml" -o "$PLACE/again" --rebuild --offline
check "it is the same again, to the last byte" diff -r "$PLACE/gpt" "$PLACE/again"
composer hit build "$PLACE/gpt.yml" -o "$PLACE/hit" --offline
check "and out of the cache, compressed files too" eval 'hit && diff -r "$PLACE/gpt" "$PLACE/hit"'
