"""Level 2: processes that stay, a JSON line each way; one that fails is replaced (SPEC RUN-1, RUN-6)."""

from __future__ import annotations

import json
import os
import queue
import selectors
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from refcodec.runner.answer import Answer, broken
from refcodec.runner.process import Child, ending
from refcodec.runner.stdio_answer import Broken, line_limit, parse_line, read_answer
from refcodec.runner.target import Job

FAREWELL = 1.0  # seconds in which a process may end by itself after the last request


class Session:
    """One process, and its requests one after the other."""

    def __init__(self, words: Sequence[str], timeout: float) -> None:
        self.child = Child(words, talks=True)
        self.timeout = timeout
        self._asked = 0
        self._rest = b""
        os.set_blocking(self._descriptor("stdin"), False)  # a process that never reads must not block the runner

    def ask(self, job: Job) -> Answer:
        """Send a case and read the answer.  Raises Broken."""
        self._asked += 1
        request = {"id": self._asked, "case": str(job.home), "suite": str(job.suite), "out": str(job.out)}
        deadline = time.monotonic() + self.timeout
        try:
            self._send(json.dumps(request).encode() + b"\n", deadline)
        except BrokenPipeError:
            raise self._died() from None
        line = self._line(deadline, line_limit(job.case))
        return read_answer(parse_line(line, self._asked), job)

    def _send(self, content: bytes, deadline: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor("stdin"), selectors.EVENT_WRITE)
            while content:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise Broken("timeout", f"did not read its input within {self.timeout:g} s")
                with suppress(BlockingIOError):
                    content = content[os.write(self._descriptor("stdin"), content) :]

    def _descriptor(self, name: str) -> int:
        return int(getattr(self.child.process, name).fileno())

    def _line(self, deadline: float, limit: int) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor("stdout"), selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if len(self._rest) > limit:
                    raise Broken("too-large", f"an answer of more than {limit} bytes")
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise Broken("timeout", f"no answer within {self.timeout:g} s{self.child.last_words()}")
                chunk = os.read(self._descriptor("stdout"), 65536)
                if not chunk:
                    raise self._died()
                self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def _died(self) -> Broken:
        with suppress(subprocess.TimeoutExpired):
            self.child.process.wait(FAREWELL)
        status = self.child.process.poll()
        self.child.end()
        said = self.child.last_words()
        if status is None:
            return Broken("died", f"closed its output without an answer{said}")
        return Broken("crash" if status < 0 else "died", f"{ending(status)} before it answered{said}")

    def close(self) -> None:
        """Tell the process that no request follows, then end it."""
        if self.child.process.stdin is not None:
            with suppress(OSError):
                self.child.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.child.process.wait(FAREWELL)
        self.child.close()


class Stdio:
    """As many processes as are asked at once, each started when it is first needed."""

    def __init__(self, words: Sequence[str], timeout: float) -> None:
        self.words, self.timeout = list(words), timeout
        self._idle: queue.SimpleQueue[Session] = queue.SimpleQueue()
        self._all: set[Session] = set()
        self._lock = threading.Lock()

    def answer(self, job: Job) -> Answer:
        """Ask a process that is idle, or a new one; one that broke the protocol is ended."""
        session = self._session()
        try:
            answer = session.ask(job)
        except Broken as error:
            with self._lock:
                self._all.discard(session)
            session.child.close()
            return broken(error.kind, str(error))
        self._idle.put(session)
        return answer

    def _session(self) -> Session:
        with suppress(queue.Empty):
            return self._idle.get_nowait()
        session = Session(self.words, self.timeout)
        with self._lock:
            self._all.add(session)
        return session

    def close(self) -> None:
        """End every process."""
        with self._lock:
            for session in self._all:
                session.close()
            self._all.clear()
