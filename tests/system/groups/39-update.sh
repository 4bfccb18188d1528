# After a security update of a few packages the second image adds to the store what they have, and little more.

copy_of_seed || return
cp "$MINIMAL" "$PLACE/edge.yml"
composer lock lock "$PLACE/edge.yml"
check "the packages of today are locked" equals "$RC" 0 || return
cp "$PLACE/edge.yml.lock" "$PLACE/today"

# Those of which few bytes depend. (All that the security suite had in November 2026 but the kernel, perl and what is in the initrd among them, 15 packages, were
# 11.4 %: an initrd with another library is another 15 MB.)
readonly FEW='^(apt|libapt-pkg.*|libexpat1|libpam.*|tzdata|bsdutils|gpgv|dpkg)$'

# The version that the main suite has where the security suite has a newer one.
before_update() {
    apt-cache madison "$1" | awk -F ' *[|] *' '$3 ~ / bookworm-security\/main / { is_updated = 1; newest = $2 }
        $3 ~ / bookworm\/main / && !older { older = $2 } END { if (is_updated && older != newest) print older }'
}
for name in $(awk '$1 == "package" && $5 == "debian-security" && $2 ~ few { print $2 }' few="$FEW" "$PLACE/today"); do
    version=$(before_update "$name")
    [[ -z $version ]] || printf '%s %s\n' "$name" "$version"
done >"$PLACE/older"
check "the mirror has packages from before an update" test -s "$PLACE/older" || return

# The lock of the same spec before the update: its lines for those packages.
cp "$MINIMAL" "$PLACE/pinned.yml"
while read -r name version; do
    "$PYTHON" "$HERE/spec.py" with-package "$PLACE/pinned.yml" "$name=$version" >"$PLACE/more.yml" && mv "$PLACE/more.yml" "$PLACE/pinned.yml"
done <"$PLACE/older"
composer pinned lock "$PLACE/pinned.yml"
check "those versions can be locked" equals "$RC" 0 || return
awk 'NR == FNR { if ($1 == "package") line[$2] = $0; next } FILENAME ~ /older$/ { old[$1] = 1; next } { print old[$2] && $1 == "package" ? line[$2] : $0 }' \
    "$PLACE/pinned.yml.lock" "$PLACE/older" "$PLACE/today" >"$PLACE/edge.yml.lock"
check "the lock has them" equals "$(diff "$PLACE/today" "$PLACE/edge.yml.lock" | grep -c '^>')" "$(wc -l <"$PLACE/older")"

# What is in the packs, which have images only.
composer clean cache clean --images --roots
packed() { find "$STORE/packs" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum + 0 }'; }
check "there is no image" equals "$(packed)" 0
composer before build "$PLACE/edge.yml" --locked --no-root-cache -o "$PLACE/out"
check "the image from before the update is built" equals "$RC" 0 || return
FIRST=$(packed)
cp "$PLACE/today" "$PLACE/edge.yml.lock"
without_network composer after build "$PLACE/edge.yml" --locked --no-root-cache --offline -o "$PLACE/out2"
check "and the one from after it" equals "$RC" 0 || return
SECOND=$(($(packed) - FIRST))
PERCENT=$(awk -v a="$SECOND" -v b="$FIRST" 'BEGIN { printf "%.1f", a * 100 / b }')
note "the update of $(wc -l <"$PLACE/older") packages ($(cut -d ' ' -f 1 "$PLACE/older" | paste -sd ' ')) added $SECOND bytes to $FIRST: $PERCENT %"
check "the image after the update adds at most 6 %" at_most "$PERCENT" 6
check "and is another one" at_least "$SECOND" 100000
