"""Where the tasks of a study run: here, one after another, or on the workers of a Dask cluster."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refcodec.codecs.picture import read_picture
from refcodec.errors import RangeError, RefcodecError
from refcodec.study.precision.measure import Row, measure
from refcodec.study.precision.points import RatePoint

CONNECT_SECONDS = 10
WAITING = 2  # tasks that are handed to each worker in advance


@dataclass(frozen=True, slots=True)
class Task:
    """One picture at one rate point; its rows depend on nothing else."""

    point: RatePoint
    path: Path
    parts: tuple[str, ...]
    name: str
    key: str


def run_here(tasks: Sequence[Task]) -> Iterator[tuple[Task, list[Row]]]:
    """The rows of every task, in order.  Raises RefcodecError."""
    for task in tasks:
        yield task, measure(task.point, task.path.name, read_picture(task.path), task.parts)


def run_on_cluster(tasks: Sequence[Task], address: str) -> Iterator[tuple[Task, list[Row]]]:
    """The rows of every task, as the workers of a Dask scheduler finish them; they need refcodec, but no files.

    address  of the scheduler, such as tcp://10.0.0.1:8786
    Raises RefcodecError RC-EXTRA where `distributed` is missing, RC-USAGE where no scheduler or no worker answers.
    """
    distributed = import_distributed()
    with _client(distributed, address) as client:
        workers = len(client.nthreads())
        if not workers:
            raise RangeError(f"the Dask scheduler at {address} has no workers", "RC-USAGE")
        points = {task.point: task.point for task in tasks}
        points = {point: client.scatter(point, broadcast=True, hash=False) for point in points}
        left, running = iter(tasks), {}
        done = distributed.as_completed()

        def hand_out() -> None:
            task = next(left, None)
            if task is not None:
                picture = client.scatter(read_picture(task.path), hash=False)
                future = client.submit(measure, points[task.point], task.path.name, picture, task.parts, pure=False)
                running[future] = task
                done.add(future)

        for _ in range(WAITING * workers):
            hand_out()
        for future in done:
            yield running.pop(future), future.result()
            hand_out()


def import_distributed() -> Any:
    """The `distributed` package of the extra `cluster`.  Raises RefcodecError RC-EXTRA where it is missing."""
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        message = "--cluster needs the package distributed: pip install 'refcodec[cluster]'"
        raise RefcodecError("RC-EXTRA", message) from error


def _client(distributed: Any, address: str) -> Any:
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:  # a timeout of Dask is an OSError
        raise RangeError(f"no Dask scheduler answers at {address}", "RC-USAGE") from error
