#!/bin/bash
# Prints where the host's own apt sources find a suite's `main`: the base address, above `dists/`, without a trailing slash.
#
#     tests/system/sources.sh [SUITE]        (default: the host's release, such as bookworm)
#
# The tests take every address from here, so that none stands in the repository.
set -euo pipefail

codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
suite=${1:-$codename}
address=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v suite="$suite" '$1 == suite && $2 == "main" && !found { print $3; found = 1 }')
if [[ -z $address ]]; then
    echo "sources.sh: the apt sources of this host name no suite “$suite” with a component “main”" >&2
    exit 1
fi
printf '%s\n' "${address%/}"
