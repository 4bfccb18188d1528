#!/usr/bin/python3
"""choices.py PROGRAM FOLDER REPOSITORY KEY: whether the program and dnf choose the same packages.

FOLDER gets a repository of small packages whose relations leave a choice: Obsoletes, several providers, ranges of versions, rich dependencies. Each
question is asked of both; then the packages of a whole spec of azl3 with those of REPOSITORY, whose signature KEY proves. Prints a line for each
difference and how many questions there were. Ends with 1 if there is a difference that DIFFERENCES does not name.
"""

import os
import subprocess
import sys

import dnf

# name version: tags of rpmbuild, each with its value; File is a file that the package has
PACKAGES = """
obs-old 1
obs-new 2: Obsoletes obs-old < 2
kept-old 3
kept-new 2: Obsoletes kept-old < 2
chain-a 1
chain-b 1: Obsoletes chain-a
chain-c 1: Obsoletes chain-b
split-old 1
split-x 1: Obsoletes split-old
split-y 1: Obsoletes split-old; Provides split-old
dep-user 1: Requires dep-old
dep-old 1
dep-new 1: Obsoletes dep-old; Provides dep-old
lone-user 1: Requires lone-old
lone-old 1
lone-new 1: Obsoletes lone-old
named-user 1: Requires named
named 1
named-all 1: Provides named = 9
first-user 1: Requires first
first 1
aa-first 1: Provides first
virt-user 1: Requires virt
virt-b 1: Provides virt = 9
virt-aa 1: Provides virt = 1
virt-ccc 1: Provides virt = 5
gone-user 1: Requires gone-virt
gone-a 1: Provides gone-virt
gone-b 1: Provides gone-virt; Obsoletes gone-a
any-user 1: Requires any-v
any-a 1: Provides any-v
any-b 1: Provides any-v
bad-user 1: Requires bad-v
bad-a 1: Provides bad-v; Requires nothing-has-this
bad-b 1: Provides bad-v
hash-user 1: Requires hash-v
hash-a 1: Provides hash-v = 1abc
hash-b 1: Provides hash-v = 2abc
range-user 1: Requires range < 5
range-far 1: Provides range >= 7
range-near 1: Provides range >= 3
limit-user 1: Requires limit >= 2
limit-a 1: Provides limit < 2
limit-b 1: Provides limit <= 2
if-user 1: Requires (if-then if if-when)
if-then 1
if-when 1
else-user 1: Requires (else-then if else-when else else-not)
else-then 1
else-when 1
else-not 1
or-user 1: Requires (or-z or or-a)
or-z 1
or-a 1
with-user 1: Requires (with-v >= 1 with with-v < 2)
with-a 1: Provides with-v = 0.5
with-b 1: Provides with-v = 1.5
with-c 1: Provides with-v = 2
without-user 1: Requires (without-v without without-x)
without-a 1: Provides without-v; Provides without-x
without-b 1: Provides without-v
unless-a 1: Conflicts (unless-b unless unless-c)
unless-b 1
unless-c 1
con-user 1: Requires con-a; Requires con-v
con-a 1: Conflicts con-v < 2
con-b 1: Provides con-v = 1
con-c 1: Provides con-v = 2
Mixed_Name+x.y 1
file-user 1: Requires /usr/share/choices/file
file-a 1: File /usr/share/choices/other
file-b 1: File /usr/share/choices/file
file-c 1: File /usr/share/choices/file
file-list-user 1: Requires file-user; Requires /etc/choices
file-etc 1: File /etc/choices; Requires /usr/share/choices/later
file-later 1: File /usr/share/choices/later
weak-user 1: Recommends weak-a
weak-a 1
weak-not 1: Conflicts weak-a
weak-chain 1: Recommends weak-user; Requires weak-b
weak-b 1
weak-gone 1: Recommends nothing-has-this-either; Recommends weak-broken; Recommends weak-b
weak-broken 1: Requires nothing-has-this
weak-or 1: Recommends (weak-nowhere or weak-b)
sup-base 1
sup-plus 1: Supplements sup-base
sup-chain 1: Supplements sup-plus; Requires sup-needs
sup-needs 1
sup-not 1: Conflicts sup-plus
sup-older 1: Supplements sup-base < 1
sup-broken 1: Supplements sup-base; Requires nothing-has-this
sup-enhances 1: Enhances sup-base
sup-lang 1: Provides sup-v = 2
sup-both 1: Supplements (sup-base and sup-lang)
sup-either 1: Supplements sup-gone; Supplements (sup-gone or sup-lang)
sup-newer 1: Supplements sup-v > 2
sup-of-virtual 1: Supplements sup-v >= 2
sup-with 1: Supplements (sup-v >= 1 with sup-v < 3)
sup-user 1: Requires sup-base
sup-weak 1: Recommends sup-lang
sup-pair 1
sup-one 1: Supplements sup-pair; Conflicts sup-two
sup-two 1: Supplements sup-pair
sup-choice 1: Requires sup-alt
sup-alt-a 1: Provides sup-alt
sup-alt-b 1: Provides sup-alt; Supplements sup-choice
sup-alt-c 1: Supplements sup-alt
sup-file 1: Supplements /usr/share/choices/later
"""

