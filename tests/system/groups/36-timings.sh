# Where the time of a build went: a page that a browser draws.

copy_of_seed || return
NAME=$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
PAGE=$PLACE/out/${NAME%.raw}.timings.html

# What the browser makes of the page: its elements, and a picture. (Its own sandbox wants another user than root.)
in_browser() {
    local home=$PLACE/browser
    mkdir -p "$home"
    HOME=$home timeout 120 chromium --headless --no-sandbox --disable-gpu --window-size=1240,900 --virtual-time-budget=1000 "$@" "file://$PAGE" 2>"$home/said"
}
elements() { grep -o "<$2[ >]" "$1" | wc -l; }
# How many different bytes the pixels of a picture have: an empty page has two or three.
shades() {
    "$PYTHON" - "$1" <<'P'
import struct, sys, zlib
png, at, pixels = open(sys.argv[1], "rb").read(), 8, b""
while at < len(png):
    length, kind = struct.unpack(">I4s", png[at : at + 8])
    pixels += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
    at += 12 + length
print(len(set(zlib.decompress(pixels))))
P
}

composer timings build "$MINIMAL" -o "$PLACE/out" --offline --rebuild --timings
check "--timings shows a table" eval 'ended_with 0 && says "$ERR" "^PHASE +TOOK" "^unpacking packages +[0-9]" "^all together" "slowest: .*update-initramfs"'
check "and names the page after the images" equals "$(tail -n 1 "$OUT")" "$PAGE"
check "it has every package that was unpacked, and the initrd" eval 'at_least "$(elements "$PAGE" rect)" 250 && says "$PAGE" "update-initramfs for kernel"'
check "nothing of it comes from elsewhere" never_says "$PAGE" '(src|href)=|url\('
in_browser --dump-dom >"$PLACE/dom"
check "a browser reads all of it" equals "$(elements "$PLACE/dom" rect) $(elements "$PLACE/dom" tr)" "$(elements "$PAGE" rect) $(elements "$PAGE" tr)"
in_browser --screenshot="$PLACE/page.png" >/dev/null
check "and draws it" at_least "$(shades "$PLACE/page.png")" 50

composer served build "$MINIMAL" -o "$PLACE/out" --offline --timings --json
check "a hit has a page, too" eval 'hit && says "$PAGE" "image cache: hit" && equals "$(from_json "$OUT" outputs.1.path)" "$PAGE"'
