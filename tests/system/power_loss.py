"""Cuts the power at every sync of some commands, and looks at what is left of the store.

    power_loss.py PROGRAM FOLDER SCRATCH TRACE PROMISES [TRACE PROMISES]…

A TRACE is what `strace -f -xx` recorded of one command that worked beneath FOLDER, which was empty before the first one. PROMISES has what is in the
store after it: lines of an image's id and the SHA-256 of its disk. A model of the disk replays the calls. Durable is the content of a file at its last
fsync, and the names of a folder at its last fsync. After each sync, three disks are made in SCRATCH: one that has only what is durable, one that has
all names but only durable data, and one on which a random part of the rest survived. The program must list there what was promised, whole.
"""

import hashlib
import json
import os
import random
import re
import shutil
import subprocess
import sys

BLOCK = 4096


class Node:
    """A file or a folder: as processes see it, and as it is on the disk."""

    def __init__(self, folder):
        self.folder = folder
        self.names, self.durable_names = {}, {}
        self.data, self.durable, self.pending = bytearray(), b"", []

    def write(self, at, data):
        self.data.extend(bytes(max(0, at + len(data) - len(self.data))))
        self.data[at:at + len(data)] = data
        self.pending.append((at, data))

    def truncate(self, length):
        del self.data[length:]
        self.data.extend(bytes(length - len(self.data)))
        self.pending.append((length, None))


class Disk:
    def __init__(self, folder):
        self.root, self.folder = Node(True), folder
        self.journal = []  # changes of names that are not durable yet: lists of (folder, name, node or None), each atomic

    def find(self, path):
        """The folder of a path and the name in it; nothing for paths elsewhere."""
        path = os.path.normpath(path)
        if not path.startswith(self.folder + "/"):
            return None
        node, parts = self.root, path[len(self.folder) + 1:].split("/")
        for part in parts[:-1]:
            node = node.names.get(part)
            if node is None:
                return None
        return node, parts[-1]

    def node(self, path):
        if os.path.normpath(path) == self.folder:
            return self.root
        place = self.find(path)
        return place and place[0].names.get(place[1])

    def change(self, *changes):
        for folder, name, node in changes:
            if node is None:
                folder.names.pop(name, None)
            else:
                folder.names[name] = node
        self.journal.append(changes)

    def sync(self, node):
        if not node.folder:
            node.durable, node.pending = bytes(node.data), []
            return
        rest = []
        for changes in self.journal:
            if any(folder is node for folder, _, _ in changes):
                apply(changes, lambda folder: folder.durable_names)
            else:
                rest.append(changes)
        self.journal = rest

    def states(self, chance):
        """Three disks after a loss of power: functions that give the names of a folder and the content of a file."""
        yield lambda folder: folder.durable_names, lambda file: file.durable
        yield lambda folder: folder.names, lambda file: file.durable + bytes(max(0, len(file.data) - len(file.durable)))
        names = {}
        of = lambda folder: names.setdefault(id(folder), dict(folder.durable_names))
        for changes in self.journal:
            if chance.random() < 0.5:
                apply(changes, of)
        yield of, lambda file: survived(file, chance)


def apply(changes, names):
    for folder, name, node in changes:
        if node is None:
            names(folder).pop(name, None)
        else:
            names(folder)[name] = node


def survived(file, chance):
    data = bytearray(file.durable)
    for at, new in file.pending:
        if new is None:
            if chance.random() < 0.5:
                del data[at:]
                data.extend(bytes(at - len(data)))
            continue
        for begin in range(0, len(new), BLOCK):
            if chance.random() < 0.5:
                block = new[begin:begin + BLOCK]
                data.extend(bytes(max(0, at + begin + len(block) - len(data))))
                data[at + begin:at + begin + len(block)] = block
    return bytes(data)


