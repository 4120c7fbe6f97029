"""Real parameters and MACs against torch, the stated rules against thop, and what the command says."""

import json
import sys
from pathlib import Path

import pytest
import torch
from snn_tool.cli.app import run
from snn_tool.energy.counts.fan_out import network_macs
from snn_tool.energy.counts.profilers import ParameterAudit, audit_parameters, hook_counts
from snn_tool.models.config import StudentConfig
from snn_tool.models.student import build_student, save_student
from snn_tool.models.teachers.registry import build_teacher
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

Capture = pytest.CaptureFixture[str]
SHAPE = (1, 3, 16, 24)


class Subclassed(nn.Conv2d):
    """What a library of spiking layers does: the same convolution under another name."""


class Gate(nn.Module):
    """Parameters of its own and a functional convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.ones(8, 8, 3, 3))
        self.scale = nn.Parameter(torch.ones(5))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.kernel, padding=1) * self.scale.sum()


class Zoo(nn.Module):
    """Every rule at once: known, subclassed, transposed, grouped, shared, functional, normalised, pooled."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 8, 3, padding=1)
        self.hidden = Subclassed(8, 8, 3, padding=1)
        self.body = nn.Sequential(nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4), nn.ReLU(), nn.PReLU())
        self.gate = Gate()
        self.norms = nn.ModuleList([nn.BatchNorm2d(8), nn.GroupNorm(2, 8), nn.InstanceNorm2d(8)])
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False)
        self.up = nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1)
        self.shared = nn.Conv2d(8, 8, 1)
        self.again = nn.ModuleList([self.shared])
        self.pool = nn.AvgPool2d(2)
        self.wide = nn.Upsample(scale_factor=2, mode="bilinear")
        self.bins = nn.AdaptiveAvgPool2d(4)
        self.linear = nn.Linear(8 * 16, 10)
        self.soft = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(self.body(self.hidden(self.head(x))))
        for norm in self.norms:
            x = norm(x)
        x = self.shared(self.shared(self.up(self.down(x))))
        return self.soft(self.linear(self.bins(self.wide(self.pool(x))).flatten(1)))


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {
        "zoo": Zoo(),
        "unet": build_teacher("unet", {"width": 8}),
        "nafnet": build_teacher("nafnet", {"width": 8}),
        "restormer": build_teacher("restormer", {"dim": 8}),
        "layer": nn.Conv2d(3, 8, 3, padding=1),
        "plain": nn.Sequential(nn.Conv2d(3, 4, 3), nn.LayerNorm(22), nn.LeakyReLU(), nn.Flatten()),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", list(networks()))
def test_the_stated_rules_are_those_of_thop(name: str) -> None:
    thop = pytest.importorskip("thop", reason="thop is not installed (extra dev)")
    network = networks()[name].eval()
    macs, parameters = thop.profile(network, inputs=(torch.zeros(SHAPE),), verbose=False)
    ours = hook_counts(networks()[name].eval(), torch.zeros(SHAPE))
    assert (sum(one.macs for one in ours), sum(one.parameters for one in ours)) == (macs, parameters)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(networks()))
def test_real_figures_are_torchs(name: str) -> None:
    """FlopCounterMode counts two operations per MAC of convolutions and matrix products, padding included."""
    network = networks()[name].eval()
    audit = audit_parameters(network, SHAPE)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(SHAPE))
    interpolation = 4 * 8 * 16 * 24 if name == "zoo" else 0  # bilinear, which torch's counter leaves out
    assert audit.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert audit.macs == counter.get_total_flops() // 2 + interpolation
    assert sum(row.parameters for row in audit.rows) == audit.parameters
    assert sum(row.macs for row in audit.rows) == audit.macs
    assert sum(row.reported_parameters for row in audit.rows) == audit.reported_parameters
    assert sum(row.reported_macs for row in audit.rows) == audit.reported_macs


def by_path(audit: ParameterAudit) -> dict[str, tuple[int, int, int, int, str]]:
    return {
        row.path: (row.parameters, row.reported_parameters, row.macs, row.reported_macs, row.reason)
        for row in audit.rows
    }


