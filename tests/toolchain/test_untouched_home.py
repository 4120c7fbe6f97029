"""What the commands leave in the user's home: nothing, and no device id of onnxruntime's telemetry."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from snn_tool.models.teachers.onnx import TELEMETRY_OFF

pytestmark = pytest.mark.slow

STUDENT = "denoise-25-lif"
COMMANDS = {
    "export loihi": f"export {STUDENT} --target loihi --no-verify --out bundle --size 8 --tiles 1",
    "verify": "verify bundle --backend nir",
    "restore": f"restore photographs --student {STUDENT} --out restored",
    "evaluate": f"evaluate --student {STUDENT} --data photographs",
    "export onnx": f"export {STUDENT} --target onnx --out student.onnx --size 8 --tiles 1",
}
SCRIPT = """
import os, pathlib, sys
from snn_tool.cli.app import run
for line in sys.argv[1:]:
    code = run(["-q", *line.split()])
    left = sorted(str(p) for p in pathlib.Path(os.environ["HOME"]).rglob("*"))
    print("seen", line.split()[0], code, left, "onnxruntime" in sys.modules, "matplotlib" in sys.modules)
"""


def empty_home(folder: Path, **more: str) -> dict[str, str]:
    """The environment of a user who never ran anything."""
    home = folder / "home"
    home.mkdir()
    dropped = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", TELEMETRY_OFF)
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "HOME": str(home), **more}


def test_commands_leave_nothing_in_the_home(tmp_path: Path) -> None:
    """Only the export to ONNX, which runs its file, loads onnxruntime; none of them draws."""
    (tmp_path / "photographs").mkdir()
    grey = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "photographs" / "a.png")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *COMMANDS.values()],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=empty_home(tmp_path),
    )
    seen = [line for line in done.stdout.splitlines() if line.startswith("seen ")]
    assert seen == [
        f"seen {line.split()[0]} 0 [] {name == 'export onnx'} False" for name, line in COMMANDS.items()
    ], done.stderr


@pytest.mark.parametrize(("setting", "expected"), [(None, "1"), ("1", "1"), ("0", "0")])
def test_telemetry_is_off_unless_somebody_decides_otherwise(
    tmp_path: Path, setting: str | None, expected: str
) -> None:
    more = {} if setting is None else {TELEMETRY_OFF: setting}
    script = (
        "import os; from snn_tool.models.teachers.onnx import TELEMETRY_OFF, onnx_runtime; onnx_runtime(); "
        "print(os.environ[TELEMETRY_OFF])"
    )
    environment = empty_home(tmp_path, **more)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.strip() == expected
    if expected == "1":
        assert not any((tmp_path / "home").rglob("*"))
