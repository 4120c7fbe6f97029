"""Networks that are ready to restore images of any size: a student in tiles, a teacher on whole images."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from snn_tool.degradations.pairs import unit_range
from snn_tool.errors import ConfigError
from snn_tool.images.files import Pixels
from snn_tool.images.metrics import to_uint8
from snn_tool.images.tiling import pad_to_multiple, restore_tiled, through_channels
from snn_tool.models.integer.engine import IntegerEngine, restore_integers
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.models.network import Network
from snn_tool.models.topology import Topology
from snn_tool.networks.open import (
    FloatStudent,
    IntegerStudent,
    Opened,
    OpenedTeacher,
    Provenance,
    channels_of,
)
from torch import nn

LOGGER = logging.getLogger("snn_tool")
Batch = NDArray[np.float32]


CROP = "crop the images to sides that it can take"
FINITE = "give other weights, or leave out images that hold NaN"


@dataclass(frozen=True, slots=True, eq=False)
class RestoringStudent:
    """A student, ready to restore.

    Attributes:
        provenance: where it is from.
        topology: its wiring.
        restore_batch: float32 [N, C, h, w] with sides that are multiples of the topology's `multiple`.
    """

    provenance: Provenance
    topology: Topology
    restore_batch: Callable[[Batch], Batch]

    @classmethod
    def of(cls, opened: IntegerStudent | FloatStudent) -> "RestoringStudent":
        """Make an opened student ready to restore.

        Raises:
            ConfigError: an imported network that restores no image.
        """
        network = opened.network
        if not network.topology.restores:
            raise ConfigError(
                f"{opened.provenance.path}: restores no image of any size; 'export' and 'verify' take it"
            )
        run = _by_integers(network) if isinstance(network, IntegerNetwork) else _by_floats(network)
        return cls(opened.provenance, network.topology, run)

    def restore(self, image: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
        """A restored image [H, W, 3] or [H, W, 1] of any size, in tiles of at most `tile` pixels, unseen.

        The halo is the receptive radius rounded up to the coarsest grid, so that an integer student gives the
        same bits, and a float student the same values up to rounding, however the image is cut.
        """
        return self._tiled(self._through, image, tile)

    def restore_8_bits(self, image: NDArray[np.float32] | Pixels, tile: int) -> Pixels:
        """As `restore`, rounded to uint8 tile by tile; takes uint8, too, and a fraction of the memory."""

        def run(batch: NDArray[Any]) -> Pixels:
            values = unit_range(batch) if batch.dtype == np.uint8 else batch
            return to_uint8(self._through(values)[0])[None]

        return self._tiled(run, image, tile)

    @property
    def channels(self) -> int:
        """3 of a student for colour, 1 of one for grey."""
        return self.topology.image_channels

    def _through(self, batch: Batch) -> Batch:
        return through_channels(self.restore_batch, batch, self.channels)

    def _tiled(
        self, run: Callable[[NDArray[Any]], NDArray[Any]], image: NDArray[Any], tile: int
    ) -> NDArray[Any]:
        multiple = self.topology.multiple
        halo = -(-self.topology.receptive_radius // multiple) * multiple
        restored = restore_tiled(run, image.transpose(2, 0, 1)[None], tile, halo, multiple)
        return np.asarray(restored[0].transpose(1, 2, 0))


def _by_integers(network: IntegerNetwork) -> Callable[[Batch], Batch]:
    engine = IntegerEngine(network)
    return lambda batch: restore_integers(engine, batch).astype(np.float32)


def _by_floats(network: Network) -> Callable[[Batch], Batch]:
    def run(batch: Batch) -> Batch:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(batch)).numpy(), dtype=np.float32)

    return run


@dataclass(frozen=True, slots=True, eq=False)
class RestoringTeacher:
    """A teacher, ready to restore.

    Attributes:
        provenance: where it is from.
        network: frozen, with `forward_features`.
    """

    provenance: Provenance
    network: nn.Module

    @classmethod
    def of(cls, opened: OpenedTeacher) -> "RestoringTeacher":
        """Make an opened teacher ready to restore."""
        return cls(opened.provenance, opened.network)

    @property
    def channels(self) -> int:
        """3 of a teacher for colour, 1 of one for grey."""
        return channels_of(self.network)

    @property
    def parameters(self) -> int:
        """Trainable values; 0 for a graph of ONNX."""
        return sum(parameter.numel() for parameter in self.network.parameters())

    def restore(self, image: NDArray[np.float32], tile: int) -> NDArray[np.float32]:
        """A restored image [H, W, 3] or [H, W, 1] of any size.

        It is never cut into tiles: attention and pooled statistics, as NAFNet and Restormer have, depend on
        the whole image, so that cuts would show.

        Args:
            image: [H, W, 3] or [H, W, 1] in [0, 1].
            tile: not used; a student's `restore` takes it.

        Raises:
            TeacherError: it fails, or gives NaN or another shape.
        """
        batch = np.ascontiguousarray(image.transpose(2, 0, 1)[None], dtype=np.float32)
        padded = pad_to_multiple(batch, int(getattr(self.network, "multiple", 1)))
        output = through_channels(self._run, padded, self.channels)[0, :, : image.shape[0], : image.shape[1]]
        return np.ascontiguousarray(output.transpose(1, 2, 0))

    def restore_8_bits(self, image: NDArray[np.float32], tile: int) -> Pixels:
        """As `restore`, rounded to uint8."""
        return to_uint8(self.restore(image, tile))

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        from snn_tool.models.teachers.probe import check_finite, check_restored, run_teacher  # imports onnx

        given = torch.from_numpy(batch)
        restored, _ = run_teacher(self.network, given, CROP)
        check_restored(restored, given)
        check_finite(restored, {}, remedy=FINITE)
        output: NDArray[np.float32] = restored.float().numpy()
        return output


Restorer = RestoringStudent | RestoringTeacher


def restorer_of(opened: Opened) -> Restorer:
    """Make a network of any kind ready to restore.

    Raises:
        ConfigError: an imported network that restores no image.
    """
    return RestoringTeacher.of(opened) if isinstance(opened, OpenedTeacher) else RestoringStudent.of(opened)
