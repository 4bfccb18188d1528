# Built twice, each time with an empty store: where do the images differ? And the second build happens on a host that
# cannot be written to.

seed || return
ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
FIRST=$SEED/out/$ARTIFACT
SECOND=$PLACE/out/$ARTIFACT
STORE=$PLACE/store
mkdir -p "$STORE" "$PLACE/out"

# The partition table with all its identities, without the file's name.
table_of() {
    local number
    sgdisk -p "$1" | sed 1d
    while read -r number _; do sgdisk -i "$number" "$1"; done < <(partitions "$1")
}

with_read_only_host "$PLACE/out" composer again build "$MINIMAL" -o "$PLACE/out"
check "with nothing outside the store and the output to write to, the image is built" equals "$RC" 0 || return
check "both images have the same size" equals "$(stat -c %s "$SECOND")" "$(stat -c %s "$FIRST")"
check "both have the same partition table" diff <(table_of "$FIRST") <(table_of "$SECOND")
for which in "a:$FIRST" "b:$SECOND"; do
    cut_partitions "${which#*:}" "$PLACE/${which%%:*}"
    check "the files of image ${which%%:*} can be listed" files_of "$PLACE/${which%%:*}" "$PLACE/${which%%:*}.files" || return
done
check "both have the same files, modes, owners and attributes" diff <(cut -f 1,2 "$PLACE/a.files") <(cut -f 1,2 "$PLACE/b.files")

check "the files have the same contents" diff <(cut -f 1,3 "$PLACE/a.files") <(cut -f 1,3 "$PLACE/b.files")
check "the two images are the same, byte for byte" cmp "$FIRST" "$SECOND"
