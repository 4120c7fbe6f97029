"""A document becomes typed values, or one line that names file, key, value and what is allowed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.files.artifacts import shown, write_json
from snn_tool.files.documents import LARGEST_TOML, Document, Name, Sha256, convert, read_document, read_toml


class Layer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Name
    stride: Annotated[int, Meta(ge=1, le=64)]
    kind: Literal["conv", "pool"] = "conv"
    gain: Annotated[float, Meta(gt=0)] | None = None

    def __post_init__(self) -> None:
        if self.kind == "pool" and self.stride == 1:
            raise ValueError("a pool of stride 1 does nothing")


class Lif(msgspec.Struct, frozen=True, tag_field="type", tag="lif"):
    decay: Annotated[int, Meta(ge=0)]


class Graded(msgspec.Struct, frozen=True, tag_field="type", tag="graded"):
    levels: Annotated[int, Meta(ge=1)]


@dataclass(frozen=True)
class Figures:
    psnr_db: float
    images: int = 1


class File(Document, frozen=True, forbid_unknown_fields=True):
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1)]
    files: dict[str, Sha256]
    figures: Figures
    size: tuple[int, int] | None
    by_name: dict[str, Layer] = {}


LAYER = {"name": "a", "stride": 2}
BODY: dict[str, Any] = {
    "layers": [LAYER, {"name": "b", "stride": 1, "gain": 2}],
    "files": {"x": "0" * 64, "y": "f" * 64, "z": "1" * 64},
    "figures": {"psnr_db": 30, "images": 4},
    "size": [4, 8],
}


def read(tmp_path: Path, body: dict[str, Any]) -> File:
    path = tmp_path / "x.json"
    write_json(path, "file", 1, body)
    return read_document(path, "file", 1, File)


def test_values_have_their_types(tmp_path: Path) -> None:
    made = read(tmp_path, BODY)
    assert made.layers == (Layer("a", 2), Layer("b", 1, gain=2.0))
    assert type(made.layers[1].gain) is float and type(made.figures.psnr_db) is float
    assert (made.size, made.figures, made.schema) == ((4, 8), Figures(30.0, 4), 1)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"layers": [LAYER | {"stride": 0}]},
            "layers[0].stride = 0 is not allowed; use a whole number from 1 to 64",
        ),
        ({"layers": [LAYER, LAYER | {"stride": 2**62}]}, "layers[1].stride = 4611686018427387904 is not"),
        (
            {"layers": [LAYER | {"stride": True}]},
            "layers[0].stride = true is not allowed; use a whole number",
        ),
        ({"layers": [LAYER | {"stride": "2"}]}, "layers[0].stride = '2' is not allowed; use a whole number"),
        ({"layers": [LAYER | {"kind": "x"}]}, "layers[0].kind = 'x' is not allowed; use one of conv, pool"),
        ({"layers": [LAYER | {"gain": 0}]}, "layers[0].gain = 0 is not allowed; use a number > 0 or null"),
        (
            {"layers": [LAYER | {"name": "\x1b[31m"}]},
            r"layers[0].name = '\x1b[31m' is not allowed; use a printable",
        ),
        (
            {"layers": [LAYER | {"name": ""}]},
            "layers[0].name = '' is not allowed; use a printable name of 1 to 200",
        ),
        ({"layers": [LAYER | {"name": "x" * 201}]}, "x … is not allowed; use a printable name of 1 to 200"),
        ({"layers": [{"name": "a"}]}, "layers[0].stride is missing; it is a whole number from 1 to 64"),
        ({"layers": [LAYER | {"odd": 1}]}, "layers[0].odd is unknown; use gain, kind, name, stride"),
        ({"layers": [LAYER | {"kind": "pool", "stride": 1}]}, "layers[0]: a pool of stride 1 does nothing"),
        ({"layers": []}, "layers = [] is not allowed; use a list of tables, not empty"),
        ({"layers": None}, "layers = null is not allowed"),
        (
            {"files": {**BODY["files"], "y": "nothing"}},
            "files.y = 'nothing' is not allowed; use 64 hexadecimal digits",
        ),
        (
            {"files": {**BODY["files"], "a\nb": 1}},
            r"files.a\nb = 1 is not allowed; use 64 hexadecimal digits",
        ),
        (
            {"by_name": {"p": LAYER, "q": LAYER | {"stride": -1}, "r": LAYER}},
            "by_name.q.stride = -1 is not allowed",
        ),
        ({"figures": {"psnr_db": "x", "images": 1}}, "figures.psnr_db = 'x' is not allowed; use a number"),
        ({"figures": {"psnr_db": 1}}, "figures.images is missing; it is a whole number"),
        ({"figures": {"psnr_db": 1, "images": 1, "odd": 1}}, "figures.odd is unknown; use images, psnr_db"),
        (
            {"size": [1, 2, 3]},
            "size = [1, 2, 3] is not allowed; use a list of 2: a whole number, a whole number or null",
        ),
        (
            {"more": 1},
            "more is unknown; use by_name, figures, files, kind, layers, schema, size, tool_version",
        ),
    ],
)
def test_a_refusal_names_key_value_and_what_is_allowed(tmp_path: Path, changed: Any, reason: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        read(tmp_path, BODY | changed)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'x.json'}: ") and message.endswith("; copy the file again")
    assert reason in message and len(message) < len(str(tmp_path)) + 300 and message.isprintable()


def test_a_missing_key_of_the_document(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="files is missing; it is a table; copy"):
        read(tmp_path, {key: value for key, value in BODY.items() if key != "files"})


@pytest.mark.parametrize(
    ("neuron", "said"),
    [
        ({"type": "graded", "levels": 0}, "levels = 0 is not allowed; use a whole number >= 1"),
        ({"type": "graded"}, "levels is missing; it is a whole number >= 1"),
        ({"type": "tanh"}, "type = 'tanh' is not allowed; use one of lif, graded"),
        ({"type": None}, "type = null is not allowed; use one of lif, graded"),
        ({"levels": 1}, "type is missing"),
    ],
)
def test_kinds_are_told_apart_by_their_tag(neuron: dict[str, Any], said: str) -> None:
    assert convert([{"type": "graded", "levels": 1}], list[Lif | Graded], "x") == [Graded(1)]
    with pytest.raises(ArtifactError, match=rf"^x: \[0\]\.{said}"):
        convert([neuron], list[Lif | Graded], "x")


def test_keys_that_look_like_paths_cannot_confuse() -> None:
    with pytest.raises(ArtifactError, match="is unknown; use gain"):
        convert({"name": "a", "stride": 1, "b` - at `$.stride": 0}, Layer, "x")
    with pytest.raises(ArtifactError, match=r"a\.b\[0\]\.name is missing"):
        convert({"a.b[0]": {}, "` - at `$": 3}, dict[str, Layer], "x")


def test_the_culprit_of_a_long_table_is_named_soon() -> None:
    """By halves: a table of n entries is read log2 n times more, not n times."""
    table = {f"entry{i}": LAYER for i in range(20_000)} | {"bad": LAYER | {"stride": 65}} | {"last": LAYER}
    with pytest.raises(ArtifactError, match=r"^x: bad\.stride = 65 is not allowed"):
        convert(table, dict[str, Layer], "x")


def test_settings_may_leave_defaults_out_and_a_prefix_leads_to_them() -> None:
    assert convert({"psnr_db": 1.5}, Figures, "", complete=False) == Figures(1.5)
    with pytest.raises(
        ConfigError, match=r"^f\.toml: training\.images = 1\.5 is not allowed; use a whole number$"
    ):
        convert({"psnr_db": 1.5, "images": 1.5}, Figures, "f.toml", ConfigError, prefix=("training",))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"a = inf", "inf is no finite number"),
        (b"a = nan", "nan is no finite number"),
        (b"a = 99999999999999999999", "more than 64 bits"),
        (b"a = " + b"[" * 100 + b"]" * 100, "more than 64 levels"),
        (b"a = " + b"[" * 100_000, "not a TOML file"),
        (b"a = 1\na = 2", "not a TOML file"),
        (b"\xff", "not a TOML file"),
        (b"#" * (LARGEST_TOML + 1), "more than 1,048,576 bytes"),
    ],
)  # fmt: skip
def test_toml_is_as_strict(tmp_path: Path, text: bytes, reason: str) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: ") and reason in str(caught.value)


def test_toml_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--profile .*absent\.toml: cannot be read \(No such file"):
        read_toml(tmp_path / "absent.toml", "--profile ")


def test_a_value_is_shown_on_one_short_line() -> None:
    assert shown("a\x1b[0m\n") == r"'a\x1b[0m\n'"
    assert shown({"a": [1, None, True]}) == json.dumps({"a": [1, None, True]})
    assert len(shown("x" * 10**6)) == len(shown(list(range(1000)))) == 80
