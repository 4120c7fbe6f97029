"""Peak memory of large photographs, in a process of its own, in bytes per value of the picture."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from snn_tool.degradations.noise import GaussianNoise
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork

LIMIT = 12
SLACK = 2**23
"""Bytes: of the allocator, and of a block whose size a drawn kernel decides."""
SMALL, LARGE = (640, 640), (1536, 1536)
MEASURE = """
import resource, sys
from pathlib import Path

def peak():
    status = Path("/proc/self/status")  # Linux: ru_maxrss begins with that of the process that forked
    if status.exists():
        return 1024 * int(next(line for line in status.open() if line.startswith("VmHWM")).split()[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

folder, student, what = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if what == "read":
    from snn_tool.images.files import read_image as work
elif what in ("derain", "dehaze", "deblur", "defocus"):
    from snn_tool.degradations.tasks import degradation_from_options
    from snn_tool.networks.evaluation import load_pair
    work = lambda path: load_pair(path, path, degradation_from_options(what), 0)
elif what == "restore":
    from snn_tool.networks.open import open_student
    from snn_tool.networks.restoring import restore_file
    from snn_tool.networks.running import RestoringStudent
    opened = RestoringStudent.of(open_student(student))
    work = lambda path: restore_file(lambda _: opened, path, folder / (path.stem + ".png"), 64)
else:
    from snn_tool.networks.evaluation import EvaluationFiles, run_evaluation
    track = lambda paths, label: paths
    work = lambda path: run_evaluation(student, path, (None, None, 0), 64, EvaluationFiles(), track)
work(folder / "small.tif")  # libraries, tables, the memory of a tile and of a block
before = peak()
work(folder / "large.tif")
print(peak() - before)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    for name, size in (("small", SMALL), ("large", LARGE)):
        values = np.random.default_rng(0).integers(0, 65536, (*size, 3), dtype=np.uint16)
        tifffile.imwrite(made / f"{name}.tif", values, photometric="rgb")
    return made


@pytest.mark.slow
@pytest.mark.parametrize("what", ["read", "restore", "evaluate", "derain", "dehaze", "deblur"])
def test_bytes_per_value(
    folder: Path, tmp_path: Path, make_network: Callable[..., IntegerNetwork], what: str
) -> None:
    student = tmp_path / "student.int.safetensors"
    task = {"training": {"task": GaussianNoise(25, 25).describe()}}
    save_integer_network(student, make_network("graded", "flat"), task)
    command = [sys.executable, "-c", MEASURE, str(folder), str(student), what]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    values = 3 * (LARGE[0] * LARGE[1] - SMALL[0] * SMALL[1])
    assert 0 < int(done.stdout) <= LIMIT * values + SLACK
