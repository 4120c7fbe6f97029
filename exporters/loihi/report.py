"""The resource report of one network at one image size."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
from snn_tool.exporters.loihi.deployment import Deployment, size_multiple
from snn_tool.exporters.loihi.registers import Emulated, emulated
from snn_tool.files.artifacts import write_json


def largest_tile(deployment: Deployment, chip: Chip, chips: int) -> int:
    """Side in pixels of the largest square image that fits on `chips` chips by the low bound; 0 if none does.

    Of a network that was imported for one size only that one is tried, by its shorter side.

    Every candidate is counted exactly; more pixels never take fewer cores, so that bisection is right.
    """
    program = deployment.program
    if not program.fits_any_size:
        used = chips_of(layer_resources(deployment.plan), chip).low
        return min(program.height, program.width) if used <= chips else 0

    def fits(side: int) -> bool:
        return chips_of(layer_resources(deployment.plan_of_size(side, side)), chip).low <= chips

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
        emulated: numbers that the simulation takes and a register does not.
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
    emulated: tuple[Emulated, ...] = ()

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


def report_resources(deployment: Deployment) -> ResourceReport:
    """Count what a deployment occupies at the size it is given for.

    Raises:
        ConfigError: unknown lowering.
        TargetLimitError: the program leaves the hardware's ranges.
    """
    program, plan = deployment.program, deployment.plan
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
        tile_on_chip=largest_tile(deployment, LOIHI_2, 1),
        tile_on_board=largest_tile(deployment, LOIHI_2, KAPOHO_POINT_CHIPS),
        tile_multiple=size_multiple(program),
        emulated=emulated(plan),
    )


KIND, SCHEMA = "loihi-resources", 1
EMULATED = "beyond_registers"
"""Key of a later version than the schema's first: a file without it is none the worse."""


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
        EMULATED: [asdict(one) for one in report.emulated],
    }


def _counts(layer: LayerResources) -> dict[str, Any]:
    memory = {"shared_bytes": layer.shared_bytes, "expanded_bytes": layer.expanded_bytes}
    return {**asdict(layer), **memory}


def write_resources(path: Path, report: ResourceReport) -> None:
    """Write resources.json."""
    write_json(path, KIND, SCHEMA, resource_document(report))
