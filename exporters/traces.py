"""What every implementation of a network hands over for comparison."""

from collections.abc import Mapping
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
