"""Files of older exporters: what they lack, or say otherwise, changes nothing of what they compute."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
import torch
from snn_tool.errors import ArtifactError, UnsupportedLayerError
from snn_tool.exporters.nir_foreign.importing import import_graph
from snn_tool.exporters.nir_foreign.module import load_nir_module

NODES = "node/nodes"
Edit = Callable[[Any], None]


def written(path: Path, edit: Edit | None = None) -> Path:
    """Conv2d of stride 2, LIF, Flatten, Affine, IF on [2, 8, 8], edited as HDF5."""
    rng = np.random.default_rng(3)

    def full(*shape: int, value: float = 1.0) -> Any:
        return np.full(shape, value)

    nodes = {
        "input": nir.Input(np.array([2, 8, 8])),
        "0": nir.Conv2d((8, 8), rng.normal(size=(3, 2, 3, 3)), 2, 1, 1, 1, np.zeros(3)),
        "1": nir.LIF(full(3, 4, 4, value=4), full(3, 4, 4, value=4), full(3, 4, 4, value=0), full(3, 4, 4)),
        "2": nir.Flatten({"input": np.array([3, 4, 4])}, 0, -1),
        "3": nir.Affine(rng.normal(size=(5, 48)), np.zeros(5)),
        "4": nir.IF(full(5), full(5)),
        "output": nir.Output(np.array([5])),
    }
    names = list(nodes)
    nir.write(path, nir.NIRGraph(nodes, list(zip(names, names[1:], strict=False)), type_check=False))
    if edit:
        with h5py.File(path, "r+") as file:
            edit(file)
    return path


def put(key: str, value: Any) -> Edit:
    """Replace what lies at a key; None removes it, a dictionary becomes a group."""

    def edit(file: Any) -> None:
        if key in file:
            del file[key]
        for name, inner in value.items() if isinstance(value, dict) else ():
            file[f"{key}/{name}"] = inner
        if value is not None and not isinstance(value, dict):
            file[key] = value

    return edit


def channels(file: Any) -> None:
    for name in ("tau", "r", "v_leak", "v_threshold", "v_reset"):
        put(f"{NODES}/1/{name}", file[f"{NODES}/1/{name}"][:, :1, :1])(file)


def moved(side: str) -> Edit:
    def edit(file: Any) -> None:
        shape = file[f"{NODES}/{side}/shape"][()]
        put(f"{NODES}/{side}/shape", None)(file)
        put(f"{NODES}/{side}/{side}_type", {side: shape})(file)

    return edit


LACKING: dict[str, Edit] = {
    "no version": put("version", None),
    "no bias of a convolution": put(f"{NODES}/0/bias", None),
    "one number for a bias": put(f"{NODES}/0/bias", 0.0),
    "no bias of an Affine": put(f"{NODES}/3/bias", None),
    "no input shape": put(f"{NODES}/0/input_shape", None),
    "no dilation": put(f"{NODES}/0/dilation", None),
    "no reset": put(f"{NODES}/4/v_reset", None),
    "scalars": put(f"{NODES}/4/r", 1.0),
    "an input type": moved("input"),
    "an output type": moved("output"),
    "no shape of the output": put(f"{NODES}/output/shape", None),
    "a type of Flatten": put(f"{NODES}/2/input_type", {"input": np.array([3, 4, 4])}),
    "the batch counted by Flatten": put(f"{NODES}/2/start_dim", 1),
    "one value for a channel": channels,
    "whole numbers": put(f"{NODES}/4/v_threshold", np.ones(5, np.int32)),
}


@pytest.mark.parametrize("name", LACKING)
def test_what_an_older_file_lacks_changes_nothing(name: str, tmp_path: Path) -> None:
    usual = load_nir_module(written(tmp_path / "a.nir"), 1.0)
    other = load_nir_module(written(tmp_path / "b.nir", LACKING[name]), 1.0)
    frames = torch.rand((6, 2, 2, 8, 8), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, found = (torch.stack([module(frame) for frame in frames]) for module in (usual, other))
    assert 0 < expected.mean() < 1
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    whole, again = (import_graph(m.graph, m, 4, images=False).network for m in (usual, other))
    for one, two in zip(whole.synapses, again.synapses, strict=True):
        np.testing.assert_array_equal(one.weight, two.weight)


def test_a_bias_of_one_number_counts_for_all_channels(tmp_path: Path) -> None:
    module = load_nir_module(written(tmp_path / "a.nir", put(f"{NODES}/3/bias", 0.25)), 1.0)
    np.testing.assert_array_equal(module.graph.nodes["3"].bias, np.full(5, 0.25))


def test_what_contradicts_itself_stays_an_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a.nir: 0: Conv2d cannot be read \(bias .2. does not fit"):
        load_nir_module(written(tmp_path / "a.nir", put(f"{NODES}/0/bias", np.ones(2))), 1.0)
    batch = written(tmp_path / "b.nir", put(f"{NODES}/input/shape", np.array([1, 2, 8, 8])))
    module = load_nir_module(batch, 1.0)
    with pytest.raises(UnsupportedLayerError, match=r"takes \[1, 2, 8, 8\]; .* export it without the batch"):
        import_graph(module.graph, module, 4)


def test_a_bias_of_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="a.nir: 3: Affine cannot be read .could not convert string"):
        load_nir_module(written(tmp_path / "a.nir", put(f"{NODES}/3/bias", "")), 1.0)
