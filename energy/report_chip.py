"""A cross-check on SANA-FE's Loihi, as a report shows it beside its own models."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChipPart:
    """One component of the chip.

    Attributes:
        name: `synapse`, `dendrite`, `soma` or `network`.
        energy_pj: by SANA-FE, mean per tile.
        per_synop_pj: the same over the tile's synops; None if there was none.
        model_per_synop_pj: the same items by this report's `loihi1-sanafe`, over the synops of its own
            images, relays included, without the layers on the image and without static power; None likewise.
    """

    name: str
    energy_pj: float
    per_synop_pj: float | None
    model_per_synop_pj: float | None


@dataclass(frozen=True, slots=True)
class ChipCheck:
    """Small tiles of the same student on a simulated Loihi: whether the counts are exact, and what it costs.

    Attributes:
        architecture: name of SANA-FE's file of constants.
        versions: of SANA-FE and of its Python.
        tiles, height, width: how many, and their sides in pixels.
        timesteps, steps: T, and the steps that a single image takes on the chip.
        passed: integers, synops and spikes are all exact.
        values_compared, mismatches: membranes, spikes and read-outs against the golden integers.
        synops, exact_synops: in all tiles, by SANA-FE and by this package, relays included.
        spikes, exact_spikes: likewise.
        energy_pj: mean per tile.
        idle_access_pj: the part of it that images in a row would share.
        per_synop_pj, model_per_synop_pj: as in `ChipPart`, over all parts.
        parts: that sum to the energy.
        image_macs: of a tile's layers on the image, for which SANA-FE charges nothing.
        excluded: costs that the figures leave out.
    """

    architecture: str
    versions: Mapping[str, str]
    tiles: int
    height: int
    width: int
    timesteps: int
    steps: int
    passed: bool
    values_compared: int
    mismatches: int
    synops: int
    exact_synops: int
    spikes: int
    exact_spikes: int
    energy_pj: float
    idle_access_pj: float
    per_synop_pj: float | None
    model_per_synop_pj: float | None
    parts: tuple[ChipPart, ...]
    image_macs: int
    excluded: tuple[str, ...]
