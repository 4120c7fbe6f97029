"""The resource report of one network at one image size."""

from dataclasses import dataclass

from snn_tool.exporters.loihi.chips import (
    CHIPS,
    KAPOHO_POINT_CHIPS,
    LOIHI_2,
    Chip,
    Span,
    chips_of,
    cores_of,
    cores_of_all,
)
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi_resources import LayerResources, layer_resources, total_of
from snn_tool.exporters.loihi_tiles import largest_tile, size_multiple
from snn_tool.exporters.nir.program import Program
from snn_tool.models.streams import FANOUT


@dataclass(frozen=True, slots=True)
class ChipUse:
    """One chip's cores by layer, in the order of `ResourceReport.layers`, and in total."""

    chip: Chip
    by_layer: tuple[Span, ...]
    cores: Span
    chips: Span


@dataclass(frozen=True, slots=True)
class ResourceReport:
    """Exact counts of a plan, and the chips that they fill.

    Attributes:
        width, height: of the image in pixels.
        timesteps: T.
        depth: hop depth of the read-out.
        layers: in execution order, relays behind the population that they serve.
        uses: one for each chip of `CHIPS`.
        tile_on_chip, tile_on_board: side in pixels of the largest square tile that fits by the low bound on
            one Loihi 2 chip, and on the eight of a Kapoho Point board; 0 if none does.
        tile_multiple: sides of images are multiples of this.
    """

    width: int
    height: int
    timesteps: int
    depth: int
    layers: tuple[LayerResources, ...]
    uses: tuple[ChipUse, ...]
    tile_on_chip: int
    tile_on_board: int
    tile_multiple: int

    @property
    def steps(self) -> int:
        """Latency of one image in timesteps: T and one more for each hop."""
        return self.timesteps + self.depth

    @property
    def total(self) -> LayerResources:
        """The sum over all layers."""
        return total_of(self.layers)

    @property
    def relay_neurons(self) -> int:
        """Neurons that pass values on: delay relays and accumulators."""
        return sum(layer.neurons for layer in self.layers if layer.is_relay)

    def use(self, chip: Chip) -> ChipUse:
        """The part about one chip."""
        return next(use for use in self.uses if use.chip is chip)


def report_resources(program: Program, lowering: str = FANOUT) -> ResourceReport:
    """Count what a program occupies at the size it is given for.

    Args:
        program: of a NIR file.
        lowering: `fanout` or `relay`.

    Raises:
        ConfigError: unknown lowering.
        TargetLimitError: the program leaves the hardware's ranges.
    """
    plan = build_plan(program, lowering)
    layers = layer_resources(plan)
    return ResourceReport(
        width=program.width,
        height=program.height,
        timesteps=plan.timesteps,
        depth=plan.depth,
        layers=layers,
        uses=tuple(
            ChipUse(
                chip,
                tuple(cores_of(layer, chip) for layer in layers),
                cores_of_all(layers, chip),
                chips_of(layers, chip),
            )
            for chip in CHIPS
        ),
        tile_on_chip=largest_tile(program, LOIHI_2, 1, lowering),
        tile_on_board=largest_tile(program, LOIHI_2, KAPOHO_POINT_CHIPS, lowering),
        tile_multiple=size_multiple(program),
    )
