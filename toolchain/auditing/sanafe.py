"""`snn-tool energy sanafe`: a bundle's golden tiles on a simulated Loihi, integers and synops compared."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from snn_tool.energy.counts.activity import count_runs
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.errors import ConfigError, VerificationError
from snn_tool.exporters.contract.export import NETWORK
from snn_tool.exporters.contract.folder import Golden
from snn_tool.exporters.contract.traces import compare
from snn_tool.exporters.loihi.bundle import MANIFEST, PLAN, PLAN_ARRAYS, Bundle
from snn_tool.exporters.nir.network import integer_network
from snn_tool.exporters.nir.program import Program
from snn_tool.exporters.sanafe.environment import SanafeEnvironment
from snn_tool.exporters.sanafe.layout import ChipNetwork, chip_network
from snn_tool.exporters.sanafe.report import SanafeReport, TileCheck
from snn_tool.exporters.sanafe.simulation import ChipActivity, ChipRun, run_on_sanafe
from snn_tool.files.artifacts import sha256_file

RUN_BY = (MANIFEST, PLAN, PLAN_ARRAYS)
"""Files that say what is run; golden integers that are not the network's are found by running it."""


def check_on_chip(
    bundle: Bundle,
    environment: SanafeEnvironment,
    tiles: int = 0,
    log: Callable[[str], None] | None = None,
) -> SanafeReport:
    """Run golden tiles on SANA-FE's Loihi and compare with the golden integers and the audit's counts.

    Args:
        bundle: of `read_bundle`, hence with matching hashes.
        environment: an interpreter with SANA-FE.
        tiles: how many golden tiles, from the first; 0 takes all.
        log: receives progress lines.

    Raises:
        ConfigError: fewer than 0 tiles.
        UnsupportedLayerError: neurons that SANA-FE's Loihi does not have.
        TargetLimitError: the network does not fit one chip.
        VerificationError: a file states what is not the network's, or SANA-FE refuses the network.
        BackendUnavailableError: SANA-FE died.
    """
    if tiles < 0:
        raise ConfigError("--tiles must not be negative; 0 takes all golden tiles")
    for found in bundle.statements().contradictions:
        if found.file in RUN_BY:
            raise VerificationError(f"{bundle.folder}: not what {NETWORK} gives ({found}); export again")
    program = bundle.program
    golden = _first(bundle.golden, tiles or len(bundle.golden.tiles))
    network = chip_network(program, bundle.lowering)
    run = run_on_sanafe(network, golden.tiles, environment, log=log)
    result = compare(golden, run.trace, [p.name for p in program.populations], "sanafe")
    versions = {"sanafe": environment.version, "python": environment.python_version}
    counts = _counted(program, golden.tiles, bundle.lowering)
    return SanafeReport(
        result=replace(result, versions=versions),
        tiles=_checked(network, run, counts),
        height=program.height,
        width=program.width,
        timesteps=network.timesteps,
        steps=network.steps,
        neurons=network.neurons,
        synapses=network.synapses,
        cores=network.cores,
        image_macs=counts[0].macs_cached,
        constants_j=run.constants,
        architecture=environment.architecture,
        architecture_sha256=environment.architecture_sha256,
        versions=versions,
        student_sha256=bundle.student_sha256,
        bundle_sha256=sha256_file(bundle.folder / MANIFEST),
    )


def _first(golden: Golden, count: int) -> Golden:
    return Golden(
        golden.tiles[:count],
        golden.readout[:count],
        {name: values[:, :count] for name, values in golden.spikes.items()},
        {name: values[:, :count] for name, values in golden.membranes.items()},
    )


def _counted(program: Program, tiles: NDArray[np.int16], lowering: str) -> tuple[ImageActivity, ...]:
    return count_runs(integer_network(program), list(tiles), lowering)


def _checked(network: ChipNetwork, run: ChipRun, counts: tuple[ImageActivity, ...]) -> tuple[TileCheck, ...]:
    access = run.constants["energy_access_neuron"]
    idle_j = access * network.neurons * (network.steps - network.timesteps)
    return tuple(_tile(activity, count, idle_j) for activity, count in zip(run.activity, counts, strict=True))


def _tile(activity: ChipActivity, count: ImageActivity, idle_j: float) -> TileCheck:
    """A relay sends each spike that it holds through one synapse: its spikes are its synops."""
    relayed = sum(relay.synops_events for relay in count.relays)
    spikes = sum(population.events for population in count.populations)
    return TileCheck(activity, count.synops_events + relayed, spikes + relayed, idle_j)