QUESTIONS = """
obs-old
obs-old obs-new
obs-*
obs-old=1-1
obs-old-1
obs-old-1-1
obs-new.noarch
kept-old
chain-a
chain-b
split-old
split-old split-y
dep-user
dep-old
lone-user
lone-old lone-user
named-user
named-user named
first-user
virt-user
virt-user virt-aa
virt
gone-user
any-user
any-user any-b
bad-user
hash-user
range-user
limit-user
if-user
if-user if-when
else-user
else-user else-when
or-user
or-user or-z
with-user
without-user
unless-a unless-b
unless-a unless-b unless-c
con-user
Mixed_Name+x.y
file-user
file-user file-c
file-list-user
"""

# What is not the same, and why.
DIFFERENCES = {}

# With weak dependencies.
WEAK_QUESTIONS = """
weak-user
weak-user weak-not
weak-chain
weak-gone
weak-or
sup-base
sup-base sup-lang
sup-base sup-not
sup-lang
sup-user
sup-weak
sup-pair
sup-choice
file-later
"""

SPEC = """
image: {{ name: choices, version: "1" }}
target: {{ os: azure-linux, dist: azl3, arch: x86_64, imageType: raw }}
packageRepositories: [ {repository} ]
systemConfig: {{ name: minimal, installRecommends: {weak}, packages: [ {packages} ] }}
"""


BY_LIST = '{{ id: choices, codename: choices, url: "file://{path}", insecureSkipVerify: true }}'
AS_FOLDER = '{{ id: {name}, path: "{path}", priority: 900 }}'


