# Loss of power at every sync of commands that store, replace and remove images: `power_loss.py` says how.

command -v strace >/dev/null || quiet_apt install --no-install-recommends strace >"$LOGS/strace" 2>&1
check "strace can be installed" command -v strace || return

readonly CALLS=open,openat,creat,write,writev,pwrite64,pwritev,pwritev2,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,unlink,unlinkat,\
mkdir,mkdirat,rmdir,fsync,fdatasync,sync_file_range,close,dup,dup2,dup3,fcntl,lseek,copy_file_range,sendfile,mmap
WORLD=$PLACE/world
ROUNDS=()
mkdir -p "$WORLD" "$PLACE/scratch"

# Three disks that share pieces.
"$PYTHON" - "$PLACE" <<'PYTHON'
import random
import sys

chance = random.Random(1)
pieces, hole = [chance.randbytes(300_000) for _ in range(4)], bytes(200_000)
for name, parts in (("a", (0, 4, 1, 2)), ("b", (1, 4, 3)), ("c", (0, 3, 4))):
    with open(f"{sys.argv[1]}/{name}.raw", "wb") as file:
        file.write(b"".join([*pieces, hole][part] for part in parts))
PYTHON
STORE=$PLACE/other
for disk in a b c; do
    composer "known-$disk" cache import "$PLACE/$disk.raw"
    printf '%s %s\n' "$(<"$OUT")" "$(sha256sum <"$PLACE/$disk.raw" | cut -d ' ' -f 1)" >>"$PLACE/known"
done
composer bundle cache export --bundle "$PLACE/all.bundle" --all
check "there are disks and a bundle to store" equals "$RC" 0 || return

# record ARGS…: a command on the store beneath the world, recorded, and what is in a copy of the store after it (opening a store writes to it).
record() {
    local round=$((${#ROUNDS[@]} / 2))
    STORE=$WORLD/deep/store
    local WRAP=(strace -f -xx -s 16777216 -e "trace=$CALLS" -e signal=none -o "$PLACE/trace$round")
    composer "record$round" "$@"
    WRAP=()
    check "recorded: $*" equals "$RC" 0
    rm -rf "$PLACE/copy" && cp -a "$STORE" "$PLACE/copy"
    STORE=$PLACE/copy
    composer "list$round" cache list --json
    grep -oE '"spec_hash": *"[0-9a-f]{64}"' "$OUT" | grep -oE '[0-9a-f]{64}' >"$PLACE/listed"
    grep -F -f "$PLACE/listed" "$PLACE/known" >"$PLACE/promises$round"
    ROUNDS+=("$PLACE/trace$round" "$PLACE/promises$round")
}

record cache import "$PLACE/a.raw"
record cache import "$PLACE/b.raw"
record cache gc --max-images 1
record cache import "$PLACE/all.bundle"
record cache clean --images
check "at no sync a loss of power takes what was promised" "$PYTHON" "$HERE/power_loss.py" "$BIN" "$WORLD" "$PLACE/scratch" "${ROUNDS[@]}"
