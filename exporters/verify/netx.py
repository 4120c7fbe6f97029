"""A `.net` file, loaded and executed by lava-dl, held against golden integers.

It must give every spike and every membrane of every population at every timestep, as in `verification`. Where
Lava or lava-dl is missing it was not run, and the reason is stated.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.targets import plugin_names
from snn_tool.exporters.contract.traces import NOT_RUN, BackendResult, Trace, compare
from snn_tool.exporters.lava.environment import REMEDY, LavaEnvironment, find_lava
from snn_tool.exporters.lava.netx import MANIFEST, NetxFolder, NetxRun, derive_statements
from snn_tool.exporters.lava.simulation import TIME_LIMIT_S, run_on_netx
from snn_tool.exporters.verify.report import (
    VerificationReport,
    check_backends,
    verify_file,
    verify_with,
)
from snn_tool.exporters.verify.runners import netx_remedy

BACKEND = "netx"
BACKENDS = ("nir", BACKEND)
"""The implementations that are independent of the engine which usually made the golden integers."""

KNOWN_BACKENDS = ("integer", *BACKENDS)


def verify_netx_folder(
    netx: NetxFolder,
    backends: Sequence[str] = BACKENDS,
    *,
    environment: LavaEnvironment | None = None,
    conv: str = "stock",
    timeout_s: float = TIME_LIMIT_S,
    log: Callable[[str], None] | None = None,
) -> VerificationReport:
    """Run a netx folder's tiles through each backend and compare with its golden integers.

    Args:
        netx: of `read_netx_folder`, hence with matching hashes.
        backends: names out of `KNOWN_BACKENDS`, or of other packages' backends.
        environment: an interpreter with Lava; looked for, never installed, if None.
        conv: Lava's convolution, `stock` or `blas`.
        timeout_s: Lava's time limit in seconds.
        log: receives progress lines.

    Raises:
        ConfigError: a backend or `conv` is unknown.
        VerificationError: an implementation refuses the file or gives values of other shapes.
    """
    check_backends(backends, (*KNOWN_BACKENDS, *plugin_names()))
    folder, golden = netx.folder, netx.golden
    options = {"environment": environment, "conv": conv, "timeout_s": timeout_s, "log": log}
    return verify_with(
        backends,
        folder / MANIFEST,
        derive_statements(netx),
        lambda name: (
            verify_netx(folder, netx.run, golden.tiles, golden, **options)  # type: ignore[arg-type]
            if name == BACKEND
            else verify_file(name, folder, golden)
        ),
    )


def verify_netx(
    folder: Path,
    run: NetxRun,
    tiles: NDArray[np.int16],
    reference: Trace,
    *,
    environment: LavaEnvironment | None = None,
    conv: str = "stock",
    timeout_s: float = TIME_LIMIT_S,
    log: Callable[[str], None] | None = None,
) -> BackendResult:
    """Let lava-dl load a folder's network.net, run integer tiles through it and compare with their trace.

    Args:
        folder: holds network.net and export.json.
        run: how the file is run, the same as the entry `netx` of export.json.
        tiles: integers [N, 3, H, W].
        reference: their trace, every population recorded.
        environment: an interpreter with Lava; looked for, never installed, if None.
        conv: Lava's convolution, `stock` or `blas`.
        timeout_s: Lava's time limit in seconds.
        log: receives progress lines.

    Raises:
        ConfigError: `conv` is unknown.
        VerificationError: netx or Lava refuses the file, or gives values of other shapes.
    """
    try:
        found = environment or find_lava()
        if found is None:
            return BackendResult(BACKEND, NOT_RUN, reason=f"Lava is not installed; run `{REMEDY}`")
        if not found.lava_dl:
            return BackendResult(BACKEND, NOT_RUN, reason=netx_remedy(found))
        trace = run_on_netx(folder, run, tiles, found, timeout_s=timeout_s, conv=conv, log=log)
    except BackendUnavailableError as error:
        return BackendResult(BACKEND, NOT_RUN, reason=str(error))
    python = found.python_version + (" (unsupported Python, shimmed)" if found.shimmed else "")
    versions = {"lava": found.version, "lava-dl": found.lava_dl, "python": python, "conv": conv}
    return replace(compare(reference, trace, run.populations, BACKEND), versions=versions)
