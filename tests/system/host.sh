# What the tests need on the host: sourced by `run`. Does nothing where everything is there.

# A program of each package: what is there is not installed again.
readonly NEEDED=(
    "qemu-system-x86_64 qemu-system-x86"
    "qemu-img qemu-utils"
    "/usr/share/OVMF/OVMF_CODE_4M.fd ovmf"
    "mdir mtools"
    "fsck.fat dosfstools"
    "sgdisk gdisk"
    "debugfs e2fsprogs"
    "newuidmap uidmap"
    "zstd zstd"
    "xz xz-utils"
    "bzip2 bzip2"
    "faketime faketime"
    "gpg gnupg"
    "unshare util-linux"
    "mount mount"
    "ip iproute2"
    "python3 python3"
    "cc gcc libc6-dev"
    "chromium chromium"
    "valgrind valgrind"
    "cpio cpio"
    "zsh zsh"
    "fish fish"
)

# The packages of NEEDED that are not there.
missing_packages() {
    local entry name
    for entry in "${NEEDED[@]}"; do
        name=${entry%% *}
        if [[ $name == /* ]]; then [[ -e $name ]]; else command -v "$name" >/dev/null; fi || printf '%s\n' "${entry#* }"
    done
}

# apt without questions; waits for another apt. ARGS as for apt-get.
quiet_apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null
}

# The lists have a lock that apt does not wait for; a source that does not answer is no reason to stop: the installation shows what is missing.
refresh_lists() {
    local try
    for try in 1 2 3 4 5; do
        quiet_apt update "$@" && return
        sleep $((try * 2))
    done
    echo "the package lists could not be refreshed: going on with the old ones"
}

# Where the release's own QEMU cannot be installed beside what the host already has from backports, QEMU comes from there too. The source is a
# scratch one: the host's apt configuration stays as it is.
install_qemu_from_backports() {
    local scratch=$1 codename address
    codename=$(. /etc/os-release && printf '%s' "$VERSION_CODENAME")
    address=$("$HERE/sources.sh" "$codename") || return
    mkdir -p "$scratch/sources" "$scratch/lists/partial"
    cp -r /etc/apt/sources.list.d/. "$scratch/sources/"
    [[ ! -e /etc/apt/sources.list ]] || cp /etc/apt/sources.list "$scratch/sources/host.list"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s-backports main\n' "$address" "$codename" \
        >"$scratch/sources/backports-for-test.list"
    local options=(-o "Dir::Etc::SourceParts=$scratch/sources" -o Dir::Etc::SourceList=/dev/null -o "Dir::State::Lists=$scratch/lists")
    refresh_lists "${options[@]}"
    quiet_apt "${options[@]}" install --no-install-recommends -t "$codename-backports" qemu-system-x86 qemu-utils
}

# Installs what is missing; the talk goes to standard output.
prepare_host() {
    local scratch=$1 packages=()
    # The programs that only root's PATH has.
    PATH=$PATH:/usr/sbin:/sbin
    mapfile -t packages < <(missing_packages | tr ' ' '\n')
    ((${#packages[@]})) || return 0
    refresh_lists
    # shellcheck disable=SC2086  # a list of names
    quiet_apt install --no-install-recommends "${packages[@]}" || {
        install_qemu_from_backports "$scratch" || return
        mapfile -t packages < <(missing_packages | tr ' ' '\n')
        ((${#packages[@]} == 0)) || quiet_apt install --no-install-recommends "${packages[@]}" || return
    }
    # QEMU of one origin takes away the tools of another that the host had.
    mapfile -t packages < <(missing_packages | tr ' ' '\n')
    ((${#packages[@]} == 0)) || quiet_apt install --no-install-recommends "${packages[@]}" || return
    [[ -z $(missing_packages) ]]
}
