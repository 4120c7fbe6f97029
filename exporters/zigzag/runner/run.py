"""Map loop nests onto an accelerator with ZigZag; a program of its own, files in and files out.

    python run.py --probe
    python run.py FOLDER

FOLDER holds request.json, which `mapping.py` of snn-tool writes, and receives result.json. Progress and
errors go to stderr. Exit codes: 0 done; 2 usage; 3 ZigZag does not import; 4 the request cannot be mapped
at all; a nest that has no mapping is told in the result.
"""

import argparse
import importlib.metadata
import json
import logging
import platform
import sys
from pathlib import Path
from typing import Any

NO_ZIGZAG, REFUSED = 3, 4
FAULTS = (
    ArithmeticError,
    AssertionError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What ZigZag raises where a nest has no mapping."""


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Map loop nests with ZigZag.")
    parser.add_argument("--probe", action="store_true", help="print the versions as JSON and exit")
    parser.add_argument("folder", type=Path, nargs="?")
    arguments = parser.parse_args()
    try:
        import zigzag.api  # noqa: F401
    except (ImportError, OSError) as error:
        _say(f"ZigZag does not import: {error}")
        return NO_ZIGZAG
    identity = {"zigzag": importlib.metadata.version("zigzag-dse"), "python": platform.python_version()}
    if arguments.probe:
        print(json.dumps(identity))
        return 0
    if arguments.folder is None:
        parser.error("FOLDER is required")
    try:
        _map(arguments.folder, identity)
    except (*FAULTS, OSError, MemoryError) as error:
        _say(f"the request cannot be mapped: {type(error).__name__}: {error}")
        return REFUSED
    return 0


def _map(folder: Path, identity: dict[str, str]) -> None:
    from accelerator import ZigzagAccelerator

    logging.disable(logging.CRITICAL)
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    accelerator = ZigzagAccelerator(request, folder)
    mapped: list[dict[str, Any]] = []
    for number, nest in enumerate(request["nests"], 1):
        try:
            mapped.append({"fault": "", "mapped": accelerator.mapped(nest)})
        except FAULTS as error:
            mapped.append({"fault": f"{type(error).__name__}: {error}"[:200], "mapped": None})
        _say(f"zigzag: step {number} of {len(request['nests'])}")
    result = {**identity, "accelerator": accelerator.description(), "nests": mapped}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")


def _say(line: str) -> None:
    sys.stderr.write(" ".join(line.split()) + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
