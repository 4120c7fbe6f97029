"""All-in figures divide a whole chip's energy by its operations: nothing may be charged beside them."""

from snn_tool.energy.estimators.estimate import EnergyModel
from snn_tool.energy.precisions import Precision
from snn_tool.energy.estimators.prices import Pricing
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.errors import ConfigError

ALL_IN = "all-in"


def check_scopes(pricing: Pricing, file: str) -> None:
    """Refuse a table with which a model would count the same energy twice.

    Args:
        pricing: constants and precisions.
        file: that gave them, for the message.

    Raises:
        ConfigError: names the file, the constant, the model and the reason.
    """
    for model in MODELS.values():
        for precision in pricing.precisions.values():
            if model.takes(precision):
                _check_arithmetic(model, precision, pricing, file)
                _check_beside(model, pricing, file)


def _check_arithmetic(model: EnergyModel, precision: Precision, pricing: Pricing, file: str) -> None:
    if not (model.arithmetic and model.neuron_terms):
        return
    for key in precision.constants:
        if pricing.constants[key].scope == ALL_IN:
            free = [m.name for m in MODELS.values() if m.arithmetic and not m.neuron_terms]
            raise ConfigError(
                f"{file}: constants.{key} is all-in, a chip's energy over its operations, "
                f"and {model.name} would charge neurons beside it at precision {precision.name}; "
                f"give that precision models = {free}, or a per-op figure"
            )


def _check_beside(model: EnergyModel, pricing: Pricing, file: str) -> None:
    charged = [key for key in model.beside if pricing.constants[key].value > 0]
    for key in charged:
        others = [other for other in charged if other != key]
        if pricing.constants[key].scope == ALL_IN and others:
            raise ConfigError(
                f"{file}: constants.{key} is all-in, a chip's energy over its operations, "
                f"and {model.name} would add {', '.join(others)} to it; set those to 0, "
                "or give a per-op figure"
            )
