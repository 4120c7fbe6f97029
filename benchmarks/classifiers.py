"""Classifiers of three libraries on scikit-learn's digits: torch, integers, and what runs their export.

    python benchmarks/classifiers.py --out build/classifiers --backend nir --backend lava --backend c

A small convolutional network of snntorch (its default, a reset by subtraction, and a reset to zero), of
spikingjelly and of norse is trained for seconds on three quarters of the images, imported by `st.from_torch`,
fine-tuned on the same images, exported as a Loihi-style bundle and as C, and run on the whole test split by
every backend that is named. Nothing is chosen on that split.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import snn_tool as st
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from snn_tool.deploy.export import export_student
from snn_tool.deploy.finetune import finetune
from snn_tool.deploy.golden import GoldenOptions
from snn_tool.deploy.options import FinetuneOptions
from snn_tool.deploy.verify import open_export
from snn_tool.exporters.torch_modules.running import reset_states
from snn_tool.exporters.verify.running import Runner
from snn_tool.inputs.encoding import integers_of
from snn_tool.inputs.options import InputOptions
from snn_tool.models.integer.file import load_integer_network
from torch import nn
from torch.nn import functional

TIMESTEPS, BATCH = 8, 64


def chain(first: nn.Module, second: nn.Module, kind: type = nn.Sequential) -> nn.Module:
    """The same layers for every library: conv, BatchNorm, neurons, MaxPool, conv, neurons, linear."""
    return kind(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.BatchNorm2d(12),
        first,
        nn.MaxPool2d(2),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        second,
        nn.Flatten(),
        nn.Linear(24 * 4, 10),
    )


def of_snntorch(reset: str) -> nn.Module:
    """Leaky with one reset or the other."""
    import snntorch

    options: dict[str, Any] = {"beta": 0.8, "threshold": 0.5, "init_hidden": True, "reset_mechanism": reset}
    options |= {"reset_delay": False} if reset == "zero" else {}
    return chain(snntorch.Leaky(**options), snntorch.Leaky(**options))


def of_spikingjelly() -> nn.Module:
    """LIFNode with a reset to 0."""
    from spikingjelly.activation_based import neuron, surrogate

    def made() -> nn.Module:
        return neuron.LIFNode(
            tau=4.0, decay_input=False, v_threshold=0.5, v_reset=0.0, surrogate_function=surrogate.ATan()
        )

    return chain(made(), made())


def of_norse() -> nn.Module:
    """LIFBoxCell, without a synaptic current."""
    import norse.torch as norse

    def made() -> nn.Module:
        held = norse.LIFBoxParameters(tau_mem_inv=torch.tensor(200.0), v_th=torch.tensor(0.1), alpha=50.0)
        return norse.LIFBoxCell(held)

    return chain(made(), made(), norse.SequentialState)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "snntorch, reset by subtraction": lambda: of_snntorch("subtract"),
    "snntorch, reset to zero": lambda: of_snntorch("zero"),
    "spikingjelly": of_spikingjelly,
    "norse": of_norse,
}


def logits(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Mean output over the timesteps, from rest."""
    reset_states(network)
    state, total = None, torch.zeros(())
    for _ in range(TIMESTEPS):
        if hasattr(network, "stateful_layers"):
            output, state = network(images, state)
        else:
            output = network(images)
        total = total + output
    return total / TIMESTEPS


def trained(network: nn.Module, images: Any, labels: Any, steps: int) -> nn.Module:
    """Adam on cross-entropy."""
    optimizer, rng = torch.optim.Adam(network.parameters(), 3e-3), np.random.default_rng(0)
    for _ in range(steps):
        chosen = rng.integers(len(images), size=BATCH)
        found = logits(network, torch.from_numpy(images[chosen]))
        loss = functional.cross_entropy(found, torch.from_numpy(labels[chosen]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reset_states(network)
    return network.eval()


def on_backends(
    integers: Path, inputs: Path, folder: Path, backends: list[str], limit: int
) -> dict[str, Any]:
    """Accuracy of every backend on the test split, and read-outs that differ from the engine's."""
    data, (network, _) = np.load(inputs), load_integer_network(integers)
    golden = GoldenOptions(inputs=InputOptions(inputs))
    runners: dict[str, Runner] = {}
    for target in {"c" if name == "c" else "loihi" for name in backends}:
        export_student(integers, target, folder / target, golden, overwrite=True, verify=False)
        runners[target] = Runner(open_export(folder / target))
    tiles = integers_of(data["inputs"][None, : limit or None], network)
    expected = next(iter(runners.values())).engine.run(tiles).readout
    found: dict[str, Any] = {}
    for name in backends:
        runner = runners["c" if name == "c" else "loihi"]
        parts = [tiles[at : at + BATCH] for at in range(0, len(tiles), BATCH)]
        readout = np.concatenate([np.asarray(runner.trace(name, part, []).readout) for part in parts])
        right = readout.reshape(len(tiles), -1).argmax(axis=1) == data["labels"][: len(tiles)]
        differing = int((readout != expected).sum())
        found[name] = {"accuracy": float(right.mean()), "differing": differing, "of": int(expected.size)}
    return found


def main() -> None:
    """Train, import, fine-tune, run, and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/classifiers"))
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--tune", type=int, default=200, help="steps of finetune")
    parser.add_argument("--limit", type=int, default=0, help="test images that backends run; 0 for all")
    parser.add_argument("--backend", action="append", default=[])
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    split = train_test_split(images, digits.target, test_size=0.25, random_state=0)
    for name, (values, labels) in {"train": (split[0], split[2]), "test": (split[1], split[3])}.items():
        np.savez(asked.out / f"{name}.npz", inputs=values, labels=labels)
    results = {}
    for title, make in NETWORKS.items():
        torch.manual_seed(0)
        network = trained(make(), split[0], split[2], asked.steps)
        plain = asked.out / f"{title.replace(', ', '-').replace(' ', '-')}.int.safetensors"
        made = st.from_torch(network, asked.out / "test.npz", timesteps=TIMESTEPS, out=plain, overwrite=True)
        assert made.classes
        row: dict[str, Any] = {n: score.accuracy for n, score in made.classes.scores.items()}
        tuned = plain.with_name(plain.name.replace(".int.", "-tuned.int."))
        options = FinetuneOptions(made.nir, timesteps=TIMESTEPS, steps=asked.tune, overwrite=True)
        row["tuned_step"] = finetune(
            options, InputOptions(asked.out / "train.npz"), tuned, lambda items, _: items
        ).best_step
        row["backends"] = on_backends(
            tuned, asked.out / "test.npz", asked.out / "bundle", ["integer", *asked.backend], asked.limit
        )
        results[title] = row
        print(title, json.dumps(row), flush=True)
    (asked.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
