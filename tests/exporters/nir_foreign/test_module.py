"""NIR files of snntorch and spikingjelly spike as in the library that wrote them; single nodes as by hand."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import snntorch
import torch
from snn_tool.errors import ArtifactError, ConfigError, UnsupportedLayerError
from snn_tool.exporters.nir_foreign.module import NirModule, load_nir_module
from snntorch.export_nir import export_to_nir as export_snntorch
from spikingjelly.activation_based import neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir as export_spikingjelly
from torch import Tensor, nn

STEPS = 8


def of_snntorch(path: Path) -> nn.Module:
    def leaky(kind: Any, shape: tuple[int, ...], **decays: float) -> nn.Module:
        filled = {name: torch.full(shape, value) for name, value in decays.items()}
        options = {"reset_mechanism": "zero", "reset_delay": False, "init_hidden": True}
        made: nn.Module = kind(**filled, threshold=torch.full(shape, 0.25), **options)
        return made

    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        leaky(snntorch.Leaky, (4, 4, 4), beta=0.75),
        nn.Flatten(),
        nn.Linear(64, 10, bias=False),
        leaky(snntorch.Synaptic, (10,), alpha=0.5, beta=0.75),
    )
    nir.write(path, export_snntorch(network, torch.rand(1, 3, 8, 8), ignore_dims=[0]))
    for part in network:
        if isinstance(part, snntorch.SpikingNeuron):
            part.reset_mem()
    return network


def of_spikingjelly(path: Path) -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        neuron.LIFNode(tau=4.0, decay_input=False, v_threshold=0.5, v_reset=-0.125),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, bias=False),
        neuron.IFNode(v_threshold=0.25),
        nn.Flatten(),
        nn.Linear(24, 8),
        neuron.CUBALIFNode(0.5, 0.25, v_threshold=0.1),
    )
    nir.write(path, export_spikingjelly(network, torch.rand(1, 3, 8, 8)))
    for part in network:
        if isinstance(part, neuron.BaseNode):
            part.reset()
    return network


def spikes_of(module: nn.Module, kinds: tuple[str, ...], image: Tensor) -> list[Tensor]:
    """[T, ...] of every neuron, in the order of execution."""
    seen: dict[str, list[Tensor]] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, __: Any, out: Any) -> None:
            seen.setdefault(name, []).append((out[0] if isinstance(out, tuple) else out).clone())

        return hook

    for name, part in module.named_modules():
        if type(part).__name__ in kinds:
            part.register_forward_hook(note(name))
    with torch.no_grad():
        for _ in range(STEPS):
            module(image)
    return [torch.stack(steps) for steps in seen.values()]


LIBRARY = ("Leaky", "Synaptic", "LIFNode", "IFNode", "CUBALIFNode")


@pytest.mark.parametrize("made", [of_snntorch, of_spikingjelly])
def test_a_file_spikes_as_the_library_that_wrote_it(
    made: Callable[[Path], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    library = made(tmp_path / "a.nir")
    image = torch.rand(1, 3, 8, 8) * 2
    expected = spikes_of(library, LIBRARY, image)
    module = load_nir_module(tmp_path / "a.nir")
    found = spikes_of(module, ("NirSpiking",), image.double())
    assert len(found) == len(expected) >= 2
    for mine, theirs in zip(found, expected, strict=True):
        assert 0 < theirs.sum() < theirs.numel()
        assert torch.equal(mine, theirs.double())


def graph(*nodes: Any, shape: tuple[int, ...], edges: Any = None) -> nir.NIRGraph:
    """A chain of nodes n0, n1, ... between input and output, or other edges."""
    named = {f"n{i}": node for i, node in enumerate(nodes)}
    chain = ["input", *named, "output"]
    named |= {"input": nir.Input(np.array(shape)), "output": nir.Output(np.array(shape))}
    return nir.NIRGraph(named, edges or list(zip(chain, chain[1:], strict=False)), type_check=False)


def outputs(made: nir.NIRGraph, values: list[float], dt_s: float) -> list[float]:
    module = NirModule(made, "a.nir", dt_s)
    return [float(module(torch.tensor([[value]], dtype=torch.float64))) for value in values]


def one(value: float) -> Any:
    return np.array([value])


def test_traces_of_single_neurons_by_hand() -> None:
    values = [1.0, 1.0, 1.0, 0.0]
    # v += 0.5 * 2 * x: 1, 2, 3, 3
    assert outputs(graph(nir.I(one(2)), shape=(1,)), values, 0.5) == [1, 2, 3, 3]
    # v += 0.5 / 1 * (1 - v + 2 x) from the rest at 1: 2, 2.5, 2.75, 1.875
    assert outputs(graph(nir.LI(one(1), one(2), one(1)), shape=(1,)), values, 0.5) == [2, 2.5, 2.75, 1.875]
    # v += 0.5 * 2 * x, threshold 2, strictly: 1, 2 (does not fire), 3 fires and becomes 1, then 1
    assert outputs(graph(nir.IF(one(2), one(2), one(1)), shape=(1,)), [1, 0, 1, 0], 0.5) == [0, 0, 1, 0]


def test_a_cuba_lif_by_hand() -> None:
    """i += 0.5 (2 x - i); v += 0.25 (4 i - v): i = 1, 1.5, 0.75; v = 1, 2.25 fires, then 0.75."""
    parameters = (one(1), one(2), one(4), one(0), one(2), one(0), one(2))
    made = graph(nir.CubaLIF(*parameters), shape=(1,))
    module = NirModule(made, "a.nir", 0.5)
    seen = []
    for value in (1.0, 1.0, 0.0):
        fired = module(torch.tensor([[value]], dtype=torch.float64))
        part = module.neurons["n0"]
        assert part.syn is not None and part.v is not None
        seen.append((float(part.syn), float(fired), float(part.v)))
    assert seen == [(1.0, 0.0, 1.0), (1.5, 1.0, 0.0), (0.75, 0.0, 0.75)]


def test_layers_agree_with_loops() -> None:
    """Conv1d in groups, Flatten, Scale, and two edges that add up; SumPool2d against its sums."""
    rng = np.random.default_rng(0)
    weight, bias = rng.normal(size=(4, 1, 3)), rng.normal(size=4)
    scale = rng.normal(size=20)
    nodes = (
        nir.Conv1d(5, weight, 1, "same", 1, 2, bias),
        nir.Flatten({"input": np.array([4, 5])}, 0, -1),
        nir.Scale(scale),
    )
    edges = [("input", "n0"), ("n0", "n1"), ("n1", "n2"), ("n1", "output"), ("n2", "output")]
    x = rng.normal(size=(2, 5))
    padded = np.pad(x, ((0, 0), (1, 1)))
    flat = np.array(
        [(padded[c // 2, i : i + 3] * weight[c, 0]).sum() + bias[c] for c in range(4) for i in range(5)]
    )
    found = NirModule(graph(*nodes, shape=(2, 5), edges=edges), "a.nir")(torch.from_numpy(x)[None])
    np.testing.assert_allclose(found[0], flat + flat * scale, rtol=1e-12)
    image = rng.normal(size=(1, 4, 6))
    pool = nir.SumPool2d(np.array([2, 3]), np.array([2, 3]), np.array([0, 0]))
    sums = NirModule(graph(pool, shape=(1, 4, 6)), "a.nir")(torch.from_numpy(image)[None])
    np.testing.assert_allclose(sums[0, 0], image[0].reshape(2, 2, 2, 3).sum(axis=(1, 3)), rtol=1e-12)


def test_what_cannot_be_run_is_named() -> None:
    lif = nir.LIF(one(1e-3), one(1), one(0), one(1))
    with pytest.raises(UnsupportedLayerError, match=r"a.nir: n0: Delay is not supported"):
        NirModule(graph(nir.Delay(one(1)), shape=(1,)), "a.nir")
    loop = [("input", "n0"), ("n0", "n1"), ("n1", "n0"), ("n0", "output")]
    with pytest.raises(UnsupportedLayerError, match=r"a.nir: n0: a loop through 2 populations \(n0, n1\)"):
        NirModule(graph(lif, lif, shape=(1,), edges=loop), "a.nir")
    with pytest.raises(ConfigError, match=r"n0: tau = 0.001 s is below the timestep of 0.01 s; give --dt"):
        NirModule(graph(lif, shape=(1,)), "a.nir", 0.01)
    with pytest.raises(ArtifactError, match=r"n0: cannot take \[3\]"):
        NirModule(graph(nir.Linear(np.eye(2)), shape=(3,)), "a.nir")(torch.zeros(1, 3, dtype=torch.float64))
    with pytest.raises(ArtifactError, match=r"n0: r has shape \[2\], but \[3\] arrives"):
        NirModule(graph(nir.I(np.ones(2)), shape=(3,)), "a.nir")(torch.zeros(1, 3, dtype=torch.float64))


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.nir"
    nir.write(path, graph(nir.I(np.ones(3)), shape=(3,)))
    whole = path.read_bytes()
    for size in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ArtifactError, match=r"a\.nir: [^\n]+write it again") as raised:
            load_nir_module(path)
        assert "\n" not in str(raised.value)
    with pytest.raises(ArtifactError, match="no such file"):
        load_nir_module(tmp_path / "none.nir")
