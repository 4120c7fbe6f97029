"""Classifiers of three libraries on scikit-learn's digits: torch, integers, and what runs their export.

    python benchmarks/classifiers.py --out build/classifiers --backend nir --backend lava --backend c

A small convolutional network of snntorch (its default, a reset by subtraction, and a reset to zero), of
spikingjelly and of norse is trained for seconds on three quarters of the images, imported by `st.from_torch`,
fine-tuned on the same images, exported as a Loihi-style bundle and as C, and run on the whole test split by
every backend that is named, every membrane and spike. Nothing is chosen on that split. Synops of some test
images are counted by `count_spikes`, by spikingjelly and by a loop over the spikes.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import snn_tool as st
import torch
from exactness import on_backends
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from snn_tool.deploy.finetune import finetune
from snn_tool.deploy.options import FinetuneOptions
from snn_tool.exporters.torch_modules.running import reset_states
from snn_tool.inputs.options import InputOptions
from snn_tool.inputs.samples import read_samples
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


def counted(network: nn.Module, images: Any) -> dict[str, int]:
    """Synops of the layers that read spikes, over all images and timesteps, by three counters."""
    from snn_tool.energy import count_spikes
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter

    shown, theirs = torch.from_numpy(images), SynOpCounter()
    with torch.no_grad():
        with count_spikes(network) as counter:
            logits(network, shown)
        with DispatchCounterMode([theirs]):
            logits(network, shown)
        looped = sum(by_hand(layer, spikes) for layer, spikes in arriving(network, shown))
    return {"snn-tool": counter.result().synops, "spikingjelly": int(theirs.get_total()), "loop": looped}


def arriving(network: nn.Module, images: torch.Tensor) -> list[tuple[Any, torch.Tensor]]:
    """Layers with weights and the spikes that each was given, step by step."""
    seen: list[tuple[Any, torch.Tensor]] = []
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    hooks = [
        part.register_forward_hook(lambda one, given, _: seen.append((one, given[0]))) for part in layers
    ]
    logits(network, images)
    for hook in hooks:
        hook.remove()
    return [(layer, given) for layer, given in seen if set(given.unique().tolist()) <= {0.0, 1.0}]


def by_hand(layer: Any, spikes: torch.Tensor) -> int:
    """Weights that a layer's spikes meet, one after the other: every tap that lands on an output."""
    if isinstance(layer, nn.Linear):
        return int(spikes.sum()) * layer.out_features
    sides = [
        (size + 2 * pad - taps) // step + 1
        for size, pad, taps, step in zip(
            spikes.shape[2:], layer.padding, layer.kernel_size, layer.stride, strict=True
        )
    ]
    met = 0
    for _, _, *place in spikes.nonzero().tolist():
        landed = 1
        for at, side, pad, taps, step in zip(
            place, sides, layer.padding, layer.kernel_size, layer.stride, strict=True
        ):
            reached = (at + pad - tap for tap in range(taps))
            landed *= sum(one % step == 0 and 0 <= one // step < side for one in reached)
        met += landed * layer.out_channels // layer.groups
    return met


def main() -> None:
    """Train, import, fine-tune, run, and write results.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/classifiers"))
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--tune", type=int, default=200, help="steps of finetune")
    parser.add_argument("--limit", type=int, default=0, help="test images that backends run; 0 for all")
    parser.add_argument("--count", type=int, default=20, help="test images whose synops are counted")
    parser.add_argument("--backend", action="append", default=[])
    parser.add_argument("--conv", default="stock", help="Lava's convolution, stock or blas")
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
        given, backends = (
            InputOptions(asked.out / "test.npz"),
            list(dict.fromkeys(["integer", *asked.backend])),
        )
        samples = read_samples(given, (1, 8, 8), None, TIMESTEPS, asked.limit)
        row["backends"] = on_backends(tuned, given, samples, asked.out / "exports", backends, asked.conv)
        row["synops"] = counted(network, split[1][: asked.count])
        results[title] = row
        print(title, json.dumps(row), flush=True)
    (asked.out / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
