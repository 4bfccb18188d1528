#!/usr/bin/python3
"""Boots a disk image in QEMU, talks to it over the serial console, and prints what it saw as JSON.

    console.py [--format raw|qcow2|vpc|vhdx|vmdk|vdi] [--memory MIB] [--boot-timeout S] [--step-timeout S] [--log FILE] IMAGE STEP...
    console.py --kernel FILE … INITRD STEP...

Steps are taken in order:

    login=USER:PASSWORD    waits for the prompt and logs in; whoever is logged in is logged out first
    refuse=USER:PASSWORD   the same, but the login must be refused
    run:NAME=COMMAND       runs a shell command, and keeps its exit status and its output under that name

The answer: {"boot_seconds": 18.2, "error": null, "answers": {NAME: {"status": 0, "output": "running"}, …}}. The exit status is 0 when every step
could be taken (whatever the commands returned), and 1 when one could not; `error` then says why, and the console's tail goes to standard error.

The image is not changed (QEMU's snapshot mode). The guest runs on TCG: a /dev/kvm that opens may still be unable to run a guest.
"""

import argparse
import base64
import json
import os
import re
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FIRMWARE = "/usr/share/OVMF/OVMF_CODE_4M.fd"
VARIABLES = "/usr/share/OVMF/OVMF_VARS_4M.fd"

# What terminals are told beside the text: colours, bracketed paste, window titles.
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[78=>M]")
BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]+={0,2}")
LOGIN_PROMPT = re.compile(rb"\S+ login: $")
REFUSAL = re.compile(rb"Login incorrect[\s\S]*login: $")
SHELL_PROMPT = re.compile(rb"[#$] $")
# Where no login prompt will ever come.
HOPELESS = re.compile(rb"Kernel panic - not syncing[^\n]*|\nShell> $|emergency mode[^\n]*|\(initramfs\) $|grub> $|grub rescue> $")


# What a kernel says when the emulator got no time to deliver its first timer interrupts: a fault of a busy host, not of the image.
STARVED = b"IO-APIC + timer doesn't work"
STARTS = 3


class ConsoleError(Exception):
    """A step could not be taken."""


class Machine:
    """A QEMU process with its serial port on a pair of pipes."""

    def __init__(self, image, image_format, firmware, memory, scratch, kernel):
        variables = os.path.join(scratch, "variables.fd")
        shutil.copyfile(VARIABLES, variables)
        # QEMU's own firmware is a BIOS.
        efi = ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={FIRMWARE}",
               "-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
        disk = ["-drive", f"if=virtio,format={image_format},snapshot=on,file={image.replace(',', ',,')}"]
        given = ["-kernel", kernel, "-initrd", image, "-append", "console=ttyS0,115200"]
        command = ["setpriv", "--pdeathsig", "KILL", "--", "qemu-system-x86_64",
                   "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", str(memory),
                   "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                   *(given if kernel else efi + disk if firmware == "efi" else disk),
                   "-device", "virtio-rng-pci",
                   "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        self.errors = open(os.path.join(scratch, "qemu.err"), "w+b")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
                                        env={**os.environ, "TMPDIR": scratch})
        self.seen = bytearray()
        self.unread = bytearray()

    def stop(self):
        """Ends the machine at once: nothing in it is worth a clean end."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def send(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait_for(self, patterns, seconds, what):
        """Reads until one of `patterns` matches what came since the last match; returns its number and the text up to the match's end."""
        deadline = time.monotonic() + seconds
        while True:
            text = ESCAPES.sub(b"", bytes(self.unread)).replace(b"\r", b"")
            for number, pattern in enumerate(patterns):
                match = pattern.search(text)
                if match:
                    self.unread.clear()
                    self.unread += text[match.end():]
                    return number, text[:match.end()]
            hopeless = HOPELESS.search(text)
            if hopeless:
                raise ConsoleError(f"the machine came to “{hopeless.group().decode(errors='replace').strip()}” while waiting for {what}")
            left = deadline - time.monotonic()
            if left <= 0:
                raise ConsoleError(f"waited {seconds:.0f} s in vain for {what}")
            ready, _, _ = select.select([self.process.stdout], [], [], min(left, 1.0))
            if ready:
                part = os.read(self.process.stdout.fileno(), 65536)
                if not part:
                    self.process.wait()
                    self.errors.seek(0)
                    said = self.errors.read().decode(errors="replace").strip()
                    raise ConsoleError(f"the machine stopped with status {self.process.returncode} while waiting for {what}: {said}")
                self.seen += part
                self.unread += part

    def tail(self, lines=40):
        text = ESCAPES.sub(b"", bytes(self.seen)).decode(errors="replace").replace("\r", "")
        return "\n".join(text.splitlines()[-lines:])


