#!/usr/bin/python3
"""Finds processes that a run has left behind.

    processes.py of PID              `PID STARTTIME` of the process and everything beneath it
    processes.py left LIST MARK      those of LIST (a file of such lines) that still live, and every process with MARK in its environment
"""

import os
import sys


def stat(pid):
    """(parent, state, start time), or nothing where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[1]), fields[0], fields[19]


def all_processes():
    return {int(name): about for name in os.listdir("/proc") if name.isdigit() and (about := stat(name))}


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def main():
    processes = all_processes()
    if sys.argv[1] == "of":
        family = [int(sys.argv[2])]
        for pid in family:
            family += [child for child, (parent, _, _) in processes.items() if parent == pid]
        for pid in family:
            if pid in processes:
                print(pid, processes[pid][2])
        return
    with open(sys.argv[2], encoding="ascii") as file:
        known = {tuple(line.split()) for line in file}
    mark = sys.argv[3].encode()
    for pid, (_, state, started) in processes.items():
        if state == "Z" or pid == os.getpid():
            continue
        if (str(pid), started) in known or mark in read(f"/proc/{pid}/environ"):
            print(pid, state, read(f"/proc/{pid}/cmdline").replace(b"\0", b" ").decode(errors="replace")[:200])


main()
