# An image of RPM packages: built, booted, built again, and compared with what dnf makes of the same packages.

RPMS=${TEST_RPM_CACHE:-/var/cache/image-composer-test/rpm}
STORE=$PLACE/store
SPEC=$PLACE/rpm.yml
OUTPUT=$PLACE/out/rpm-minimal-1.0.raw
DNF_ROOT=$PLACE/dnf

# The packages whose image is built: those that the repository is made for, and the ones that look at what rpm promises.
wanted() { grep -vxE 'dnf|witness-old|broken' "$RPMS/packages"; echo witness; }

# write_spec PACKAGE…
write_spec() {
    cat <<END
image: {name: rpm-minimal, version: '1.0'}
target: {os: fedora, dist: fedora, arch: x86_64, imageType: raw}
disk: {name: minimal, size: 2GiB, partitionTableType: gpt, artifacts: [{type: raw}]}
packageRepositories:
  - {codename: test, url: "file://$RPMS/repository", pkey: "$RPMS/key.asc"}
systemConfig:
  name: minimal
  hostname: rpm-minimal
  users: [{name: root, password: image-composer}]
  kernel: {packages: [linux-image-6.1-cloud-amd64]}
  bootloader: {bootType: efi, provider: systemd-boot}
  packages:
END
    printf '    - %s\n' "$@"
}

# dnf, with the test's repository and nothing of the host. Its rpm keeps the database where the image's does.
dnf_install() {
    mkdir -p "$PLACE/dnf-home"
    echo '%_dbpath /usr/lib/sysimage/rpm' >"$PLACE/dnf-home/.rpmmacros"
    HOME=$PLACE/dnf-home "$PYTHON" "$HERE/rpm/measure.py" "$PLACE/dnf.measured" dnf -y --quiet --installroot "$DNF_ROOT" --releasever 1 \
        --setopt reposdir=/dev/null --setopt "cachedir=$PLACE/dnf-cache" --setopt install_weak_deps=False --setopt "varsdir=/dev/null" \
        --repofrompath "test,file://$RPMS/repository" --repoid test --setopt test.gpgcheck=1 --setopt "test.gpgkey=file://$RPMS/key.asc" \
        install "$@" >"$LOGS/$GROUP.dnf" 2>&1 </dev/null
}
