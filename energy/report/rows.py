"""Rows of the report that only restate what was counted or used: models, images, constants."""

from collections.abc import Sequence

from snn_tool.energy.report.pricing import PricedRow
from snn_tool.energy.estimators.constants import Constant
from snn_tool.energy.counts.counts import ImageActivity
from snn_tool.energy.estimators.prices import Pricing
from snn_tool.energy.report_estimates import ModelRow
from snn_tool.energy.report_networks import COLUMNS, ImageRow


def model_rows(priced: Sequence[PricedRow]) -> tuple[ModelRow, ...]:
    """Every model with the precisions, columns and constants that it was evaluated with."""
    grouped: dict[str, list[PricedRow]] = {}
    for row in priced:
        grouped.setdefault(row.model.name, []).append(row)
    return tuple(_model_row(rows) for rows in grouped.values())


def _model_row(rows: Sequence[PricedRow]) -> ModelRow:
    model = rows[0].model
    shown = {name for row in rows for name in row.cells}
    return ModelRow(
        name=model.name,
        title=model.title,
        source=model.source,
        precisions=tuple(row.prices.precision.name for row in rows),
        columns=tuple(name for name in COLUMNS if name in shown),
        constants=tuple(sorted({key for row in rows for key in model.constants_at(row.prices.precision)})),
    )


def image_row(name: str, image: ImageActivity) -> ImageRow:
    """One image and what it made the student do."""
    return ImageRow(
        name,
        image.height,
        image.width,
        image.synops_levels,
        image.synops_events,
        image.macs_uncached,
        image.spikes_per_neuron,
    )


def used_constants(models: Sequence[ModelRow], pricing: Pricing) -> dict[str, Constant]:
    """The constants that any of the models uses, in the order of their table."""
    used = {key for model in models for key in model.constants}
    return {key: constant for key, constant in pricing.constants.items() if key in used}
