"""Networks that run more than once on an image: what the next pass reads, and that tiles do not show it."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.exporters.nir.passes import next_tiles
from snn_tool.images.tiling import restore_tiled
from snn_tool.models.bodies import unet
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, quantize_image, restore_integers, run_passes
from snn_tool.models.integer.file import load_integer_network, save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.integer.passes import next_inputs
from snn_tool.models.integer.quantize import quantize
from snn_tool.models.network import Network, as_pixels
from snn_tool.models.student import build_student, build_topology, save_student
from snn_tool.networks.open import open_integers
from snn_tool.networks.running import RestoringStudent
from snn_tool.training.runs import read_initial

Image = NDArray[np.float32]
MakeNetwork = Callable[..., IntegerNetwork]
MakeStudent = Callable[..., tuple[Network, StudentConfig]]
NEURONS = ("graded", "lif")


def held(exponent: int, timesteps: int, step: int, offset: int, adds_image: bool) -> Any:
    """Both descriptions of a network, as far as a step from pass to pass looks at them."""
    return SimpleNamespace(
        residual_scale=2.0**exponent / timesteps,
        timesteps=timesteps,
        input_step=step,
        input_offset=offset,
        adds_image=adds_image,
        image_channels=1,
        passes=2,
    )


@pytest.mark.slow
@settings(deadline=None, max_examples=200)
@given(
    st.integers(-262, 30),
    st.integers(1, 64),
    st.integers(1, 16),
    st.sampled_from([0, 128]),
    st.booleans(),
    st.lists(st.integers(-(1 << 23) + 1, (1 << 23) - 1), min_size=1, max_size=6),
    st.integers(0, 255),
)
def test_the_next_input_is_the_rounded_result(
    exponent: int, timesteps: int, step: int, offset: int, adds: bool, membranes: list[int], level: int
) -> None:
    """In fractions, by the formula alone; engine and interpreter each have their own way to it."""
    network = held(exponent, timesteps, step, offset, adds)
    image = (level - offset) // step
    readout = np.array(membranes, np.int64).reshape(1, 1, 1, -1)
    inputs = np.full((1, 2, 1, len(membranes)), image, np.int16)
    base = image * step + offset if adds else 0
    expected = []
    for membrane in membranes:
        grey = base + 255 * Fraction(membrane) * Fraction(2) ** exponent / timesteps
        pixel = min(max(floor(grey + Fraction(1, 2)), 0), 255)
        expected.append(floor(Fraction(pixel - offset, step) + Fraction(1, 2)))
    for found in (next_inputs(inputs, readout, network), next_tiles(network, inputs, readout)):
        assert found[0, 1, 0].tolist() == expected
        assert (found[:, :1] == inputs[:, :1]).all()


def test_halves_round_up_and_pixels_end_at_black_and_white() -> None:
    """At 2^-9 per unit: 255 r / 512 grey levels, so that r = 256 is 127.5."""
    network = held(-9, 1, 1, 128, True)
    readout = np.array([256, -256, 255, 10_000, -10_000]).reshape(1, 1, 1, -1)
    inputs = np.zeros((1, 2, 1, 5), np.int16)  # grey level 128
    # 128 + 127.5 = 255.5 is clamped; 128 - 127.5 = 0.5 rounds to 1; 128 + 127.002 = 255.002
    assert (next_inputs(inputs, readout, network)[0, 1, 0] + 128).tolist() == [255, 1, 255, 255, 0]
    coarse = held(-9, 1, 4, 128, True)
    # 130 lies between 128 and 132, and goes up; so does 126, to 128
    for pixel, expected in ((130, 1), (126, 0), (129, 0), (125, -1)):
        residual = np.array(round((pixel - 128) * 512 / 255)).reshape(1, 1, 1, 1)
        assert next_inputs(np.zeros((1, 2, 1, 1), np.int16), residual, coarse)[0, 1, 0, 0] == expected


@pytest.mark.slow
@pytest.mark.parametrize("neuron", NEURONS)
def test_two_passes_are_two_runs_of_one_network(
    make_network: MakeNetwork, photograph: Image, neuron: str
) -> None:
    network = make_network(neuron, passes=2)
    engine, crop = IntegerEngine(network), photograph[None, :, :16, :24]
    image = quantize_image(crop, network)
    first = engine.run(np.concatenate([image, image], 1)).readout
    grey = image * network.input_step + 128 + 255 * network.residual_scale * first
    pixel = np.clip(np.floor(grey + 0.5), 0, 255)
    again = np.floor((pixel - 128) / network.input_step + 0.5).astype(np.int16)
    assert not np.array_equal(again, image), "a pass that changes nothing proves nothing"
    second = engine.run(np.concatenate([image, again], 1)).readout
    assert not np.array_equal(second, first)
    restored = (image * network.input_step + 128) / 255 + network.residual_scale * second
    np.testing.assert_array_equal(restore_integers(engine, crop), restored)
    assert [trace.readout.tolist() for _, trace in run_passes(engine, image)] == [
        first.tolist(),
        second.tolist(),
    ]


@pytest.mark.slow
def test_tiles_do_not_show(make_network: MakeNetwork, photograph: Image) -> None:
    """The second pass reads a result that reaches a radius further: a halo of one radius is too small."""
    network = make_network("graded", "chain", passes=2)
    engine, topology = IntegerEngine(network), network.topology
    assert topology.receptive_radius == 2 * topology.pass_radius
    student = RestoringStudent(None, topology, lambda b: restore_integers(engine, b).astype(np.float32))  # type: ignore[arg-type]
    image = np.pad(photograph, [(0, 0), (0, 0), (0, 32)], mode="reflect").transpose(1, 2, 0)
    whole = student.restore(image, 512)
    np.testing.assert_array_equal(student.restore(image, 16), whole)
    batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None])
    short = restore_tiled(student.restore_batch, batch, 16, topology.pass_radius, 1)
    assert not np.array_equal(short[0].transpose(1, 2, 0), whole)


@pytest.mark.parametrize("neuron", NEURONS)
def test_a_float_student_reads_its_result_in_8_bits(
    make_student: MakeStudent, photograph: Image, neuron: str
) -> None:
    student, _ = make_student(neuron, passes=2)
    image = torch.from_numpy(photograph[None])
    with torch.no_grad():
        first, _ = student.run_pass(image, torch.cat([image, image], 1))
        pixels = (first.clamp(0, 1) * 255 + 0.5).floor() / 255
        second, _ = student.run_pass(image, torch.cat([image, pixels], 1))
        assert torch.equal(student(image), second)


def test_gradients_reach_the_first_pass_through_the_rounding(
    make_student: MakeStudent, photograph: Image
) -> None:
    values = torch.tensor([-0.1, 0.2, 0.7, 1.3], requires_grad=True)
    as_pixels(values).sum().backward()
    assert values.grad is not None and values.grad.tolist() == [0, 1, 1, 0]
    student, _ = make_student("graded", passes=2)
    image = torch.from_numpy(photograph[None, :, :16, :16])
    first, _ = student.run_pass(image, torch.cat([image, image], 1))
    first.retain_grad()
    second, _ = student.run_pass(image, torch.cat([image, as_pixels(first)], 1))
    second.square().sum().backward()
    assert first.grad is not None and float(first.grad.abs().sum()) > 0


def test_files_say_passes_where_there_are_several(make_network: MakeNetwork, tmp_path: Path) -> None:
    for passes in (1, 2):
        path = tmp_path / f"{passes}.int.safetensors"
        save_integer_network(path, make_network("graded", passes=passes), {})
        assert ('"passes"' in path.with_suffix(".json").read_text()) == (passes > 1)
        assert load_integer_network(path)[0].passes == passes
    edited = (tmp_path / "2.int.json").read_text().replace('"passes": 2', '"passes": 3')
    (tmp_path / "2.int.json").write_text(edited)
    with pytest.raises(ArtifactError, match="was changed"):
        load_integer_network(tmp_path / "2.int.safetensors")
    assert open_integers("denoise-25").network.passes == 1


def test_a_wiring_must_fit_its_passes() -> None:
    with pytest.raises(ConfigError, match="with a read-out of 3 channels it has 6, not 3"):
        replace(unet(4), passes=2)
    with pytest.raises(ConfigError, match="passes = 4 is not allowed"):
        StudentConfig(passes=4)
    two = build_topology(StudentConfig(passes=2))
    assert (two.input_channels, two.image_channels, two.restores, two.parameters) == (6, 3, True, 81_708)
    with pytest.raises(ConfigError, match="read-out of the image's size and channels"):
        replace(two, passes=1)


def test_a_student_that_goes_on_with_another_pass_starts_as_it_was(
    make_student: MakeStudent, photograph: Image, tmp_path: Path
) -> None:
    path, (one, config) = tmp_path / "student.safetensors", make_student("graded")
    save_student(path, one, config, {})
    wanted = replace(config, passes=2)
    two = build_student(wanted)
    two.load_state_dict(read_initial(path, wanted).weights)
    image = torch.from_numpy(photograph[None, :, :16, :24])
    first, second = quantize(one, config, []), quantize(two, wanted, [])
    with torch.no_grad():
        assert torch.equal(two(image), one(image))
    engines = IntegerEngine(first), IntegerEngine(second)
    np.testing.assert_array_equal(*(restore_integers(engine, image.numpy()) for engine in engines))
    save_student(path, two, wanted, {})
    assert read_initial(path, replace(wanted, passes=3)).weights.keys() == two.state_dict().keys()
    with pytest.raises(ConfigError, match="passes is 2, not 1"):
        read_initial(path, config)
