# What `systemConfig` says, looked for in the image: users, files and folders, the network, the kernel, patterns.

STORE=$PLACE/store
SPEC=$PLACE/inside.yml
[[ ! -e $SEED/done ]] || cp -a --sparse=always "$SEED/store" "$STORE"

printf '#!/bin/sh\nexec bash -l\n' >"$PLACE/start.sh"
chmod 755 "$PLACE/start.sh"
mkdir -p "$PLACE/overlay/etc/app" "$PLACE/overlay/opt/app/bin"
echo 'setting = 1' >"$PLACE/overlay/etc/app/app.conf"
echo 'hello' >"$PLACE/overlay/opt/app/bin/run"
ln -s ../../../etc/app/app.conf "$PLACE/overlay/opt/app/conf"
ln -s /etc/app/app.conf "$PLACE/overlay/etc/app/absolute"
chmod 700 "$PLACE/overlay/etc" && chmod 750 "$PLACE/overlay/opt/app" && chmod 4755 "$PLACE/overlay/opt/app/bin/run" && chmod 640 "$PLACE/overlay/etc/app/app.conf"
cat >"$SPEC" <<'END'
image: { name: inside, version: "1" }
target: { dist: debian12, arch: x86_64 }
disk: { size: 2GiB }
systemConfig:
  hostname: inside
  users:
    - { name: root, password: "" }
    - name: alice
      password: image-composer
      hash_algo: sha256
      passwordMaxAge: 90
      groups: [adm, wheel]
      sudo: true
      home: /srv/alice
      startupScript: /usr/local/bin/start
    - { name: bob, shell: /usr/sbin/nologin }
    - { name: operator }
    - { name: carol, groups: [dave] }
    - { name: dave }
  additionalFiles:
    - { local: start.sh, final: /usr/local/bin/start }
    - { local: overlay, final: / }
    - { local: overlay/etc, final: /srv/data, mode: 0640, owner: alice:adm }
    - { local: start.sh, final: /srv/setuid, mode: "4750", owner: "0:4" }
  network:
    backend: systemd-networkd
    interfaces:
      - { name: "en*", addresses: [10.0.2.77/24], gateway4: 10.0.2.2, routes: [{ to: 10.9.0.0/16, via: 10.0.2.3 }], nameservers: [10.0.2.3] }
  packages: ["netcat-open*", less=590*]
  kernel: { version: "6.1", packages: [linux-image-cloud-amd64], enableExtraModules: "veth zram" }
END

composer build build "$SPEC" -o "$PLACE/out"
check "the image is built" equals "$RC" 0 || return
check "it is said what a pattern means" says "$ERR" '^netcat-open\*: netcat-openbsd=1'
check "it is said which kernel was chosen" says "$ERR" '^linux-image-cloud-amd64 of kernel 6\.1: linux-image-cloud-amd64=6\.1\.'
note "the build took $ELAPSED s"
RAW=$PLACE/out/inside-1.raw
check "the table and file systems are without fault" is_whole "$RAW" "$PLACE/parts" || return
ROOT=$(part_with "$PLACE/parts" ext4)
check "the files can be listed" files_of "$PLACE/parts" "$PLACE/files" || return

# contents PATH: of a file of the image.
contents() { debugfs -R "cat $1" "$ROOT" 2>/dev/null; }
# field FILE NAME NUMBER: of a line of /etc/passwd and its like.
field() { contents "$1" | awk -F : -v name="$2" -v number="$3" '$1 == name { print $number }'; }
# has PATH MODE OWNER GROUP
has() { grep -P "^\Q$1\E\t\Q$2\E $3 $4\t" "$PLACE/files" || { grep -P "^\Q$1\E\t" "$PLACE/files"; return 1; }; }

check "an empty password is a locked one" equals "$(field /etc/shadow root 2)" '!'
check "no password is a locked one" equals "$(field /etc/shadow bob 2)" '!'
check "a plain password is hashed as the spec says" eval '[[ $(field /etc/shadow alice 2) == "\$5\$"* ]]'
check "the password is nowhere in plain text" eval '! grep -aq "alice:image-composer" "$ROOT" && ! contents /etc/shadow | grep -q image-composer'
check "a password has its greatest age" equals "$(field /etc/shadow alice 5)" 90
check "another has none" equals "$(field /etc/shadow bob 5)" 99999
check "a group that no package brings is made, one of the system" eval 'at_most "$(field /etc/group wheel 3)" 999'
check "the user is in both groups" equals "$(contents /etc/group | awk -F : '$4 ~ /alice/ { print $1 }' | sort | paste -sd ' ')" 'adm wheel'
check "the home is where the spec says, and the user's" has /srv/alice drwxr-xr-x 1000 1000
check "the script is what runs at a login" equals "$(field /etc/passwd alice 7)" /usr/local/bin/start
check "the shell is what the spec says" equals "$(field /etc/passwd bob 7)" /usr/sbin/nologin
check "a user has the group of its name that the distribution brings" equals "$(field /etc/passwd operator 4)" "$(field /etc/group operator 3)"
check "and the one that another user was put into before" equals "$(field /etc/passwd dave 4)" "$(field /etc/group dave 3)"
check "sudo needs no password" has /etc/sudoers.d/90-alice -r--r----- 0 0

