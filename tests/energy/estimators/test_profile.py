"""A user's own constants and precisions: what they change, and every way to get them wrong."""

import re
from pathlib import Path

import pytest
from snn_tool.energy.estimators.constants import PACKAGED, packaged_constants
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.estimators.prices import PRECISIONS
from snn_tool.energy.estimators.profile import load_profile
from snn_tool.energy.estimators.registry import MODELS
from snn_tool.errors import ConfigError

FIELDS = {
    "value": "0.07",
    "unit": '"pJ"',
    "source": '"our library"',
    "scope": '"per-op"',
    "grade": '"simulated"',
}


def constant(key: str = "add-int32", **changed: str | None) -> str:
    lines = {**FIELDS, **changed}
    body = "\n".join(f"{field} = {value}" for field, value in lines.items() if value is not None)
    return f"[constants.{key}]\n{body}\n"


def precision(**changed: str | None) -> str:
    lines = {
        "multiply": '"mul-int8"',
        "accumulate": '"add-int32"',
        "state_multiply": '"mul-int8"',
        "bits": "4",
        "state_bits": "16",
        "integer": "true",
        "note": '"four bits"',
        **changed,
    }
    body = "\n".join(f"{field} = {value}" for field, value in lines.items() if value is not None)
    return f"[precisions.mine]\n{body}\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "own.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_constant_is_overridden_and_says_where_it_comes_from(tmp_path: Path) -> None:
    pricing = load_profile(written(tmp_path, constant(process_nm="28", voltage_v="0.8")))
    own = pricing.constants["add-int32"]
    assert (own.value, own.process_nm, own.voltage_v, own.origin) == (0.07, 28, 0.8, "own.toml")
    assert {k: c for k, c in pricing.constants.items() if k != "add-int32"} == {
        k: c for k, c in packaged_constants().items() if k != "add-int32"
    }
    assert all(c.origin == PACKAGED for c in packaged_constants().values())
    assert packaged_constants()["add-int32"].value == 0.1
    load = AnnLoad(100, 80, 10)
    (reading,) = MODELS["exact-ops"].estimate(load, pricing.at("int8")).readings
    assert reading.total_pj == pytest.approx((0.2 + 0.07) * 80 + 0.07 * 10)


def test_where_a_number_was_read_is_a_profiles_own_affair(tmp_path: Path) -> None:
    own = load_profile(written(tmp_path, constant())).constants["add-int32"]
    assert (own.reading, own.read_in) == (None, "")
    said = constant(reading='"found"', read_in='"the data sheet, page 7"')
    own = load_profile(written(tmp_path, said)).constants["add-int32"]
    assert (own.reading, own.read_in) == ("found", "the data sheet, page 7")


def test_every_packaged_constant_says_where_it_was_read() -> None:
    for key, packaged in packaged_constants().items():
        assert packaged.reading in ("found", "transcribed", "not found"), key
        assert packaged.read_in.strip(), key
        if packaged.grade == "assumed" and "derived" not in packaged.source:
            assert packaged.reading == "not found", key


def test_the_documented_profile_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs/guides/energy-profile.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, flags=re.DOTALL)
    pricing = load_profile(written(tmp_path, example))
    assert pricing.constants["add-int32"].value == 0.06
    assert pricing.at("truenorth").ac_pj == 26
    unlimited = example.replace('models = ["paper"]', "")
    assert unlimited != example
    with pytest.raises(ConfigError, match="truenorth-synop is all-in"):
        load_profile(written(tmp_path, unlimited))


