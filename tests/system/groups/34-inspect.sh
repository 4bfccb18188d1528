# What is in an image, how two differ, and whether one is the same when it is built again: against what the host's own tools say.

copy_of_seed || return
RAW=$SEED/out/$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
PARTS=$PLACE/parts
composer list cache list --json
ID=$(from_json "$OUT" images.0.spec_hash)
cut_partitions "$RAW" "$PARTS"
ROOT=$(part_with "$PARTS" ext4) ESP=$(part_with "$PARTS" vfat)
from_root() { debugfs -R "cat $1" "$ROOT" 2>/dev/null; }

as_nobody() { local WRAP=("${WRAP[@]}" setpriv --reuid nobody --regid nogroup --clear-groups --reset-env --); "$@"; }
without_network as_nobody composer file inspect "$RAW" --json
check "an ordinary user looks into a file" ended_with 0
note "inspect of a raw file: $ELAPSED s"
cp "$OUT" "$PLACE/file.json"
# ours KEY: what we say.
ours() { from_json "$PLACE/file.json" "$1"; }
in_sectors() { paste -d ' ' <(ours "partitions.*.number") <(ours "partitions.*.start") <(ours "partitions.*.size") | awk '{ print $1, $2 / 512, ($2 + $3) / 512 - 1 }'; }
check "partitions are those of sgdisk" equals "$(in_sectors)" "$(partitions "$RAW")"
check "their identifiers are those of sgdisk" equals "$(ours "partitions.*.id" | tr a-f A-F)" \
    "$(for number in 1 2; do sgdisk -i "$number" "$RAW" | sed -n 's/^Partition unique GUID: //p'; done)"
check "file systems have the identifiers that blkid sees" equals "$(ours "partitions.*.filesystem.uuid")" \
    "$(for part in 1 2; do blkid --probe --match-tag UUID --output value "$PARTS/$part.part"; done)"
free_of() { dumpe2fs -h "$ROOT" 2>/dev/null | awk -F ': *' -v key="$1" '$1 == key { print $2 }'; }
check "ext4 has in use what dumpe2fs says" equals "$(ours partitions.1.filesystem.used)" \
    "$((($(free_of "Block count") - $(free_of "Free blocks")) * $(free_of "Block size")))"
mkdir -p "$PLACE/dpkg/info" "$PLACE/dpkg/updates"
from_root /var/lib/dpkg/status >"$PLACE/dpkg/status"
check "packages are those of dpkg-query" equals \
    "$(paste -d ' ' <(ours "packages.list.*.name") <(ours "packages.list.*.version") <(ours "packages.list.*.arch") | LC_ALL=C sort)" \
    "$(dpkg-query --admindir="$PLACE/dpkg" -W -f '${Package} ${Version} ${Architecture}\n' | LC_ALL=C sort)"
check "users are those of /etc/passwd" equals "$(paste -d : <(ours "users.*.name") <(ours "users.*.uid") <(ours "users.*.home"))" \
    "$(from_root /etc/passwd | cut -d : -f 1,3,6)"
HASH=$(from_root /etc/shadow | awk -F : '$1 == "root" { print $2 }')
check "there is a password, and nothing of it is told" eval '[[ ${#HASH} -gt 20 ]] && ! grep -F -e "$HASH" "$PLACE/file.json" "$ERR"'
check "the kernel is that of the modules" equals "$(ours kernels.0.version)" \
    "$(debugfs -R "ls -p /usr/lib/modules" "$ROOT" 2>/dev/null | awk -F / '$6 !~ /^\.*$/ { print $6 }')"
check "the boot loader is found" equals "$(ours "boot.efi.*.name" | LC_ALL=C sort -u)" systemd-boot

composer image inspect "${ID:0:12}" --json
note "inspect of a cached image: $ELAPSED s"
without_names() { "$PYTHON" -c 'import json, sys; d = json.load(open(sys.argv[1])); [d.pop(k) for k in ("image", "spec_hash", "format")]; print(json.dumps(d))' "$1"; }
check "the cached image is told the same" eval 'ended_with 0 && equals "$(without_names "$OUT")" "$(without_names "$PLACE/file.json")"'
composer export cache export "$ID" "$PLACE/disk.qcow2.zst"
composer packed inspect "$PLACE/disk.qcow2.zst" --json
check "and so is a compressed qcow2" eval 'ended_with 0 && equals "$(without_names "$OUT")" "$(without_names "$PLACE/file.json")"'