class Session:
    """The steps, taken on a machine one by one."""

    def __init__(self, machine, boot_timeout, step_timeout):
        self.machine = machine
        self.boot_timeout = boot_timeout
        self.step_timeout = step_timeout
        self.started = time.monotonic()
        self.boot_seconds = None
        self.answers = {}
        self.logged_in = False

    def take(self, step):
        """Takes one step; a command's answer is kept in `answers`."""
        kind, _, value = step.partition("=")
        kind, _, name = kind.partition(":")
        if kind == "run":
            self.answers[name] = self.run(value)
        elif kind in ("login", "refuse"):
            user, _, password = value.partition(":")
            accepted = self.log_in(user, password)
            if accepted != (kind == "login"):
                raise ConsoleError(f"{user} was {'let in' if accepted else 'refused'}")
        else:
            raise ConsoleError("not a step")

    def prompt(self):
        """Comes to a fresh `login:` prompt."""
        if self.boot_seconds is None:
            self.machine.wait_for([LOGIN_PROMPT], self.boot_timeout, "the login prompt")
            self.boot_seconds = round(time.monotonic() - self.started, 1)
        elif self.logged_in:
            self.logged_in = False
            self.machine.send("exit\n")
            self.machine.wait_for([LOGIN_PROMPT], self.step_timeout, "the login prompt after logging out")

    def log_in(self, user, password):
        self.prompt()
        self.machine.send(user + "\n")
        self.machine.wait_for([re.compile(rb"[Pp]assword: ?$")], self.step_timeout, "the password prompt")
        self.machine.send(password + "\n")
        answer, _ = self.machine.wait_for([SHELL_PROMPT, REFUSAL], self.step_timeout, "an answer to the password")
        if answer == 1:
            return False
        self.logged_in = True
        # No echo, and no message of the kernel (only root may ask for that) between the markers.
        ready = secrets.token_hex(8)
        self.machine.send("export TERM=dumb PAGER=cat SYSTEMD_COLORS=0; stty -echo; dmesg -n 1 2>/dev/null; PS1= PS2=; "
                          f"printf '\\n%s\\n' {ready[:8]}''{ready[8:]}\n")
        self.machine.wait_for([re.compile(ready.encode() + rb"\n")], self.step_timeout, "the shell to get ready")
        return True

    def run(self, command):
        """The output comes back in base64, so that the terminal cannot change it, between two markers that are never typed in one piece."""
        if not self.logged_in:
            raise ConsoleError("nobody is logged in")
        mark = secrets.token_hex(8)
        typed = f"{mark[:8]}''{mark[8:]}"
        coded = base64.b64encode(command.encode()).decode()
        self.machine.send(f"o=$(eval \"$(printf %s {coded} | base64 -d)\" 2>&1 </dev/null); s=$?; printf '\\n%s\\n' {typed}begin; "
                          f"printf '%s\\n' \"$o\" | base64; printf '\\n%s%s:\\n' {typed}end $s\n")
        pattern = re.compile(mark.encode() + rb"begin\n([\s\S]*?)\n" + mark.encode() + rb"end(\d+):\n")
        _, text = self.machine.wait_for([pattern], self.step_timeout, f"the end of “{command}”")
        body, status = pattern.search(text).groups()
        lines = [line for line in body.splitlines() if BASE64_LINE.fullmatch(line)]
        output = base64.b64decode(b"".join(lines)).decode(errors="replace").removesuffix("\n")
        return {"status": int(status), "output": output}


def take_all(session, steps):
    """Takes the steps up to the first that cannot be taken; says which that is, and why."""
    for step in steps:
        try:
            session.take(step)
        except (ConsoleError, BrokenPipeError) as error:
            return f"{step}: {error}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--format", choices=["raw", "qcow2", "vpc", "vhdx", "vmdk", "vdi"], default="raw")
    parser.add_argument("--firmware", choices=["efi", "bios"], default="efi")
    parser.add_argument("--kernel", help="starts this kernel, and takes the image for its initrd")
    parser.add_argument("--memory", type=int, default=1024, help="MiB")
    parser.add_argument("--boot-timeout", type=float, default=240, help="seconds to the login prompt")
    parser.add_argument("--step-timeout", type=float, default=90, help="seconds for each step")
    parser.add_argument("--log", help="where the whole console goes")
    parser.add_argument("image")
    parser.add_argument("step", nargs="+")
    options = parser.parse_args()

    def stop(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)

    with tempfile.TemporaryDirectory(prefix="console-") as scratch:
        for start in range(STARTS):
            machine = Machine(options.image, options.format, options.firmware, options.memory, scratch, options.kernel)
            session = Session(machine, options.boot_timeout, options.step_timeout)
            try:
                failure = take_all(session, options.step)
            finally:
                machine.stop()
                if options.log:
                    with open(options.log, "wb") as log:
                        log.write(machine.seen)
            if STARVED not in machine.seen:
                break
            print(f"{options.image}: the host was too busy for start {start + 1}", file=sys.stderr)
        if failure:
            print(f"{options.image}: {failure}\n--- the console's end\n{machine.tail()}\n---", file=sys.stderr)
    json.dump({"boot_seconds": session.boot_seconds, "error": failure, "answers": session.answers}, sys.stdout, indent=1, ensure_ascii=False)
    print()
    return int(failure is not None)


if __name__ == "__main__":
    sys.exit(main())
