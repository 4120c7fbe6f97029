"""Run a network in SANA-FE, a simulator of neuromorphic chips; a program of its own, files in and files out.

    python run.py --probe
    python run.py FOLDER

FOLDER holds network.json and network.npz, which `simulation.py` of snn-tool writes, and receives
result.npz and then result.json. SANA-FE is under the GPL and is imported here only. Progress and errors go to
stderr; what SANA-FE prints goes to stdout. Exit codes: 0 done; 2 usage; 3 SANA-FE does not import; 4 the
network cannot be run.
"""

import argparse
import hashlib
import importlib.metadata
import json
import platform
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

NO_SANAFE, REFUSED = 3, 4
ARCHITECTURE = ("sanafe.examples", "loihi.yaml")


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Run a network in SANA-FE.")
    parser.add_argument("--probe", action="store_true", help="print the versions as JSON and exit")
    parser.add_argument("folder", type=Path, nargs="?")
    arguments = parser.parse_args()
    try:
        identity = _identity()
    except (ImportError, OSError) as error:
        _say(f"SANA-FE does not import: {error}")
        return NO_SANAFE
    if arguments.probe:
        print(json.dumps(identity))
        return 0
    if arguments.folder is None:
        parser.error("FOLDER is required")
    try:
        _simulate(arguments.folder, identity)
    except (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError) as error:
        _say(f"the network cannot be run: {type(error).__name__}: {error}")
        return REFUSED
    return 0


def _identity() -> dict[str, str]:
    """Versions, after both packages were imported, and the hash of the architecture file."""
    import numpy
    import sanafe  # noqa: F401

    architecture = (files(ARCHITECTURE[0]) / ARCHITECTURE[1]).read_bytes()
    return {
        "sanafe": importlib.metadata.version("sanafe"),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "architecture": ARCHITECTURE[1],
        "architecture_sha256": hashlib.sha256(architecture).hexdigest(),
    }


def _simulate(folder: Path, identity: dict[str, str]) -> None:
    import numpy as np
    from loihi_chip import LoihiChip

    network = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    with np.load(folder / "network.npz", allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    chip = LoihiChip(network, arrays)
    _say(f"sanafe: {chip.neurons:,} neurons and {chip.connections:,} connections loaded")
    recorded: list[dict[str, Any]] = []
    activities = []
    for tile in range(network["tiles"]):
        record, activity = chip.run_tile(tile)
        recorded.append(record)
        activities.append(activity)
        _say(f"sanafe: step {tile + 1} of {network['tiles']}")
    stacked = {name: np.stack([record[name] for record in recorded]) for name in recorded[0]}
    np.savez(folder / "result.npz", allow_pickle=False, **stacked)
    result = {**identity, "constants": chip.constants(), "tiles": activities}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _say(line: str) -> None:
    sys.stderr.write(" ".join(line.split()) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
