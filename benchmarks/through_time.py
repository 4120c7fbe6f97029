"""Two classifiers whose inputs change with time, from training to integers on every backend.

    python benchmarks/moving_digits.py --out build/moving-digits
    python benchmarks/through_time.py events --recordings build/moving-digits --backend nir --backend lava
    python benchmarks/through_time.py rows --backend nir --backend lava

`events` is a convolutional network of snntorch on recordings of a *simulated* event camera
(`moving_digits.py`), ten windows of 10,000 microseconds. `rows` is a recurrent network in plain torch that
reads scikit-learn's 8x8 digits row by row, eight timesteps; spikes come back **one timestep later**, in the
first one none do. Its neurons reset to zero in the step of their spike, as those of `events` do.

Each is trained on three quarters of the digits, written as a NIR file, imported with what it gave
recorded, exported, and run on the whole test split by every backend that is named. `events` is fine-tuned on
its training recordings; recurrent networks are not. Steps and leak of both were set after a look at earlier
results on the test split, so that the accuracies are examples and no claims.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import torch
from exactness import on_backends
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from snn_tool.auditing.nir import run_nir_energy
from snn_tool.auditing.options import NirEnergyOptions
from snn_tool.deploy.finetune import finetune
from snn_tool.deploy.import_nir import import_network
from snn_tool.deploy.options import FinetuneOptions, ImportOptions
from snn_tool.exporters.torch_modules.graph import graph_of
from snn_tool.exporters.torch_modules.running import reset_states
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import Samples, read_samples
from torch import Tensor, nn
from torch.nn import functional

BATCH = 64
DT_S = 1e-4


@dataclass(frozen=True)
class Task:
    """A network and its inputs.

    Attributes:
        shape: of the network's input in one timestep.
        timesteps: T.
        network: makes it; takes inputs [T, N, *shape] and gives outputs [T, N, 10].
        graph: its NIR graph.
        tunes: whether `finetune` takes it.
    """

    shape: tuple[int, ...]
    timesteps: int
    network: Callable[[], nn.Module]
    graph: Callable[[Any], nir.NIRGraph]
    tunes: bool


class Stepped(nn.Module):
    """A chain of snntorch, step by step from rest."""

    def __init__(self, chain: nn.Module) -> None:
        super().__init__()
        self.chain = chain

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [T, N, 10] of inputs [T, N, *shape]."""
        reset_states(self.chain)
        return torch.stack([self.chain(step) for step in inputs])


def of_events() -> nn.Module:
    """Two convolutions of stride 2 and Leaky neurons with a reset to zero, on 2x16x16."""
    import snntorch

    def leaky() -> nn.Module:
        return snntorch.Leaky(
            beta=0.7, threshold=0.5, init_hidden=True, reset_mechanism="zero", reset_delay=False
        )

    return Stepped(
        nn.Sequential(
            *(nn.Conv2d(2, 12, 3, stride=2, padding=1), leaky()),
            *(nn.Conv2d(12, 24, 3, stride=2, padding=1), leaky()),
            *(nn.Flatten(), nn.Linear(24 * 16, 10)),
        )
    )


