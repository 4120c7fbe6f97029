"""The energy models by name. A new model is one file with one function `estimate` and one line here."""

from collections.abc import Mapping

from snn_tool.energy import exact_ops_model, paper_model
from snn_tool.energy.estimate import Model

MODELS: Mapping[str, Model] = {
    "paper": paper_model.estimate,
    "exact-ops": exact_ops_model.estimate,
}
"""Every model takes a load and a precision, and returns an `Estimate` in picojoules per image."""
