"""What a command loads before it works: no torch for a mistyped path, and `restore` only what it needs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from skimage import data
from snn_tool.images.files import write_image

PROGRAM = Path(__file__).parents[3] / "benchmarks" / "startup.py"
LOADED = """
import json, sys
from snn_tool.cli.app import run
code = run(sys.argv[1:])
packages = sorted({name.split(".")[0] for name in sys.modules})
print(json.dumps([code, packages]), file=sys.stderr)
"""
NEEDLESS = {
    *("scipy", "skimage", "sklearn", "matplotlib", "lightning", "torchmetrics", "h5py"),
    *("nir", "nirtorch", "onnx", "onnxruntime", "onnxscript", "jinja2", "pandas"),
}


def loaded_by(folder: Path, *command: str) -> tuple[int, set[str], str]:
    """Exit code of a command line in a process of its own, the packages it imported, and its last words."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *command], capture_output=True, text=True, check=True, cwd=folder
    )
    *said, last = done.stderr.splitlines()
    code, packages = json.loads(last)
    return code, set(packages), said[-1] if said else ""


@pytest.mark.slow
def test_restore_loads_what_it_needs(tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", data.astronaut()[:32, :48])
    code, packages, _ = loaded_by(tmp_path, "restore", "photo.png")
    assert code == 0 and (tmp_path / "restored" / "photo.png").is_file()
    assert "torch" in packages  # the list sees packages
    assert not packages & NEEDLESS


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "restore nosuch.jpg",
        "restore there nosuch.jpg",
        "restore nosuch.jpg --student denoise-25",
        "evaluate --student denoise-25 --data nosuch.jpg",
        "evaluate --teacher unet --pairs nosuch.jpg",
        "evaluate --student denoise-25 --data there --degraded nosuch.jpg",
    ],
)
def test_a_mistyped_path_fails_before_torch_is_loaded(tmp_path: Path, command: str) -> None:
    write_image(tmp_path / "there" / "photo.png", data.astronaut()[:32, :48])
    code, packages, said = loaded_by(tmp_path, *command.split())
    assert code == 1
    assert said == "error: nosuch.jpg: no such file or folder; check the path"
    assert not packages & {"torch", *NEEDLESS}


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        "restore there --student nosuch.safetensors",
        "evaluate --teacher nosuch.safetensors --data there",
        "quantize nosuch.safetensors --data there",
        "export nosuch.safetensors --target loihi --out bundle",
        "distill --teacher nosuch.safetensors --data there --out run",
        "distill --init nosuch.safetensors --data there --out run",
        "energy report --student denoise-25 --twin nosuch.safetensors --images there --out energy",
        "energy report --student denoise-25 --teacher nosuch.safetensors --images there --out energy",
        "audit params nosuch.safetensors",
    ],
)
def test_a_mistyped_network_fails_before_torch_is_loaded(tmp_path: Path, command: str) -> None:
    write_image(tmp_path / "there" / "photo.png", data.astronaut()[:32, :48])
    code, packages, said = loaded_by(tmp_path, *command.split())
    assert code == 1
    assert said == "error: nosuch.safetensors: cannot be read (No such file or directory); check the path"
    assert not packages & {"torch", *NEEDLESS}


@pytest.mark.slow
def test_the_benchmark_measures_programs(tmp_path: Path) -> None:
    """Its figure is for a quiet machine; here that its parts are what they are called."""
    spec = importlib.util.spec_from_file_location("startup", PROGRAM)
    assert spec and spec.loader
    startup = sys.modules["startup"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(startup)
    found = startup.measure(startup.write_photograph(tmp_path), tmp_path / "restored", 1)
    assert (tmp_path / "restored" / "photo.png").is_file()
    assert found.ratio == (found.command_s - found.work_s) / found.torch_s
    assert 0 < found.work_s < found.command_s
    with pytest.raises(subprocess.CalledProcessError):
        startup.processor_s([sys.executable, "-c", "raise SystemExit(1)"])
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    assert 0.5 <= startup.processor_s([sys.executable, "-c", busy]) < 1
    assert startup.processor_s([sys.executable, "-c", "import time; time.sleep(1)"]) < 0.5
