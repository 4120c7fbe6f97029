"""A program laid out for a chip: its plan is built once and takes other image sizes as it is."""

from dataclasses import dataclass, replace
from functools import cached_property

from snn_tool.errors import ConfigError
from snn_tool.exporters.loihi.plan import build_plan
from snn_tool.exporters.loihi.specs import Plan, Shape
from snn_tool.exporters.nir.program import IMAGE, Program
from snn_tool.models.streams import FANOUT


@dataclass(frozen=True, eq=False)
class Deployment:
    """A program and how its membrane shortcuts are lowered.

    Attributes:
        program: the content of a NIR file.
        lowering: `fanout` or `relay`.
    """

    program: Program
    lowering: str = FANOUT

    @cached_property
    def plan(self) -> Plan:
        """The processes, built when they are first asked for.

        Raises:
            ConfigError: the lowering is unknown.
            TargetLimitError: hardware ranges are exceeded; every violation is listed.
        """
        return build_plan(self.program, self.lowering)

    def plan_of_size(self, height: int, width: int) -> Plan:
        """The processes for images of another size: every one is the same but for its shape.

        Raises:
            ConfigError: the network does not take this size.
        """
        given, other = self.program, resized(self.program, height, width)
        sizes = {(given.width, given.height): (other.width, other.height)}
        for node in given.populations:
            new = other.population[node.name]
            # A relay or accumulator has the size of the population that it serves.
            assert sizes.setdefault((node.width, node.height), (new.width, new.height)) == (
                new.width,
                new.height,
            ), "populations of one size keep one size"

        def fitted(shape: Shape) -> Shape:
            return (*sizes[shape[:2]], shape[2])

        plan = self.plan
        return replace(
            plan,
            sources=tuple(replace(source, shape=fitted(source.shape)) for source in plan.sources),
            convs=tuple(
                replace(conv, input_shape=fitted(conv.input_shape), output_shape=fitted(conv.output_shape))
                for conv in plan.convs
            ),
            neurons=tuple(replace(neuron, shape=fitted(neuron.shape)) for neuron in plan.neurons),
        )


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
