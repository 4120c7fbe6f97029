"""The energy models by name. A new model is one file with an `EnergyModel` and one line here."""

from collections.abc import Mapping
from types import MappingProxyType

from snn_tool.energy.estimators import data_movement as data_movement_model
from snn_tool.energy.estimators import exact_ops as exact_ops_model
from snn_tool.energy.estimators import loihi1_davies as loihi1_davies_model
from snn_tool.energy.estimators import loihi1_sanafe as loihi1_sanafe_model
from snn_tool.energy.estimators import memory as memory_model
from snn_tool.energy.estimators import paper as paper_model
from snn_tool.energy.estimators.estimate import EnergyModel

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
