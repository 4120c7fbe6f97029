"""Makes the page: students compiled to WebAssembly, a sample photograph, and the page that runs them."""

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.special import ndtri
from snn_tool.errors import ConfigError
from snn_tool.exporters.c.plan import make_plan
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.wasm.compiler import WasmCompiler, need_wasm_compiler
from snn_tool.exporters.wasm.target import about, compiled, text_of
from snn_tool.files.artifacts import not_written, write_text
from snn_tool.files.temporaries import temporary_folder
from snn_tool.images.files import read_image
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.models.topology import COLOUR
from snn_tool.networks.open import open_integers
from snn_tool.networks.shipped import DEFAULT, Card, read_card, shipped_names

PAGE = "index.html"
TITLE = "<title>snn-tool playground"
SAMPLE = "astronaut.png"
SIDE, PATCH = 256, 64
QUANTILES, UNIT = 4096, 1 << 16
NOISY = "denoise"


@dataclass(frozen=True, slots=True)
class Playground:
    """What was made.

    Attributes:
        page: its file.
        students: names.
        size: bytes of the page.
    """

    page: Path
    students: tuple[str, ...]
    size: int


def colour_students() -> tuple[str, ...]:
    """Names of the students for colour that come along; the page begins with the one that `restore` uses."""
    names = [name for name in shipped_names() if read_card(name).channels == COLOUR]
    return tuple(sorted(names, key=lambda name: name != DEFAULT))


def build_playground(
    out: Path, names: Sequence[str], overwrite: bool, track: Callable[[Sequence[Card], str], Iterable[Card]]
) -> Playground:
    """Compile students and write the page; it is written whole or not at all.

    Args:
        out: folder of the page.
        names: of students that come along; empty takes all for colour.
        overwrite: replace a page of ours.
        track: shows progress over the students.

    Raises:
        ConfigError: a name is unknown, or something that is not ours is in the way.
        BackendUnavailableError: there is no compiler for WebAssembly, or it fails.
        ArtifactError: the folder cannot be written; it is tried before anything is compiled.
    """
    page = out / PAGE
    _claim(page, overwrite)
    compiler = need_wasm_compiler()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise not_written(out, error) from error
    sample = sample_photograph()
    chosen = tuple(names) or colour_students()
    cards = [read_card(name) for name in chosen]
    students = [_student(card, sample, compiler) for card in track(cards, "students")]
    text = page_text(students, sample)
    write_text(page, text)
    return Playground(page, chosen, len(text.encode()))


def _claim(page: Path, overwrite: bool) -> None:
    if not page.exists():
        return
    if not page.is_file() or TITLE not in page.read_text(encoding="utf-8", errors="replace")[:4096]:
        raise ConfigError(f"{page}: is no page of ours; choose another --out")
    if not overwrite:
        raise ConfigError(f"{page}: exists; use --overwrite, or another --out")


def sample_photograph() -> NDArray[np.uint8]:
    """Uint8 [H, W, 3]: the middle of a photograph that ships with scikit-image (NASA, public domain)."""
    whole = read_image(Path(str(files("skimage.data") / SAMPLE)))
    left = (whole.shape[1] - SIDE) // 2
    return np.ascontiguousarray(whole[:SIDE, left : left + SIDE])


def _student(card: Card, sample: NDArray[np.uint8], compiler: WasmCompiler) -> dict[str, Any]:
    """One student as the page holds it."""
    network = open_integers(card.path).network
    channels = network.topology.image_channels
    patch = sample[:PATCH, :PATCH, :channels].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    tiles = quantize_image(patch, network)
    names = [population.wiring.name for population in network.populations]
    spikes = IntegerEngine(network).run(tiles, names).spikes
    dense = {name: float(np.count_nonzero(spikes[name])) / spikes[name].size for name in names}
    with temporary_folder("playground") as scratch:
        file = scratch / "network.nir"
        write_nir(file, to_nir(network, PATCH, PATCH))
        plan = make_plan(read_program(file), dense)
    wasm = base64.b64encode(compiled(plan, compiler)).decode("ascii")
    return {
        "name": card.name,
        "summary": card.summary,
        "noise": _usual_noise(card),
        "about": about(plan),
        "wasm": wasm,
    }


def _usual_noise(card: Card) -> int:
    """Grey levels of noise that the page begins with: the middle of what the student was trained for."""
    if card.task != NOISY:
        return 0
    sigma = np.ravel(card.training["task"]["sigma"])
    return round(float(sigma.mean()))


def page_text(students: Sequence[dict[str, Any]], sample: NDArray[np.uint8]) -> str:
    """The page, with all that it needs inside."""
    stored = BytesIO()
    Image.fromarray(sample).save(stored, "PNG", optimize=True)
    data = {
        "students": list(students),
        "sample": base64.b64encode(stored.getvalue()).decode("ascii"),
        "quantiles": quantiles(),
    }
    parts = {
        "@DATA@": json.dumps(data).replace("<", "\\u003c"),
        "@WORKER@": json.dumps(text_of("engine.js") + _own("worker.js")).replace("<", "\\u003c"),
        "@PAGE@": _own("page.js"),
        "@STYLE@": _own("page.css"),
    }
    text = _own("page.html")
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def quantiles() -> list[int]:
    """Of the normal distribution, in units of 1/65536: by them the page makes noise from integers alone."""
    return [round(float(q) * UNIT) for q in ndtri((np.arange(QUANTILES) + 0.5) / QUANTILES)]


def _own(name: str) -> str:
    return (files("snn_tool.playground") / "templates" / name).read_text(encoding="utf-8")
