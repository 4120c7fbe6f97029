"""What a chip model says beside a joule: chips, power, time, and whether the chip can run what is priced."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ChipUse:
    """A network on one kind of chip, for one image.

    Attributes:
        chip: which one.
        cores, chips: filled at least; kernels stored once, each population in cores of its own.
        static_mw: static power of all of them, milliwatts.
        time_ns: from one image to the next in a stream without gaps, nanoseconds; a lower bound.
        steps: timesteps of one image.
        lacks: why the chip cannot run it so; empty if it can.
        needs: what must be built around it, if the chip can run it at all.
    """

    chip: str
    cores: int
    chips: int
    static_mw: float
    time_ns: float
    steps: int
    lacks: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    @property
    def static_pj(self) -> float:
        """Static energy of one image, picojoules."""
        return self.static_mw * self.time_ns
