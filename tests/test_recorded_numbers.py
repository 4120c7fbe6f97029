"""The shipped students' artefacts are the same integers and figures as when they were recorded.

Hashes are of the arrays, not of the files: a file may gain a key or be written by another version of HDF5.
To record anew, after a change that is meant to change numbers, run this file as a program, and say in the
commit why.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file
from skimage import data
from snn_tool.cli.app import run
from snn_tool.networks.shipped import student_path

STUDENTS = ("denoise-25", "denoise-25-lif")
RECORDED = Path(__file__).parent / "data" / "recorded_numbers.json"
SIDE = 32


def digest(arrays: Iterator[tuple[str, Any]]) -> str:
    """One hash of names, types, shapes and values; a file's own order does not count."""
    total = hashlib.sha256()
    for name, values in sorted(arrays, key=lambda item: item[0]):
        array = np.ascontiguousarray(values)
        total.update(f"{name} {array.dtype.str} {array.shape}".encode() + array.tobytes())
    return total.hexdigest()


def nir_arrays(path: Path) -> Iterator[tuple[str, Any]]:
    """Every number of a NIR file but its schema versions."""
    found: list[tuple[str, Any]] = []

    def add(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype.kind in "iuf" and not name.endswith("/schema"):
            found.append((name, item[()]))

    with h5py.File(path, "r") as file:
        file.visititems(add)
    return iter(found)


def npz_arrays(path: Path) -> Iterator[tuple[str, Any]]:
    """Every array of an archive."""
    with np.load(path) as archive:
        return iter([(name, archive[name]) for name in archive.files])


def exported(name: str, folder: Path) -> dict[str, str]:
    """Hashes of an export of a shipped student."""
    out = folder / f"{name}-bundle"
    options = ("--target", "loihi", "--size", str(SIDE), "--tiles", "1", "--no-verify", "--out", str(out))
    assert run(["-q", "export", name, *options]) == 0
    return {
        "network.nir": digest(nir_arrays(out / "network.nir")),
        "plan.npz": digest(npz_arrays(out / "plan.npz")),
        "golden.npz": digest(npz_arrays(out / "golden.npz")),
        "student": digest(iter(load_file(student_path(name)).items())),
    }


def audited(name: str, folder: Path) -> dict[str, Any]:
    """Exact counts, and every ratio to ten digits, of an audit on two photographs."""
    images = folder / "images"
    if not images.exists():
        images.mkdir()
        for title, picture in (("astronaut", data.astronaut()), ("coffee", data.coffee())):
            Image.fromarray(picture[100 : 100 + SIDE, 180 : 180 + SIDE]).save(images / f"{title}.png")
    out = folder / f"{name}-energy"
    options = ("--images", str(images), "--teacher", "nafnet", "--no-sweep", "--out", str(out))
    assert run(["-q", "energy", "report", "--student", name, *options]) == 0
    report = json.loads((out / "energy.json").read_text())
    counts = ("name", "synops_levels", "synops_events", "first_layer_macs")
    layers = [[row["synapse"], row["synops_levels"], row["synops_events"]] for row in report["layers"]]
    return {
        "counts": [{key: image[key] for key in counts} for image in report["images"]],
        "layers": hashlib.sha256(json.dumps(layers).encode()).hexdigest(),
        "ratios": {
            row["model"]: {
                part: None if value is None else float(f"{value:.10g}")
                for part, value in row["split"].items()
                if part in ("teacher_over_student", "twin_over_student")
            }
            for row in report["ratios"]
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
def test_exports_hold_the_recorded_integers(name: str, tmp_path: Path) -> None:
    assert exported(name, tmp_path) == json.loads(RECORDED.read_text())[name]["export"]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
def test_audits_give_the_recorded_figures(name: str, tmp_path: Path) -> None:
    found, recorded = audited(name, tmp_path), json.loads(RECORDED.read_text())[name]["audit"]
    assert found["counts"] == recorded["counts"] and found["layers"] == recorded["layers"]
    for model, split in recorded["ratios"].items():
        assert found["ratios"][model] == pytest.approx(split, rel=1e-9), model


def test_the_hash_sees_one_integer_that_differs() -> None:
    first = {"a": np.arange(6, dtype=np.int8), "b": np.zeros((2, 3), np.int32)}
    changed = {**first, "b": np.array([[0, 0, 0], [0, 1, 0]], np.int32)}
    assert digest(iter(first.items())) == digest(iter(reversed(first.items())))
    assert digest(iter(first.items())) != digest(iter(changed.items()))
    assert digest(iter(first.items())) != digest(iter({**first, "a": first["a"].astype(np.int16)}.items()))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        numbers = {
            name: {"export": exported(name, Path(scratch)), "audit": audited(name, Path(scratch))}
            for name in STUDENTS
        }
    RECORDED.write_text(json.dumps(numbers, indent=1) + "\n")
