"""Time of the C target, of WebAssembly, of the integer engine and of onnxruntime: one thread, one run.

    .venv/bin/python benchmarks/c_engine.py [STUDENT ..] [--size 256] [--repeats 5] [--cc gcc]

Processor time, the least of the repetitions, so that others who run on the machine count little; read-outs of
every implementation in integers are compared before a time is printed. onnxruntime's float file is that of
an untrained student of the same shape, because a student in integers has no float weights; its time does not
depend on them. WebAssembly is the module of `--target wasm` in node, its taps switched off. A second table
is one convolution, dense and from its nonzero inputs alone, at several densities, and where the two cross.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from snn_tool.exporters.c.plan import Plan, make_plan
from snn_tool.exporters.c.source import conv_text, network_files
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.onnx.float import STUDENT, float_model
from snn_tool.exporters.onnx.integer import integer_model
from snn_tool.exporters.onnx.student import Form, readout_name
from snn_tool.exporters.wasm.compiler import need_wasm_compiler
from snn_tool.exporters.wasm.target import write_module
from snn_tool.models.config import default_config
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.student import build_student
from snn_tool.models.teachers.onnx import onnx_runtime
from snn_tool.networks.open import open_integers
from snn_tool.networks.shipped import student_path

KERNELS = {
    "C, -O2": ("-O2",),
    "C, -O3 -march=native, no AVX2 kernel": ("-O3", "-march=native", "-DSNN_PORTABLE"),
    "C, -O3 -march=native": ("-O3", "-march=native"),
}
PORTABLE, WASM = "C, -O2", "WebAssembly, node"
DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
WHOLE = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "snn.h"
int main(int count, char **words)
{
    const int32_t width = atoi(words[1]), height = atoi(words[2]);
    const size_t bytes = BENCH_BUFFER_BYTES(width);
    int16_t *image = malloc(sizeof *image * (size_t)(width * height * BENCH_CHANNELS));
    int32_t *out = malloc(sizeof *out * (size_t)(width * height * BENCH_OUT_CHANNELS));
    void *buffer = malloc(bytes);
    bench_state state;
    int32_t row, made;
    clock_t begun;
    (void)count;
    if (!fread(image, sizeof *image, (size_t)(width * height * BENCH_CHANNELS), stdin))
        return 1;
    begun = clock();
    bench_init(&state, buffer, bytes, width);
    for (row = made = 0; row <= height; row++) {
        if (row < height)
            bench_push_integers(&state, image + row * width * BENCH_CHANNELS);
        else
            bench_finish(&state);
        while (bench_pop(&state, NULL, out + made * width * BENCH_OUT_CHANNELS))
            made++;
    }
    fprintf(stderr, "%.6f", (double)(clock() - begun) / CLOCKS_PER_SEC);
    return !fwrite(out, sizeof *out, (size_t)(width * height * BENCH_OUT_CHANNELS), stdout);
}
"""
LAYER = """
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "layer.c"
static uint8_t bytes[3][(SNN_SEGMENT + 16) * 64];
static int32_t sums[(SNN_SEGMENT + SNN_BLOCK) * 64];
static int16_t narrow[SNN_SEGMENT * 64];
int main(int count, char **words)
{
    const double density = atof(words[1]);
    const uint8_t *rows[3] = {bytes[0], bytes[1], bytes[2]};
    const int32_t zero = SNN_ZERO(LAYER_ZERO);
    double best = 1e9;
    long i, round;
    (void)count;
    srand(1);
    for (i = 0; i < (long)sizeof bytes[0] * 3; i++) {
        const int spike = rand() < density * RAND_MAX ? (LAYER_ZERO ? rand() % 2 * 2 - 1 : 1) : 0;
        bytes[i % 3][i / 3] = (uint8_t)(spike + zero);
    }
    for (round = 0; round < 9; round++) {
        const clock_t begun = clock();
        double taken;
        for (i = 0; i < 200; i++) {
            snn_begin(&LAYER, zero, SNN_SEGMENT, sums);
            snn_convolve(&LAYER, rows, LAYER.inputs, zero, SNN_SEGMENT, sums, narrow);
            __asm__ volatile("" ::: "memory");
        }
        taken = (double)(clock() - begun) / CLOCKS_PER_SEC / 200;
        best = taken < best ? taken : best;
    }
    printf("%.3f", best * 1e9 / SNN_SEGMENT);
    return 0;
}
"""
NODE = """
import { readFileSync, writeSync } from "node:fs";
import { about, load } from "./snn.js";
const [width, height, repeats] = process.argv.slice(2).map(Number);
const network = await load(), raw = readFileSync(0), values = width * about.channels;
const integers = new Int16Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.length));
const out = new Int32Array(width * height * about.outChannels);
let best = Infinity;
for (let round = 0; round < repeats + 3; round++) {
  let done = 0;
  const put = (y) =>
    new Int16Array(network.wasm.memory.buffer, network.places.row, values)
      .set(integers.subarray(y * values, (y + 1) * values));
  const begun = process.cpuUsage();
  network.stream(width, height, 0, put, "push_integers", ({ readout }) => {
    out.set(readout, done);
    done += readout.length;
  });
  const { user, system } = process.cpuUsage(begun);
  best = Math.min(best, (user + system) / 1e6);
}
process.stderr.write(String(best));
const bytes = Buffer.from(out.buffer);
for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
"""


