"""Every integer of the compiled C is the engine's, and the interpreter's, whatever kernel computes it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.exporters.c.target import expected_bytes
from snn_tool.exporters.nir.interpreter import run_program
from snn_tool.exporters.nir.program import Program
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.networks.open import open_integers
from snn_tool.networks.shipped import shipped_names, student_path

MakeNetwork = Callable[..., IntegerNetwork]
Build, ProgramOf, Image = Callable[..., Any], Callable[..., Program], NDArray[np.float32]
KINDS = [(n, b) for n in ("graded", "lif") for b in ("unet", "flat", "chain")]
KERNELS = {
    "plain C": ("-DSNN_KERNEL=0", "-DSNN_EVENTS_BELOW=0"),
    "plain C, events": ("-DSNN_KERNEL=0",),
    "vectors": ("-DSNN_PORTABLE",),
    "vectors, events": ("-DSNN_PORTABLE", "-DSNN_EVENTS_BELOW=1001"),
    "AVX2": ("-mavx2",),
    "AVX2, events": ("-mavx2", "-DSNN_EVENTS_BELOW=1001"),
}
ONE, QUICK = ("-O1", "-DSNN_SMALL"), ("-O0", "-DSNN_SMALL")


def has_avx2() -> bool:
    cpu = Path("/proc/cpuinfo")
    return cpu.is_file() and " avx2 " in cpu.read_text()


def tiles_of(network: IntegerNetwork, photograph: Image, height: int, width: int) -> NDArray[np.int16]:
    given = photograph[None, : network.topology.image_channels, :height, :width]
    return quantize_image(given, network)


def assert_exact(network: IntegerNetwork, built: Any, tiles: NDArray[np.int16]) -> Any:
    names = [population.wiring.name for population in network.populations]
    expected = IntegerEngine(network).run(tiles, names)
    readout, spikes, membranes = built(tiles)
    for name in names:
        np.testing.assert_array_equal(membranes[name], expected.membranes[name], name)
        if name != names[-1]:
            np.testing.assert_array_equal(spikes[name], expected.spikes[name], name)
    np.testing.assert_array_equal(readout, expected.readout)
    return expected


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_every_integer(
    make_network: MakeNetwork,
    program_of: ProgramOf,
    build_c: Build,
    photograph: Image,
    neuron: str,
    body: str,
) -> None:
    network = make_network(neuron, body)
    program, tiles = program_of(network, 20, 24), tiles_of(network, photograph, 20, 24)
    built = build_c(program, QUICK)
    expected = assert_exact(network, built, tiles)
    for name, spikes in list(expected.spikes.items())[:-1]:
        assert np.abs(spikes).mean() > 0.01, f"{name} is silent and proves nothing"
    interpreted = run_program(program, tiles.astype(np.int64))
    for name, membranes in built(tiles)[2].items():
        np.testing.assert_array_equal(membranes, interpreted.membranes[name], name)


@pytest.mark.slow
@pytest.mark.parametrize(("timesteps", "body"), [(1, "chain"), (3, "unet"), (9, "flat")])
def test_bits_of_any_number_of_timesteps(
    make_network: MakeNetwork,
    program_of: ProgramOf,
    build_c: Build,
    photograph: Image,
    timesteps: int,
    body: str,
) -> None:
    """Four pixels share a byte, two do, with two bits left, and nine steps take two planes."""
    network = replace(make_network("lif", body), timesteps=timesteps)
    tiles = tiles_of(network, photograph, 12, 14)
    assert_exact(network, build_c(program_of(network, 12, 14), QUICK), tiles)


@pytest.mark.slow
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_every_kernel(
    make_network: MakeNetwork,
    program_of: ProgramOf,
    build_c: Build,
    photograph: Image,
    kernel: str,
    neuron: str,
) -> None:
    """76 columns are a whole segment and a part; 6 channels are no multiple of 4."""
    if "AVX2" in kernel and not has_avx2():
        pytest.skip("this processor has no AVX2")
    network = make_network(neuron, "unet", 6)
    image = np.concatenate([photograph, photograph], axis=2)
    tiles = tiles_of(network, image, 8, 76)
    optimised = neuron == "graded" and "events" not in kernel  # half of the time goes to the optimiser
    flags = (*(ONE if optimised else QUICK), *KERNELS[kernel])
    assert_exact(network, build_c(program_of(network, 8, 76), flags), tiles)


@pytest.mark.slow
@pytest.mark.parametrize(("compiler", "neuron"), [("gcc", "lif"), ("clang", "graded")])
def test_sanitizers_have_nothing_to_say(
    make_network: MakeNetwork,
    program_of: ProgramOf,
    build_c: Build,
    photograph: Image,
    compiler: str,
    neuron: str,
) -> None:
    network = make_network(neuron, "unet", 6)
    flags = (*QUICK, "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    built = build_c(program_of(network, 8, 20), flags, compiler)
    assert_exact(network, built, tiles_of(network, photograph, 8, 20))


@pytest.mark.slow
@pytest.mark.parametrize("neuron", ["graded", "lif"])
def test_heights_from_one_unit_on(
    make_network: MakeNetwork, program_of: ProgramOf, build_c: Build, photograph: Image, neuron: str
) -> None:
    """One program runs images of any size: rings that fit one height fit all."""
    network = make_network(neuron)
    engine = IntegerEngine(network)
    built = build_c(program_of(network, 16, 16), QUICK, taps=False)
    for height, width in ((2, 2), (4, 10), (6, 2), (14, 20), (64, 4)):
        tiles = tiles_of(network, photograph, height, width)
        np.testing.assert_array_equal(built(tiles)[0], engine.run(tiles).readout, f"{height}x{width}")


@pytest.mark.slow
def test_odd_sizes_are_mirrored_up(
    make_network: MakeNetwork, program_of: ProgramOf, build_c: Build, photograph: Image
) -> None:
    """As `pad_to_multiple` does for `restore`: the mirrored image's read-out, without what was added."""
    network = make_network("graded")
    built = build_c(program_of(network, 16, 16), QUICK, taps=False)
    for height, width in ((7, 9), (1, 8), (3, 1), (1, 1)):
        tiles = tiles_of(network, photograph, height, width)
        widths = [(0, 0), (0, 0), (0, height % 2), (0, width % 2)]
        mirrored = np.pad(tiles, widths, mode="reflect" if min(height, width) > 1 else "edge")
        if height == 3:  # its rows can be mirrored, its single column is repeated
            mirrored = np.pad(
                np.pad(tiles, widths[:3] + [(0, 0)], mode="reflect"), [*[(0, 0)] * 3, (0, 1)], "edge"
            )
        expected = IntegerEngine(network).run(mirrored).readout[..., :height, :width]
        np.testing.assert_array_equal(built(tiles)[0], expected, f"{height}x{width}")


