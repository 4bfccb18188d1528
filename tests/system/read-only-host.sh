#!/bin/bash
# read-only-host.sh PLACE… -- COMMAND…: runs a command where nothing but the places can be written. To be run in a mount namespace of its own.
set -euo pipefail

places=()
while [[ $1 != -- ]]; do
    places+=("$(realpath "$1")")
    mount --bind "${places[-1]}" "${places[-1]}"
    shift
done
shift

while read -r target; do
    for place in "${places[@]}"; do [[ $target != "$place" ]] || continue 2; done
    # The kernel's own: what is written there is no file.
    [[ $target != /proc && $target != /proc/* && $target != /sys && $target != /sys/* && $target != /dev && $target != /dev/pts ]] || continue
    mount -o remount,bind,ro "$target"
done < <(findmnt --raw --noheadings --output TARGET)

! touch /read-only-host 2>/dev/null || { echo "the host is not read-only" >&2; exit 70; }
exec "$@"
