"""What a report says about chips: what readings fill, what registers hold, and a measurement."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChipRow:
    """The student on one kind of chip, by one reading of a chip model.

    Attributes:
        model: row of the grid.
        reading: its name; `deployed` as there.
        chip: which one.
        cores, chips: filled at least, on the image that fills most.
        static_w: of all these chips, watts.
        steps: timesteps of one image.
        time_ms: mean from one image to the next in a stream without gaps, milliseconds.
        frames_per_s: its inverse.
        energy_mj: mean of the reading's energy, millijoules.
        static_share: of it.
        lacks: why the chip cannot run it so; empty if it can.
        needs: what must be built around it, if the chip can run it at all.
    """

    model: str
    reading: str
    deployed: bool
    chip: str
    cores: int
    chips: int
    static_w: float
    steps: int
    time_ms: float
    frames_per_s: float
    energy_mj: float
    static_share: float
    lacks: tuple[str, ...]
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RegisterNote:
    """A number that a simulation takes and a register of the chip does not.

    Attributes:
        where: name of a synapse or of the read-out.
        quantity: `weight` or `threshold`.
        value: largest magnitude as it is simulated.
        limit: largest that the register holds.
        remedy: what the chip would do instead.
    """

    where: str
    quantity: str
    value: int
    limit: int
    remedy: str


@dataclass(frozen=True, slots=True)
class Calibration:
    """A chip model's counts times constants against a workload that was measured.

    Attributes:
        model: of the grid; `chip` is the one that it prices.
        workload, source, assumption: what was measured, by whom, and what is not known about the counts.
        measured_on: chip of the measurement.
        synops, neuron_updates, spikes: counted.
        dynamic_mj: predicted for one inference without static power; `dynamic_least` and `dynamic_most` with
            every step as the quietest or the busiest that was recorded.
        measured_dynamic_mj: measured.
        dynamic_deviation: predicted over measured, less 1; about 0 by construction for a model fitted
            to this workload, which `fitted` says.
        total_mj, measured_total_mj, total_deviation: likewise, with static power.
        time_ms, measured_time_ms, time_deviation: likewise, from one inference to the next.
    """

    model: str
    chip: str
    workload: str
    source: str
    assumption: str
    measured_on: str
    fitted: bool
    synops: int
    neuron_updates: int
    spikes: int
    dynamic_mj: float
    dynamic_least: float
    dynamic_most: float
    measured_dynamic_mj: float
    dynamic_deviation: float
    total_mj: float
    measured_total_mj: float
    total_deviation: float
    time_ms: float
    measured_time_ms: float
    time_deviation: float
