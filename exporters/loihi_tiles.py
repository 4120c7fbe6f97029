"""The same network for another image size, and the largest square tile that a number of chips holds."""

from collections.abc import Callable
from dataclasses import replace

from snn_tool.errors import ConfigError
from snn_tool.exporters.loihi.chips import Chip, chips_of
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi_resources import layer_resources
from snn_tool.exporters.nir.program import IMAGE, Program
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
