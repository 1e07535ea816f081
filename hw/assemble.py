"""The network of an integer program: a stage for every operation, or for a layer and what follows it (SPEC HW-23)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hw import gdn
from hw.clip_stage import ClipStage
from hw.embedding import FUNCTIONS, EmbeddingStage
from hw.latent_mean import LatentMeanStage
from hw.layer import engine_images
from hw.leaky_requantise import LeakyRequantiseStage
from hw.network import Network, Part, joined_images
from hw.parameters import EngineParameters, layer_operations
from hw.pixel_shuffle import PixelShuffleStage, arranged, shuffled_channels
from hw.rans import RansStage, Tables
from hw.requantise_stage import RequantiseStage
from hw.resize import ResizeStage
from hw.scale_index import ScaleIndexStage
from hw.stage import Images, Stage
from hw.stream import StreamFormat
from hw.table import InterpolatedTableStage, TableStage
from hw.threshold_head import ThresholdHeadStage
from hw.transpose import ToPixels, ToPlanes
from refcodec.errors import HardwareError
from refcodec.program.operations import (
    AnyOperation,
    Clip,
    Convolution,
    Gdn,
    InterpolatedTable,
    InverseGdn,
    LatentMean,
    LeakyRequantise,
    Linear,
    PixelShuffle,
    Requantise,
    Resize,
    ScaleIndex,
    Table,
    Tensor,
    ThresholdHead,
    TransposedConvolution,
)
from refcodec.program.program import Program

ENGINES = (Convolution, TransposedConvolution, Linear)
Maker = Callable[[Program, str, int, int, int], tuple[Stage, Images]]
# operations that change no lanes
SINGLE: dict[type, Maker] = {
    Clip: ClipStage.of,
    LeakyRequantise: LeakyRequantiseStage.of,
    Resize: ResizeStage.of,
    Requantise: RequantiseStage.of,
    LatentMean: LatentMeanStage.of,
    ScaleIndex: ScaleIndexStage.of,
    Table: TableStage.of,
    InterpolatedTable: InterpolatedTableStage.of,
    ThresholdHead: ThresholdHeadStage.of,
}
NORMALISATIONS = (Gdn, InverseGdn)
ALIKE = (Table, InterpolatedTable)  # the same for all channels


@dataclass(frozen=True, slots=True)
class Folding:
    """How many channels a word holds (SPEC HW-23).

    lanes  of every stream, unless there are fewer channels;  first  of what a program reads
    layers  of what a layer, or the input, gives, by its name
    banks  tensors that the activation memory of an engine holds: with 2 the next picture comes in while one is decoded.
    """

    lanes: int = 8
    first: int = 8
    layers: Mapping[str, int] = field(default_factory=dict)
    banks: int = 1

    def of(self, layer: str, channels: int) -> int:
        """Lanes of what a layer gives."""
        return min(self.layers.get(layer, self.lanes), channels)

    def of_input(self, tensor: Tensor) -> int:
        """Lanes of what a program reads."""
        return min(self.layers.get(tensor.name, self.first), tensor.channels)


def in_line(program: Program) -> None:
    """Raise HardwareError RC-HW-CONFIG unless every operation reads what the one before gives, and nothing else."""
    source = program.input.name
    for operation in program.operations:
        if tuple(operation.reads) != (source,):
            reads = " and ".join(operation.reads)
            message = (
                f"{operation.name} reads {reads}; only programs whose operations follow each other are built whole"
            )
            raise HardwareError("RC-HW-CONFIG", message)
        source = operation.target


def steps(program: Program) -> Iterator[tuple[AnyOperation, ...]]:
    """The operations that belong together: a layer, its requantisation and all until its pixel shuffle; others alone.

    What stands between layer and pixel shuffle treats all channels alike, so that these may come in another order.
    """
    left = list(program.operations)
    while left:
        count = 1
        if isinstance(left[0], ENGINES):
            count += len(left) > 1 and isinstance(left[1], Requantise)
            alike = count
            while alike < len(left) and isinstance(left[alike], ALIKE):
                alike += 1
            if alike < len(left) and isinstance(left[alike], PixelShuffle):
                count = alike + 1
        yield tuple(left[:count])
        del left[:count]


def layer_engine(
    program: Program, operations: Sequence[AnyOperation], size: tuple[int, int], lanes: tuple[int, int], banks: int
) -> tuple[EngineParameters, list[int | None] | None]:
    """The engine of a layer, and the golden channel of each channel that it gives where a pixel shuffle reads it.

    operations  of its step;  size  of its input;  lanes  PI and PO.
    """
    stage = EngineParameters.from_program(program, operations[0].name, *size, *lanes)
    stage = replace(stage, banks=banks)
    shuffle = operations[-1]
    if not isinstance(shuffle, PixelShuffle):
        return stage, None
    order = shuffled_channels(program.tensor(shuffle.target).channels, shuffle.rows, shuffle.columns, lanes[1])
    return replace(stage, out_channels=len(order)), order


def layer_images(program: Program, layer: str, stage: EngineParameters, order: Sequence[int | None] | None) -> Images:
    """The memories of the engine of a layer, whose channels come in an order of their own where one is given."""
    operation, requantise = layer_operations(program, layer)
    if order is not None:
        operation = replace(operation, weight=arranged(operation.weight, order), bias=arranged(operation.bias, order))
        if requantise is not None:
            multiplier, shift = arranged(requantise.multiplier, order), arranged(requantise.shift, order)
            requantise = replace(requantise, multiplier=multiplier, shift=shift)
    return engine_images(stage, operation, requantise)


@dataclass(slots=True)
class Line:
    """Parts that follow each other, as they are put together (SPEC HW-23).

    place  of the part, or of the network's source, that gives `stream`, what comes out last.
    """

    place: int
    stream: StreamFormat
    parts: list[Part] = field(default_factory=list)
    images: list[Images] = field(default_factory=list)

    def add(self, name: str, stage: Stage, images: Images, payload: int | None = None) -> None:
        """Put a part behind;  payload  what feeds its first source, where what came out last feeds the second."""
        self.parts.append(Part(name, stage, (self.place,) if payload is None else (payload, self.place)))
        self.images.append(images)
        self.place, self.stream = len(self.parts) - 1, stage.sink

    def add_program(self, program: Program, folding: Folding) -> None:
        """Put the stages of a program behind.  Raises HardwareError RC-HW-CONFIG."""
        in_line(program)
        for operations in steps(program):
            self._add_step(program, operations, folding)

    def _add_step(self, program: Program, operations: tuple[AnyOperation, ...], folding: Folding) -> None:
        first = operations[0]
        height, width, lanes = self.stream.height, self.stream.width, self.stream.lanes
        channels = program.tensor(operations[-1].target).channels
        if isinstance(first, ENGINES):
            po = folding.of(first.name, channels)
            stage, order = layer_engine(program, operations, (height, width), (lanes, po), folding.banks)
            self.add(first.name, stage, layer_images(program, first.name, stage, order))
            if order is not None:
                self._add_shuffle(program, operations, (stage.out_height, stage.out_width), len(order))
        elif type(first) in SINGLE:
            self.add(first.name, *SINGLE[type(first)](program, first.name, height, width, lanes))
        elif isinstance(first, NORMALISATIONS):
            self.add(first.name, *gdn.of(program, first.name, height, width, lanes, lanes))
        elif isinstance(first, FUNCTIONS):
            po = folding.of(first.name, channels)
            self.add(first.name, *EmbeddingStage.of(program, first.name, height, width, po))
        else:
            raise HardwareError("RC-HW-CONFIG", f"{first.name}: no stage computes a {first.kind}")

    def _add_shuffle(
        self, program: Program, operations: tuple[AnyOperation, ...], size: tuple[int, int], channels: int
    ) -> None:
        """Put the pixel shuffle of a layer behind, and first what stands between; channels  that the layer gives."""
        lanes = self.stream.lanes
        for operation in operations:
            if isinstance(operation, ALIKE):
                stage, images = SINGLE[type(operation)](program, operation.name, *size, lanes)
                assert isinstance(stage, TableStage)
                self.add(operation.name, replace(stage, channels=channels), images)
        name = operations[-1].name
        self.add(name, *PixelShuffleStage.of(program, name, *size, lanes))

    def network(self, title: str, takes: tuple[StreamFormat, ...]) -> tuple[Network, Images]:
        """The network of all parts, and its memories."""
        return Network(title, takes, tuple(self.parts)), joined_images(self.parts, self.images)


def program_network(program: Program, height: int, width: int, folding: Folding) -> tuple[Network, Images]:
    """The network of a whole program for one size of its input (SPEC HW-23).

    Raises HardwareError RC-HW-CONFIG for what no stage computes, or where a stage cannot be built.
    """
    tensor = program.input
    stream = StreamFormat(tensor.channels, height, width, folding.of_input(tensor), tensor.format)
    line = Line(-1, stream)
    line.add_program(program, folding)
    return line.network(f"{program.name} on {tensor.channels} channels of {height}x{width}", (stream,))


def hyperprior_network(
    h_s: Program, g_s: Program, z_tables: Tables, y_tables: Tables, size: tuple[int, int], folding: Folding
) -> tuple[Network, Images]:
    """A scale-hyperprior decoder from the payloads of z and y to the picture (SPEC HW-23, HYP-2).

    size  height and width of z.  The picture comes out whole, with the rows and columns that a crop removes.
    Raises HardwareError RC-HW-CONFIG.
    """
    z, y = h_s.input, g_s.input
    height, width = size
    z_decoder, z_images = RansStage.of(z_tables, z.channels * height * width, height * width)
    line = Line(-1, z_decoder.sources[0])
    line.add("z", z_decoder, z_images)
    line.add("z.pixels", ToPixels(z.channels, height, width, folding.of_input(z), z.format), {})
    line.add_program(h_s, folding)
    indexes = line.stream
    shape = (y.channels, indexes.height, indexes.width)
    line.add("indexes.planes", ToPlanes(*shape, indexes.lanes, indexes.format), {})
    y_decoder, y_images = RansStage.of(y_tables, line.stream.words)
    line.add("y", y_decoder, y_images, payload=-2)
    line.add("y.pixels", ToPixels(*shape, folding.of_input(y), y.format), {})
    line.add_program(g_s, folding)
    takes = (*z_decoder.sources, y_decoder.sources[0])
    return line.network(f"Scale-hyperprior decoder of pictures of {line.stream.height}x{line.stream.width}", takes)
