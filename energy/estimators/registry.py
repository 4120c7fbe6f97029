"""The energy models by name. A new model is one file with an `EnergyModel` and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from snn_tool.energy.estimators import (
    data_movement,
    exact_ops,
    loihi1_davies,
    loihi1_sanafe,
    loihi2,
    memory,
    paper,
)
from snn_tool.energy.estimators.estimate import EnergyModel

MODELS: Mapping[str, EnergyModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            paper.MODEL,
            exact_ops.MODEL,
            memory.NO_REUSE,
            memory.FULL_REUSE,
            loihi1_davies.MODEL,
            loihi1_sanafe.MODEL,
            loihi2.MODEL,
            data_movement.MODEL,
        )
    }
)
"""Every model takes a load and prices, and returns an `Estimate` in picojoules per image."""