def least_s(run: Callable[[], Any], repeats: int) -> tuple[float, Any]:
    """The least processor time of some calls after one that is not counted, and what the last returned."""
    result, times = run(), []
    for _ in range(repeats):
        begun = time.process_time()
        result = run()
        times.append(time.process_time() - begun)
    return min(times), result


def compiled(folder: Path, compiler: str, flags: tuple[str, ...], source: str, sources: list[str]) -> Path:
    """A program of the folder's network and one more source."""
    (folder / "bench.c").write_text(source)
    words = [compiler, "-std=gnu99", *flags, "-o", folder / "bench", folder / "bench.c"]
    subprocess.run([*words, *(folder / name for name in sources)], check=True)
    return folder / "bench"


def time_c(program: Path, image: NDArray[np.int16], repeats: int) -> tuple[float, NDArray[np.int32]]:
    """Seconds for an image [1, C, H, W], and the read-out."""
    _, channels, height, width = image.shape
    given = np.ascontiguousarray(image[0].transpose(1, 2, 0)).tobytes()
    best = float("inf")
    for _ in range(repeats):
        ended = subprocess.run(
            [program, str(width), str(height)], input=given, capture_output=True, check=True
        )
        best = min(best, float(ended.stderr))
    readout = np.frombuffer(ended.stdout, np.int32).reshape(height, width, -1)
    return best, readout.transpose(2, 0, 1)[None]


def onnx_session(model: Any) -> Any:
    """A file in onnxruntime on one thread."""
    runtime = onnx_runtime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return runtime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def time_wasm(plan: Plan, folder: Path, image: NDArray[np.int16], repeats: int) -> tuple[float, Any]:
    """The same of `--target wasm` in node, which has compiled its code for good after some images."""
    write_module(plan, need_wasm_compiler(), folder)
    (folder / "bench.mjs").write_text(NODE)
    _, _, height, width = image.shape
    given = np.ascontiguousarray(image[0].transpose(1, 2, 0)).tobytes()
    words = ["node", "bench.mjs", str(width), str(height), str(repeats)]
    ended = subprocess.run(words, cwd=folder, input=given, capture_output=True, check=True)
    readout = np.frombuffer(ended.stdout, np.int32).reshape(height, width, -1)
    return float(ended.stderr), readout.transpose(2, 0, 1)[None]


def time_whole(
    network: IntegerNetwork, photograph: NDArray[np.float32], folder: Path, options: argparse.Namespace
) -> dict[str, float]:
    """Seconds by implementation."""
    image, repeats = quantize_image(photograph, network), options.repeats
    engine = IntegerEngine(network)
    seconds = {}
    seconds["integer engine, torch"], trace = least_s(lambda: engine.run(image), repeats)
    plan = planned(network, engine, image, folder)
    for name, text in network_files(plan, "bench").items():
        (folder / name).write_text(text)
    for name, flags in KERNELS.items():
        program = compiled(folder, options.cc, flags, WHOLE, ["snn.c"])
        seconds[name], readout = time_c(program, image, repeats)
        assert np.array_equal(readout, trace.readout), f"{name} differs"
    seconds[WASM], readout = time_wasm(plan, folder, image, repeats)
    assert np.array_equal(readout, trace.readout), f"{WASM} differs"
    seconds |= time_onnx(network, photograph, trace.readout, repeats)
    return seconds


