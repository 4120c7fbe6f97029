"""What every implementation of a network hands over for comparison."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray


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
