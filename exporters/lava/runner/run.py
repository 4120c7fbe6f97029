"""Run a plan or a `.net` file in Lava's fixed-point simulation; a program of its own, files in and files out.

    python run.py --probe
    python run.py FOLDER IMAGES.npz RESULT.npz [--netx] [--conv stock|blas] [--stall-s S] [--record NAME ...]

FOLDER holds plan.json and plan.npz; with --netx network.net, which lava-dl loads, and export.json.
IMAGES.npz holds `images`, integers (N, W, H, 3). RESULT.npz appears whole or not at all and holds int32
arrays `spikes.<population>` and `membranes.<population>`, (N, T, W, H, C). Progress and errors go to stderr.
Exit codes: 0 done; 2 usage; 3 Lava does not import; 4 the plan or the images cannot be run; 5 Lava died;
6 Lava's processes wait for each other: a message was lost between them, as was seen now and then.
"""

import argparse
import json
import logging
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from multiprocessing import connection
from pathlib import Path
from typing import Any, NoReturn

import shim

NO_LAVA, REFUSED, DIED, STALLED = 3, 4, 5, 6
POLL_S = 0.25
GRACE_S = 3.0


def main() -> int:
    """Parse the command line and run; returns the exit code."""
    arguments = _parser().parse_args()
    try:
        shim.make_lava_importable()
        from lava.proc.lif.process import LIFReset  # noqa: F401
    except (ImportError, ValueError) as error:
        _say(f"Lava does not import: {error}")
        return NO_LAVA
    if arguments.probe:
        print(json.dumps(_identity()))
        return 0
    if arguments.result is None:
        _parser().error("PLAN_FOLDER, IMAGES and RESULT are required")
    try:
        _simulate(arguments)
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        _abandon(REFUSED, f"the plan cannot be run: {type(error).__name__}: {error}")
    except MemoryError:
        _abandon(DIED, "out of memory")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Run a deployment plan in Lava.")
    parser.add_argument("--probe", action="store_true", help="print the versions as JSON and exit")
    parser.add_argument("--netx", action="store_true", help="load FOLDER/network.net with lava-dl's netx")
    parser.add_argument("--conv", choices=("stock", "blas"), default="stock")
    parser.add_argument("--stall-s", type=float, default=60.0, help="time without work that means a stall")
    parser.add_argument("--record", nargs="*", default=None, help="populations; default: all but relays")
    for name in ("plan", "images", "result"):
        parser.add_argument(name, type=Path, nargs="?")
    return parser


def _identity() -> dict[str, Any]:
    import importlib.metadata
    import platform

    return {
        "lava": importlib.metadata.version("lava-nc"),
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
        "shimmed": shim.NEEDED,
        **_netx(),
    }


def _netx() -> dict[str, str]:
    """The version of lava-dl if its netx loads here, and otherwise why not."""
    import importlib.metadata

    try:
        version = importlib.metadata.version("lava-dl")
        shim.make_netx_importable()
        from lava.lib.dl.netx.hdf5 import Network  # noqa: F401
    except importlib.metadata.PackageNotFoundError:
        return {"lava_dl": "", "netx_fault": "lava-dl is not installed"}
    except (AttributeError, ImportError, OSError, RuntimeError, TypeError, ValueError) as error:
        return {"lava_dl": "", "netx_fault": f"netx does not import: {' '.join(str(error).split())}"}
    return {"lava_dl": version, "netx_fault": ""}


def _say(line: str) -> None:
    sys.stderr.write(" ".join(line.split()) + "\n")
    sys.stderr.flush()


def _simulate(arguments: argparse.Namespace) -> None:
    import fast_conv
    import numpy as np
    from deployment import steps

    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
    if arguments.conv == "blas":
        fast_conv.install()
    with np.load(arguments.images, allow_pickle=False) as stored:
        images = stored["images"].astype(np.int32)
    build = _build_netx if arguments.netx else _build_plan
    with tempfile.TemporaryDirectory(dir=arguments.result.parent) as folder:
        process, paths, plan = build(arguments.plan, images, arguments.record, Path(folder))
        _run(process, steps(plan, len(images)), arguments.stall_s)
        _collect(paths, len(images), plan, arguments.result)


