#!/bin/bash
# First builds over a network of a given speed, with image-composer and with mmdebstrap at its fastest: both behind the same link, from the same mirror.
#
#     RATE=100mbit benches/peers/network.sh PROGRAM…
#
# PROGRAM is image-composer; of several each takes its turn. Installs what it lacks (iproute2, nginx, mmdebstrap, eatmydata, time), needs root and a mirror. The
# link is a network namespace of its own; nginx at its other end keeps what it once had from the host's mirrors. Sets as in build.sh (SETS, default: server);
# prints a line `set who wall cpu` in seconds for each of ROUNDS (2) rounds, after one that fills nginx.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
read -ra SETS <<<"${SETS:-server}"
(($# > 0)) || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }

lacking=()
for need in ip:iproute2 nginx:nginx-light mmdebstrap eatmydata /usr/bin/time:time python3; do
    command -v "${need%%:*}" >/dev/null || lacking+=("${need##*:}")
done
((${#lacking[@]} == 0)) || DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 install "${lacking[@]}" </dev/null >/dev/null

WORK=$(mktemp -d /var/tmp/image-composer-network.XXXXXX)
MEMORY=$(mktemp -d /dev/shm/image-composer-network.XXXXXX)
SPACE=image-composer-$$ HOST_END=icb$$ SPACE_END=icc$$ HOST=198.18.0.1 PORT=8080
clean_up() {
    [[ ! -s $WORK/nginx.pid ]] || kill "$(<"$WORK/nginx.pid")"
    ip netns del "$SPACE" 2>/dev/null || true
    rm -rf --one-file-system "$WORK" "$MEMORY"
}
trap clean_up EXIT
export HOME=$WORK/home
mkdir -p "$HOME" "$WORK/kept"
cp "$ROOT/fixtures/specs/debian12-minimal.yml" "$WORK/minimal.yml"
cp "$HERE/base.yml" "$HERE/server.yml" "$WORK/"

ip netns add "$SPACE"
ip link add "$HOST_END" type veth peer name "$SPACE_END" netns "$SPACE"
ip addr add "$HOST/30" dev "$HOST_END" && ip link set "$HOST_END" up
ip -n "$SPACE" addr add 198.18.0.2/30 dev "$SPACE_END" && ip -n "$SPACE" link set "$SPACE_END" up && ip -n "$SPACE" link set lo up
tc qdisc add dev "$HOST_END" root tbf rate "${RATE:-100mbit}" burst 256kb latency 50ms

location() { # PREFIX SUITE
    echo "location /$1/ { proxy_pass $("$ROOT/tests/system/sources.sh" "$2")/; proxy_http_version 1.1; proxy_ssl_server_name on; proxy_cache kept;"
    echo "proxy_cache_valid 200 1d; proxy_ignore_headers Cache-Control Expires Set-Cookie Vary; }"
}
{
    echo "user root; worker_processes 1; pid $WORK/nginx.pid; error_log $WORK/nginx.log; events { }"
    echo "http { access_log off; sendfile on; proxy_cache_path $WORK/kept levels=1:2 keys_zone=kept:20m max_size=8g inactive=1d;"
    echo "server { listen $HOST:$PORT; $(location debian bookworm) $(location debian-security bookworm-security) } }"
} >"$WORK/nginx.conf"
nginx -c "$WORK/nginx.conf"
MIRROR=http://$HOST:$PORT

# measure SET WHO COMMAND…
measure() {
    local set=$1 who=$2
    shift 2
    ip netns exec "$SPACE" /usr/bin/time --quiet -o "$WORK/time" -f '%e %U %S' "$@" >"$WORK/said" 2>&1 </dev/null || { cat "$WORK/said" >&2; return 1; }
    awk -v set="$set" -v who="$who" '{ printf "%s %s %.1f %.1f\n", set, who, $1, $2 + $3 }' "$WORK/time"
}

ours() { # PROGRAM SET
    rm -rf "$WORK/store" "$WORK/out"
    measure "$2" "$1" env IMAGE_COMPOSER_STORE="$WORK/store" "$1" build "$WORK/$2.yml" -o "$WORK/out" --progress none \
        --mirror debian="$MIRROR/debian" --mirror debian-security="$MIRROR/debian-security"
}

theirs() { # SET, after `ours` of the same set
    local names
    names=$(IMAGE_COMPOSER_STORE=$WORK/store "$PROGRAM" cache list --packages --json |
        python3 -c 'import json, sys; print(",".join(sorted({p["name"] for p in json.load(sys.stdin)["packages"]})))')
    measure "$1" mmdebstrap env TMPDIR="$MEMORY" eatmydata mmdebstrap --quiet --mode=root --variant=custom --dpkgopt=force-unsafe-io --include="$names" \
        --setup-hook=/usr/share/mmdebstrap/hooks/merged-usr/setup00.sh bookworm "$MEMORY/root" "deb $MIRROR/debian bookworm main" \
        "deb $MIRROR/debian bookworm-updates main" "deb $MIRROR/debian-security bookworm-security main"
    rm -rf --one-file-system "$MEMORY/root"
}

for ((round = 0; round <= ${ROUNDS:-2}; round++)); do
    for set in "${SETS[@]}"; do
        for PROGRAM; do ours "$(realpath "$PROGRAM")" "$set"; done
        theirs "$set"
    done | if ((round > 0)); then cat; else cat >/dev/null; fi
done
