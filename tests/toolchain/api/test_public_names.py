"""The public names: imported on first use, documented, and the same as docs/tutorials/python.md lists."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import snn_tool as st

PAGE = Path(__file__).parents[3] / "docs" / "tutorials" / "python.md"


def test_importing_the_package_imports_neither_torch_nor_numpy() -> None:
    script = (
        "import sys, snn_tool as st; names = dir(st); st.ConfigError; st.__version__; "
        "print(sorted({'torch', 'numpy', 'lightning', 'nir', 'msgspec', 'rich'} & set(sys.modules)), "
        "'distill' in names)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


def test_the_page_lists_every_public_name_once() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(st.__all__)


@pytest.mark.parametrize("name", st.__all__)
def test_a_name_is_there_and_says_what_it_is(name: str) -> None:
    assert inspect.getdoc(getattr(st, name))
    assert name in dir(st)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'open_student'"):
        st.open_student  # type: ignore[attr-defined] # noqa: B018


def test_no_room_is_called_like_a_public_name() -> None:
    """Importing `snn_tool.x` sets the attribute `x` of the package, in the place of a function."""
    rooms = {path.stem for path in Path(st.__file__).parent.iterdir()}
    assert not rooms & set(st.__all__)


@pytest.mark.parametrize(
    "name", ["distill", "train_teacher", "quantize", "export", "verify", "audit", "load"]
)
def test_the_docstring_of_a_function_names_its_arguments_and_errors(name: str) -> None:
    function = getattr(st, name)
    text = inspect.getdoc(function) or ""
    assert "Raises:" in text
    for argument in inspect.signature(function).parameters:
        assert re.search(rf"^ *\**{argument}:", text, re.MULTILINE), argument
