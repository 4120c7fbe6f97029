"""A bundle's network in an independent simulator, held against golden integers: every spike and membrane."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError, UnsupportedLayerError
from snn_tool.exporters.comparison import NOT_RUN, BackendResult, compare
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.simulators.trace import REGISTER, SimulatorNetwork
from snn_tool.exporters.contract.traces import Trace


def verify_simulator(
    name: str, program: Program, tiles: NDArray[np.int16], reference: Trace
) -> BackendResult:
    """Run integer tiles [N, 3, H, W] with the membrane register on the host and compare with their trace.

    Args:
        name: of the simulator.
        program: of network.nir.
        tiles: of the program's size.
        reference: their trace, every population recorded.

    Raises:
        VerificationError: the simulator's importer fails or loses a node.
    """
    try:
        network = SimulatorNetwork(program, name)
    except (BackendUnavailableError, UnsupportedLayerError) as error:
        return BackendResult(name, NOT_RUN, reason=str(error))
    order = [population.name for population in program.populations]
    result = compare(reference, network.trace(tiles), order, name)
    return replace(result, versions={**network.loaded.versions, "membrane": REGISTER})