def calls(path):
    """The calls of a trace that succeeded, in the order in which they ended: name, arguments as text, result."""
    begun = {}
    with open(path, encoding="ascii") as lines:
        for line in lines:
            pid, _, rest = line.rstrip("\n").partition(" ")
            rest = rest.lstrip()
            if rest.endswith("<unfinished ...>"):
                begun[pid] = rest[:-len("<unfinished ...>")]
                continue
            if rest.startswith("<... "):
                rest = begun.pop(pid, "") + rest.partition(" resumed>")[2]
            match = re.match(r"(\w+)\((.*)\)\s+= (-?\d+)", rest)
            if match and int(match[3]) >= 0:
                yield match[1], match[2], int(match[3])


def text(quoted):
    return bytes.fromhex(quoted.replace("\\x", ""))


class Process:
    """Replays one command."""

    def __init__(self, disk):
        self.disk, self.files = disk, {}  # descriptor: [node or None, position, path, append]

    def path(self, folder, quoted):
        path = text(quoted).decode()
        if folder and folder != "AT_FDCWD" and not path.startswith("/"):
            path = os.path.join(self.files.get(int(folder), [None, 0, "/-"])[2], path)
        return path

    def replay(self, name, arguments, result):
        """Returns whether it was a sync of something beneath the folder."""
        disk = self.disk
        strings = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)
        plain = re.sub(r'"[^"]*"(\.\.\.)?', "S", arguments).replace(" ", "").split(",")
        assert '"...' not in arguments, "strace cut data off"
        if name in ("open", "openat", "creat"):
            path = self.path(plain[0] if name == "openat" else None, strings[0])
            node, place = disk.node(path), disk.find(path)
            if place and node is None and "O_TMPFILE" not in arguments:
                node = Node("O_DIRECTORY" in arguments)
                disk.change((*place, node))
            if node is not None and ("O_TRUNC" in arguments or name == "creat") and node.data:
                node.truncate(0)
            self.files[result] = [node, 0, path, "O_APPEND" in arguments]
            return False
        if name in ("mkdir", "mkdirat"):
            place = disk.find(self.path(plain[0] if name == "mkdirat" else None, strings[0]))
            if place:
                disk.change((*place, Node(True)))
            return False
        if name in ("unlink", "unlinkat", "rmdir"):
            place = disk.find(self.path(plain[0] if name == "unlinkat" else None, strings[0]))
            if place:
                disk.change((*place, None))
            return False
        if name.startswith(("rename", "link")):
            at = "at" in name
            old = disk.find(self.path(plain[0] if at else None, strings[0]))
            new = disk.find(self.path(plain[2] if at else None, strings[1]))
            node = old and old[0].names.get(old[1])
            if node and new and name.startswith("link"):
                disk.change((*new, node))
            elif node and new:
                disk.change((*old, None), (*new, node))
            elif old:
                disk.change((*old, None))
            assert not (new and not node), f"{name} brings something in that the model does not know"
            return False
        if name == "mmap":
            shared = "MAP_SHARED" in arguments and "PROT_WRITE" in arguments and plain[4].isdigit()
            assert not shared or self.files.get(int(plain[4]), [None])[0] is None, "writing through a map is not modelled"
            return False
        if name.startswith("dup") or (name == "fcntl" and "F_DUPFD" in arguments):
            self.files[result] = self.files.get(int(plain[0]), [None, 0, "/-", False])
            return False
        file = self.files.get(int(plain[0])) if plain[0].isdigit() else None
        if name == "close":
            self.files.pop(int(plain[0]), None)
        if file is None or file[0] is None:
            return False
        node = file[0]
        if name == "lseek":
            file[1] = result
        elif name in ("write", "writev"):
            data = b"".join(map(text, strings))[:result]
            at = len(node.data) if file[3] else file[1]
            node.write(at, data)
            file[1] = at + len(data)
        elif name == "pwrite64":
            node.write(int(plain[-1]), text(strings[0])[:result])
        elif name == "ftruncate":
            node.truncate(int(plain[1]))
        elif name == "fallocate":
            assert plain[1] == "0", "only whole allocations are modelled"
            node.truncate(max(len(node.data), int(plain[2]) + int(plain[3])))
        elif name in ("fsync", "fdatasync"):
            disk.sync(node)
            return True
        elif name not in ("close", "fcntl", "sync_file_range"):
            raise AssertionError(f"{name} is not modelled")
        return False


