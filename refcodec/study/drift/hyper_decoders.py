"""One hyper-decoder as many machines run it: in floats, where they disagree, and in integers, where they cannot."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numba
import numpy as np

from refcodec.models.float_codec import FloatCodec
from refcodec.models.network import Arrays, Convolution, Network, Parameters
from refcodec.program import operations
from refcodec.program.program import Program
from refcodec.study.drift.evaluations import (
    REFERENCE,
    Evaluation,
    Window,
    convolve,
    float_evaluations,
    integer_evaluations,
    matrix_product,
)

Tensors = dict[str, np.ndarray]

# OpenBLAS chooses its kernels by processor and thread count; these settings choose for it. Every 64-bit x86 processor
# of the last fifteen years can run both.
CORES = {"Prescott": "OpenBLAS on a Pentium 4 of 2004 (SSE3)", "Nehalem": "OpenBLAS on a Core i7 of 2008 (SSE4.2)"}
THREADS = (1, 2)


@dataclass(frozen=True, slots=True)
class HyperDecoder:
    """One way to run h_s.

    name, found_in  for people;  run  from z symbols (Z, h', w') to every tensor by name.
    """

    name: str
    found_in: str
    run: Callable[[np.ndarray], Tensors]


# --- floats


def float_tensors(network: Network, parameters: Parameters, z_hat: np.ndarray, by: Evaluation) -> Tensors:
    """Every tensor of a float network without masks, its convolutions evaluated in a given way.

    z_hat  (Z, h', w') float32.
    """
    live = {network.inputs[0].name: z_hat}
    for node in network.nodes:
        if isinstance(node, Convolution):
            weight, bias = node.weight(parameters), node.bias(parameters)
            window = Window(node.stride, node.kernel // 2, node.transposed, node.stride - 1)
            live[node.name] = convolve(live[node.source], weight, bias, window, by)
        else:
            live[node.name] = node.run(live, parameters)
    return live


def _float_run(twin: FloatCodec, by: Evaluation, z: np.ndarray, executor: Executor | None = None) -> Tensors:
    network = twin.networks["h_s"]
    parameters = {name: twin.parameters[name] for name in network.shapes()}
    z_hat = (z + twin.medians[:, None, None]).astype(np.float32)
    if executor is None:
        return float_tensors(network, parameters, z_hat, by)
    return executor.submit(float_tensors, network, parameters, z_hat, by).result()


def float_reference(twin: FloatCodec) -> HyperDecoder:
    """What the encoder runs: the same bits on every machine that follows IEEE 754."""
    return HyperDecoder(REFERENCE.name, REFERENCE.found_in, partial(_float_run, twin, REFERENCE))


@contextmanager
def _process(settings: Mapping[str, str]) -> Iterator[Executor]:
    """Another process, started under these environment variables."""
    before = dict(os.environ)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        os.environ.update(settings)
        try:
            executor.submit(os.getpid).result()
        finally:
            for name in settings:
                os.environ.pop(name)
            os.environ.update({name: before[name] for name in settings if name in before})
        yield executor


@contextmanager
def float_decoders(twin: FloatCodec, seed: int) -> Iterator[tuple[HyperDecoder, ...]]:
    """The evaluations of this process, and the BLAS of this machine under other settings, in processes of their own."""
    by = Evaluation("", "", matrix_product)
    settings = [
        (
            f"BLAS, {count} thread{'s' * (count > 1)}",
            "the matrix product of this machine's NumPy",
            {"OPENBLAS_NUM_THREADS": str(count)},
        )
        for count in THREADS
    ]
    if platform.machine().lower() in ("x86_64", "amd64"):
        one = {"OPENBLAS_NUM_THREADS": "1"}
        settings += [(f"BLAS, {core}", text, {**one, "OPENBLAS_CORETYPE": core}) for core, text in CORES.items()]
    with ExitStack() as stack:
        yield (
            *(HyperDecoder(e.name, e.found_in, partial(_float_run, twin, e)) for e in float_evaluations(seed)),
            *(
                HyperDecoder(name, text, partial(_float_run, twin, by, executor=stack.enter_context(_process(chosen))))
                for name, text, chosen in settings
            ),
        )


# --- integers


def integer_tensors(program: Program, inputs: Arrays, by: Evaluation) -> Tensors:
    """Every tensor of an integer program, its convolutions evaluated in a given way."""
    live = dict(inputs)
    for op in program.operations:
        if isinstance(op, operations.Convolution):
            window = Window(op.stride, op.padding, False)
        elif isinstance(op, operations.TransposedConvolution):
            window = Window(op.stride, op.padding, True, op.output_padding)
        else:
            sources = [program.tensor(name) for name in op.reads]
            live[op.target] = op.run([live[name] for name in op.reads], sources, program.tensor(op.target))
            continue
        x, weight, bias = (array.astype(np.int64) for array in (live[op.source], op.weight, op.bias))
        live[op.target] = convolve(x, weight, bias, window, by)
    return live


def _by_evaluation(program: Program, by: Evaluation, z: np.ndarray) -> Tensors:
    return integer_tensors(program, {program.input.name: z}, by)


def _by_definition(program: Program, z: np.ndarray) -> Tensors:
    found: Tensors = {}
    program.run_all_plain({program.input.name: z}, found.__setitem__)
    return found


def _by_kernels(program: Program, threads: int, z: np.ndarray) -> Tensors:
    found: Tensors = {}
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    try:
        program.run_all({program.input.name: z}, found.__setitem__)
    finally:
        numba.set_num_threads(before)
    return found


def integer_reference(program: Program) -> HyperDecoder:
    """What the encoder runs: the compiled kernels on one thread."""
    return HyperDecoder("Numba, 1 thread", "refcodec decode", partial(_by_kernels, program, 1))


def integer_decoders(program: Program, seed: int) -> tuple[HyperDecoder, ...]:
    """The compiled kernels on one thread, two, and all there are; the definitions; every order of sums."""
    most = numba.get_num_threads()
    counts = sorted({min(2, most), most} - {1})
    return (
        integer_reference(program),
        *(HyperDecoder(f"Numba, {n} threads", "the same", partial(_by_kernels, program, n)) for n in counts),
        HyperDecoder("NumPy", "the definitions of SPEC.md", partial(_by_definition, program)),
        *(HyperDecoder(e.name, e.found_in, partial(_by_evaluation, program, e)) for e in integer_evaluations(seed)),
    )