@pytest.mark.slow
def test_registers_that_wrap_and_clip(
    make_network: MakeNetwork, program_of: ProgramOf, build_c: Build, photograph: Image
) -> None:
    """Exponents so large that sums leave 24 bits and membranes reach their end."""
    network = make_network("lif", "chain")
    raised = [replace(s, exponent=11 if s.wiring.name == "head" else 4) for s in network.synapses]
    wild = replace(network, synapses=tuple(raised))
    program, tiles = program_of(wild, 16, 16), tiles_of(wild, photograph, 16, 16)
    expected = assert_exact(wild, build_c(program), tiles)
    assert max(int(np.abs(m).max()) for m in expected.membranes.values()) == (1 << 23) - 1


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_names())
def test_shipped_students(program_of: ProgramOf, build_c: Build, photograph: Image, name: str) -> None:
    network = open_integers(student_path(name)).network
    program, tiles = program_of(network, 24, 24), tiles_of(network, photograph, 24, 24)
    assert_exact(network, build_c(program, QUICK), tiles)


def test_expected_bytes_by_hand(make_network: MakeNetwork, program_of: ProgramOf) -> None:
    """A read-out of 2^k steps is a residual of 255 grey levels; halves go up, and ends are kept."""
    program = replace(
        program_of(make_network("graded"), 8, 8), residual_scale=2.0**-10, input_step=1, input_offset=128
    )
    readout = np.array([0, 1 << 10, -(1 << 10), 512, -512, 2, 3]).reshape(1, 1, 1, 7)
    grey = np.array([-28, -128, 127, -128, 127, -128, -128]).reshape(1, 1, 1, 7)
    found = expected_bytes(program, readout, grey)
    # 255 * 512 / 1024 = 127.5 -> 128; 255 - 127.5 -> 128; 2 * 255 / 1024 = 0.498; 0.747
    assert found.ravel().tolist() == [100, 255, 0, 128, 128, 0, 1]
