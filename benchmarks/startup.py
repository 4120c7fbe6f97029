"""How much longer `snn-tool restore photo.jpg` takes to start than `python -c "import torch"`, in CPU time.

    python benchmarks/startup.py --repeats 9

Three programs run in turn, so that all see the same machine: the import alone; the command; and a process
that gives the command line twice, whose second time, with everything loaded, is the work itself. The start-up
is the median of the commands less the median of the work. Processor time is that of user and system together,
as the kernel counts it for the ended process; seconds on the clock would be those of whoever else runs.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

WARM = """
import json, sys, time
from snn_tool.cli.app import run
command = json.loads(sys.argv[1])
assert run(command) == 0
started = time.process_time()
assert run(command) == 0
print(time.process_time() - started, file=sys.stderr)
"""


@dataclass(frozen=True, slots=True)
class Startup:
    """Medians of processor time in seconds.

    Attributes:
        torch_s: of `python -c "import torch"`.
        command_s: of the whole command.
        work_s: of the same command in a process that has everything loaded.
    """

    torch_s: float
    command_s: float
    work_s: float

    @property
    def startup_s(self) -> float:
        """What the command needs before and beside its work."""
        return self.command_s - self.work_s

    @property
    def ratio(self) -> float:
        """Start-up in imports of torch."""
        return self.startup_s / self.torch_s


def processor_s(command: list[str]) -> float:
    """User and system seconds of a process and of the children that it waited for."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)  # it is reaped; Popen must not wait again
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command)
    return usage.ru_utime + usage.ru_stime


def work_s(arguments: list[str]) -> float:
    """Seconds of a command line given for the second time."""
    command = [sys.executable, "-c", WARM, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return float(done.stderr.split()[-1])


def measure(photograph: Path, folder: Path, repeats: int) -> Startup:
    """Medians over `repeats` rounds after one that fills the caches of files."""
    arguments = ["-q", "restore", str(photograph), "--out", str(folder), "--overwrite"]
    program = [sys.executable, "-c", "from snn_tool.cli.app import main; main()", *arguments]
    rounds = [
        (processor_s([sys.executable, "-c", "import torch"]), processor_s(program), work_s(arguments))
        for _ in range(repeats + 1)
    ]
    return Startup(*(statistics.median(times) for times in zip(*rounds[1:], strict=True)))


def write_photograph(folder: Path) -> Path:
    """A noisy photograph of 512x512 pixels as JPEG, from the ones that scikit-image ships."""
    import numpy as np
    from PIL import Image
    from skimage import data

    clean = data.astronaut()
    noisy = clean + np.random.default_rng(0).normal(0, 25, clean.shape)
    path = folder / "photo.jpg"
    Image.fromarray(np.clip(np.rint(noisy), 0, 255).astype(np.uint8)).save(path, quality=95)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photograph", type=Path, help="instead of a shipped one")
    parser.add_argument("--repeats", type=int, default=9)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photograph = chosen.photograph or write_photograph(folder)
        found = measure(photograph, folder / "restored", chosen.repeats)
    print(f"import torch {found.torch_s:.2f} s")
    print(f"snn-tool restore {found.command_s:.2f} s, of which {found.work_s:.2f} s is work")
    print(f"start-up {found.startup_s:.2f} s, {found.ratio:.2f} times the import of torch")
    print(f"CPU time, medians of {chosen.repeats}")


if __name__ == "__main__":
    main()
