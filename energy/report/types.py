"""The energy report as data: frozen dataclasses that become JSON, a terminal page or an HTML page.

Every joule in here is an estimate: a count of operations times a published price of one operation. What the
parts hold is said where they are defined: `report_estimates`, `report_robustness`, `report_networks`,
`report_layers`, `report_spikes` and `report_chip`.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from snn_tool.energy.estimators.constants import Constant
from snn_tool.energy.estimators.excluded import Excluded
from snn_tool.energy.precisions import Precision
from snn_tool.energy.report_chip import ChipCheck
from snn_tool.energy.report_estimates import Cell, ModelRow, Range, RatioRow
from snn_tool.energy.report_layers import AccumulatorRow, LayerRow, RelayRow
from snn_tool.energy.report_networks import Column, ImageRow
from snn_tool.energy.report_robustness import BreakEven, Sensitivity, Threshold
from snn_tool.energy.report_spikes import FiringMaps, Sweep
from snn_tool.energy.verdict import Verdict

KIND = "energy"
SCHEMA = 2


@dataclass(frozen=True, slots=True)
class EnergyReport:
    """A complete audit.

    Attributes:
        note: that these are estimates.
        neuron, timesteps, levels: of the student.
        lowering: of its membrane shortcuts, `fanout` or `relay`.
        reference: `teacher`, `twin` or `qann`; what `headline` and `verdict` compare with.
        headline: reference over student, over all models and precisions in which the reference has a cell.
        twin_headline, twin_verdict: twin over student, what spikes alone save.
        models: in the order of the grid; `ratios` and `cells` follow it.
        break_even: a row for each row of `ratios` that has a ratio.
        sensitivity: the constants of each such row, those that move the ratio most first within a row.
        firing: where in one image the student fires.
        sweep: quality against spikes over T or levels, or None if it was skipped or has one point only.
        sanafe: tiles of the student on SANA-FE's Loihi, or None if no such check was given.
        excluded: what models leave out; each term names its models.
        constants: those that a model of this report uses, in the order of their table.
        profile: name of the file that overrode or added constants, or None.
        hashes: SHA-256 of inputs by name, as the caller passed them.
    """

    note: str
    neuron: str
    timesteps: int
    levels: int
    lowering: str
    reference: str
    headline: Range
    verdict: Verdict
    twin_headline: Range
    twin_verdict: Verdict
    models: tuple[ModelRow, ...]
    columns: tuple[Column, ...]
    ratios: tuple[RatioRow, ...]
    break_even: tuple[BreakEven, ...]
    sensitivity: tuple[Sensitivity, ...]
    thresholds: tuple[Threshold, ...]
    cells: tuple[Cell, ...]
    layers: tuple[LayerRow, ...]
    relays: tuple[RelayRow, ...]
    accumulators: tuple[AccumulatorRow, ...]
    images: tuple[ImageRow, ...]
    firing: FiringMaps
    sweep: Sweep | None
    sanafe: ChipCheck | None
    excluded: tuple[Excluded, ...]
    precisions: tuple[Precision, ...]
    constants: Mapping[str, Constant]
    profile: str | None
    hashes: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """The body of `energy.json` (kind `energy`, schema 2) in plain dicts, lists, numbers and strings.

        Raises:
            ValueError: a number is NaN or infinite (a bug: neither is JSON).
        """
        body: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self), allow_nan=False))
        return body