def planned(network: IntegerNetwork, engine: IntegerEngine, image: NDArray[np.int16], folder: Path) -> Plan:
    """As an export lays it out: it measures the shares of nonzero spikes on its golden tiles."""
    names = [population.wiring.name for population in network.populations[:-1]]
    spikes = engine.run(image[..., :64, :64], names).spikes
    shares = {name: float(np.count_nonzero(spikes[name])) / spikes[name].size for name in names}
    # C runs images of any size; a file for a large one holds every neuron of it.
    write_nir(folder / "network.nir", to_nir(network, 32, 32))
    return make_plan(read_program(folder / "network.nir"), shares)


def time_onnx(
    network: IntegerNetwork, photograph: NDArray[np.float32], expected: NDArray[np.int32], repeats: int
) -> dict[str, float]:
    """Seconds of onnxruntime."""
    form = Form(network.timesteps)
    session = onnx_session(integer_model(network, form, {}))
    wanted = [readout_name(network.topology, form)]
    seconds = {}
    seconds["onnxruntime, integers"], found = least_s(
        lambda: session.run(wanted, {"image": photograph}), repeats
    )
    assert np.array_equal(found[0], expected), "onnxruntime differs"
    config = replace(default_config(network.neuron), width=network.populations[0].wiring.channels)
    floats = onnx_session(float_model(build_student(config, network.topology), form, STUDENT, {}))
    seconds["onnxruntime, float32"], _ = least_s(lambda: floats.run(None, {"image": photograph}), repeats)
    return seconds


def time_layer(plan: Plan, folder: Path, compiler: str, layer: str) -> dict[str, list[float]]:
    """Nanoseconds per output pixel of one convolution, by kernel, dense and event-driven, at each density."""
    conv = next(conv for conv in plan.convs if conv.name == layer)
    (folder / "layer.c").write_text(f'#include "snn_runtime.h"\n{conv_text(conv, "bench")}\n')
    found = {}
    for name, flags in KERNELS.items():
        for events in (0, 1):
            macros = (
                f"-DLAYER=conv_{layer}",
                f"-DLAYER_ZERO={conv.source.zero}",
                f"-DBENCH_EVENTS_{layer.upper()}={events}",
            )
            program = compiled(folder, compiler, (*flags, *macros), LAYER, [])
            found[f"{name}, {'events' if events else 'dense'}"] = [
                float(subprocess.run([program, str(density)], capture_output=True, check=True).stdout)
                for density in DENSITIES
            ]
    return found


def measure(student: str, options: argparse.Namespace) -> None:
    """Print both tables of a student."""
    network = open_integers(student_path(student)).network
    clean = data.astronaut()[: options.size, : options.size].transpose(2, 0, 1)[None] / 255
    noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        seconds = time_whole(network, (clean + noise).astype(np.float32), folder, options)
        plan = make_plan(read_program(folder / "network.nir"), {})
        layer = time_layer(plan, folder, options.cc, options.layer)
    reference = seconds["integer engine, torch"]
    print(f"{student}, {options.size}x{options.size}, one thread, processor time")
    for name, taken in seconds.items():
        print(f"{name:40} {1e3 * taken:8.1f} ms {taken / reference:6.2f}")
    print(f"{WASM}: {seconds[WASM] / seconds[PORTABLE]:.2f} times {PORTABLE}")
    print(f"\n{options.layer}, ns per output pixel at densities {DENSITIES}")
    for name, times in layer.items():
        print(f"{name:48}", *(f"{taken:8.1f}" for taken in times), flush=True)
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("students", nargs="*", default=["denoise-25", "denoise-25-lif"])
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cc", default="gcc")
    parser.add_argument("--layer", default="enc_conv1")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for student in options.students:
        measure(student, options)


if __name__ == "__main__":
    main()