def test_a_precision_is_added_with_a_constant_of_its_own(tmp_path: Path) -> None:
    text = constant("mul-int4", value="0.06") + precision(multiply='"mul-int4"')
    pricing = load_profile(written(tmp_path, text))
    assert list(pricing.precisions) == [*PRECISIONS, "mine"]
    prices = pricing.at("mine")
    assert prices.mac_pj == pytest.approx(0.06 + 0.1)
    assert [name for name, model in MODELS.items() if model.takes(prices.precision)] == [
        "paper",
        "exact-ops",
        "memory-no-reuse",
        "memory-full-reuse",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (constant(unit=None), "constants.add-int32.unit is missing"),
        (constant(source=None), "constants.add-int32.source is missing"),
        (constant(unit='"J"'), "constants.add-int32.unit = 'J' is not allowed; use one of fraction"),
        (constant(unit='"mW"'), "constants.add-int32.unit = 'mW' is not allowed; use 'pJ'"),
        (
            constant(scope='"chip"'),
            "add-int32.scope = 'chip' is not allowed; use one of all-in, per-op",
        ),
        (constant(scope=None), "constants.add-int32.scope is missing"),
        (
            constant(reading='"maybe"'),
            "constants.add-int32.reading = 'maybe' is not allowed; use one of found, not found, transcribed",
        ),
        (constant(grade='"guessed"'), "constants.add-int32.grade = 'guessed' is not allowed"),
        (constant(colour='"red"'), "constants.add-int32.colour is unknown"),
        (constant(value="-1.0"), "constants.add-int32.value = -1.0 is not allowed"),
        (constant(value="nan"), "constants.add-int32.value = nan is no finite number"),
        (constant(value="inf"), "constants.add-int32.value = inf is no finite number"),
        (constant(value='"much"'), "constants.add-int32.value = 'much' is not allowed; use a number"),
        (constant(value="true"), "constants.add-int32.value = true is not allowed"),
        (
            constant(source='" "'),
            "constants.add-int32.source = ' ' is not allowed; use a text that names",
        ),
        (constant(voltage_v="0"), "constants.add-int32.voltage_v = 0 is not allowed"),
        (constant("edge-utilisation", unit='"fraction"', value="1.5"), "value = 1.5 is no fraction"),
        (constant("edge-utilisation", unit='"fraction"', value="0"), "value = 0.0 is no fraction"),
        (constant("add-in32"), "constants.add-in32 is used by no model and no precision"),
        ("[constants]\nadd-int32 = 3\n", "constants.add-int32 = 3 is not allowed; use a table"),
        ("[prices]\nx = 1\n", "prices is unknown; use constants, precisions"),
        (precision(bits=None), "precisions.mine.bits is missing"),
        (precision(width="3"), "precisions.mine.width is unknown"),
        (precision(bits="0"), "precisions.mine.bits = 0 is not allowed"),
        (precision(state_bits='"8"'), "precisions.mine.state_bits = '8' is not allowed"),
        (precision(integer="1"), "precisions.mine.integer = 1 is not allowed; use true or false"),
        (precision(multiply="[]"), "precisions.mine.multiply = [] is not allowed; use a printable name"),
        (precision(multiply="3"), "precisions.mine.multiply = 3 is not allowed; use a printable name"),
        (precision(note="[]"), "precisions.mine.note = [] is not allowed; use a text"),
        ("precisions = 3", "precisions = 3 is not allowed; use a table"),
        (precision(multiply='"mul-int9"'), "precisions.mine.multiply = 'mul-int9' is no constant"),
        (precision(multiply='"loihi1-static"'), "'loihi1-static' is in mW; arithmetic needs pJ"),
        (
            precision(models='["loihi1-davies"]'),
            "precisions.mine.models[0] = 'loihi1-davies' is not allowed",
        ),
        (precision(models="[]"), "precisions.mine.models = [] is not allowed"),
        (precision(models='["paper"]').replace("mine", "fp32"), "precisions.fp32.models is not allowed"),
        ("value = ", "not a TOML file"),
    ],
)
def test_what_cannot_be_used_is_one_line_with_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_profile(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere.toml: cannot be read"):
        load_profile(tmp_path / "nowhere.toml")


# --- scopes


def test_neurons_are_not_charged_beside_an_all_in_accumulate(tmp_path: Path) -> None:
    """TrueNorth's 26 pJ per synop divide a whole chip: bias, leak and compares are in it already."""
    chip = constant("truenorth", value="26.0", scope='"all-in"')
    with pytest.raises(ConfigError, match="truenorth is all-in.*exact-ops would charge neurons beside it"):
        load_profile(written(tmp_path, chip + precision(accumulate='"truenorth"')))
    alone = chip + precision(accumulate='"truenorth"', models='["paper"]')
    pricing = load_profile(written(tmp_path, alone))
    takers = [name for name, model in MODELS.items() if model.takes(pricing.precisions["mine"])]
    assert takers == ["paper"]


def test_hops_and_neurons_are_not_added_to_an_all_in_synop(tmp_path: Path) -> None:
    synop = constant("loihi1-synop", value="26.0", scope='"all-in"')
    message = "loihi1-synop is all-in.*loihi1-davies would add loihi1-neuron-active, loihi1-neuron-idle"
    with pytest.raises(ConfigError, match=message):
        load_profile(written(tmp_path, synop))
    others = ("neuron-active", "neuron-idle", "spike", "hop")
    silent = "".join(constant(f"loihi1-{name}", value="0") for name in others)
    static = constant("loihi1-static", value="0", unit='"mW"')
    assert load_profile(written(tmp_path, synop + silent + static)).constants["loihi1-synop"].value == 26


def test_a_chip_priced_without_a_scope_is_refused_and_an_all_in_one_without_silent_companions(
    tmp_path: Path,
) -> None:
    own = written(tmp_path, constant("loihi2-synop", value="15.0", scope=None))
    with pytest.raises(ConfigError, match=re.escape(f"{own}: constants.loihi2-synop.scope is missing")):
        load_profile(own)
    whole = written(tmp_path, constant("loihi2-synop", value="22.7", scope='"all-in"'))
    message = "loihi2-synop is all-in.*loihi2 would add loihi2-neuron-active, loihi2-neuron-idle"
    with pytest.raises(ConfigError, match=message):
        load_profile(whole)


def test_memory_is_not_charged_beside_an_all_in_access(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dram is all-in.*memory-no-reuse would add"):
        load_profile(written(tmp_path, constant("dram", scope='"all-in"')))
