"""Processes of an implementation: each leads its own group, and the whole group ends with it (SPEC RUN-6)."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from refcodec.errors import RefcodecError

TAIL = 2000  # bytes of standard error that are kept
GRACE = 0.5  # seconds to read the last of it


class Child:
    """A process with the end of what it writes to standard error."""

    def __init__(self, words: Sequence[str], *, talks: bool) -> None:
        """Start it; where it `talks`, standard input and output are pipes.  Raises RefcodecError RC-USAGE."""
        pipe = subprocess.PIPE if talks else subprocess.DEVNULL
        try:
            self.process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=subprocess.PIPE, bufsize=0, start_new_session=True
            )
        except (OSError, ValueError) as error:
            raise RefcodecError("RC-USAGE", f"cannot run {words[0]}: {error}") from error
        self._tail = bytearray()
        self._reader = threading.Thread(target=self._drain, args=(self.process.stderr,), daemon=True)
        self._reader.start()

    def _drain(self, stream: IO[bytes]) -> None:
        with suppress(OSError, ValueError):
            while chunk := stream.read(65536):
                self._tail += chunk
                del self._tail[:-TAIL]

    def end(self) -> None:
        """Kill what is left of the group and collect the process."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._reader.join(GRACE)

    def close(self) -> None:
        """End it, and close its pipes."""
        self.end()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def last_words(self) -> str:
        """The last line that was written to standard error, in brackets; nothing where there was none."""
        lines = bytes(self._tail).decode("utf-8", "backslashreplace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f" [{said[:200]}]" if said else ""


def ending(status: int) -> str:
    """How a process ended, for people."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def split_command(text: str) -> list[str]:
    """The words of a command as a shell splits them; it is run without one.  Raises RefcodecError RC-USAGE."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise RefcodecError("RC-USAGE", f"the command {text!r} is malformed: {error}") from error
    if not words:
        raise RefcodecError("RC-USAGE", "the command is empty")
    if shutil.which(words[0]) is None:
        raise RefcodecError("RC-USAGE", f"there is no program {words[0]}")
    return words
