"""A program in a simulator, as integers that can be held against the golden ones.

Two arithmetics. In `float` the simulator is left alone. The chip cuts what a membrane keeps to whole 64ths
of an LSB toward zero (Lava's 12-bit decay), which a float membrane does not, so that a neuron within a unit
of its threshold may answer differently. In `register` the host does that cut between two timesteps: it hands
the neuron a membrane of which it keeps exactly the integer that the chip keeps. Integration, comparison and
reset remain the simulator's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.exporters.contract.export import Export
from snn_tool.exporters.contract.targets import FLOAT, REGISTER, Context
from snn_tool.exporters.nir.interpreter import LARGEST, decayed, kept_steps
from snn_tool.exporters.nir.program import (
    DECAY_STEPS,
    MEMBRANE_SHIFT,
    GradedNode,
    Integers,
    LifNode,
    PopulationNode,
    Program,
    refuse_time,
)
from snn_tool.exporters.simulators.encoding import encode
from snn_tool.exporters.simulators.load import Loaded, find_simulator, load
from snn_tool.exporters.simulators.lowering import STEP_S, Ladder, lower
from snn_tool.exporters.simulators.run import Floats, Recording, Register, integrate, run_steps

UNIT = 1 << MEMBRANE_SHIFT


@dataclass(frozen=True, slots=True, eq=False)
class SimulatorTrace:
    """Integers of one run; fits `Trace`.

    Attributes:
        readout: int64 [N, 3, H, W], in 64ths of its LSB, of graded networks likewise.
        spikes: for each population int64 [T, N, C, H, W]; the read-out's are zero.
        membranes: likewise, after the reset; rounded to whole 64ths, for graded neurons to whole LSB.
    """

    readout: Integers
    spikes: Mapping[str, Integers]
    membranes: Mapping[str, Integers]


class SimulatorNetwork:
    """A program, loaded into a simulator.

    Raises:
        BackendUnavailableError: the simulator is not installed.
        UnsupportedLayerError: it cannot hold a node.
        VerificationError: its importer fails or loses a node.
    """

    def __init__(self, program: Program, name: str) -> None:
        simulator = find_simulator(name)
        refuse_time(program, name, takes_frames=True)
        self.program = program
        graph, self.ladders = lower(program)
        self.loaded: Loaded = load(encode(graph, STEP_S, simulator), simulator)

    def trace(self, tiles: NDArray[np.int16], arithmetic: str = REGISTER) -> SimulatorTrace:
        """Run integer tiles [N, 3, H, W], or [N, T, C, H, W], from rest.

        Raises:
            ConfigError: unknown arithmetic.
        """
        if arithmetic not in (REGISTER, FLOAT):
            raise ConfigError(f"arithmetic {arithmetic} is not allowed; use {REGISTER} or {FLOAT}")
        registers = {
            population.name: _register(population, self.loaded.encoded.neurons[population.name].kept)
            for population in self.program.populations
            if isinstance(population, LifNode) and arithmetic == REGISTER
        }
        frames = tiles.astype(np.float64)
        if self.program.over_time:
            frames = frames.swapaxes(0, 1)
        else:
            frames = np.broadcast_to(frames, (self.program.timesteps, *tiles.shape))
        recording = run_steps(self.loaded, frames, registers)
        return self._integers(recording)

    def _integers(self, recording: Recording) -> SimulatorTrace:
        spikes: dict[str, Integers] = {}
        membranes: dict[str, Integers] = {}
        for population in self.program.populations[:-1]:
            name = population.name
            if isinstance(population, GradedNode):
                spikes[name] = _levels(self.ladders[name], recording)
                current = recording.currents[self.ladders[name].above[0]]
                membranes[name] = np.clip(_whole(current), -LARGEST, LARGEST)
            else:
                spikes[name] = _whole(recording.spikes[name])
                membranes[name] = _register_value(recording.membranes[name])
        held = integrate(self.loaded.encoded.readout, recording.output)
        readout = self.program.readout.name
        membranes[readout] = np.clip(_whole(held * UNIT), -LARGEST, LARGEST)
        spikes[readout] = np.zeros_like(membranes[readout])
        return SimulatorTrace(membranes[readout][-1], spikes, membranes)


def _whole(values: Floats) -> Integers:
    return np.rint(values).astype(np.int64)


def _register_value(u: Floats) -> Integers:
    """The membrane register of LIF neurons: whole 64ths, saturated at 24 bits."""
    return np.clip(_whole(u * UNIT), -LARGEST, LARGEST)


def _register(population: PopulationNode, kept: float) -> Register:
    """From u to the u of which a neuron keeps the integer that the chip keeps."""
    steps = kept_steps(population)
    assert abs(kept - steps / DECAY_STEPS) < 1e-12

    def rewritten(u: Floats) -> Floats:
        next_units: Floats = decayed(_register_value(u), steps).astype(np.float64)
        return next_units / UNIT / kept

    return rewritten


def _levels(ladder: Ladder, recording: Recording) -> Integers:
    above = sum(recording.spikes[name] for name in ladder.above)
    below = sum((recording.spikes[name] for name in ladder.below), start=np.float64(0))
    return _whole(np.asarray(above - below))


class SimulatorBackend:
    """A simulator by its name; the network that it loaded last is kept."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._loaded: SimulatorNetwork | None = None

    def network(self, program: Program) -> SimulatorNetwork:
        """The program, loaded once; raises as `SimulatorNetwork`."""
        if self._loaded is None or self._loaded.program is not program:
            self._loaded = SimulatorNetwork(program, self.name)
        return self._loaded

    def versions(self, export: Export, context: Context) -> Mapping[str, str]:
        """Of the simulator, and how its membrane is kept."""
        return {**self.network(export.program).loaded.versions, "membrane": context.membrane}

    def trace(
        self, export: Export, tiles: NDArray[np.int16], record: Sequence[str], context: Context
    ) -> SimulatorTrace:
        """Run integer tiles [N, 3, H, W]; every population is there.

        Raises:
            BackendUnavailableError, UnsupportedLayerError, VerificationError: as `SimulatorNetwork`.
            ConfigError: unknown arithmetic.
        """
        return self.network(export.program).trace(tiles, context.membrane)
