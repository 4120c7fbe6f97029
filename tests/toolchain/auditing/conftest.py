"""A mapper by formula in the place of ZigZag, so that what stands around it is tried without it."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
from snn_tool.auditing import mapping as auditing
from snn_tool.exporters.zigzag import environment
from snn_tool.exporters.zigzag.environment import ZigzagEnvironment
from snn_tool.exporters.zigzag.mapping import Accelerator, Accesses, Mapped, Memory, Request
from snn_tool.models.loop_nest import LoopNest

UNITS, MAC_PJ = 1024, 0.04
DRAM = Memory("dram", 10_000_000_000, 64, 700.0, 750.0)
Fault = Callable[[LoopNest], str]


def by_formula(nest: LoopNest) -> Mapped:
    """Half of the multipliers busy, each value through DRAM once, and nothing else."""
    accesses = Accesses((nest.inputs + nest.weights) / 8, nest.outputs / 8)
    energy = MAC_PJ * nest.macs + accesses.reads * DRAM.read_pj + accesses.writes * DRAM.write_pj
    cycles = 2 * math.ceil(nest.macs / UNITS)
    return Mapped(nest.macs, energy, cycles, cycles, 0.5, {"dram": accesses})


@pytest.fixture
def formula_mapper(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Request]]:
    """Puts a mapper in place, which may say why a nest has no mapping; the list is what it was asked."""

    def put(fault: Fault = lambda nest: "") -> list[Request]:
        asked: list[Request] = []

        def map_nests(
            request: Request, found: ZigzagEnvironment, log: object = None
        ) -> tuple[Accelerator, tuple[Mapped | str, ...]]:
            asked.append(request)
            accelerator = Accelerator(request.accelerator, "0" * 64, UNITS, MAC_PJ, (DRAM,))
            return accelerator, tuple(fault(nest) or by_formula(nest) for nest in request.nests)

        there = ZigzagEnvironment(Path("/no/python"), "3.9.1", "3.11.0", "test")
        monkeypatch.setattr(auditing, "map_nests", map_nests)
        monkeypatch.setattr(environment, "find_zigzag", lambda: there)
        return asked

    return put
