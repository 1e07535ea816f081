"""What the programs of a model must be for its family (SPEC HYP-1, MSH-1, PIC-1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refcodec.codecs.picture import PIXEL_FORMAT
from refcodec.codecs.stream import MAX_SIDE
from refcodec.errors import ModelError, ShapeError
from refcodec.layers.latent_mean import MAX_FRACTION, SYMBOL_FORMAT, latent_format, mean_format
from refcodec.layers.scale_index import INDEX_FORMAT
from refcodec.program.model_file import Model
from refcodec.program.operations import Size, Tensor
from refcodec.program.program import Program

Ports = tuple[Tensor, ...]


def require(condition: bool, message: str) -> None:
    """Raise ModelError RC-MODEL-SCHEMA unless a condition holds."""
    if not condition:
        raise ModelError("RC-MODEL-SCHEMA", message)


def family_programs(model: Model, family: str, *names: str) -> list[Program]:
    """The programs of these names, of a model that is of this family and has no others.

    Raises ModelError RC-MODEL-FAMILY, RC-MODEL-SCHEMA.
    """
    if model.family != family:
        raise ModelError("RC-MODEL-FAMILY", f"family {model.family!r} is not {family!r}")
    wanted = " and ".join(sorted(names)) if len(names) < 3 else ", ".join(sorted(names))
    found = sorted(model.programs)
    require(found == sorted(names), f"expected the program{'s' * (len(names) > 1)} {wanted}, found {found}")
    return [model.programs[name] for name in names]


def setting(model: Model, name: str, lo: int, hi: int) -> int:
    """A number among a model's settings.  Raises ModelError RC-MODEL-SCHEMA unless it is there and in lo..hi."""
    value = model.settings.get(name)
    require(value is not None and lo <= value <= hi, f"the setting {name} must be {lo}..{hi}, found {value}")
    return int(model.settings[name])


def mean_fraction(model: Model) -> int:
    """The fraction of a model's means (SPEC MSH-1).  Raises ModelError RC-MODEL-SCHEMA."""
    return setting(model, "mean_fraction", 0, MAX_FRACTION)


def require_names(program: Program, ports: Ports, what: str, *names: str) -> list[Tensor]:
    """The inputs or outputs of a program in the order of these names.

    Raises ModelError RC-MODEL-SCHEMA where there are others.
    """
    found = {tensor.name: tensor for tensor in ports}
    wanted = f"the {what}{'s' * (len(names) > 1)} {' and '.join(names)}"
    require(set(found) == set(names), f"{program.name} must have {wanted}, not {' and '.join(found)}")
    return [found[name] for name in names]


def require_symbols(program: Program, name: str) -> Tensor:
    """The only input of a program, symbols of this name.  Raises ModelError RC-MODEL-SCHEMA."""
    (tensor,) = require_names(program, program.inputs, "input", name)
    require(tensor.format == SYMBOL_FORMAT, f"{program.name} must read {SYMBOL_FORMAT} symbols, not {tensor.format}")
    return tensor


def require_latent(program: Program, fraction: int, channels: int) -> Tensor:
    """The only input of a program, the latent y_hat (SPEC MSH-1).  Raises ModelError RC-MODEL-SCHEMA."""
    (tensor,) = require_names(program, program.inputs, "input", "y_hat")
    wanted = latent_format(fraction)
    require(
        tensor.format == wanted and tensor.channels == channels,
        f"{program.name} must read y_hat as {channels} channels of {wanted}, not {tensor.channels} of {tensor.format}",
    )
    return tensor


def require_parameters(program: Program, fraction: int) -> int:
    """The channels of a program's outputs, scale indexes and means (SPEC MSH-1).

    Raises ModelError RC-MODEL-SCHEMA.
    """
    indexes, means = require_names(program, program.outputs, "output", "indexes", "means")
    require(indexes.format == INDEX_FORMAT, f"{program.name} must give {INDEX_FORMAT} indexes, not {indexes.format}")
    widest = mean_format(fraction)
    require(
        means.format.signed and means.format.bits <= widest.bits,
        f"{program.name} must give means of {widest} or narrower, not {means.format}",
    )
    require(
        indexes.channels == means.channels,
        f"{program.name} must give as many indexes as means, not {indexes.channels} and {means.channels}",
    )
    return indexes.channels


def require_context(h_s: Program, context: Program, entropy_parameters: Program) -> None:
    """Raise ModelError RC-MODEL-SCHEMA unless entropy_parameters reads what the other two give (SPEC CKBD-1, AR-1)."""
    wanted = require_names(entropy_parameters, entropy_parameters.inputs, "input", "context", "side")
    for program, target in zip((context, h_s), wanted, strict=True):
        (given,) = require_names(program, program.outputs, "output", target.name)
        require(
            given == target,
            f"{program.name} gives {given.channels} channels of {given.format}, "
            f"{entropy_parameters.name} reads {target.channels} of {target.format}",
        )


def require_picture(program: Program) -> None:
    """Raise ModelError RC-MODEL-SCHEMA unless a program ends in the planes of a picture (SPEC HYP-1)."""
    picture = program.output
    require(
        picture.format == PIXEL_FORMAT and picture.channels == 3,
        f"{program.name} must end in three {PIXEL_FORMAT} channels",
    )


def output_size(program: Program, inputs: Mapping[str, Size]) -> Size:
    """The height and width that all outputs of a program share for inputs of these sizes.

    Raises ModelError RC-MODEL-SCHEMA where they differ or the inputs do not fit.
    """
    try:
        sizes = program.all_sizes(inputs)
    except ShapeError as error:
        raise ModelError("RC-MODEL-SCHEMA", f"{program.name} does not take its inputs: {error.message}") from error
    found = {sizes[tensor.name] for tensor in program.outputs}
    require(len(found) == 1, f"{program.name} must give outputs of one size")
    return found.pop()


def enlargements(chain: Sequence[Program]) -> tuple[int, ...]:
    """By how much each program of a chain enlarges what the one before it gives, for pictures of every size.

    Raises ModelError RC-MODEL-SCHEMA where that is no whole factor, or not the same along both axes and at all sizes.
    """
    factors: list[int] = []
    side = 1
    for program in chain:
        grown = output_size(program, {tensor.name: (side, side) for tensor in program.inputs})[0]
        require(grown % side == 0, f"{program.name} must enlarge by a whole factor")
        factors.append(grown // side)
        side = grown
    for blocks in range(1, -(-MAX_SIDE // side) + 1):
        side = blocks
        for program, factor in zip(chain, factors, strict=True):
            given, side = side, side * factor
            found = output_size(program, {tensor.name: (given, given) for tensor in program.inputs})
            require(
                found == (side, side),
                f"{program.name} must enlarge {factor} times: {given} x {given} became {found[0]} x {found[1]}",
            )
    return tuple(factors)
