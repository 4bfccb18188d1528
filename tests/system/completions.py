#!/usr/bin/python3
"""What an interactive zsh or fish makes of unfinished command lines: types them on a terminal, and the tab key.

    completions.py SHELL LINE…

The shell starts without any files of the user, and gets what `image-composer completions SHELL` prints. Prints one line for each LINE: what came on the
screen, with spaces in the place of line ends. Ends with 1 if the shell does not come back to its prompt.
"""

import os
import pty
import re
import select
import signal
import sys
import time

SETUP = {
    # -u: do not ask about folders of other users; -D: keep no file of what was found.
    "zsh": (["zsh", "-f", "-i"], "PS1='READY''> '; unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; source <(image-composer completions zsh)"),
    "fish": (["fish", "--no-config", "-i"], "function fish_prompt; echo 'READY''> '; end; image-composer completions fish | source"),
}
PROMPT = b"READY> "
ESCAPES = re.compile(rb"\x1b\[[0-9;?>=]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\x1b[78=>MP]|[\x0e\x0f]")
TIMEOUT = 20
# How long a screen must stay as it is to be taken as whole.
STILL = 1.0


class Terminal:
    def __init__(self, arguments):
        self.process, self.file = pty.fork()
        if self.process == 0:
            os.environ["TERM"] = "xterm"
            os.execvp(arguments[0], arguments)

    def send(self, text):
        os.write(self.file, text)

    def read(self, seconds):
        """What comes within so many seconds, at most."""
        if not select.select([self.file], [], [], seconds)[0]:
            return b""
        try:
            return os.read(self.file, 65536)
        except OSError:
            sys.exit("the shell has ended")

    def until_prompt(self):
        seen, deadline = b"", time.monotonic() + TIMEOUT
        while not ESCAPES.sub(b"", seen).rstrip(b" \r").endswith(PROMPT.rstrip()):
            if time.monotonic() > deadline:
                sys.exit(f"no prompt: {seen!r}")
            seen += self.read(0.1)

    def until_still(self):
        seen, deadline = b"", time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            more = self.read(STILL)
            if seen and not more:
                break
            seen += more
        return seen

    def end(self):
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def main():
    shell, *lines = sys.argv[1:]
    arguments, setup = SETUP[shell]
    terminal = Terminal(arguments)
    try:
        terminal.until_still()
        terminal.send(setup.encode() + b"\r")
        terminal.until_prompt()
        for line in lines:
            terminal.send(line.encode() + b"\t")
            screen = ESCAPES.sub(b"", terminal.until_still()).decode(errors="replace")
            print(re.sub(r"\s+", " ", screen))
            # Ctrl-C gives the line up.
            terminal.send(b"\x03")
            terminal.until_prompt()
    finally:
        terminal.end()


main()
