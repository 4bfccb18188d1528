# Looking into disk images without mounting them: sourced by `run`.

# cut IMAGE DIR: writes the partitions of a raw image to DIR/1.part, DIR/2.part, …
cut_partitions() {
    local image=$1 into=$2 number first last
    mkdir -p "$into"
    while read -r number first last; do
        # Whole MiB, as our partitions are; the last one may end with a part of one.
        dd if="$image" of="$into/$number.part" bs=1M iflag=skip_bytes,count_bytes skip=$((first * 512)) count=$(((last - first + 1) * 512)) \
            conv=sparse status=none || return
        truncate -s $(((last - first + 1) * 512)) "$into/$number.part"
    done < <(partitions "$image")
    [[ -s $into/1.part ]]
}

# `NUMBER FIRST LAST` of each partition, in sectors of 512 bytes.
partitions() {
    sgdisk -p "$1" | awk 'table { print $1, $2, $3 } /^Number/ { table = 1 }'
}

# What kind of file system is in a partition that was cut out.
filesystem_of() {
    blkid --probe --match-tag TYPE --output value "$1"
}

sgdisk_finds_nothing() {
    local said
    said=$(sgdisk -v "$1" 2>&1)
    printf '%s\n' "$said"
    [[ $said == *"No problems found"* && $said != *[Ww]arning* ]]
}

# Every file system of an image that was cut into DIR is without fault.
filesystems_are_clean() {
    local part kind
    for part in "$1"/*.part; do
        kind=$(filesystem_of "$part")
        case $kind in
            vfat) fsck.fat -n "$part" || return ;;
            ext4) e2fsck -fn "$part" || return ;;
            *) echo "$part holds “$kind”" && return 1 ;;
        esac
    done
}

# part_with DIR TYPE: the first partition with that file system.
part_with() {
    local part
    for part in "$1"/*.part; do [[ $(filesystem_of "$part") != "$2" ]] || { printf '%s\n' "$part"; return; }; done
    return 1
}

is_sparse() { takes_little_room "$(($(stat -c '%b * %B' "$1")))" "$(stat -c %s "$1")"; }

# A raw image's table and file systems are without fault; its partitions are then in DIR.
is_whole() { sgdisk_finds_nothing "$1" && cut_partitions "$1" "$2" && filesystems_are_clean "$2"; }

takes_little_room() { at_most "$1" "$(($2 * 8 / 10))"; }

# files_of DIR LIST: what is in the file systems of an image that was cut into DIR, as files.py writes it. (The test may mount the root file system,
# in a namespace of its own; the EFI partition cannot be mounted everywhere, and has no owners or modes.)
files_of() {
    local root esp
    root=$(part_with "$1" ext4) && esp=$(part_with "$1" vfat) || return
    mkdir -p "$1/esp" "$1/root"
    mcopy -s -p -m -n -i "$esp" "::/*" "$1/esp/" || return
    unshare --mount --propagation private -- sh -c 'mount -o ro,noload,loop "$1" "$2" && shift 2 && exec "$@"' sh "$root" "$1/root" \
        "$PYTHON" "$HERE/files.py" "/=$1/root" "ESP/=$1/esp" >"$2" || return
    rm -rf "$1/esp" "$1/root"
    at_least "$(wc -l <"$2")" 1000
}

# boot IMAGE FORMAT STEP…: $BOOT is the JSON of console.py. $FIRMWARE is efi, or bios; with $KERNEL the image is that kernel's initrd, and has no format.
boot() {
    local image=$1 format=$2
    shift 2
    LABEL=console.py
    ERR=$LOGS/$GROUP.boot.err
    BOOT=$LOGS/$GROUP.boot.json
    RC=0
    "$PYTHON" "$HERE/console.py" --firmware "${FIRMWARE:-efi}" ${format:+--format "$format"} ${KERNEL:+--kernel "$KERNEL" --memory 2048} --log "$LOGS/$GROUP.console" "$image" "$@" >"$BOOT" 2>"$ERR" || RC=$?
    [[ $RC == 0 ]]
}

# answers NAME OUTPUT: that command ended with 0 and said exactly that.
answers() { equals "$(from_json "$BOOT" "answers.$1.status"): $(from_json "$BOOT" "answers.$1.output")" "0: $2"; }
# succeeds NAME: that command ended with 0.
succeeds() {
    from_json "$BOOT" "answers.$1.output"
    equals "$(from_json "$BOOT" "answers.$1.status")" 0
}