def _build_plan(
    source: Path, images: Any, record: list[str] | None, folder: Path
) -> tuple[Any, list[str], Mapping[str, Any]]:
    """A process of the network in plan.json, the paths of the recordings, and the plan."""
    import numpy as np
    from copies import copies_for, widened
    from deployment import deploy

    plan: Mapping[str, Any] = json.loads((source / "plan.json").read_text(encoding="utf-8"))
    with np.load(source / "plan.npz", allow_pickle=False) as stored:
        arrays: Mapping[str, Any] = {name: stored[name] for name in stored.files}
    if record is None:
        record = [spec["name"] for spec in plan["neurons"] if not spec["is_relay"]]
    plan, arrays = widened(plan, arrays, copies_for(plan, len(images)))
    return *deploy(plan, arrays, images, set(record), folder), plan


def _build_netx(
    source: Path, images: Any, record: list[str] | None, folder: Path
) -> tuple[Any, list[str], Mapping[str, Any]]:
    """A process of the network in network.net, the paths of the recordings, and how the file is run."""
    shim.make_netx_importable()
    from netx_deployment import FILE, deploy_netx

    run = json.loads((source / "export.json").read_text(encoding="utf-8"))["netx"]
    return *deploy_netx(run, source / FILE, images, set(record or run["populations"]), folder), run


def _run(process: Any, total: int, stall_s: float) -> None:
    """Advance the network step by step, so that progress is seen."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    process._log_config.level = logging.INFO
    started = time.monotonic()
    finished = threading.Event()
    threading.Thread(target=_watch, args=(process, finished, stall_s), daemon=True).start()
    process.create_runtime(run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
    _say(f"lava: compiled and started in {time.monotonic() - started:.1f} s")
    for step in range(1, total + 1):
        process.run(condition=RunSteps(num_steps=1))
        _say(f"lava: step {step} of {total}, {time.monotonic() - started:.1f} s")
    finished.set()
    process.stop()


def _watch(process: Any, finished: threading.Event, stall_s: float) -> None:
    """End this program when one of Lava's processes died, or none works: Lava would wait for ever."""
    work, idle = None, 0
    while not finished.wait(POLL_S):
        before, work = work, _work(process.runtime)
        # Looks are counted and no time is taken, since a stopped program should not seem to have waited.
        idle = idle + 1 if work == before and work is not None else 0
        if idle * POLL_S >= stall_s:
            _abandon(STALLED, f"no process of Lava did anything for {stall_s:g} s")
        dead = _dead_actors(process.runtime)
        if dead and not finished.wait(GRACE_S):
            failure = next((actor.exception for actor in dead if actor.exception), None)
            if failure:
                _abandon(REFUSED, failure[1].strip().splitlines()[-1])
            _abandon(DIED, f"a Lava process died ({dead[0].exitcode})")


def _work(runtime: Any) -> list[float] | None:
    """Processor time of the main thread and of Lava's processes so far; None where it cannot be told."""
    if runtime is None:
        return None
    try:
        main = time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident or 0))
        pids = [actor.pid for actor in list(runtime._messaging_infrastructure.actors)]
        texts = [Path(f"/proc/{pid}/stat").read_text(encoding="ascii") for pid in pids]
    except (AttributeError, OSError, ValueError):
        return None  # no /proc, or a process that is not started yet or closed already
    # Behind the name, which may hold anything, utime and stime are the twelfth and thirteenth field: proc(5).
    fields = [text.rpartition(")")[2].split() for text in texts]
    return [main, *(float(line[11]) + float(line[12]) for line in fields)]


def _dead_actors(runtime: Any) -> list[Any]:
    """Those that ended, not reaped: of two threads that reap one, the loser, Lava, believes it still runs."""
    if runtime is None:
        return []
    try:
        actors = {actor.sentinel: actor for actor in list(runtime._messaging_infrastructure.actors)}
        return [actors[ended] for ended in connection.wait(actors, timeout=0)]
    except ValueError:
        # Lava has closed an actor, hence it noticed the failure itself and is about to raise.
        return []


def _abandon(code: int, line: str) -> NoReturn:
    """Exit at once with all children; a regular exit would wait for processes that wait for each other."""
    _say(line)
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)


def _collect(paths: list[str], count: int, plan: Mapping[str, Any], result: Path) -> None:
    """Gather the recordings of `count` images into one file; refuse rows that were never written."""
    import numpy as np
    from copies import apart
    from deployment import UNWRITTEN

    arrays: dict[str, Any] = {}
    for path in paths:
        rows = np.load(path, mmap_mode="r")
        if (rows == UNWRITTEN).any():
            raise RuntimeError(f"{Path(path).stem} was not recorded completely")
        arrays[Path(path).stem] = apart(rows, count, plan["timesteps"], plan.get("copies", 1))
    part = result.with_suffix(".part.npz")
    np.savez(part, **arrays)
    os.replace(part, result)


if __name__ == "__main__":
    sys.exit(main())
