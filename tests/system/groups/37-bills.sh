# Bills are what the published schemas and validators take for ones, say what dpkg says, and one that lies in the image is the same in each build.

. "$HERE/bills.sh"

copy_of_seed || return
check "the validators can be installed" bill_validators || return
composer list cache list --json
ID=$(from_json "$OUT" images.0.spec_hash)
declare -A BILL
for FORMAT in spdx cyclonedx provenance; do
    composer "$FORMAT" cache info "$ID" --sbom "$FORMAT"
    BILL[$FORMAT]=$PLACE/bill.$FORMAT.json
    cp "$OUT" "${BILL[$FORMAT]}"
    check "the bill in the words of $FORMAT is valid" eval 'ended_with 0 && valid "$FORMAT" "${BILL[$FORMAT]}"'
    check "and with a mistake it would not be" noticed "$FORMAT" "${BILL[$FORMAT]}"
    note "printed in $ELAPSED s"
done

ARTIFACT=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
SHA256=$(sha256sum <"$SEED/out/$ARTIFACT" | cut -d ' ' -f 1)
check "the provenance has the digest of the disk" equals "$(from_json "${BILL[provenance]}" subject.0.digest.sha256)" "$SHA256"
check "and those of repository states by which others know them" equals \
    "$(from_json "${BILL[provenance]}" predicate.buildDefinition.resolvedDependencies.0.digest | grep -c '"sha256"')" 1
check "the bill of SPDX has it, too" equals "$(from_json "${BILL[spdx]}" packages.0.checksums.0.checksumValue)" "$SHA256"

cut_partitions "$SEED/out/$ARTIFACT" "$PLACE/parts"
debugfs -R 'cat /var/lib/dpkg/status' "$(part_with "$PLACE/parts" ext4)" >"$PLACE/status" 2>/dev/null
check "dependencies are those of the image's own database" "$PYTHON" "$HERE/bills.py" --edges "${BILL[spdx]}" "$PLACE/status"
rm -rf "$PLACE/parts"

# The bill in the image: from a kept root, and by the lock.
sed 's/^systemConfig:$/&\n  sbom: spdx/' "$MINIMAL" >"$PLACE/inside.yml"
composer inside build "$PLACE/inside.yml" -o "$PLACE/out" --offline
check "an image with a bill in it is built" equals "$RC" 0 || return
NAME=${ARTIFACT%.raw}
cut_partitions "$PLACE/out/$ARTIFACT" "$PLACE/parts"
debugfs -R "cat /usr/share/sbom/$NAME.spdx.json" "$(part_with "$PLACE/parts" ext4)" >"$PLACE/inside.json" 2>/dev/null
check "the bill is in the image, and valid" valid spdx "$PLACE/inside.json"
check "it has all packages" equals "$(from_json "$PLACE/inside.json" 'packages.*.name')" "$(from_json "${BILL[spdx]}" 'packages.*.name')"
composer lock lock "$PLACE/inside.yml" --offline
composer locked build "$PLACE/inside.yml" -o "$PLACE/locked" --offline --locked
check "by the lock the image is the same" eval 'ended_with 0 && cmp "$PLACE/out/$ARTIFACT" "$PLACE/locked/$ARTIFACT"'
