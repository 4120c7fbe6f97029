"""Cuts do not show: by a filter whose radius is known, and by students of every kind."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.images.tiling import pad_to_multiple, restore_tiled
from snn_tool.models.bodies import flat, unet
from snn_tool.models.config import StudentConfig
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.topology import Topology

Image = NDArray[np.float32]
MakeNetwork = Callable[..., IntegerNetwork]
MakeStudent = Callable[..., tuple[Network, StudentConfig]]
KINDS = [(neuron, body) for neuron in ("graded", "lif") for body in ("unet", "flat", "chain")]
SIZES = ((37, 53), (1, 1), (3, 200))
RADIUS = 3


def box_sum(batch: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums over squares of side 2 RADIUS + 1, zeros outside: each output sees RADIUS pixels around it."""
    padded = np.pad(batch, [(0, 0), (0, 0), (RADIUS, RADIUS), (RADIUS, RADIUS)])
    side = 2 * RADIUS + 1
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), (2, 3)).sum(axis=(-1, -2))


def numbers(height: int, width: int) -> NDArray[np.int64]:
    return np.random.default_rng(0).integers(0, 1000, (1, 3, height, width))


@pytest.mark.parametrize("tile", [2, 4, 10, 64])
@pytest.mark.parametrize("size", [(38, 54), (2, 2), (4, 200)])
def test_a_filter_of_known_radius_shows_no_cut(size: tuple[int, int], tile: int) -> None:
    image = numbers(*size)
    np.testing.assert_array_equal(restore_tiled(box_sum, image, tile, halo=4, multiple=2), box_sum(image))


def test_a_halo_below_the_radius_shows() -> None:
    image = numbers(16, 16)
    assert (restore_tiled(box_sum, image, 4, halo=2, multiple=2) != box_sum(image)).any()


def test_every_tile_fits_the_grid_and_the_memory() -> None:
    seen: list[tuple[int, ...]] = []

    def watch(batch: NDArray[np.int64]) -> NDArray[np.int64]:
        seen.append(batch.shape)
        return batch

    image = numbers(37, 53)
    np.testing.assert_array_equal(restore_tiled(watch, image, 16, halo=8, multiple=4), image)
    assert len(seen) == 3 * 4
    assert all(shape[axis] % 4 == 0 and shape[axis] <= 16 + 2 * 8 for shape in seen for axis in (2, 3))


def test_odd_edges_are_mirrored() -> None:
    row = np.array([[[[1, 2, 3, 4, 5]]]])
    assert pad_to_multiple(row, 4)[0, 0].tolist() == [[1, 2, 3, 4, 5, 4, 3, 2]] * 4
    assert pad_to_multiple(row.transpose(0, 1, 3, 2), 4)[0, 0, :, 0].tolist() == [1, 2, 3, 4, 5, 4, 3, 2]
    assert pad_to_multiple(np.array([[[[7, 8]]]]), 8)[0, 0, 0].tolist() == [7] + [8] * 7
    assert pad_to_multiple(row, 1) is row


@pytest.mark.parametrize("tile", [0, -8, 1, 7])
def test_a_tile_off_the_grid_is_refused(tile: int) -> None:
    with pytest.raises(ConfigError, match=f"^--tile {tile}: use a positive multiple of 2$"):
        restore_tiled(box_sum, numbers(8, 8), tile, halo=4, multiple=2)


def halo_of(topology: Topology) -> int:
    return -(-topology.receptive_radius // topology.multiple) * topology.multiple


def noisy_parts(photograph: Image) -> list[Image]:
    """Parts of a photograph, [1, 3, h, w]; the long one is the photograph's rows side by side."""
    rows = np.concatenate([photograph[:, top : top + 3] for top in (0, 20, 40, 60)], axis=2)
    parts = [photograph[:, :37, :53], photograph[:, :1, :1], rows[:, :, :200]]
    assert [part.shape[1:] for part in parts] == list(SIZES)
    return [np.ascontiguousarray(part[None]) for part in parts]


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_integer_students_do_not_depend_on_the_tile(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str
) -> None:
    """Bit for bit; the largest tile is the whole image, so that nothing is cut."""
    network = make_network(neuron, body)
    engine, topology = IntegerEngine(network), network.topology
    for image in noisy_parts(photograph):
        whole, *cut = (
            restore_tiled(
                lambda batch: restore_integers(engine, batch),
                image,
                tile,
                halo_of(topology),
                topology.multiple,
            )
            for tile in (1024, 8, 14, 32)
        )
        assert whole.shape == image.shape
        assert (whole != image).any()
        for tiled in cut:
            np.testing.assert_array_equal(tiled, whole)


@pytest.mark.slow
@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_float_students_depend_on_the_tile_by_rounding_only(
    make_student: MakeStudent, photograph: Image, neuron: str, body: str
) -> None:
    student, _ = make_student(neuron, body)

    def run(batch: Image) -> Image:
        with torch.inference_mode():
            return student(torch.from_numpy(batch)).numpy()

    for image in noisy_parts(photograph):
        whole, *cut = (
            restore_tiled(run, image, tile, halo_of(student.topology), student.topology.multiple)
            for tile in (1024, 8, 14, 32)
        )
        for tiled in cut:
            assert np.abs(tiled - whole).max() < 1e-5


def test_radii_by_hand() -> None:
    """Flat: head 2, two convolutions of each dilation 1, 2, 4, 2, tail 1.

    U-Net: head 2, two convolutions 1 + 1, stride 2 with 1 and a shift of 2, two of 1 coarse pixel of 2, the
    shuffle's shift of 1, two convolutions 1 + 1, tail 1.
    """
    assert flat().receptive_radius == 2 + 2 * (1 + 2 + 4 + 2) + 1
    assert unet().receptive_radius == 2 + 2 + (1 + 2) + 2 * 2 + 1 + 2 + 1


@pytest.mark.parametrize(("neuron", "body"), KINDS)
def test_the_radius_is_a_tight_bound(
    make_network: MakeNetwork, photograph: Image, neuron: str, body: str
) -> None:
    """One changed pixel never shows beyond the radius; a changed half plane shows within 4 pixels of it."""
    network = make_network(neuron, body)
    engine, radius = IntegerEngine(network), network.topology.receptive_radius
    before = restore_integers(engine, photograph[None])
    for row, column in ((30, 30), (31, 31), (30, 31)):
        changed = photograph.copy()
        changed[:, row, column] = 1 - np.round(changed[:, row, column])
        rows, columns = np.nonzero((restore_integers(engine, changed[None]) != before).any(axis=(0, 1)))
        assert rows.size > 1
        assert np.abs(rows - row).max() <= radius and np.abs(columns - column).max() <= radius
    reached = 0
    for seed in range(3):
        for edge in (32, 33):
            changed = photograph.copy()
            changed[:, :, :edge] = np.random.default_rng(seed).random((3, 64, edge))
            columns = np.nonzero((restore_integers(engine, changed[None]) != before).any(axis=(0, 1, 2)))[0]
            reached = max(reached, int(columns.max()) - (edge - 1))
    assert radius - 4 <= reached <= radius
