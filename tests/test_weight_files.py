import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from snn_tool.errors import ArtifactError
from snn_tool.models.weight_files import load_strictly, read_weights
from torch import Tensor, nn


def network() -> nn.Sequential:
    return nn.Sequential(OrderedDict(first=nn.Conv2d(3, 4, 3), last=nn.Conv2d(4, 3, 1, bias=False)))


def state(value: float = 1.0) -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, value) for name, tensor in network().state_dict().items()}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize(
    "document",
    [
        state(),
        {"params": state()},
        {"params": state(7.0), "params_ema": state()},
        {"state_dict": prefixed("module.", state()), "epoch": 3, "optimizer": {"lr": 0.1}},
        {"model": {"params": state()}},
        prefixed("module.", state()),
        prefixed("state_dict.model.", state()),
        {**prefixed("params.", state(7.0)), **prefixed("params_ema.", state())},
    ],
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_wrappers_are_recognised(tmp_path: Path, document: dict[str, Any], suffix: str) -> None:
    path, filled = tmp_path / f"weights{suffix}", network()
    if suffix == ".safetensors":
        if not all(isinstance(value, Tensor) for value in document.values()):
            return  # safetensors holds tensors alone
        save_file(document, path)
    else:
        torch.save(document, path)
    load_strictly(filled, read_weights(path), path)
    assert all(bool((tensor == 1).all()) for tensor in filled.state_dict().values())


def test_a_network_may_have_a_module_of_a_wrappers_name(tmp_path: Path) -> None:
    """`model.weight` is the parameter's own name here, so that nothing is dropped."""
    filled = nn.Module()
    filled.model = nn.Linear(2, 2)
    path = tmp_path / "weights.pth"
    torch.save({name: torch.ones_like(t) for name, t in filled.state_dict().items()}, path)
    load_strictly(filled, read_weights(path), path)
    assert bool((filled.model.weight == 1).all())


def test_every_difference_is_listed_at_once(tmp_path: Path) -> None:
    found = state()
    found["first.weight"] = found["first.weight"][:, :1]
    found["extra.bias"] = found.pop("last.weight")
    with pytest.raises(ArtifactError) as refused:
        load_strictly(network(), found, tmp_path / "w.pth")
    message = str(refused.value)
    assert "missing: last.weight; unexpected: extra.bias" in message
    assert "of another shape: first.weight (4, 1, 3, 3), not (4, 3, 3, 3)" in message
    many = {f"{index:02}": torch.ones(1) for index in range(9)}
    with pytest.raises(ArtifactError, match="unexpected: 00, 01, 02, 03 and 5 more"):
        load_strictly(network(), many, tmp_path / "w.pth")


class Bomb:
    """Unpickled, it would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("with_torch", [True, False])
def test_a_pickle_is_refused_and_not_run(tmp_path: Path, with_torch: bool) -> None:
    path, trap = tmp_path / "weights.pth", tmp_path / "run"
    document = {"state_dict": state(), "hyper": Bomb(trap)}
    torch.save(document, path) if with_torch else path.write_bytes(pickle.dumps(document))
    with pytest.raises(
        ArtifactError, match="refused, it holds pickled objects.*save the weights alone"
    ) as error:
        read_weights(path)
    assert not trap.exists()
    assert "\n" not in str(error.value) and "weights_only=False" not in str(error.value)


def test_a_whole_pickled_network_is_refused(tmp_path: Path) -> None:
    torch.save(network(), tmp_path / "network.pth")
    refused = r"refused, it holds pickled objects \(torch.nn.modules.container.Sequential\)"
    with pytest.raises(ArtifactError, match=refused):
        read_weights(tmp_path / "network.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 3, 200, -20])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"weights{suffix}"
    save_file(state(), path) if suffix == ".safetensors" else torch.save(state(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ArtifactError, match=r"weights\.") as refused:
        read_weights(path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"epoch": 3}, "holds no tensors"),
        ([1, 2], "holds no tensors"),
        ({"a.weight": torch.tensor([1.0, float("nan")])}, "tensor 'a.weight' holds NaN"),
    ],
)
def test_files_without_weights_are_refused(tmp_path: Path, document: Any, message: str) -> None:
    torch.save(document, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match=message):
        read_weights(tmp_path / "w.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    for name in ("absent.pth", "absent.safetensors"):
        with pytest.raises(ArtifactError, match=f"{name}: cannot be read"):
            read_weights(tmp_path / name)
