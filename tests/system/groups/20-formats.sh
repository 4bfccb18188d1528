# Images leave in the formats of other programs, and come in from them.

copy_of_seed || return
RAW=$SEED/out/$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
SIZE=$(stat -c %s "$RAW")
composer list cache list --json
ID=$(from_json "$OUT" images.0.spec_hash)
OTHERS=$PLACE/others
mkdir "$PLACE/out" "$OTHERS"

# What qemu-img calls a format.
driver() { if [[ $1 == vhd ]]; then echo vpc; else echo "$1"; fi; }
# A fixed VHD has nothing that could be checked.
finds_nothing() { [[ $2 == vhd ]] || qemu-img check -f "$2" "$1"; }

for format in raw qcow2 vhd vhdx vmdk vdi; do
    file=$PLACE/out/disk.$format
    without_network composer "export-$format" cache export "${ID:0:12}" "$file"
    check "$format: the image is exported" equals "$RC:$(cat "$OUT")" "0:$file" || continue
    note "$format: $ELAPSED s"
    check "$format: qemu-img finds the same contents" qemu-img compare -f "$(driver "$format")" -F raw "$file" "$RAW"
    qemu-img info -f "$(driver "$format")" --output=json "$file" >"$PLACE/info"
    check "$format: it says the disk's size exactly" equals "$(from_json "$PLACE/info" virtual-size)" "$SIZE"
    check "$format: it takes only the room it needs" takes_little_room "$(($(stat -c "%b * %B" "$file")))" "$SIZE"
    [[ $format == raw ]] || check "$format: qemu-img finds no fault" finds_nothing "$file" "$format"
    composer "again-$format" cache export "$ID" "$PLACE/again" --format "$format" --force
    check "$format: the same image gives the same file" cmp "$file" "$PLACE/again"
done
rm -f "$PLACE/again"