check "a folder that the image has keeps its mode" has /etc drwxr-xr-x 0 0
check "a folder that it has not has the mode of the host's" has /opt/app drwxr-x--- 0 0
check "a file in it has its mode, and is root's" has /opt/app/bin/run -rwsr-xr-x 0 0
check "a file in it has its contents" equals "$(contents /etc/app/app.conf)" 'setting = 1'
check "links are kept as they are" eval 'has /opt/app/conf lrwxrwxrwx 0 0 | grep -F "../../../etc/app/app.conf" && has /etc/app/absolute lrwxrwxrwx 0 0'
ADM=$(field /etc/group adm 3)
check "a mode for all files of a folder holds" has /srv/data/app/app.conf -rw-r----- 1000 "$ADM"
check "and lets into the folders who may read them" has /srv/data/app drwxr-x--- 1000 "$ADM"
check "the owner holds for links" has /srv/data/app/absolute lrwxrwxrwx 1000 "$ADM"
check "a file that runs as its owner stays one" has /srv/setuid -rwsr-x--- 0 "$ADM"

check "the image boots, and the user's script leads to a shell" boot "$RAW" raw login=alice:image-composer \
    "run:state=systemctl is-system-running --wait" \
    "run:home=pwd" \
    "run:sudo=sudo -n id -u" \
    "run:modules=lsmod | awk '/^(veth|zram) / { print \$1 }' | sort | paste -sd ' '" \
    "run:kernel=uname -r" \
    "run:plugged=sudo -n ip link add en9 type dummy && /lib/systemd/systemd-networkd-wait-online --interface=en9 --timeout=30" \
    "run:address=ip -brief -4 address show | awk '\$1 ~ /^en/ { print \$3 }'" \
    "run:routes=ip -4 route show | awk '/default|10.9/ { print \$1, \$2, \$3 }'" \
    "run:names=resolvectl dns | awk '/\(en/ { print \$NF }'; readlink /etc/resolv.conf" ||
    return
check "systemd says running" answers state running
check "the user is at home" answers home /srv/alice
check "the user becomes root" answers sudo 0
check "the modules of the spec are loaded" answers modules 'veth zram'
check "the kernel is that of the spec" eval '[[ $(from_json "$BOOT" answers.kernel.output) == 6.1.* ]]'
check "an interface that comes is set up" succeeds plugged
check "the interface has the address of the spec" answers address 10.0.2.77/24
check "its routes are those of the spec" answers routes $'default via 10.0.2.2\n10.9.0.0/16 via 10.0.2.3'
check "names are asked for where the spec says" answers names $'10.0.2.3\n../run/systemd/resolve/stub-resolv.conf'

sed -e 's|backend: .*|backend: netplan|' -e 's|^  kernel:|  configurations: [{ cmd: "netplan generate \&\& cat /run/systemd/network/*.network >/netplan-made" }]\n  kernel:|' "$SPEC" >"$PLACE/netplan.yml"
composer netplan build "$PLACE/netplan.yml" -o "$PLACE/netplan"
check "an image with netplan is built, and netplan takes its file" equals "$RC" 0 || return
check "its file systems are without fault" is_whole "$PLACE/netplan/inside-1.raw" "$PLACE/netplan/parts" || return
ROOT=$(part_with "$PLACE/netplan/parts" ext4)
contents /netplan-made >"$PLACE/made"
check "netplan makes of it what the spec says" says "$PLACE/made" '^Name=en\*' '^Address=10.0.2.77/24' '^DNS=10.0.2.3' '^Gateway=10.0.2.2' '^Destination=10.9.0.0/16'

sed 's|version: "6.1"|version: "5.4"|' "$SPEC" >"$PLACE/wrong.yml"
without_network composer gone build "$PLACE/wrong.yml" -o "$PLACE/none" --offline
check "a kernel that is gone is told with those that are there" eval 'ended_with 2 && says "$ERR" "linux-image-cloud-amd64 of kernel 5.4 \(there is 6\.1"'
sed 's/netcat-open/netcat-opne/' "$SPEC" >"$PLACE/wrong.yml"
without_network composer pattern build "$PLACE/wrong.yml" -o "$PLACE/none" --offline
check "a pattern that means nothing is told" eval 'ended_with 2 && says "$ERR" "netcat-opne"'
for code in 125 255; do
    sed "s|^  kernel:|  configurations: [{ cmd: exit $code }]\n  kernel:|" "$SPEC" >"$PLACE/wrong.yml"
    without_network composer "ends-$code" build "$PLACE/wrong.yml" -o "$PLACE/none" --offline
    check "a command that ends with $code is told so" eval "ended_with 1 && says \"\$ERR\" 'of configurations failed with exit status $code'"
done
sed 's|/usr/sbin/nologin|/usr/bin/nosuch|' "$SPEC" >"$PLACE/wrong.yml"
without_network composer nosuch build "$PLACE/wrong.yml" -o "$PLACE/none" --offline
check "a shell that is not there ends the build, by name" eval 'ended_with 1 && says "$ERR" "bob shall run /usr/bin/nosuch"'
