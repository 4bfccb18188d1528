#!/bin/bash
# without-program.sh PATH SCRATCH -- COMMAND…: runs a command where the program at PATH is not there. To be run in a mount namespace of its own.
set -euo pipefail

program=$(realpath "$1")
upper=$(mktemp -d "$2/without.XXXXXX")
chmod 755 "$upper"
mkdir "$upper/new" "$upper/work"
chmod 755 "$upper/new"
shift 3
# Overlaid rather than hidden by PATH: the program must not be found by its full name either.
mount -t overlay overlay -o "lowerdir=${program%/*},upperdir=$upper/new,workdir=$upper/work" "${program%/*}"
rm "$program"
exec "$@"
