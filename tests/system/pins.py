"""Repositories with priorities, and what apt takes of them.

    pins.py make FOLDER        makes a flat repository FOLDER/p<priority> for each priority, and what apt needs to read them
    pins.py spec FOLDER SPEC PACKAGE…
                               prints the spec with these packages and repositories
    pins.py apt FOLDER PACKAGE…
                               what apt would install on an empty system, as lines `name version`

Needs dpkg-deb and apt; writes nothing outside of FOLDER.
"""

import hashlib
import pathlib
import subprocess
import sys

from spec import add_package

# Of each repository: its priority (None is none said), and its packages with their version and dependencies.
REPOSITORIES = {
    "p1001": (1001, {"far-above": "1", "needed": "1"}),
    "p990": (990, {"far-above": "2", "above": "1~rc1", "same": "1", "needs-lower": "1", "alternative-b": "1"}),
    "p500": (500, {"far-above": "3", "above": "9", "equal": "1.9", "same": "1", "default": "1"}),
    "default": (None, {"equal": "1.10", "default": "2", "hundred": "1", "virtual-a": "1", "needs-virtual": "1", "needs-alternative": "1"}),
    "p100": (100, {"hundred": "5", "below": "3", "virtual-b": "2", "needed": "2", "alternative-a": "1"}),
    "p50": (50, {"below": "9", "last": "1", "never": "1"}),
    "p1": (1, {"last": "2:0"}),
    "p-1": (-1, {"never": "9", "nowhere": "1", "virtual-c": "9"}),
}
FIELDS = {
    "virtual-a": "Priority: optional\nProvides: pins-virtual",
    "virtual-b": "Priority: standard\nProvides: pins-virtual",
    "virtual-c": "Priority: important\nProvides: pins-virtual",
    "needs-virtual": "Depends: pins-virtual",
    "needs-alternative": "Depends: pins-alternative-a | pins-alternative-b",
    "needs-lower": "Depends: pins-needed (>= 2)",
}


def make(folder):
    for name, (priority, packages) in REPOSITORIES.items():
        place = folder / name
        place.mkdir(parents=True)
        index = "".join(stanza(place, package, version) for package, version in packages.items())
        (place / "Packages").write_text(index)
        digest = hashlib.sha256(index.encode()).hexdigest()
        (place / "Release").write_text(
            f"Label: {name}\nDate: Sat, 01 Nov 2025 00:00:00 UTC\nSHA256:\n {digest} {len(index)} Packages\n"
        )
    pins = [(name, priority) for name, (priority, _) in REPOSITORIES.items() if priority is not None]
    apt = folder / "apt"
    for part in ["lists/partial", "cache/archives/partial", "none"]:
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    (apt / "preferences").write_text("".join(f"Package: *\nPin: release l={name}\nPin-Priority: {pin}\n\n" for name, pin in pins))
    (apt / "sources.list").write_text("".join(f"deb [trusted=yes] file:{folder / name} ./\n" for name in REPOSITORIES))
    run_apt(folder, "update")


def stanza(place, package, version):
    tree = place / "tree"
    (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
    extra = FIELDS.get(package, "")
    control = f"Package: pins-{package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n"
    control += (f"{extra}\n" if extra else "") + f"Description: {place.name}\n"
    (tree / "DEBIAN/control").write_text(control)
    deb = place / f"{package}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", tree, deb], check=True, stdout=subprocess.DEVNULL)
    content = deb.read_bytes()
    return f"{control}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"


def run_apt(folder, *arguments):
    apt = folder / "apt"
    places = {
        "Dir::State": apt,
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": apt / "status",
        "Dir::Cache": apt / "cache",
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": apt / "none",
        "Dir::Etc::preferences": apt / "preferences",
        "Dir::Etc::preferencesparts": apt / "none",
        "APT::Architecture": "amd64",
        "APT::Sandbox::User": "root",
        "pkgCacheGen::ForceEssential": ",",
    }
    options = [word for key, value in places.items() for word in ("-o", f"{key}={value}")]
    done = subprocess.run(["apt-get", *options, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"apt-get {arguments[0]} failed:\n{done.stdout}")
    return done.stdout


def ask_apt(folder, packages):
    for line in run_apt(folder, "-s", "install", *packages).splitlines():
        if line.startswith("Inst "):
            _, name, version, *_ = line.split()
            print(name, version.lstrip("("))


def print_spec(folder, base, packages):
    lines = pathlib.Path(base).read_text().splitlines()
    for package in packages:
        add_package(lines, package)
    print("\n".join(lines))
    print("packageRepositories:")
    for name, (priority, _) in REPOSITORIES.items():
        written = "" if priority is None else f", priority: {priority}"
        print(f'  - {{ codename: ./, url: "file://{folder / name}", pkey: "[trusted=yes]"{written} }}')


if __name__ == "__main__":
    action, place, *rest = sys.argv[1:]
    place = pathlib.Path(place)
    match action:
        case "make":
            make(place)
        case "spec":
            print_spec(place, rest[0], rest[1:])
        case "apt":
            ask_apt(place, rest)