@pytest.mark.slow
def test_every_difference_has_its_reason() -> None:
    pixels = 16 * 24
    rows = by_path(audit_parameters(Zoo().eval(), SHAPE))
    head = 3 * 8 * 9
    assert rows["head"] == (head + 8, head + 8, head * pixels, head * pixels, "")
    hidden = 8 * 8 * 9
    reason = "a subclass of Conv2d: only exact classes are hooked"
    assert rows["hidden"] == (hidden + 8, 0, hidden * pixels, 0, reason)
    assert rows["gate"][:4] == (hidden + 5, 0, hidden * pixels, 0)
    assert rows["gate"][4] == "parameters and operations of its own, outside any hooked layer"
    up = 16 * 8 * 16
    assert rows["up"][:4] == (up + 8, up + 8, up * pixels // 4, up * pixels)
    assert rows["up"][4].startswith("a transposed convolution")
    shared = 8 * 8
    assert rows["shared"][:4] == (shared + 8, 2 * (shared + 8), 2 * shared * pixels, 8 * shared * pixels)
    assert rows["shared"][4] == "hangs in the tree 2 times: parameters counted that often, MACs its square"
    assert rows["norms.0"] == (16, 16, 0, 4 * 8 * pixels, "scalar operations reported as MACs")
    assert rows["norms.1"][:4] == (16, 0, 0, 0)


def test_nothing_of_the_network_changes() -> None:
    network = Zoo().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    audit_parameters(network, SHAPE)
    assert network.training and not any(part._forward_hooks for part in network.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


@pytest.mark.slow
def test_the_command_on_an_architecture(capsys: Capture) -> None:
    """Restormer: 26.1 M parameters, as its paper says; its norms and temperatures are what is missed."""
    assert run(["--json", "audit", "params", "restormer", "--size", "32", "32"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["parameters"] == 26_111_668
    missing = {entry["reason"]: entry["parameters"] for entry in document["reasons"]}
    assert sum(missing.values()) == 26_111_668 - document["reported_parameters"] > 0
    assert document["macs"] > document["reported_macs"]
    assert run(["audit", "params", "restormer", "--size", "32", "32", "--rows", "2"]) == 0
    text = capsys.readouterr().out
    assert "26,111,668" in text and "parameters and operations of its" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.slow
def test_the_command_on_files_and_factories(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = StudentConfig(width=4)
    student = build_student(config)
    save_student(tmp_path / "student.safetensors", student, config, {})
    size = ["--size", "16", "16"]
    assert run(["--json", "audit", "params", str(tmp_path / "student.safetensors"), *size]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["parameters"] == student.topology.parameters and document["reported_parameters"] == 0
    macs = sum(row.padded_macs for row in network_macs(student.topology, 16, 16))
    assert document["macs"] == macs
    (tmp_path / "my_network.py").write_text(
        "from torch import nn\ndef build():\n    return nn.Conv2d(1, 2, 3)\ndef number():\n    return 3\n"
        "def fails():\n    raise RuntimeError('no weights')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_network", raising=False)
    assert run(["--json", "audit", "params", "my_network:build", "--channels", "1", *size]) == 0
    assert json.loads(capsys.readouterr().out)["macs"] == 2 * 9 * 14 * 14
    for name, complaint in (
        ("my_network:number", "returned int, not a torch.nn.Module"),
        ("my_network:fails", "calling it failed: RuntimeError: no weights"),
        ("my_network:absent", "my_network has no 'absent'"),
        ("absent_package:build", "No module named 'absent_package'"),
        ("nonsense", "neither an architecture (unet, flat, chain, nafnet, restormer)"),
        (str(tmp_path / "absent.safetensors"), "cannot be read"),
    ):
        assert run(["audit", "params", name, *size]) == 1
        error = capsys.readouterr().err
        assert complaint in error and error.count("\n") == 1, error


@pytest.mark.slow
def test_the_page_shows_what_the_commands_print(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("spikingjelly", reason="spikingjelly is not installed (extra simulators)")
    page = (Path(__file__).parents[3] / "docs" / "guides" / "audit-params.md").read_text(encoding="utf-8")
    (tmp_path / "spiking.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "spiking", raising=False)
    blocks = [block.partition("```")[0] for block in page.split("```console\n$ ")[1:]]
    assert len(blocks) == 2
    for block in blocks:
        command, _, expected = block.partition("\n")
        assert run(command.removeprefix("PYTHONPATH=. ").split()[1:]) == 0
        assert capsys.readouterr().out.strip() == expected.strip()
