"""The program that counts PilotNet: one convolution and one dense layer by hand, and what it prints."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "pilotnet.py"
SHAPES = {
    "input": (200, 66, 3),
    "conv-0": (99, 32, 24),
    "conv-1": (49, 15, 36),
    "conv-2": (24, 7, 48),
    "conv-3": (22, 4, 64),
    "conv-4": (20, 2, 64),
    "fc-0": (100,),
    "fc-1": (50,),
    "fc-2": (10,),
}


@pytest.mark.slow
def test_spikes_of_files_are_counted_by_their_hop_and_by_hand(tmp_path: Path) -> None:
    """One pixel fires at step 3, seven at step 5; a hidden neuron fires before its sample starts."""
    spikes = {name: np.zeros((*shape, 24), np.bool_) for name, shape in SHAPES.items()}
    spikes["input"][1, 1, 0, 3] = True  # odd, odd: one output in each of 24 channels
    spikes["input"][2, 2:16:2, 0, 5] = True  # even, even: two outputs along each axis
    spikes["conv-0"][0, 0, 0, 0] = True  # its sample is steps 1 to 16
    spikes["fc-0"][7, 6] = spikes["fc-0"][8, 21] = True  # 6 to 21, both ends in it
    for name, values in spikes.items():
        np.save(tmp_path / f"{name}.npy", values)
    printed = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path)], capture_output=True, text=True, check=True, timeout=120
    ).stdout
    layers = {layer["name"]: layer for layer in tomllib.loads(printed)["workloads"]["pilotnet-lif"]["layers"]}
    assert {name: layer["neurons"] for name, layer in layers.items()} == {
        name: int(np.prod(shape)) for name, shape in SHAPES.items()
    }
    assert layers["input"]["events"] == {"counted": 8, "least": 0, "most": 16 * 7}
    assert layers["input"]["synops"] == {"counted": 24 * (1 + 7 * 4), "least": 0, "most": 16 * 24 * 7 * 4}
    assert layers["conv-0"]["events"]["counted"] == layers["conv-0"]["synops"]["counted"] == 0
    assert layers["fc-0"]["events"]["counted"] == 2
    assert layers["fc-0"]["synops"] == {"counted": 2 * 50, "least": 0, "most": 16 * 50}
