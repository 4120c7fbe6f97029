"""Positions on the page's axes, by hand and for any values."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from snn_tool.energy.pages.charts import LinearAxis, LogAxis


def test_logarithmic_positions_by_hand() -> None:
    axis = LogAxis(-1, 3)
    assert axis.ticks == ((0.0, "0.1"), (25.0, "1"), (50.0, "10"), (75.0, "100"), (100.0, "1000"))
    assert axis.at(10**0.5) == 37.5


def test_far_powers_are_short() -> None:
    assert [label for _, label in LogAxis(-4, -1).ticks] == ["10⁻⁴", "10⁻³", "0.01", "0.1"]
    assert [label for _, label in LogAxis(2, 5).ticks] == ["100", "1000", "10⁴", "10⁵"]


@pytest.mark.parametrize(
    ("most", "high"), [(985.0, 3), (990.0, 3), (991.0, 4), (999.0, 4), (1000.0, 4), (1001.0, 4)]
)
def test_a_value_within_a_hundredth_of_a_power_has_room_above_it(most: float, high: int) -> None:
    """Its mark and label would stand on the border."""
    assert LogAxis.around([most, 2.0]) == LogAxis(0, high)


def test_linear_axes_by_hand() -> None:
    """27.12 - 21.69 = 5.43 in at most three steps: 2, from 20 to 28."""
    axis = LinearAxis.around([21.69, 27.12], most=4)
    assert (axis.low, axis.high, axis.step) == (20, 28, 2)
    assert axis.ticks == ((0, 20), (25, 22), (50, 24), (75, 26), (100, 28))
    assert axis.at(21) == 12.5
    assert LinearAxis.around([0, 1.56e9]).ticks[-1] == (100, 2e9)


positive = st.floats(1e-9, 1e12)


@given(st.lists(positive, min_size=1))
def test_a_logarithmic_axis_holds_its_values_between_whole_powers(values: list[float]) -> None:
    axis = LogAxis.around(values)
    assert axis.low < axis.high
    assert all(-1e-6 <= axis.at(value) <= 100 for value in values)
    assert math.isclose(axis.at(10.0**axis.low), 0, abs_tol=1e-9) and axis.at(10.0**axis.high) == 100
    # Within rounding of a power of ten both decades next to it are right.
    assert 10.0**axis.low <= min(values) * (1 + 1e-12) and min(values) < 10.0 ** (axis.low + 1)


@given(st.lists(st.floats(-1e9, 1e9).map(lambda v: round(v, 3)), min_size=1))
def test_a_linear_axis_holds_its_values_between_few_round_steps(values: list[float]) -> None:
    axis = LinearAxis.around(values)
    assert all(-0.01 <= axis.at(value) <= 100.01 for value in values)
    mantissa = axis.step / 10.0 ** math.floor(math.log10(axis.step) + 1e-9)
    assert min(abs(mantissa - digit) for digit in (1, 2, 5, 10)) < 1e-6
    assert 2 <= len(axis.ticks) <= 7
    assert axis.ticks[0][0] == 0 and axis.ticks[-1][0] == pytest.approx(100)
