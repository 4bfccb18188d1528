# The image boots, and the system in it is whole.

seed || return
IMAGE=$SEED/out/$("$PYTHON" "$HERE/spec.py" artifact "$MINIMAL" raw)
check "it boots to a login prompt, refuses a wrong password and takes the spec's" boot "$IMAGE" raw \
    refuse=root:wrong login=root:image-composer \
    "run:state=systemctl is-system-running --wait" \
    "run:failed=systemctl --failed --no-legend --plain" \
    "run:audit=dpkg --audit" \
    "run:states=dpkg -l | sed 1,5d | cut -c 1-2 | sort -u" \
    "run:verify=dpkg --verify | grep -v '^..5...... c /etc/'; true" \
    "run:depends=apt-get check -qq" \
    "run:hostname=hostname" \
    "run:fstab=findmnt --verify" \
    "run:root=test \"\$(findmnt --fstab --evaluate -no SOURCE,FSTYPE /)\" = \"\$(findmnt -no SOURCE,FSTYPE /)\"" \
    "run:esp=at=\$(findmnt --fstab --types vfat -no TARGET) && test -d \$at/EFI && findmnt -no FSTYPE \$at | grep -v autofs" \
    "run:writable=touch /var/tmp/a && rm /var/tmp/a" \
    "run:machine=grep -cxE '[0-9a-f]{32}' /etc/machine-id" \
    "run:seed=stat -c %s /var/lib/systemd/random-seed" \
    "run:clean=test ! -e /usr/sbin/policy-rc.d && ! ls /var/lib/dpkg/updates/* /var/cache/apt/archives/*.deb 2>/dev/null" ||
    return
note "login prompt after $(from_json "$BOOT" boot_seconds) s"
check "systemd says running" answers state running
check "no unit failed" answers failed ""
check "dpkg --audit is silent" answers audit ""
check "every package is installed" answers states ii
check "dpkg --verify finds no changed file" answers verify ""
check "apt finds all dependencies met" succeeds depends
check "the host name is the spec's" answers hostname "$("$PYTHON" "$HERE/spec.py" hostname "$MINIMAL")"
check "fstab is without fault" succeeds fstab
check "fstab's root is what is mounted at /" succeeds root
check "the EFI partition is mounted where fstab says" answers esp vfat
check "the root file system can be written" succeeds writable
check "the machine has its own id" answers machine 1
check "and its own random seed" answers seed 32
check "nothing of the build is left in the image" succeeds clean