decompressor() { case $1 in bz2) echo bzip2 ;; gz) echo gzip ;; xz) echo xz ;; zst) echo zstd ;; esac; }
for format in raw.zst vmdk.zst raw.gz; do
    composer "export-$format" cache export "$ID" "$PLACE/out/disk.$format"
    note "$format: $ELAPSED s, $(stat -c %s "$PLACE/out/disk.$format") bytes"
    check "$format: $(decompressor "${format#*.}") reads the file without its ending" \
        cmp <("$(decompressor "${format#*.}")" -dc <"$PLACE/out/disk.$format") "$PLACE/out/disk.${format%.*}"
done
streamed() { [[ $("$BIN" --store "$STORE" cache export "$ID" - --format raw.zst | zstd -qdc | sha256sum) == "$(sha256sum <"$RAW")" ]]; }
check "standard output has the same disk" streamed

composer exists cache export "$ID" "$PLACE/out/disk.vdi"
check "a file that is there is not written over" eval 'ended_with 2 && says "$ERR" "is there already" "^hint: .*--force"'

# The files of the system, as other programs unpack them.
without_network composer tar cache export "$ID" "$PLACE/out/system.tar.zst"
check "tar: the files of the image are exported" equals "$RC" 0
note "tar.zst: $ELAPSED s, $(stat -c %s "$PLACE/out/system.tar.zst") bytes"
composer tar-again cache export "$ID" "$PLACE/out/again.tar"
check "tar: the same image gives the same archive" cmp <(zstd -dcq "$PLACE/out/system.tar.zst") "$PLACE/out/again.tar"
mkdir "$PLACE/unpacked"
check "tar: GNU tar unpacks it" tar --extract --file "$PLACE/out/again.tar" --directory "$PLACE/unpacked" --numeric-owner --same-permissions \
    --xattrs --xattrs-include='*'
cut_partitions "$RAW" "$PLACE/parts"
check "tar: the files of the disk can be listed" files_of "$PLACE/parts" "$PLACE/disk.files"
"$PYTHON" "$HERE/files.py" "/=$PLACE/unpacked" | grep -v '^/boot/efi/' >"$PLACE/unpacked.files"
check "tar: modes, owners, attributes and contents are those of the disk" diff <(grep -v '^ESP/\|^/lost+found' "$PLACE/disk.files") "$PLACE/unpacked.files"
check "tar: what is on the EFI partition is where it is mounted" test -s "$PLACE/unpacked/boot/efi/EFI/BOOT/BOOTX64.EFI"
rm -rf "$PLACE/unpacked" "$PLACE/parts" "$PLACE"/out/*.tar*

# What others write comes in as the image that it is: into an empty store, so that each is read. The beginning of the disk has all that differs.
STORE=$PLACE/empty
BEGINNING=$OTHERS/beginning.raw
head -c 192M "$RAW" >"$BEGINNING" && truncate -s 1G "$BEGINNING"
DIGEST=
comes_in() { [[ $RC == 0 && $(cat "$OUT") == "${DIGEST:=$(cat "$OUT")}" ]]; }
composer import-raw cache import "$BEGINNING" --name minimal
check "a raw disk is imported" comes_in
check "its id is the digest of its content" grep -qxE '[0-9a-f]{64}' "$OUT"
while read -r name format options; do
    # shellcheck disable=SC2086  # a list of options
    qemu-img convert -f raw -O "$format" $options "$BEGINNING" "$OTHERS/$name" || check "qemu-img writes $name" false
    composer "import-$name" cache import "$OTHERS/$name"
    check "$name of qemu-img is the same image" comes_in
    rm -f "$OTHERS/$name"
done <<'EOF'
plain.qcow2 qcow2
zlib.qcow2 qcow2 -c
zstd.qcow2 qcow2 -c -o compression_type=zstd
old.qcow2 qcow2 -o compat=0.10,cluster_size=4096
dynamic.vhd vpc -o force_size=on
fixed.vhd vpc -o subformat=fixed,force_size=on
dynamic.vhdx vhdx
fixed.vhdx vhdx -o subformat=fixed
sparse.vmdk vmdk
stream.vmdk vmdk -o subformat=streamOptimized
dynamic.vdi vdi
static.vdi vdi -o static=on
EOF
zstd -q --long=27 "$BEGINNING" -o "$OTHERS/long.raw.zst"
composer import-long cache import "$OTHERS/long.raw.zst"
check "what zstd --long writes is the same image" comes_in
gzip -1 <"$BEGINNING" >"$OTHERS/beginning.raw.gz"
composer import-gz cache import "$OTHERS/beginning.raw.gz"
check "what gzip writes is the same image" comes_in
composer imported cache list --json
check "there is one image after all of them" equals "$(from_json "$OUT" images.1.spec_hash 2>/dev/null)" ""

# These take minutes for a whole system.
head -c 16M "$BEGINNING" >"$OTHERS/small.raw"
composer small cache import "$OTHERS/small.raw"
SMALL=$(cat "$OUT")
for format in qcow2.xz raw.bz2; do
    composer "small-$format" cache export "$SMALL" "$OTHERS/export.$format"
    "$(decompressor "${format#*.}")" -dkf "$OTHERS/export.$format"
    check "$format: other programs read it" qemu-img compare -f "${format%.*}" -F raw "$OTHERS/export.${format%.*}" "$OTHERS/small.raw"
    composer "small-again-$format" cache import "$OTHERS/export.$format"
    check "$format: it is the same image" equals "$RC:$(cat "$OUT")" "0:$SMALL"
done

qemu-img create -q -f qcow2 -F raw -b "$RAW" "$OTHERS/child.qcow2"
composer child cache import "$OTHERS/child.qcow2"
check "an image that stands on another is refused, with the way out" eval 'ended_with 1 && says "$ERR" "backing file" "^hint: .*qemu-img convert"'

# A disk of another program as the image of a spec.
composer vouched cache import "$PLACE/out/disk.vmdk" --spec "$MINIMAL"
check "an import for a spec says whose word it is" eval 'ended_with 0 && says "$ERR" "your word alone"'
without_network composer hit build "$MINIMAL" -o "$PLACE/built" --offline
check "the next build of the spec takes it" eval 'hit && says "$ERR" "imported"'
check "and writes the same disk" cmp "$PLACE/built/${RAW##*/}" "$RAW"
rm -rf "$PLACE/built"

# An export that is broken off, and one without room.
STORE=$PLACE/store
phase_begun() { grep -q "^$1" "$ERR"; }
for phase in "writing the output" "converting the output" "compressing the output"; do
    mkdir -p "$PLACE/broken"
    start "${phase%% *}" cache export "$ID" "$PLACE/broken/disk.vdi.zst"
    if check "the export comes to “$phase”" comes_to 30 phase_begun "$phase"; then
        kill -INT -- "-$PID"
        await 10
        check "Ctrl-C while $phase: the exit code is 130, or it was done" ended_with '130|0'
        check "Ctrl-C while $phase: it ends within a second" at_most "$ELAPSED" 1.3
        [[ $RC == 0 ]] || check "Ctrl-C while $phase: nothing is left" holds_only "$PLACE/broken"
    else
        await 0
    fi
    rm -rf "$PLACE/broken"
done
mkdir "$PLACE/small" && mount -t tmpfs -o size=24M,mode=755 tmpfs "$PLACE/small"
composer small cache export "$ID" "$PLACE/small/disk.vmdk"
check "an export without room is refused, and says what is missing" eval 'ended_with 1 && says "$ERR" "are missing" "$PLACE/small" "^hint: "'
check "nothing is left there" holds_only "$PLACE/small"

check "the exported VMDK boots" boot "$PLACE/out/disk.vmdk" vmdk login=root:image-composer "run:state=systemctl is-system-running --wait" || return
check "systemd says running" answers state running
