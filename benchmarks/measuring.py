"""Time and memory of one piece of work in a process of its own; shared by the benchmarks."""

import multiprocessing
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Measured:
    """Median seconds per call, peak memory of the process and its children in MB, and what was returned."""

    seconds: float
    memory_mb: float
    result: Any


def median_s(run: Callable[[], object], repeats: int) -> float:
    """Median over `repeats` calls after one that is not counted."""
    run()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def in_own_process(work: Callable[..., tuple[float, Any]], *arguments: Any) -> Measured:
    """Call `work`, which returns (seconds, result), in a fresh process, and watch its memory (Linux)."""
    with multiprocessing.get_context("spawn").Pool(1) as pool, PeakMemory() as peak:
        seconds, result = pool.apply(work, arguments)
    return Measured(seconds, peak.megabytes, result)


class PeakMemory:
    """Peak of the summed proportional memory (PSS) of this process's descendants, sampled every 50 ms."""

    def __enter__(self) -> "PeakMemory":
        self.megabytes = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            held = sum(_pss_kb(pid) for pid in _descendants("self")) / 1024
            self.megabytes = max(self.megabytes, held)


def _descendants(pid: str) -> list[str]:
    found = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(listed).split():
            found += [child, *_descendants(child)]
    return found


def _pss_kb(pid: str) -> int:
    lines = _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it ended meanwhile
        return ""
