"""Somebody who types at human speed into a shell that asciinema records, on a pseudo terminal. Knows nothing of what is
typed, only how a prompt looks."""

import fcntl
import os
import pty
import random
import select
import struct
import termios
import time

KEY_S = (0.01, 0.04)  # between two keys
PAUSE_S = 0.25  # before Enter
ANSWER_S = 30  # at most, from Enter to the next prompt
PROMPTS = (b"$ ", b"=# ", b"=> ")  # of the shell and of psql

# What the shell knows: nothing of the machine or of who records. It leaves, unheard, where its second prompt would be.
ENVIRONMENT = {"PATH": os.defpath, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PS1": "$ ", "HISTFILE": "",
               "PROMPT_COMMAND": "${was_here:+exec true}; was_here=yes", "PSQL_HISTORY": "/dev/null", "PSQL_PAGER": ""}


class Typist:
    def __init__(self, cast, home, columns, rows, seed=3):
        """Records into the file `cast`; `home` is an empty folder, without anybody's .psqlrc; `seed` decides the rhythm."""
        self._rhythm = random.Random(seed)
        self._said = b""
        recorder = ["asciinema", "rec", "--quiet", "--overwrite", "--cols", str(columns), "--rows", str(rows), "--env", "TERM",
                    "--title", "Mosaic's console", "--command", "bash --noprofile --norc", cast]
        self._pid, self._terminal = pty.fork()
        if self._pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvpe(recorder[0], recorder, ENVIRONMENT | {"HOME": home})
        self._await_prompt()

    def type(self, line, read_s=0.0):
        """Types the line and Enter, waits for the prompt behind the answer, and reads that for so long."""
        self._type_line(line)
        self._await_prompt()
        self._listen(read_s)

    def leave(self, line):
        """Types the line behind which psql ends, and with it the recording."""
        self._type_line(line)
        while self._listen(ANSWER_S):
            pass
        os.waitpid(self._pid, 0)
        os.close(self._terminal)

    def _type_line(self, line):
        for key in line:
            os.write(self._terminal, key.encode())
            self._listen(self._rhythm.uniform(*KEY_S))
        self._listen(PAUSE_S)
        self._said = b""
        os.write(self._terminal, b"\r")

    def _await_prompt(self):
        deadline = time.monotonic() + ANSWER_S
        while not self._said.endswith(PROMPTS):
            if time.monotonic() > deadline or not self._listen(0.1):
                raise TimeoutError(f"expected a prompt within {ANSWER_S} s, but the terminal says {self._said!r}")

    def _listen(self, seconds):
        """For so long; false when nobody is there any more."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([self._terminal], [], [], left)[0]:
                return True
            try:
                self._said = (self._said + os.read(self._terminal, 65536))[-200:]
            except OSError:  # EIO: the other end is closed
                return False
        return True
