"""Parameters, memory sizes and refusals of the engine (SPEC HW-1, HW-6)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hw_random_layers import LAYER, Case, small_layer

from hw.convert import convert_layer
from hw.elaboration import address_bits
from hw.layer import layer_stimulus
from hw.parameters import EngineParameters, layer_operations
from hw.simulate import simulate_layer
from hw.stage import cycles
from hw.stream import pack_lanes, unpack_lanes
from refcodec import fixed
from refcodec.errors import HardwareError, ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat

GOOD = EngineParameters(
    kernel=3,
    stride=1,
    transposed=False,
    padding=1,
    output_padding=0,
    in_channels=3,
    out_channels=5,
    height=4,
    width=5,
    activation=IntFormat(8, False),
    weight=IntFormat(8, True),
    accumulator=IntFormat(32, True),
    output=IntFormat(8, False),
    multiplier_bits=31,
    pi=2,
    po=4,
)

REFUSED = [
    ({"pi": 0}, "PI must be an integer 1..32, got 0"),
    ({"pi": 33}, "PI must be an integer 1..32, got 33"),
    ({"po": 33}, "PO must be an integer 1..32, got 33"),
    ({"po": np.int64(4)}, "PO must be an integer 1..32"),
    ({"pi": True}, "PI must be an integer 1..32, got True"),
    ({"kernel": 10, "padding": 0}, "kernel must be an integer 1..9, got 10"),
    ({"stride": 5}, "stride must be an integer 1..4, got 5"),
    ({"padding": 3}, "padding must be an integer 0..2, got 3"),
    ({"output_padding": 1}, "output padding must be an integer 0..0, got 1"),
    ({"transposed": True, "stride": 4}, "a tap in every phase, kernel 3 is below stride 4"),
    ({"in_channels": 1025}, "in_channels must be an integer 1..1024"),
    ({"out_channels": 0}, "out_channels must be an integer 1..1024"),
    ({"height": 4097}, "height must be an integer 1..4096"),
    ({"width": 0}, "width must be an integer 1..4096"),
    ({"height": 2, "padding": 0}, "a 2x5 tile gives no output"),
    ({"activation": IntFormat(17, False)}, "activations need 2..16 bits, got u17"),
    ({"activation": IntFormat(1, False)}, "activations need 2..16 bits, got u1"),
    ({"weight": IntFormat(17, True)}, "weights need 2..16 signed bits, got s17"),
    ({"weight": IntFormat(8, False)}, "weights need 2..16 signed bits, got u8"),
    ({"accumulator": IntFormat(32, False)}, "accumulators must be signed, got u32"),
    ({"output": IntFormat(17, False)}, "outputs need 2..16 bits, got u17"),
    ({"multiplier_bits": 32}, "multiplier bits must be an integer 1..31, got 32"),
    (
        {"height": 4096, "width": 4096, "in_channels": 1024, "pi": 1},
        "memory needs 17179869184 words, 67108864 is the limit",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=lambda value: str(value))
def test_parameters_that_cannot_be_built_are_refused(change, message):
    with pytest.raises(HardwareError) as caught:
        replace(GOOD, **change)
    assert caught.value.code == "RC-HW-CONFIG"
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("lanes", "language", "error"),
    [((33, 4), "verilog", HardwareError), ((2, 0), "vhdl", HardwareError), ((2, 4), "systemc", HardwareError)],
)
def test_refused_conversion_writes_nothing(lanes, language, error, tmp_path):
    program, x = small_layer(Case())
    with pytest.raises(error) as caught:
        convert_layer(program, LAYER, x, language, tmp_path / "out", *lanes)
    assert caught.value.code == "RC-HW-CONFIG"
    assert list(tmp_path.iterdir()) == []


def test_unsupported_kernel_of_a_program_writes_nothing(tmp_path):
    program, x = small_layer(Case(kernel=2, stride=3, transposed=True, padding=0))
    with pytest.raises(HardwareError, match="below stride 3"):
        convert_layer(program, LAYER, x, "verilog", tmp_path / "out", 2, 2)
    assert list(tmp_path.iterdir()) == []


def test_only_convolutions_are_layers():
    program, x = small_layer(Case())
    with pytest.raises(HardwareError, match="scale is a requantise"):
        simulate_layer(program, "scale", x, 2, 2)
    with pytest.raises(ModelError):
        simulate_layer(program, "nowhere", x, 2, 2)


def test_wrong_tiles_are_refused():
    program, x = small_layer(Case())
    with pytest.raises(ShapeError):
        simulate_layer(program, LAYER, x[:2], 2, 2)
    with pytest.raises(ShapeError):
        simulate_layer(program, LAYER, x[0], 2, 2)
    with pytest.raises(RangeError):
        simulate_layer(program, LAYER, x + 1, 2, 2)


def test_parameters_come_from_the_program_as_plain_integers():
    program, x = small_layer(Case(kernel=5, stride=2, transposed=True, padding=2, output_padding=1))
    found = EngineParameters.from_program(program, LAYER, 4, 5, 2, 4)
    assert (found.kernel, found.stride, found.padding, found.output_padding) == (5, 2, 2, 1)
    assert found.output == IntFormat(8, False)
    assert {type(value) for value in found.describe().values()} == {int, bool, str}
    assert (found.out_height, found.out_width) == layer_operations(program, LAYER)[0].size(x.shape[1:])


def test_raw_layer_has_no_scale_memories():
    program, _ = small_layer(Case(output=None))
    found = EngineParameters.from_program(program, LAYER, 4, 5, 2, 4)
    assert found.output is None
    assert list(found.memories) == ["weight", "bias"]
    assert found.out_format == IntFormat(32, True)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(5, 2, 2), (4, 2, 1), (3, 1, 1), (9, 4, 3), (2, 2, 0), (5, 3, 1)]
)
def test_transposed_plan_visits_the_golden_taps(kernel, stride, padding):
    parameters = replace(GOOD, kernel=kernel, stride=stride, padding=padding, transposed=True)
    plan = parameters.plan
    start = plan.first
    for output in range(3 * stride):
        phase = output % stride
        wanted = [(k, output // stride + offset) for k, offset in fixed.phase_taps(kernel, stride, padding, phase)]
        found = [(k, start + i * plan.tap_step) for i, k in enumerate(plan.kernel_taps[phase])]
        assert found == wanted
        assert plan.taps[phase] == len(wanted)
        start += plan.step[phase]


def test_transposed_five_by_five_does_nine_six_six_four_taps():
    parameters = replace(
        GOOD, kernel=5, stride=2, padding=2, output_padding=1, transposed=True, height=1, width=1, in_channels=2
    )
    assert parameters.plan.taps == (3, 2)
    assert parameters.steps == (9 + 6 + 6 + 4) * parameters.out_groups
    assert parameters.macs == 25 * 2 * 5


def test_cycles_of_a_layer_in_numbers():
    assert GOOD.in_groups == 2
    assert GOOD.out_groups == 2
    assert GOOD.steps == 4 * 5 * 9 * 2 * 2
    assert GOOD.latency == 21
    assert GOOD.cycles == 741
    assert sum(memory.words for memory in GOOD.memories.values()) == 4 * (36 + 3 * 2)
    assert list(GOOD.result_cycles())[-1] == GOOD.cycles
    assert cycles(GOOD) == 4 * 5 * 2 - 1 + GOOD.cycles
    assert replace(GOOD, output=None).latency == 12
    assert [replace(GOOD, pi=pi).latency for pi in (1, 2, 3, 4, 5, 16)] == [20, 21, 22, 22, 23, 24]
    assert [replace(GOOD, po=po).latency for po in (1, 4, 5, 8, 9)] == [21, 21, 22, 22, 23]


def test_lanes_pack_and_unpack():
    assert pack_lanes([-1, 2, -8], 4) == 0x82F
    assert unpack_lanes(0x82F, IntFormat(4, True), 3) == [-1, 2, -8]
    assert unpack_lanes(0x82F, IntFormat(4, False), 3) == [15, 2, 8]
    assert [address_bits(depth) for depth in (1, 2, 3, 4, 5, 256, 257)] == [1, 1, 2, 2, 3, 8, 9]


def test_output_words_return_to_the_output_tensor():
    program, x = small_layer(Case(output=IntFormat(6, True)))
    stimulus = layer_stimulus(program, LAYER, x, 2, 4)
    sink = stimulus.stage.sink
    assert sink.pack(sink.unpack(stimulus.words)) == stimulus.words
    assert sink.mask == [0xFFFFFF, 0x3F] * (sink.height * sink.width)
    surplus = [word >> (1 * 6) for word in stimulus.words[1::2]]  # five channels leave one in the second group
    assert set(surplus) == {0}
