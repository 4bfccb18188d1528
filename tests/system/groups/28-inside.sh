# What `systemConfig` says, looked for in the image: users.

STORE=$PLACE/store
SPEC=$PLACE/inside.yml
[[ ! -e $SEED/done ]] || cp -a --sparse=always "$SEED/store" "$STORE"

printf '#!/bin/sh\nexec bash -l\n' >"$PLACE/start.sh"
chmod 755 "$PLACE/start.sh"
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
  additionalFiles:
    - { local: start.sh, final: /usr/local/bin/start }
  kernel: { packages: [linux-image-cloud-amd64] }
END

composer build build "$SPEC" -o "$PLACE/out"
check "the image is built" equals "$RC" 0 || return
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
check "sudo needs no password" has /etc/sudoers.d/90-alice -r--r----- 0 0

check "the image boots, and the user's script leads to a shell" boot "$RAW" raw login=alice:image-composer \
    "run:state=systemctl is-system-running --wait" \
    "run:home=pwd" \
    "run:sudo=sudo -n id -u" ||
    return
check "systemd says running" answers state running
check "the user is at home" answers home /srv/alice
check "the user becomes root" answers sudo 0

sed 's|/usr/sbin/nologin|/usr/bin/nosuch|' "$SPEC" >"$PLACE/wrong.yml"
without_network composer nosuch build "$PLACE/wrong.yml" -o "$PLACE/none" --offline
check "a shell that is not there ends the build, by name" eval 'ended_with 1 && says "$ERR" "bob shall run /usr/bin/nosuch"'