def lay_out(folder, path, names, content):
    os.makedirs(path, exist_ok=True)
    for name, node in names(folder).items():
        if node.folder:
            lay_out(node, f"{path}/{name}", names, content)
        else:
            with open(f"{path}/{name}", "wb") as file:
                file.write(content(node))


def fingerprint(folder, names, content):
    parts = sorted(
        (name, fingerprint(node, names, content) if node.folder else hashlib.sha256(content(node)).hexdigest())
        for name, node in names(folder).items()
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def look(program, scratch, promised, known):
    """What is wrong with a store: nothing, or a text."""
    store, out = f"{scratch}/disk/deep/store", f"{scratch}/out.raw"
    run = lambda *words: subprocess.run([program, "--store", store, "--progress", "none", *words], capture_output=True, text=True, check=False)
    listed = run("cache", "list", "--json")
    if listed.returncode:
        return f"it cannot be listed: {listed.stderr}"
    there = {image["spec_hash"] for image in json.loads(listed.stdout)["images"]}
    if not promised <= there:
        return f"it lacks {sorted(promised - there)}: {listed.stderr}"
    if not there <= set(known):
        return f"it has what nobody put in: {sorted(there - set(known))}"
    for image in sorted(there):
        written = run("cache", "export", image, out, "--force")
        if written.returncode:
            return f"{image} cannot be written: {written.stderr}"
        with open(out, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != known[image]:
                return f"{image} has other bytes"
    return None


def differs(node, path):
    """Where the model is not what is really there: its calls are not all that there were."""
    if not node.folder:
        with open(path, "rb") as file:
            return [] if file.read() == node.data else [path]
    real = set(os.listdir(path))
    wrong = [f"{path}/{name}" for name in real ^ set(node.names)]
    for name in real & set(node.names):
        wrong += differs(node.names[name], f"{path}/{name}")
    return wrong


def main(program, folder, scratch, *rounds):
    disk, before, seen, looked, wrong = Disk(folder), {}, set(), 0, []
    for trace, promises in zip(rounds[::2], rounds[1::2]):
        with open(promises, encoding="ascii") as file:
            after = dict(line.split() for line in file)
        process = Process(disk)
        steps = list(calls(trace)) + [("end", "", 0)]
        for number, call in enumerate(steps):
            end = call[0] == "end"
            if not end and not process.replay(*call):
                continue
            # What is being removed may be gone already; what is being stored may be there already.
            promised = set(after) if end else set(before) & set(after)
            for kind, state in zip(("durable", "names", "some"), disk.states(random.Random(number))):
                names, content = state
                chosen = {}
                fixed = lambda node, content=content, chosen=chosen: chosen.setdefault(id(node), content(node))
                mark = (fingerprint(disk.root, names, fixed), tuple(sorted(promised)))
                if mark in seen:
                    continue
                seen.add(mark)
                looked += 1
                shutil.rmtree(f"{scratch}/disk", ignore_errors=True)
                lay_out(disk.root, f"{scratch}/disk", names, fixed)
                problem = look(program, scratch, promised, {**before, **after})
                if problem:
                    wrong.append(f"{os.path.basename(trace)}, call {number} ({call[0]}), {kind}: {problem.strip()}")
        before = after
    wrong[:0] = [f"the model is wrong about {path}" for path in differs(disk.root, folder)]
    print(f"{looked} disks")
    print("\n".join(wrong[:20]))
    return 1 if wrong or looked < 50 else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