# All names of the image, as what is more than in a disk without anything.
truncate -s 2G "$PLACE/empty.raw"
composer all diff "$PLACE/empty.raw" "$RAW" --json
cp "$OUT" "$PLACE/all.json"
cat >"$PLACE/names.py" <<'P'
import json, sys
for file in json.load(open(sys.argv[1]))["files"]:
    at, path = file["to"], file["path"]
    if sys.argv[2] == "esp":
        if path.startswith("/boot/efi/") and at["kind"] == "file":
            print(f"::{path.removeprefix('/boot/efi')}")
    elif path not in ("/", "/boot/efi") and not path.startswith("/boot/efi/"):
        kind = {"file": "f", "folder": "d", "link": "l"}.get(at["kind"], "?")
        size = at["size"] if kind == "f" else 0
        print(kind, f"{int(at['mode'], 8):o}", at["uid"], at["gid"], size, at["modified"], at["target"] or "", path)
P
mkdir "$PLACE/mounted"
# shellcheck disable=SC2016  # expanded by the inner shell
unshare --mount --propagation private -- sh -c 'mount -o ro,noload,loop "$1" "$2" && cd "$2" && find . -mindepth 1 -printf "%y %m %U %G %s %Ts %l /%P\n"' sh "$ROOT" "$PLACE/mounted" |
    awk '{ if ($1 != "f") $5 = 0; print }' | sed 's/  */ /g' | grep -v ' /boot/efi\(/.*\)\?$' | LC_ALL=C sort >"$PLACE/kernel"
"$PYTHON" "$PLACE/names.py" "$PLACE/all.json" root | sed 's/  */ /g' | LC_ALL=C sort >"$PLACE/ours"
check "names, modes, owners, sizes, times and links are those that the kernel sees" eval 'cmp "$PLACE/ours" "$PLACE/kernel" && at_least "$(wc -l <"$PLACE/ours")" 5000'
check "the files of the EFI partition are those of mdir" equals "$("$PYTHON" "$PLACE/names.py" "$PLACE/all.json" esp | LC_ALL=C sort)" \
    "$(mdir -/ -b -i "$ESP" :: | grep -v '/$' | LC_ALL=C sort)"
rm -rf "$PLACE/empty.raw" "$PLACE/all.json"

composer same diff "${ID:0:12}" "$PLACE/disk.qcow2.zst"
check "the same disk is the same" eval 'ended_with 0 && says "$ERR" "are the same, byte by byte" && is_empty "$(cat "$OUT")"'
rm -f "$PLACE/disk.qcow2.zst"
"$PYTHON" "$HERE/spec.py" with-package "$MINIMAL" less >"$PLACE/edge.yml"
composer more build "$PLACE/edge.yml" -o "$PLACE/more"
MORE=$PLACE/more/${RAW##*/}
composer differ diff "${ID:0:12}" "$MORE"
check "another package is told, with its files and where the bytes grew" eval \
    'ended_with 0 && says "$OUT" "^\+ less 5" "^\+ /usr/bin/less, [0-9.]+ KiB" "^ *\+[0-9.]+ [KM]iB .* /usr/share" && equals "$(grep -c "^+ [a-z]" "$OUT")" 1'
note "diff of a cached image and a file: $ELAPSED s"
head -c 700M "$RAW" >"$PLACE/cut.raw"
composer cut inspect "$PLACE/cut.raw"
check "of a disk that is cut off is told what there is" eval 'ended_with 4 && says "$ERR" "partition 2: it ends too early" && says "$OUT" "linux-root-amd64"'
composer cut-diff diff "$PLACE/cut.raw" "$RAW"
check "and it is not compared" eval 'ended_with 4 && is_empty "$(cat "$OUT")"'
rm -rf "$PLACE/cut.raw" "$PLACE/more"

without_network composer check build "$MINIMAL" --check --offline --json
check "the image is the same when it is built again" eval 'ended_with 0 && equals "$(from_json "$OUT" outcome)" same'
note "build --check: $ELAPSED s"
check "no output is written" test ! -e "${RAW##*/}"
cp "$MINIMAL" "$PLACE/red.yml"
printf '  configurations:\n    - cmd: date +%%s%%N >/etc/built-at\n' >>"$PLACE/red.yml"
composer none build "$PLACE/red.yml" --check --offline
check "where nothing is kept there is nothing to check" eval 'ended_with 3 && says "$ERR" "so there is nothing to check" "build it first"'
composer red build "$PLACE/red.yml" -o "$PLACE/red" --offline
BEFORE=$(sha256sum <"$PLACE/red/${RAW##*/}")
composer red-check build "$PLACE/red.yml" --check --offline
check "what a command makes anew each time is named" eval 'ended_with 4 && equals "$(cat "$OUT")" "partition 2: ~ /etc/built-at: content, 20 B as before"'
composer red-hit build "$PLACE/red.yml" -o "$PLACE/red" --offline
check "and the kept image stays" eval 'hit && equals "$(sha256sum <"$PLACE/red/${RAW##*/}")" "$BEFORE"'
