"""A target and a backend in one module: plain numpy, and the weights as a C header."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
from snn_tool.exporters.nir.file import read_program
from snn_tool.exporters.nir.program import IMAGE, ConvNode, GradedNode, LifNode

description = "plain numpy; weights and biases as a C header"
HALF = 1 << 23  # membranes and currents have 24 bits


def export(network: Path, folder: Path) -> None:
    lines = ["#include <stdint.h>"]
    for conv in read_program(network).convs:
        for name, values in (("weight", conv.weight), ("bias", conv.bias)):
            numbers = ", ".join(map(str, values.ravel().tolist()))
            lines.append(f"static const int32_t {conv.name}_{name}[{values.size}] = {{{numbers}}};")
    (folder / "network.h").write_text("\n".join(lines) + "\n")


def run(network: Path, tiles: np.ndarray) -> SimpleNamespace:
    program = read_program(network)
    spikes = {IMAGE: np.broadcast_to(tiles.astype(np.int64), (program.timesteps, *tiles.shape))}
    membranes = {}
    for population in program.populations:
        convs = [program.conv[name] for name in population.inputs]
        current = sum(convolved(conv, spikes[conv.source]) for conv in convs)
        bias = program.bias(population)[:, None, None]
        answer = graded if isinstance(population, GradedNode) else integrated
        spikes[population.name], membranes[population.name] = answer(population, current, bias)
    del spikes[IMAGE]
    return SimpleNamespace(readout=membranes[program.readout.name][-1], spikes=spikes, membranes=membranes)


def convolved(conv: ConvNode, frames: np.ndarray) -> np.ndarray:
    """[T, N, Ci, H, W] to [T, N, Co, H', W'], pixel-shuffled where the network asks for it."""
    wide = np.pad(frames, [(0, 0)] * 3 + [(conv.padding, conv.padding)] * 2)
    rows, columns = (size // conv.upsample for size in conv.output_size(*frames.shape[3:]))
    total = np.int64(0)
    for y, x in np.ndindex(*conv.weight.shape[2:]):
        seen = wide[:, :, :, y * conv.dilation :, x * conv.dilation :]
        seen = seen[:, :, :, :: conv.stride, :: conv.stride][:, :, :, :rows, :columns]
        total = total + np.einsum("oc,tnchw->tnohw", conv.weight[:, :, y, x], seen)
    total = (total + HALF) % (2 * HALF) - HALF
    steps, count, _, _, _ = total.shape
    split = total.reshape(steps, count, -1, conv.upsample, conv.upsample, rows, columns)
    merged = split.transpose(0, 1, 2, 5, 3, 6, 4)
    return merged.reshape(steps, count, -1, rows * conv.upsample, columns * conv.upsample)


def integrated(population, current, bias):
    """LIF, and the read-out, which neither leaks nor fires; membranes in 64ths of an LSB."""
    lif = isinstance(population, LifNode)
    kept = 4096 - (population.decay if lif else 0)
    threshold = 64 * population.threshold if lif else HALF
    drive = 64 * current
    drive = drive - 2 * HALF * (drive > HALF) + 2 * HALF * (drive <= -HALF)
    membrane, spikes, membranes = np.zeros_like(drive[0]), np.zeros_like(drive), np.zeros_like(drive)
    for step in range(len(drive)):
        left = np.sign(membrane) * (np.abs(membrane) * kept // 4096)
        membrane = np.clip(left + drive[step] + 64 * bias, 1 - HALF, HALF - 1)
        spikes[step] = membrane > threshold
        membrane = np.where(spikes[step], 0, membrane)
        membranes[step] = membrane
    return spikes, membranes


def graded(population, current, bias):
    """Round half away from zero to multiples of the threshold, at most `levels` of them."""
    membranes = np.clip(current + bias, 1 - HALF, HALF - 1)
    steps = (2 * np.abs(membranes) + population.threshold) // (2 * population.threshold)
    lowest = -population.levels if population.signed else 0
    return np.clip(np.sign(membranes) * steps, lowest, population.levels), membranes
