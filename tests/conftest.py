"""Fixtures that several tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_hyperprior import tiny_model as build_tiny_model

from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.program.model_file import Model

ROOT = Path(__file__).parents[1]


def pytest_configure(config: pytest.Config) -> None:
    """One thread a matrix product where test processes share the cores: two wait for each other, ten times as long.

    The processes of pytest-xdist start after this and inherit it, before they import NumPy.
    """
    if config.getoption("numprocesses", None):
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of third-party pictures; tests that want it are skipped where it is missing."""
    folder = ROOT / os.environ.get("REFCODEC_DATA", "../shared/data")
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}: set REFCODEC_DATA")
    return folder


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Random numbers that belong to the test's name: the same in every run and in any order."""
    return np.random.default_rng(list(request.node.name.encode()))


@pytest.fixture(scope="session")
def tiny_model() -> Model:
    """A small W8A8 scale hyperprior with random integer weights, an encoder array and a provenance."""
    return build_tiny_model(encoder={"gain": np.arange(5, dtype=np.float32)}, provenance={"made by": "a test"})


@pytest.fixture(scope="session")
def tiny_codec(tiny_model: Model) -> ScaleHyperprior:
    """The codec of the small model."""
    return ScaleHyperprior.from_model(tiny_model)


@pytest.fixture(scope="session")
def run_uncompiled() -> Callable[..., str]:
    """A function that runs a Python text with Numba switched off and warnings as errors; returns what it prints."""

    def run(script: str, *arguments: str) -> str:
        environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-W", "error", "-c", script, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
