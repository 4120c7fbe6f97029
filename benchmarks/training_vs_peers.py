"""A training step of one lif network with the neurons of several libraries: times and ratios.

    python benchmarks/training_vs_peers.py [--width 24] [--batch 4] [--patch 48] [--rounds 9]

The network, its convolutions, its weights and the batch are the same throughout: a U-Net whose convolutions
see all timesteps at once. Only its neurons change. That is in the peers' favour where they are used step by
step, and so is their fixed threshold; ours is trained. A step is forward, mean absolute error and backward,
without an optimiser. Before anything is timed, spikes and gradients are held against ours. Libraries take
turns, in an order that is reversed every round, on one thread; figures are medians over rounds.
"""

import argparse
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from snn_tool.models.config import LEAK_STEPS, StudentConfig, default_config
from snn_tool.models.network import Network
from snn_tool.models.neurons import SURROGATE_SLOPE
from snn_tool.models.student import build_student
from torch import Tensor, nn

OURS = "snn-tool"
Make = Callable[[float], nn.Module]


class Spike(torch.autograd.Function):
    """A step function at 0 with the arctan surrogate's gradient, as one writes it in plain torch."""

    @staticmethod
    def forward(ctx, scaled: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        """1 above 0."""
        ctx.save_for_backward(scaled)
        return (scaled > 0).to(scaled.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        """The gradient times a / 2 / (1 + (pi a x / 2)^2)."""
        (scaled,) = ctx.saved_tensors
        return gradient * (SURROGATE_SLOPE / 2) / (1 + (torch.pi / 2 * SURROGATE_SLOPE * scaled) ** 2)


class Steps(nn.Module):
    """A neuron that is given timesteps one by one, as `step(current, state) -> spikes, state`."""

    def __init__(self, step: Callable[[Tensor, object], tuple[Tensor, object]]) -> None:
        super().__init__()
        self._step = step

    def forward(self, current: Tensor) -> Tensor:
        """Spikes [T, N, C, H, W]."""
        state, spikes = None, []
        for each in current:
            fired, state = self._step(each, state)
            spikes.append(fired)
        return torch.stack(spikes)


def plain_torch(leak: float) -> nn.Module:
    """Autograd through separate steps."""

    def step(current: Tensor, state: object) -> tuple[Tensor, object]:
        membrane = current if state is None else (1 - leak) * state + current  # type: ignore[operator]
        spikes = Spike.apply(membrane - 1)
        return spikes, membrane * (1 - spikes.detach())

    return Steps(step)


def spikingjelly(leak: float) -> nn.Module:
    """Its layer for all steps at once."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    node = neuron.LIFNode(
        tau=1 / leak,
        decay_input=False,
        v_threshold=1.0,
        v_reset=0.0,
        surrogate_function=surrogate.ATan(alpha=SURROGATE_SLOPE),
        detach_reset=True,
        step_mode="m",
    )
    node.register_forward_pre_hook(lambda module, given: functional.reset_net(module))
    return node


def snntorch(leak: float) -> nn.Module:
    """Its leaky neuron, step by step; a reset is computed at the next step."""
    import snntorch
    from snntorch import surrogate

    slope = surrogate.atan(alpha=SURROGATE_SLOPE)
    leaky = snntorch.Leaky(beta=1 - leak, threshold=1.0, spike_grad=slope, reset_mechanism="zero")
    return Steps(lambda current, state: leaky(current, torch.zeros_like(current) if state is None else state))


def norse(leak: float) -> nn.Module:
    """Its box neuron, step by step; it has no arctan surrogate, and differentiates the reset."""
    from norse.torch import LIFBoxCell, LIFBoxParameters

    cell = LIFBoxCell(LIFBoxParameters(tau_mem_inv=torch.tensor(leak)), dt=1.0)
    return Steps(lambda current, state: cell(current * (1 / leak), state))


PEERS: dict[str, Make] = {
    "spikingjelly": spikingjelly,
    "snntorch": snntorch,
    "norse": norse,
    "plain torch": plain_torch,
}
OTHER_GRADIENT = ("norse",)
"""Libraries without our surrogate: spikes can be equal, gradients cannot."""
ROUNDING = 1e-4
"""Fraction of spikes that may differ in norse, which computes the same membrane in another order."""


@dataclass
class Runner:
    """One library's network, and what its steps took."""

    network: Network
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)

    def step(self, degraded: Tensor, clean: Tensor) -> None:
        """Forward and backward."""
        self.network.zero_grad(set_to_none=True)
        (self.network(degraded) - clean).abs().mean().backward()

    def timed_step(self, degraded: Tensor, clean: Tensor) -> None:
        """The same, with what it takes."""
        cpu, wall = time.process_time(), time.perf_counter()
        self.step(degraded, clean)
        self.cpu_s.append(time.process_time() - cpu)
        self.wall_s.append(time.perf_counter() - wall)


def with_neurons(ours: Network, make: Make, config: StudentConfig) -> Network:
    """The same network and weights with other neurons."""
    network = build_student(config)
    network.load_state_dict(ours.state_dict())
    for name in network.neurons:
        network.neurons[name] = make(config.leak / LEAK_STEPS)
    return network


def spikes_of(network: Network, image: Tensor) -> dict[str, Tensor]:
    """The spikes of every population, as booleans."""
    found: dict[str, Tensor] = {}
    hooks = [
        neuron.register_forward_hook(
            lambda module, given, spikes, name=name: found.__setitem__(name, spikes.detach() > 0)
        )
        for name, neuron in network.neurons.items()
    ]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return found


def check(name: str, ours: Runner, peer: Runner, degraded: Tensor, clean: Tensor) -> tuple[float, float]:
    """The fraction of spikes that differ, and the largest difference of a weight's gradient, of its largest.

    Raises:
        SystemExit: it is another network.
    """
    expected, found = (spikes_of(runner.network, degraded) for runner in (ours, peer))
    rates = [float(spikes.float().mean()) for spikes in expected.values()]
    different = sum(int((expected[k] != found[k]).sum()) for k in expected)
    fraction = different / sum(spikes.numel() for spikes in expected.values())
    if not 0.01 < min(rates) or fraction > (ROUNDING if name in OTHER_GRADIENT else 0):
        raise SystemExit(
            f"{name}: {different} spikes differ; rates from {min(rates):.4f} to {max(rates):.4f}"
        )
    ours.step(degraded, clean)
    peer.step(degraded, clean)
    apart = max(
        float((mine.raw_weight.grad - theirs.raw_weight.grad).abs().max() / mine.raw_weight.grad.abs().max())
        for mine, theirs in zip(ours.network.synapses.values(), peer.network.synapses.values(), strict=True)
    )
    if name not in OTHER_GRADIENT and apart > 1e-4:
        raise SystemExit(f"{name}: gradients differ by {apart:.1e} of the largest")
    return fraction, apart


def active(config: StudentConfig, image: Tensor) -> Network:
    """An untrained network whose populations all spike: each threshold's currents are scaled to it."""
    network = build_student(config)
    for name in network.neurons:
        scale = next(s for s in network.topology.populations if s.name == name).inputs
        with torch.no_grad():
            while float(spikes_of(network, image)[name].float().mean()) < 0.05:
                for synapse in scale:
                    network.synapses[synapse].raw_weight.mul_(1.5)
    return network


def measure(config: StudentConfig, batch: int, patch: int, rounds: int) -> dict[str, Runner]:
    """Check and time all libraries; what was found is printed."""
    torch.manual_seed(0)
    clean = torch.rand(batch, 3, patch, patch)
    degraded = clean + 0.1 * torch.randn_like(clean)
    runners = {OURS: Runner(active(config, degraded))}
    for name, make in PEERS.items():
        runners[name] = Runner(with_neurons(runners[OURS].network, make, config))
        fraction, apart = check(name, runners[OURS], runners[name], degraded, clean)
        print(f"{name}: {fraction:.1e} of the spikes differ, gradients by {apart:.1e} of the largest")
    order = list(runners.values())
    for number in range(rounds):
        for runner in order if number % 2 else reversed(order):
            runner.timed_step(degraded, clean)
    return runners


def table(runners: dict[str, Runner]) -> str:
    """Medians in ms, and the median of the ratios within a round."""
    lines = ["| neurons of | CPU ms | least | wall ms | CPU time, times ours |", "|---|---|---|---|---|"]
    ours = runners[OURS].cpu_s
    for name, runner in runners.items():
        ratio = statistics.median(peer / own for peer, own in zip(runner.cpu_s, ours, strict=True))
        version = importlib.metadata.version("torch" if name == "plain torch" else name)
        lines.append(
            f"| {name} {version} | {1e3 * statistics.median(runner.cpu_s):.0f} | "
            f"{1e3 * min(runner.cpu_s):.0f} | {1e3 * statistics.median(runner.wall_s):.0f} | {ratio:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure with the sizes of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    for name, default in (("width", 24), ("batch", 4), ("patch", 48), ("timesteps", 4), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(1)
    base = default_config("lif", "unet")
    config = StudentConfig(
        base.body, "lif", given.width, timesteps=given.timesteps, input_step=base.input_step
    )
    runners = measure(config, given.batch, given.patch, given.rounds)
    print(f"\n{platform.machine()}, torch {torch.__version__} with {torch.backends.cpu.get_cpu_capability()}")
    print(table(runners))


if __name__ == "__main__":
    main()
