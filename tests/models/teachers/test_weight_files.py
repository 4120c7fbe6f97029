import os
import pickle
import random
import re
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from snn_tool.errors import ArtifactError
from snn_tool.models.teachers import weights as weight_files
from snn_tool.models.teachers.weights import load_strictly, read_weights
from torch import Tensor, nn


def network() -> nn.Sequential:
    return nn.Sequential(OrderedDict(first=nn.Conv2d(3, 4, 3), last=nn.Conv2d(4, 3, 1, bias=False)))


def state(value: float = 1.0) -> dict[str, Tensor]:
    return {name: torch.full_like(tensor, value) for name, tensor in network().state_dict().items()}


def prefixed(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


ONLY = "net_g netG generator ema model_ema params_ema params-ema weights state_dict model network G".split()
"""Keys under which training code keeps its one network; any other would do."""


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
        *({name: state(), "iteration": 9} for name in ONLY),
        {"net_g": prefixed("module._orig_mod.", state()), "optimizer_g": {"exp_avg": state(7.0)}},
        {"model": state(7.0), "model_ema": state(), "step": torch.tensor(3.0)},
        {"net_g": state(7.0), "net_g-ema": state()},
        {"checkpoint": {"generator": state(7.0), "ema": {"generator": state()}}},
        {"generator": state(), "scheduler": {"rates": torch.ones(3)}},
        {"model": state(), "discriminator": {"head.weight": torch.ones(3)}},
        {"weights": {**state(), "first._extra_state": {"scale": torch.ones(1)}}},
        prefixed("_orig_mod.", state()),
        prefixed("module._orig_mod.", state()),
        prefixed("net_g.", state()),
        {name.replace(".", "._orig_mod."): tensor for name, tensor in state().items()},
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


def test_a_compiled_network_is_filled_from_a_plain_file_and_from_its_own(tmp_path: Path) -> None:
    """torch.compile puts `_orig_mod.` before the names of the network itself."""
    compiled = nn.Sequential(OrderedDict(_orig_mod=network()))
    for number, document in enumerate((state(), prefixed("_orig_mod.", state()))):
        path = tmp_path / f"{number}.pth"
        torch.save(document, path)
        load_strictly(compiled, read_weights(path), path)
        assert all(bool((tensor == 1).all()) for tensor in compiled.state_dict().values())
        nn.init.zeros_(compiled[0].last.weight)  # type: ignore[arg-type, union-attr]


@pytest.mark.parametrize(
    ("document", "listed"),
    [
        (
            {"net_g": state(), "net_d": {"head.weight": torch.ones(3)}},
            r"net_g \(3 tensors\), net_d \(1 tensors\)",
        ),
        (
            {"a": {"g": state()}, "b": {"g": state()}, "c_ema": {"head.weight": torch.ones(3)}},
            r"a\.g \(3 tensors\), b\.g \(3 tensors\), c_ema \(1 tensors\)",
        ),
        ({"mean": torch.zeros(3), "G": state()}, r"the top \(1 tensors\), G \(3 tensors\)"),
    ],
)
def test_none_of_several_networks_is_guessed(tmp_path: Path, document: Any, listed: str) -> None:
    """The remedy of the message is run, and gives a file that is read."""
    path = tmp_path / "gan.pth"
    torch.save(document, path)
    with pytest.raises(
        ArtifactError, match=rf"gan\.pth: holds several networks: {listed}; save the"
    ) as refused:
        read_weights(path)
    chosen = re.search(r"weights_only=True\)((\['\w+'\])+)", str(refused.value))
    assert chosen
    value: Any = document
    for part in re.findall(r"'(\w+)'", chosen[1]):
        value = value[part]
    torch.save(value, tmp_path / "weights.pth")
    load_strictly(network(), read_weights(tmp_path / "weights.pth"), path)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.ones(2, device="meta"), "is without values; save the network's dense state_dict"),
        (torch.eye(2).to_sparse(), "is sparse or quantised"),
        (torch.ones(2).to(torch.float8_e4m3fn), "is float8_e4m3fn; convert it to float32 before saving"),
    ],
)
def test_tensors_without_plain_values_are_refused(tmp_path: Path, tensor: Tensor, message: str) -> None:
    torch.save({"a.weight": tensor}, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match=rf"tensor 'a\.weight' {message}"):
        read_weights(tmp_path / "w.pth")


