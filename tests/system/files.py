#!/usr/bin/python3
"""files.py PREFIX=DIR…: a line for each file beneath the directories, sorted.

Between tabs: the path, with the prefix instead of the directory; type and mode, owner, group, extended attributes; size, and the digest of the
contents or the target of the link.
"""

import hashlib
import os
import stat
import sys


def describe(path):
    about = os.lstat(path)
    attributes = [f" {name}={os.getxattr(path, name, follow_symlinks=False).hex()}" for name in sorted(os.listxattr(path, follow_symlinks=False))]
    contents = "-"
    if stat.S_ISLNK(about.st_mode):
        contents = os.readlink(path)
    elif stat.S_ISREG(about.st_mode):
        with open(path, "rb") as file:
            contents = f"{about.st_size} {hashlib.file_digest(file, 'sha256').hexdigest()}"
    elif stat.S_ISCHR(about.st_mode) or stat.S_ISBLK(about.st_mode):
        contents = f"{os.major(about.st_rdev)}:{os.minor(about.st_rdev)}"
    return f"{stat.filemode(about.st_mode)} {about.st_uid} {about.st_gid}{''.join(attributes)}\t{contents}"


def main():
    sys.stdout.reconfigure(errors="surrogateescape")
    lines = []
    for argument in sys.argv[1:]:
        prefix, _, top = argument.partition("=")
        for directory, names, files in os.walk(top):
            for name in names + files:
                path = os.path.join(directory, name)
                lines.append(f"{prefix}{os.path.relpath(path, top)}\t{describe(path)}")
    print("\n".join(sorted(lines)))


main()