def build(folder):
    """A repository of PACKAGES: all of one spec, which takes three seconds."""
    lines = ["Name: choices", "Version: 1", "Release: 1", "Summary: Choices", "License: Apache-2.0", "BuildArch: noarch", "AutoReqProv: no"]
    lines += ["%description", "Packages with a choice.", "%install"]
    files = [tag.split()[1] for line in PACKAGES.split("\n") for tag in line.partition(": ")[2].split("; ") if tag.startswith("File ")]
    lines += [f"install -D /dev/null %{{buildroot}}{file}" for file in files]
    for line in PACKAGES.strip().splitlines():
        head, _, tags = line.partition(": ")
        name, version = head.split()
        lines += [f"%package -n {name}", f"Version: {version}", "Summary: A choice"]
        tags = [tag.split(" ", 1) for tag in tags.split("; ") if tag]
        lines += [f"{tag}: {value}" for tag, value in tags if tag != "File"]
        lines += [f"%description -n {name}", "A package with a choice.", f"%files -n {name}"]
        lines += [value for tag, value in tags if tag == "File"]
    os.makedirs(f"{folder}/choices", exist_ok=True)
    with open(f"{folder}/choices.spec", "w", encoding="utf-8") as file:
        print("\n".join(lines), file=file)
    defines = {"_topdir": f"{folder}/top", "_rpmdir": f"{folder}/choices", "_rpmfilename": "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"}
    command = ["rpmbuild", "-bb", *[part for name, value in defines.items() for part in ("--define", f"{name} {value}")], f"{folder}/choices.spec"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    subprocess.run(["createrepo_c", "--quiet", f"{folder}/choices"], check=True)


def by_dnf(folder, repositories, wanted, weak=False):
    """What dnf would install into an empty root, as name, version and repository; an empty set where it would not."""
    with dnf.Base() as base:
        config = base.conf
        config.installroot, config.cachedir = f"{folder}/root", f"{folder}/cache"
        config.reposdir, config.install_weak_deps = [], weak
        config.substitutions["releasever"] = "1"
        for name, path in repositories.items():
            base.repos.add_new_repo(name, config, baseurl=[f"file://{path}"])
        base.fill_sack(load_system_repo=False)
        try:
            for text in wanted:
                # A version after `=` is how specs write it.
                base.install(text.replace("=", "-"))
            base.resolve(allow_erasing=False)
        except dnf.exceptions.Error:
            return set()
        return {(package.name, package.version, package.reponame) for package in base.transaction.install_set}


def by_program(program, folder, repositories, key, wanted, repository=None, weak=False):
    """What the program writes into a lock, the names that it was made for, and what the program said."""
    spec = f"{folder}/question.yml"
    with open(spec, "w", encoding="utf-8") as file:
        repository = repository or BY_LIST.format(path=repositories["choices"])
        file.write(SPEC.format(repository=repository, weak=str(weak).lower(), packages=", ".join(f'"{text}"' for text in wanted)))
    if os.path.exists(f"{spec}.lock"):
        os.remove(f"{spec}.lock")
    os.makedirs(f"{folder}/mirror/base", exist_ok=True)
    if not os.path.lexists(f"{folder}/mirror/base/x86_64"):
        os.symlink(repositories["azurelinux"], f"{folder}/mirror/base/x86_64")
    with open(f"{folder}/config.yaml", "w", encoding="utf-8") as file:
        print(f'mirrors: {{ azurelinux: [ "file://{folder}/mirror" ] }}\nkeyrings: {{ azurelinux: "{key}" }}', file=file)
    environment = {**os.environ, "IMAGE_COMPOSER_STORE": f"{folder}/store"}
    command = [program, "lock", spec, "--config", f"{folder}/config.yaml", "--allow-untrusted"]
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        return set(), [], done.stderr
    with open(f"{spec}.lock", encoding="utf-8") as file:
        words = [line.split() for line in file]
    packages = {(line[1], line[2].rpartition("-")[0].rpartition(":")[2], line[4]) for line in words if line[:1] == ["package"]}
    wants = [name for line in words if line[:1] == ["wants"] for name in line[1:]]
    return packages, wants, done.stderr


def main():
    program, folder, repository, key = sys.argv[1:]
    build(folder)
    repositories = {"azurelinux": repository, "choices": f"{folder}/choices"}
    small = {"choices": repositories["choices"]}
    differences = []
    questions = QUESTIONS.strip().splitlines()
    weak_questions = WEAK_QUESTIONS.strip().splitlines()
    for question, weak in [(question, False) for question in questions] + [(question, True) for question in weak_questions]:
        packages, _, said = by_program(program, folder, repositories, key, question.split(), weak=weak)
        ours = {package for package in packages if package[2] == "choices"}
        theirs = by_dnf(folder, small, question.split(), weak)
        if (ours != theirs) != (question in DIFFERENCES):
            differences.append(f"{question}: ours {sorted(ours)}, dnf's {sorted(theirs)}\n{said}")
        # The packages themselves say the same as the list that createrepo_c made of them.
        as_folder = AS_FOLDER.format(name="choices", path=small["choices"])
        from_files = by_program(program, folder, repositories, key, question.split(), as_folder, weak)[0]
        if packages != from_files:
            differences.append(f"{question}: by the list {sorted(packages - from_files)}, by the packages {sorted(from_files - packages)}")
    # A whole spec: with the names of the profile.
    packages, wants, said = by_program(program, folder, repositories, key, ["or-user", "virt"])
    theirs = by_dnf(folder, repositories, wants)
    if packages != theirs or len(packages) < 100:
        differences.append(f"the whole spec: only ours {sorted(packages - theirs)}, only dnf's {sorted(theirs - packages)}\n{said}")
    as_folder = AS_FOLDER.format(name="files", path=repository)
    from_files, _, said = by_program(program, folder, repositories, key, ["witness"], as_folder)
    expected = {package for package in packages if package[2] == "azurelinux"}
    if {package[:2] for package in from_files} != {package[:2] for package in expected} or {package[2] for package in from_files} != {"files"}:
        differences.append(f"the packages of the whole spec as a folder: {sorted(from_files)}\n{said}")
    print("\n".join(differences))
    print(f"{len(questions) + len(weak_questions)} questions and a spec of {len(packages)} packages")
    sys.exit(1 if differences else 0)


main()
