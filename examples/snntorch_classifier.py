# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A classifier of snntorch in a Loihi-class chip's integers
# A small spiking network learns the handwritten digits of scikit-learn (8x8 pixels, ten classes) in
# snntorch, is exported to NIR by snntorch itself, and becomes 8-bit weights with integer thresholds. What
# counts is the accuracy before and after, and that an independent implementation of the exported file gets
# the same integers.
#
# Needs snntorch: `pip install snntorch`.

# %%
import subprocess
import sys
from pathlib import Path

import nir
import numpy as np
import snntorch
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.file import load_integer_network
from snntorch import utils
from snntorch.export_nir import export_to_nir
from torch import nn

STEPS = 600
TIMESTEPS = 8
EXPECTED = 32  # images whose recorded outputs the import is held against
digits = load_digits()
images = (digits.images / 16).astype(np.float32)[:, None]  # [N, 1, 8, 8] in [0, 1]
trained_on, tested_on, labels, truth = train_test_split(images, digits.target, test_size=0.25, random_state=0)


# %% [markdown]
# Two spiking convolutions and a linear read-out, whose mean over the timesteps are the logits. The neurons
# reset to zero: NIR knows no reset by subtraction, snntorch's default, and would not carry it.


# %%
def leaky(shape: tuple[int, ...], beta: float, threshold: float) -> snntorch.Leaky:
    return snntorch.Leaky(
        beta=torch.full(shape, beta),
        threshold=torch.full(shape, threshold),
        reset_mechanism="zero",
        reset_delay=False,
        init_hidden=True,
    )


torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 12, 3, padding=1),
    leaky((12, 8, 8), 0.8, 0.5),
    nn.Conv2d(12, 24, 3, stride=2, padding=1),
    leaky((24, 4, 4), 0.8, 0.5),
    nn.Flatten(),
    nn.Linear(24 * 16, 10),
)


def logits(shown: np.ndarray) -> torch.Tensor:
    utils.reset(network)
    batch = torch.from_numpy(shown)
    return torch.stack([network(batch) for _ in range(TIMESTEPS)]).mean(0)


# %%
optimizer = torch.optim.Adam(network.parameters(), 2e-3)
rng = np.random.default_rng(0)
for _ in range(STEPS):
    chosen = rng.integers(len(trained_on), size=64)
    loss = nn.functional.cross_entropy(logits(trained_on[chosen]), torch.from_numpy(labels[chosen]))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    floats = logits(tested_on).numpy()
before = float((floats.argmax(1) == truth).mean())

# %% [markdown]
# NIR, and with it what the network itself gave for some test images, so that the import can say whether the
# file still is the network.

# %%
utils.reset(network)
nir.write("digits.nir", export_to_nir(network, torch.from_numpy(tested_on[:1]), ignore_dims=[0]))
np.savez("digits-expected.npz", inputs=tested_on[:EXPECTED], outputs=floats[:EXPECTED])


def snn_tool(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "snn_tool", "-q", *map(str, words)], check=True)


integers = Path("digits.int.safetensors")
snn_tool(
    *("import", "digits.nir", "--expect", "digits-expected.npz"),
    *("--timesteps", TIMESTEPS, "--out", integers, "--overwrite"),
)

# %% [markdown]
# The integers on all test images. The logits are the read-out's membrane; its scale does not change the
# largest.

# %%
stored, _ = load_integer_network(integers)
engine = IntegerEngine(stored)
readout = np.concatenate(
    [
        engine.run(quantize_image(part, stored), []).readout
        for part in np.array_split(tested_on, max(1, len(tested_on) // 64))
    ]
)
after = float((readout.reshape(len(tested_on), -1).argmax(1) == truth).mean())
print(f"accuracy on {len(truth)} test digits: snntorch {before:.2%}, integers {after:.2%}")

# %% [markdown]
# A Loihi-style bundle, and the proof: an interpreter of the file that shares no code with the engine gets
# the same spikes and membranes.

# %%
snn_tool(
    "export", integers, "--target", "loihi", "--size", 8, "--no-verify", "--out", "digits", "--overwrite"
)
snn_tool("verify", "digits", "--backend", "integer", "--backend", "nir")
