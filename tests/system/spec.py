#!/usr/bin/python3
"""Reads and varies the specs in fixtures/specs, line by line, without a YAML library.

    spec.py artifact FILE FORMAT                 the name of the output: <name>-<version>.<format>
    spec.py hostname FILE                        systemConfig.hostname
    spec.py with-package FILE NAME               the spec with one more package
    spec.py with-cache FILE PACKAGES IMAGES      the spec with build.cache.use_package_cache and use_image_cache (true or false)
"""

import re
import sys


def indentation(line):
    return len(line) - len(line.lstrip())


def children(lines, first, last):
    """The numbers of the lines in a block that stand directly beneath its key."""
    there = [number for number in range(first, last) if lines[number].strip() and not lines[number].lstrip().startswith("#")]
    return [number for number in there if indentation(lines[number]) == indentation(lines[there[0]])]


def block(lines, key):
    """The lines beneath a key of the top level: the first, and the one after the last."""
    first = next((number + 1 for number, line in enumerate(lines) if re.match(rf"{key}:\s*(#.*)?$", line)), None)
    if first is None:
        sys.exit(f"no block “{key}:”")
    last = first
    while last < len(lines) and (not lines[last].strip() or lines[last][0] in " #"):
        last += 1
    return first, last


def scalar(lines, name, key):
    """The value of a key in a block."""
    first, last = block(lines, name)
    for number in children(lines, first, last):
        match = re.match(rf"\s*{key}:\s*[\"']?([^\"'#\s]+)", lines[number])
        if match:
            return match.group(1)
    sys.exit(f"no “{name}.{key}”")


def add_package(lines, package):
    first, last = block(lines, "systemConfig")
    beneath = children(lines, first, last)
    margin = " " * indentation(lines[beneath[0]])
    at = next((number for number in beneath if re.match(r"\s*packages:\s*(#.*)?$", lines[number])), None)
    if at is None:
        lines[first:first] = [f"{margin}packages:", f"{margin}  - {package}"]
    else:
        lines.insert(at + 1, " " * indentation(lines[at + 1]) + f"- {package}")


def main():
    command, path, *rest = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        lines = file.read().splitlines()
    if command == "artifact":
        print(f"{scalar(lines, 'image', 'name')}-{scalar(lines, 'image', 'version')}.{rest[0]}")
        return
    if command == "hostname":
        print(scalar(lines, "systemConfig", "hostname"))
        return
    if command == "with-package":
        add_package(lines, rest[0])
    elif command == "with-cache":
        if any(line.startswith("build:") for line in lines):
            sys.exit(f"{path}: has a “build:” already")
        lines += ["build:", "  cache:", f"    use_package_cache: {rest[0]}", f"    use_image_cache: {rest[1]}"]
    else:
        sys.exit(__doc__)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