def test_a_complex_nan_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.tensor([complex(0, float("nan"))])}, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match="tensor 'w' holds NaN or infinity"):
        read_weights(tmp_path / "w.pth")


def test_a_kilobyte_that_declares_400_gigabytes_is_refused(tmp_path: Path) -> None:
    """One stored float with stride 0: whatever is computed with it takes what it declares."""
    torch.save({"w": torch.zeros(1).expand(10**11)}, tmp_path / "w.pth")
    assert (tmp_path / "w.pth").stat().st_size < 3000
    with pytest.raises(ArtifactError, match=r"would take 400,000,000,000 bytes, far more than the file"):
        read_weights(tmp_path / "w.pth")


def test_a_deflated_checkpoint_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 MB of zeros, deflated to some thousand bytes, with 2^20 in place of the limit of 2^30 bytes."""
    torch.save({"w": torch.zeros(1 << 20)}, tmp_path / "plain.pth")
    with zipfile.ZipFile(tmp_path / "plain.pth") as plain:
        with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as packed:
            for member in plain.infolist():
                packed.writestr(member.filename, plain.read(member))
    assert read_weights(tmp_path / "plain.pth")["w"].numel() == 1 << 20
    monkeypatch.setattr(weight_files, "ALWAYS_ALLOWED", 1 << 20)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ArtifactError, match=r"would take 4,19\d,\d+ bytes, far more than the file holds"):
        read_weights(tmp_path / "w.pth")


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchs_advice_is_never_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither of a TorchScript archive, nor of whatever torch may say one day."""
    torch.jit.save(torch.jit.script(nn.ReLU()), tmp_path / "script.pth")
    with pytest.raises(ArtifactError, match="a TorchScript archive holds code") as refused:
        read_weights(tmp_path / "script.pth")
    assert "weights_only" not in str(refused.value)

    def advise(*_: Any, **__: Any) -> None:
        raise RuntimeError("set weights_only=False if you trust the file")

    monkeypatch.setattr(torch, "load", advise)
    with pytest.raises(ArtifactError, match=r"not a readable file of weights \(RuntimeError\)"):
        read_weights(tmp_path / "script.pth")


@pytest.mark.parametrize("suffix", [".pth", ".legacy.pth", ".safetensors"])
def test_no_change_of_a_few_bytes_escapes_the_reader(tmp_path: Path, suffix: str) -> None:
    """200 seeded mutants of each form: read, or refused in one line without torch's advice."""
    path, tensors = tmp_path / f"w{suffix}", {"a.weight": torch.ones(4, 3, 3, 3), "a.bias": torch.ones(4)}
    if suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save({"params": tensors}, path, _use_new_zipfile_serialization=suffix == ".pth")
    valid, chance, refused = path.read_bytes(), random.Random(17), 0
    for _ in range(200):
        data = bytearray(valid)
        for _ in range(chance.choice([1, 1, 4, 16])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        path.write_bytes(data[: chance.choice([len(data)] * 5 + [chance.randrange(len(data))])])
        try:
            read_weights(path)
        except ArtifactError as error:
            refused += 1
            assert "\n" not in str(error) and "weights_only" not in str(error)
    assert refused > 50


@pytest.mark.slow
@pytest.mark.parametrize("content", [b"hello\n", b"", b"\x80\x02N.", b"PK\x03\x04", b"\x93NUMPY", b"."])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_of_something_else_is_one_line(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"w\.") as refused:
        read_weights(path)
    assert "\n" not in str(refused.value)


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
