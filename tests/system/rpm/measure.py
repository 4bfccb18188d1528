#!/usr/bin/python3
"""measure.py FILE COMMAND…: runs a command, and writes to FILE its wall time and processor time in seconds and its most memory in MiB."""

import resource
import subprocess
import sys
import time


def main():
    begun = time.monotonic()
    status = subprocess.run(sys.argv[2:], check=False).returncode
    wall = time.monotonic() - begun
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(sys.argv[1], "w", encoding="ascii") as file:
        print(f"{wall:.1f} {used.ru_utime + used.ru_stime:.1f} {used.ru_maxrss // 1024}", file=file)
    sys.exit(status)


main()
