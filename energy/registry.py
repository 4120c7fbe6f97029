"""The energy models by name. A new model is one file with an `EnergyModel` and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from snn_tool.energy import (
    data_movement_model,
    exact_ops_model,
    loihi1_davies_model,
    loihi1_sanafe_model,
    memory_model,
    paper_model,
)
from snn_tool.energy.estimate import EnergyModel

MODELS: Mapping[str, EnergyModel] = MappingProxyType(
    {
        model.name: model
        for model in (
            paper_model.MODEL,
            exact_ops_model.MODEL,
            memory_model.NO_REUSE,
            memory_model.FULL_REUSE,
            loihi1_davies_model.MODEL,
            loihi1_sanafe_model.MODEL,
            data_movement_model.MODEL,
        )
    }
)
"""Every model takes a load and prices, and returns an `Estimate` in picojoules per image."""
