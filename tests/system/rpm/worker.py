#!/usr/bin/python3
"""worker.py PROGRAM OUT FILE.rpm…: an image of these packages, made by the program's worker alone.

That is the part of a build that comes after packages were chosen and fetched (src/build/worker.rs): no repository, no resolver, no store. For root, and for
a user with subordinate ids. OUT/disk.raw is the disk, which boots from EFI to a login as root. OUT/figures has the wall and processor time in seconds until the packages are
installed, and the most memory of the worker in MiB (`rpm`, which it starts, takes less). Ends with 1 where the build fails, and says why.
"""

import json
import os
import pwd
import subprocess
import sys
import time

MIB = 1 << 20
PASSWORD = "image-composer"


def package(path):
    query = ["rpm", "--query", "--package", "--nosignature", "--queryformat", "%{NAME}\t%{EVR}\t%{ARCH}", path]
    name, version, arch = subprocess.run(query, check=True, capture_output=True, text=True).stdout.split("\t")
    return {
        "coordinates": {"name": name, "version": version, "arch": arch, "repository": "test"},
        "supply": {"file": path},
        "size": os.path.getsize(path),
        "stage": 0,
        "essential": False,
        "multi_arch_same": False,
        "pre_depends": [],
        "depends": [],
        "replaces": [],
    }


def partition(name, kind, start, length, filesystem, mount_point):
    return {
        "name": name,
        "table_name": name,
        "kind": kind,
        "start": start * MIB,
        "len": length * MIB,
        "filesystem": filesystem,
        "label": None,
        "mount_point": mount_point,
        "mount_options": "",
    }


def task(out, files):
    # No file of a package is newer than its repository.
    now = int(max(os.path.getmtime(path) for path in files))
    crypt = ["openssl", "passwd", "-6", "-salt", "0123456789abcdef", PASSWORD]
    root = {"name": "root", "password_max_age": None, "groups": [], "sudo": False, "home": None, "shell": None, "ssh_authorized_keys": []}
    root["password"] = subprocess.run(crypt, check=True, capture_output=True, text=True).stdout.strip()
    return {
        "root": {
            "packaging": "rpm",
            "packages": [package(path) for path in files],
            "arch": "x86_64",
            "hostname": "rpm-minimal",
            "network": None,
            "users": [root],
            "files": [],
            "modules": [],
            "commands": [],
            "platform": "disk",
            "time": now,
            "workers": os.cpu_count(),
        },
        "start": {"tree": None, "stages": 0, "defers": False, "save": {}},
        "layout": {
            "size": 1024 * MIB,
            "table": "gpt",
            "architecture": "x86_64",
            "partitions": [
                partition("esp", "esp", 1, 256, "fat32", "/boot/efi"),
                partition("root", "linux_root", 257, 766, "ext4", "/"),
            ],
            "extend_last_partition": False,
            "seed": "ab" * 32,
            "time": now,
        },
        "boot": {"provider": "systemd-boot", "cmdline": "console=ttyS0,115200", "title": ""},
        "disk": f"{out}/disk.raw",
        "scratch": f"{out}/scratch",
        "estimate": 400 * MIB,
    }


def map_users(pid):
    """Which users stand behind those of the namespace that a process waits in: as src/root/sandbox/namespace.rs does."""
    for kind in "uid", "gid":
        if os.geteuid() == 0:
            with open(f"/proc/{pid}/{kind}_map", "w", encoding="ascii") as file:
                file.write("0 0 4294967295\n")
            continue
        own = os.getuid() if kind == "uid" else os.getgid()
        with open(f"/etc/sub{kind}", encoding="ascii") as file:
            ranges = [line.strip().split(":") for line in file]
        first = next(first for name, first, _ in ranges if name == pwd.getpwuid(os.getuid()).pw_name)
        subprocess.run([f"new{kind}map", str(pid), "0", str(own), "1", "1", first, "65535"], check=True)


def processor_time(pid):
    """What a process and all that it waited for have used, in seconds (proc_pid_stat(5), fields 14 to 17)."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def most_memory(pid):
    """In MiB (proc_pid_status(5), VmHWM)."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) // 1024 for line in file if line.startswith("VmHWM:"))


def main():
    program, out, *files = sys.argv[1:]
    os.makedirs(f"{out}/scratch", exist_ok=True)
    with open(f"{out}/disk.raw", "wb"):
        pass
    text = json.dumps(task(out, files)).encode()
    begun = time.monotonic()
    # It says that it waits for its users, and is told when it has them.
    entrance = subprocess.Popen([program, "__entrance", "__worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert entrance.stdout.read(1) == b"r"
    map_users(entrance.pid)
    entrance.stdin.write(b"\n" + text)
    entrance.stdin.close()
    installed = None
    for line in entrance.stdout:
        message = json.loads(line)
        if "failed" in message:
            print(message["failed"]["message"], message["failed"]["output"] or "", sep="\n")
            sys.exit(1)
        if "warning" in message:
            print("warning:", message["warning"])
        if "start" in message and message["start"]["phase"] == "customize":
            with open(f"/proc/{entrance.pid}/task/{entrance.pid}/children", encoding="ascii") as file:
                worker = file.read().split()[0]
            installed = time.monotonic() - begun, processor_time(worker), most_memory(worker)
    if entrance.wait() != 0:
        sys.exit(1)
    with open(f"{out}/figures", "w", encoding="ascii") as file:
        print(f"{installed[0]:.1f} {installed[1]:.1f} {installed[2]}", file=file)


main()
