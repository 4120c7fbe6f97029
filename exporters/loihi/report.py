"""The resource report of one network at one image size."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.exporters.loihi.chips import (
    CHIPS,
    KAPOHO_POINT_CHIPS,
    LABEL,
    LOIHI_2,
    Chip,
    LayerResources,
    Span,
    chips_of,
    cores_of,
    cores_of_all,
    layer_resources,
    total_of,
)
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.nir.program import IMAGE, Program
from snn_tool.files.artifacts import write_json
from snn_tool.models.streams import FANOUT


def size_multiple(program: Program) -> int:
    """Sides of an image must be multiples of this: the coarsest population's downscale."""
    if not program.fits_any_size:
        return program.height
    return max(program.height // population.height for population in program.populations)


def resized(program: Program, height: int, width: int) -> Program:
    """The program for images of another size; weights and parameters stay.

    Every population takes the size that its convolutions deliver, as when the file was written.

    Raises:
        ConfigError: the convolutions of some population would deliver different sizes, or none.
    """
    if not program.fits_any_size and (height, width) != (program.height, program.width):
        raise ConfigError(
            f"image size {width}x{height}: the network was imported for {program.width}x{program.height}"
        )
    multiple = size_multiple(program) if program.fits_any_size else 1
    remedy = f"image size {width}x{height} does not fit the network; use multiples of {multiple}"
    if height < 1 or width < 1 or height % multiple or width % multiple:
        raise ConfigError(remedy)
    sizes = {IMAGE: (height, width)}
    populations = []
    for population in program.populations:
        convs = [program.conv[name] for name in population.inputs]
        arriving = {conv.output_size(*sizes[conv.source]) for conv in convs}
        size = min(arriving)
        if len(arriving) != 1 or min(size) < 1:
            raise ConfigError(f"{population.name}: {remedy}")
        sizes[population.name] = size
        populations.append(replace(population, height=size[0], width=size[1]))
    if program.adds_image and sizes[program.readout.name] != (height, width):
        raise ConfigError(f"{program.readout.name}: {remedy}")
    return replace(program, populations=tuple(populations), height=height, width=width)


def largest_tile(program: Program, chip: Chip, chips: int, lowering: str = FANOUT) -> int:
    """Side in pixels of the largest square image that fits on `chips` chips by the low bound; 0 if none does.

    Of a network that was imported for one size only that one is tried, by its shorter side.

    Every candidate is counted exactly; more pixels never take fewer cores, so that bisection is right.
    """
    if not program.fits_any_size:
        used = chips_of(layer_resources(build_plan(program, lowering)), chip).low
        return min(program.height, program.width) if used <= chips else 0

    def fits(side: int) -> bool:
        plan = build_plan(resized(program, side, side), lowering)
        return chips_of(layer_resources(plan), chip).low <= chips

    return largest_side(size_multiple(program), fits)


def largest_side(multiple: int, fits: Callable[[int], bool]) -> int:
    """The largest multiple of `multiple` that fits, if all smaller ones fit as well; 0 if none does."""
    if not fits(multiple):
        return 0
    fitting, beyond = 1, 2
    while fits(beyond * multiple):
        fitting, beyond = beyond, 2 * beyond
    while beyond - fitting > 1:
        middle = (fitting + beyond) // 2
        fitting, beyond = (middle, beyond) if fits(middle * multiple) else (fitting, middle)
    return fitting * multiple


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


KIND, SCHEMA = "loihi-resources", 1


def resource_document(report: ResourceReport) -> dict[str, Any]:
    """The report as JSON values."""
    return {
        "label": LABEL,
        "image_size": [report.height, report.width],
        "timesteps": report.timesteps,
        "depth": report.depth,
        "latency_steps": report.steps,
        "layers": [
            {**_counts(layer), "cores": {use.chip.name: asdict(use.by_layer[index]) for use in report.uses}}
            for index, layer in enumerate(report.layers)
        ],
        "total": {**_counts(report.total), "relay_neurons": report.relay_neurons},
        "chips": {
            use.chip.name: {
                "capacities": asdict(use.chip),
                "cores": asdict(use.cores),
                "chips": asdict(use.chips),
            }
            for use in report.uses
        },
        "largest_tile": {
            "multiple": report.tile_multiple,
            "one_chip": report.tile_on_chip,
            "kapoho_point": report.tile_on_board,
        },
    }


def _counts(layer: LayerResources) -> dict[str, Any]:
    memory = {"shared_bytes": layer.shared_bytes, "expanded_bytes": layer.expanded_bytes}
    return {**asdict(layer), **memory}


def write_resources(path: Path, report: ResourceReport) -> None:
    """Write resources.json."""
    write_json(path, KIND, SCHEMA, resource_document(report))
