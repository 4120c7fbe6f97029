"""What every implementation of a network hands over for comparison."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import VerificationError
from snn_tool.files.documents import Count


class Trace(Protocol):
    """Integers that a run produced, of whatever integer type.

    `IntegerTrace` (models), `ProgramTrace` (NIR interpreter), `LavaTrace` and `Golden` all fit.
    """

    @property
    def readout(self) -> NDArray[Any]:
        """[N, 3, H, W]: the read-out's membrane after the last timestep."""
        ...

    @property
    def spikes(self) -> Mapping[str, NDArray[Any]]:
        """For each population [T, N, C, H, W]."""
        ...

    @property
    def membranes(self) -> Mapping[str, NDArray[Any]]:
        """For each population [T, N, C, H, W], after the reset."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class RecordedTrace:
    """A `Trace` of any number type, as a runtime gave it: onnxruntime, or a backend of another package."""

    readout: NDArray[Any]
    spikes: Mapping[str, NDArray[Any]]
    membranes: Mapping[str, NDArray[Any]]


def joined(traces: Sequence[Trace]) -> RecordedTrace:
    """Runs of one network as one run of all their tiles, in this order."""

    def along_tiles(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
        return {name: np.concatenate([part[name] for part in parts], axis=1) for name in parts[0]}

    return RecordedTrace(
        np.concatenate([trace.readout for trace in traces]),
        along_tiles([trace.spikes for trace in traces]),
        along_tiles([trace.membranes for trace in traces]),
    )


EXACT, MISMATCH, NOT_RUN = "exact", "mismatch", "not run"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One value that differs.

    Attributes:
        layer: name of the population.
        quantity: `membranes`, `spikes` or `readout`.
        timestep: 0 to T - 1.
        tile: index of the input tile.
        index: (channel, row, column).
        expected, actual: the golden and the other value.
    """

    layer: str
    quantity: str
    timestep: Count
    tile: Count
    index: tuple[Count, Count, Count]
    expected: int
    actual: int

    def __str__(self) -> str:
        place = (
            f"{self.layer} {self.quantity}, timestep {self.timestep}, tile {self.tile}, index {self.index}"
        )
        return f"{place}: expected {self.expected}, got {self.actual}"


@dataclass(frozen=True, slots=True)
class BackendResult:
    """One implementation's outcome.

    Attributes:
        backend: `nir`, `lava` or `netx`.
        status: `exact`, `mismatch` or `not run`.
        tiles: number of input tiles.
        values_compared, mismatches: counts of integers: membranes and spikes of every neuron and timestep, of
            the read-out, which never fires, its membranes alone (`compare`).
        first: the first mismatch: first layer in execution order, then first timestep, then first index.
        reason: why it was not run.
        versions: of what computed it.
    """

    backend: str
    status: str
    tiles: Count = 0
    values_compared: Count = 0
    mismatches: Count = 0
    first: Mismatch | None = None
    reason: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """No claim without evidence."""
        assert self.status in (EXACT, MISMATCH, NOT_RUN)
        assert self.status != EXACT or (self.values_compared > 0 and self.mismatches == 0)
        assert (self.status == MISMATCH) == (self.first is not None) == (self.mismatches > 0)
        assert (self.status == NOT_RUN) == bool(self.reason)


@dataclass(frozen=True, slots=True, eq=False)
class _Pair:
    """Expected and actual values [T, N, C, H, W] of one quantity, from timestep `start` on.

    `again` marks another look at the read-out, whose membranes came before and were counted.
    """

    layer: str
    quantity: str
    start: int
    expected: NDArray[Any]
    actual: NDArray[Any]
    again: bool = False


def compare(
    reference: Trace, actual: Trace, order: Sequence[str], backend: str, readout: str | None = None
) -> BackendResult:
    """Compare all membranes and spikes of all populations, and the read-out.

    What is compared is more than what is counted: the read-out after the last timestep is its last membrane,
    and its spikes are zero whatever the input, so that neither adds a value, and a place that differs counts
    once.

    Args:
        reference: the golden trace.
        actual: the other implementation's.
        order: names of the populations in execution order, the read-out last.
        backend: name of the other implementation.
        readout: name of the read-out, where `order` is empty because nothing else is compared.

    Raises:
        VerificationError: a population is missing on one side, or has another shape.
    """
    compared = mismatches = 0
    first: Mismatch | None = None
    wrong = np.zeros(0, np.bool_)
    for pair in _pairs(reference, actual, order, backend, readout or order[-1]):
        differing = pair.expected != pair.actual
        wrong = wrong if pair.again else np.zeros_like(differing)
        known = wrong[pair.start :]
        compared += 0 if pair.again else differing.size
        if differing.any():
            mismatches += int((differing & ~known).sum())
            known |= differing
            found = _first_of(pair, differing)
            if first is None or (found.layer == first.layer and found.timestep < first.timestep):
                first = found
    tiles = len(reference.readout)
    if not compared:
        return BackendResult(backend, NOT_RUN, reason="nothing was compared: the bundle holds no tile")
    return BackendResult(backend, MISMATCH if first else EXACT, tiles, compared, mismatches, first)


def _pairs(
    reference: Trace, actual: Trace, order: Sequence[str], backend: str, readout: str
) -> Iterator[_Pair]:
    timesteps = 1
    for layer in order:
        for quantity, expected, found in (
            ("membranes", reference.membranes, actual.membranes),
            ("spikes", reference.spikes, actual.spikes),
        ):
            if layer not in expected or layer not in found:
                side = backend if layer in expected else "the golden trace"
                raise VerificationError(f"{layer}: {side} has no {quantity}; export the network again")
            again = layer == readout and quantity == "spikes"
            yield _checked(_Pair(layer, quantity, 0, expected[layer], found[layer], again), backend)
            timesteps = len(expected[layer])
    last = reference.readout[None], actual.readout[None]
    yield _checked(_Pair(readout, "readout", timesteps - 1, *last, bool(order)), backend)


def _checked(pair: _Pair, backend: str) -> _Pair:
    if pair.expected.shape != pair.actual.shape:
        shapes = f"{list(pair.actual.shape)} instead of {list(pair.expected.shape)}"
        raise VerificationError(
            f"{pair.layer}: {backend} gives {pair.quantity} {shapes}; export the network again"
        )
    return pair


def _first_of(pair: _Pair, differing: NDArray[np.bool_]) -> Mismatch:
    where = tuple(int(i) for i in np.unravel_index(int(differing.argmax()), differing.shape))
    timestep, tile, channel, row, column = where
    expected, actual = int(pair.expected[where]), int(pair.actual[where])
    index = (channel, row, column)
    return Mismatch(pair.layer, pair.quantity, pair.start + timestep, tile, index, expected, actual)