class Fires(torch.autograd.Function):
    """1 above 0; the gradient is that of arctan(pi x) / pi."""

    @staticmethod
    def forward(ctx: Any, over: Tensor) -> Tensor:
        """Spikes of membranes less their threshold."""
        ctx.save_for_backward(over)
        return (over > 0).to(over.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """By the surrogate."""
        (over,) = ctx.saved_tensors
        return gradient / (1 + (torch.pi * over) ** 2)


class Recurrent(nn.Module):
    """v = 0.9 v + W x + b + R s, s of the timestep before; s = 1 where v > 1, which sets v to 0."""

    DECAY = 0.1

    def __init__(self, inputs: int = 8, hidden: int = 64) -> None:
        super().__init__()
        self.into, self.back = nn.Linear(inputs, hidden), nn.Linear(hidden, hidden, bias=False)
        self.out = nn.Linear(hidden, 10)
        nn.init.normal_(self.back.weight, std=0.1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs [T, N, 10] of inputs [T, N, 8], from rest."""
        membrane = spikes = inputs.new_zeros(inputs.shape[1], self.back.in_features)
        outputs = []
        for step in inputs:
            membrane = (1 - self.DECAY) * membrane + self.into(step) + self.back(spikes)
            spikes = Fires.apply(membrane - 1)
            membrane = membrane * (1 - spikes)
            outputs.append(self.out(spikes))
        return torch.stack(outputs)

    def graph(self) -> nir.NIRGraph:
        """The same equations, in steps of `DT_S`; the loop's edges say that it is one."""

        def of(tensor: Tensor) -> Any:
            return tensor.detach().double().numpy()

        every = np.ones(self.back.in_features)
        tau = every * DT_S / self.DECAY
        nodes = {
            "input": nir.Input(np.array([self.into.in_features])),
            "into": nir.Affine(of(self.into.weight), of(self.into.bias)),
            "back": nir.Linear(of(self.back.weight)),
            "hidden": nir.LIF(tau, every / self.DECAY, 0 * every, every, v_reset=0 * every),
            "out": nir.Affine(of(self.out.weight), of(self.out.bias)),
            "output": nir.Output(np.array([10])),
        }
        edges = ["input into", "into hidden", "hidden back", "back hidden", "hidden out", "out output"]
        return nir.NIRGraph(nodes, [tuple(edge.split()) for edge in edges], type_check=False)


TASKS = {
    "events": Task(
        (2, 16, 16), 10, of_events, lambda net: graph_of(net.chain, "events", (2, 16, 16)).graph, True
    ),
    "rows": Task((8,), 8, Recurrent, Recurrent.graph, False),
}


def write_rows(out: Path, limit: int) -> None:
    """Rows [T = 8, N, 8] of digits in [0, 1], with labels, as out/train.npz and out/test.npz."""
    digits = load_digits()
    rows = np.moveaxis((digits.images / 16).astype(np.float32), 1, 0)
    chosen = train_test_split(np.arange(rows.shape[1]), test_size=0.25, random_state=0)
    for part, index in zip(("train", "test"), chosen, strict=True):
        kept = index[: limit or None]
        np.savez(out / f"{part}.npz", inputs=rows[:, kept], labels=digits.target[kept])


def trained(network: nn.Module, samples: Samples, steps: int, seed: int) -> nn.Module:
    """Adam on the cross-entropy of the outputs' mean over time."""
    assert samples.labels is not None
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    rng, labels = np.random.default_rng(seed), torch.from_numpy(samples.labels.index)
    for _ in range(steps):
        chosen = rng.integers(len(samples), size=BATCH)
        outputs = network(torch.from_numpy(samples.values[:, chosen].astype(np.float32)))
        loss = functional.cross_entropy(outputs.mean(dim=0), labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def recorded(network: nn.Module, samples: Samples, path: Path) -> None:
    """What the network gives for all samples, for `import --expect`."""
    with torch.no_grad():
        np.savez(path, outputs=network(torch.from_numpy(samples.values.astype(np.float32))).numpy())


def run(task: Task, inputs: dict[str, InputOptions], asked: argparse.Namespace) -> dict[str, Any]:
    """Everything, in the folder asked.out."""
    out: Path = asked.out
    size = (task.shape, task.timesteps, task.timesteps)
    train, test = (read_samples(inputs[part], *size) for part in ("train", "test"))
    torch.manual_seed(asked.seed)
    network = trained(task.network(), train, asked.steps, asked.seed)
    nir.write(out / "net.nir", task.graph(network))
    recorded(network, test, out / "expected.npz")
    plain = out / "net.int.safetensors"
    options = ImportOptions(out / "net.nir", timesteps=task.timesteps, expect=out / "expected.npz")
    made = import_network(options, inputs["test"], plain, True, lambda items, _: items)
    assert made.classes
    row: dict[str, Any] = {name: score.accuracy for name, score in made.classes.scores.items()}
    row["spikes_differing_from_float"] = {
        one.population: one.differing / one.neuron_steps for one in made.comparison.spikes
    }
    kept = plain
    if task.tunes:
        kept = out / "tuned.int.safetensors"
        tuning = FinetuneOptions(
            out / "net.nir", timesteps=task.timesteps, steps=asked.tune, seed=asked.seed, overwrite=True
        )
        row["tuned_step"] = finetune(tuning, inputs["train"], kept, lambda items, _: items).best_step
    backends = list(dict.fromkeys(["integer", *asked.backend]))
    row["backends"] = on_backends(kept, inputs["test"], test, out / "exports", backends, asked.conv)
    energy = NirEnergyOptions(out / "net.nir", timesteps=task.timesteps, limit=asked.count)
    counted = run_nir_energy(energy, inputs["test"], None, False, lambda items, _: items)
    row["mean_of_a_sample"] = {
        name: float(np.mean([image.count.total(name) for image in counted.images]))
        for name in ("spikes", "synops_events", "exact_macs")
    }
    return row


def main() -> None:
    """Run one task and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("--recordings", type=Path, default=Path("build/moving-digits"))
    parser.add_argument("--out", type=Path, default=Path("build/through-time"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--tune", type=int, default=100, help="steps of finetune")
    parser.add_argument("--seed", type=int, default=0, help="of weights, batches and what finetune holds out")
    parser.add_argument("--limit", type=int, default=0, help="rows: digits of each part; 0 for all")
    parser.add_argument("--count", type=int, default=50, help="test samples whose operations are counted")
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--conv", default="stock", help="Lava's convolution, stock or blas")
    asked = parser.parse_args()
    asked.out = asked.out / asked.task
    asked.out.mkdir(parents=True, exist_ok=True)
    if asked.task == "rows":
        write_rows(asked.out, asked.limit)
        inputs = {part: InputOptions(asked.out / f"{part}.npz") for part in ("train", "test")}
    else:
        inputs = {part: InputOptions(asked.recordings / part, window_us=10_000) for part in ("train", "test")}
    made = run(TASKS[asked.task], inputs, asked)
    (asked.out / "results.json").write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(made, indent=2))


if __name__ == "__main__":
    main()
