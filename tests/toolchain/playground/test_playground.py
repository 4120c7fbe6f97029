"""The page in a real browser, from disk: noise and result are the integers that the engine gives."""

import fcntl
import json
import os
import re
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from snn_tool.errors import ConfigError
from snn_tool.exporters.c.target import expected_bytes
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.wasm import compiler as compilers
from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.networks.open import open_integers
from snn_tool.networks.shipped import student_path
from snn_tool.playground.build import PAGE, PATCH, build_playground, quantiles, sample_photograph

VARIABLE = "SNN_TOOL_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")
STUDENT, BINARY, GREY = "denoise-25", "denoise-25-lif", "denoise-gray-blind"
SIGMA, SEED = 25, 1
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": True}


def noisy(picture: NDArray[np.uint8], sigma: int = SIGMA) -> NDArray[np.uint8]:
    """What templates/worker.js makes of a picture, in numpy: mulberry32's n-th word needs no word before."""
    n = np.arange(1, picture.size + 1, dtype=np.uint32)
    state = np.uint32(SEED) + n * np.uint32(0x6D2B79F5)
    word = (state ^ (state >> 15)) * (1 | state)
    word = (word + (word ^ (word >> 7)) * (61 | word)) ^ word
    chosen = np.array(quantiles(), np.int64)[(word ^ (word >> 14)) >> 20]
    noise = (sigma * chosen + 32768) // 65536
    return np.clip(picture + noise.reshape(picture.shape), 0, 255).astype(np.uint8)


def fingerprint(pixels: NDArray[np.uint8]) -> str:
    """FNV-1a in 32 bits."""
    found = 0x811C9DC5
    for byte in pixels.tobytes():
        found = (found ^ byte) * 0x01000193 & 0xFFFFFFFF
    return f"{found:08x}"


TOLD = """JSON.stringify({ ...document.documentElement.dataset,
  status: document.getElementById("status")?.textContent ?? "" })"""
PATIENCE_S = 120


class Browser:
    """A headless Chromium that answers over its debugging pipe: JSON, each message ended by a zero byte."""

    def __init__(self, profile: Path) -> None:
        assert BROWSER
        (taken, asks), (answers, given) = os.pipe(), os.pipe()
        # The browser reads 3 and writes 4; copies above both cannot be overwritten while they are put there.
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 10) for end in (taken, given)]
        flags = [*FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}"]
        words = ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "-", BROWSER, *flags]
        self.process = subprocess.Popen(words, pass_fds=ends, stderr=subprocess.DEVNULL)
        for end in (taken, given, *ends):
            os.close(end)
        self.asks, self.answers, self.calls, self.rest = asks, answers, 0, b""

    def call(self, method: str, session: str = "", **values: Any) -> dict[str, Any]:
        """The result of a method; events that come before it are passed over."""
        self.calls += 1
        head = {"sessionId": session} if session else {}
        asked = {"id": self.calls, "method": method, "params": values, **head}
        os.write(self.asks, json.dumps(asked).encode() + b"\0")
        while (told := self._message()).get("id") != self.calls:
            pass
        assert "result" in told, told
        return dict(told["result"])

    def _message(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], PATIENCE_S)
            more = os.read(self.answers, 1 << 16) if ready else b""
            assert more, "the browser ended, or says nothing"
            self.rest += more
        first, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(first))

    def close(self) -> None:
        """End it and its pipes."""
        self.process.kill()
        self.process.wait()
        os.close(self.asks)
        os.close(self.answers)


class Page:
    """The page on a phone: 390 x 844 pixels, a finger instead of a mouse, and no camera."""

    def __init__(self, browser: Browser, page: Path) -> None:
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.browser = browser
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Emulation.setDeviceMetricsOverride", **PHONE)
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        browser.call("Browser.setPermission", permission={"name": "camera"}, setting="denied")
        self.call("Page.navigate", url=page.as_uri())

    def call(self, method: str, **values: Any) -> dict[str, Any]:
        """A method of its session."""
        return self.browser.call(method, self.session, **values)

    def told(self, expression: str = TOLD) -> Any:
        """The value of an expression, JSON."""
        found = self.call("Runtime.evaluate", expression=expression, awaitPromise=True)["result"].get("value")
        return json.loads(found) if found else {}

    def until(self, **wanted: str) -> dict[str, str]:
        """What the page tells when that is what it shows, and the Worker has counted spikes."""
        end = time.monotonic() + PATIENCE_S
        while True:
            told = dict(self.told())
            shown = all(told.get(key) == value for key, value in wanted.items())
            if (shown and told.get("spikes")) or "cannot" in told.get("status", "") or time.monotonic() > end:
                return told
            time.sleep(0.3)

    def choose(self, student: str) -> None:
        """Another student, as a finger does."""
        value = f'Object.assign(document.getElementById("student"), {{ value: "{student}" }})'
        self.told(f'{value}.dispatchEvent(new Event("change")), "0"')

    def open(self, file: Path) -> None:
        """A photograph by the file input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector="#file")["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(file)], nodeId=node)


def assert_shown(page: Page, student: str, picture: NDArray[np.uint8], folder: Path) -> None:
    """Fingerprints and spikes are those of the engine for a picture [H, W, C] with noise on it."""
    network = open_integers(student_path(student)).network
    colours = np.broadcast_to(picture, (*picture.shape[:2], 3))
    told = page.until(student=student, input=fingerprint(colours))
    assert told.get("input") == fingerprint(colours), (student, told)
    tiles = quantize_image(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255, network)
    names = [population.wiring.name for population in network.populations]
    trace = IntegerEngine(network).run(tiles, names)
    write_nir(folder / "network.nir", to_nir(network, PATCH, PATCH))
    restored = expected_bytes(read_program(folder / "network.nir"), trace.readout, tiles)[0].transpose(
        1, 2, 0
    )
    assert told["output"] == fingerprint(np.broadcast_to(restored, colours.shape)), student
    spikes = [int(np.count_nonzero(trace.spikes[name])) for name in names[:-1]]
    assert told["spikes"] == " ".join(map(str, spikes)), student
    assert re.search(rf"{picture.shape[1]} x {picture.shape[0]} in \d+ ms", told["status"]), told["status"]


def written(folder: Path) -> tuple[Path, NDArray[np.uint8], Path, NDArray[np.uint8]]:
    """A grey picture of 16 bits, and one whose left half one sees through, as the page must take them."""
    small = sample_photograph()[96:116, 100:124]
    deep, glass = folder / "deep.png", folder / "glass.png"
    Image.fromarray(small[..., 0].astype(np.uint16) * 257).save(deep)
    alpha = np.where(np.arange(24) < 12, 0, 255).astype(np.uint8)
    seen = np.where(alpha[:, None] > 0, small, 255).astype(np.uint8)
    Image.fromarray(np.dstack([small, np.broadcast_to(alpha, small.shape[:2])])).save(glass)
    return deep, small[..., :1], glass, seen


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason=f"no browser: install chromium, or set {VARIABLE} to one")
@pytest.mark.skipif(find_wasm_compiler() is None, reason=REMEDY)
def test_the_page_gives_the_engines_integers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a phone: students for colour, of binary spikes and for grey, on the sample and on files."""
    quick = [flag.replace("-O3", "-O1") for flag in compilers.FLAGS]  # compiled sooner, and no other integers
    monkeypatch.setattr(compilers, "FLAGS", (*quick, "-DSNN_SMALL"))
    made = build_playground(tmp_path, [STUDENT, BINARY, GREY], False, lambda items, label: items)
    with pytest.raises(ConfigError, match="--overwrite"):
        build_playground(tmp_path, [STUDENT], False, lambda items, label: items)
    deep, grey, glass, seen = written(tmp_path)
    browser = Browser(tmp_path / "profile")
    try:
        page = Page(browser, made.page)
        picture = noisy(sample_photograph())
        assert abs(float((picture.astype(int) - sample_photograph()).std()) - SIGMA) < 4, "no noise was added"
        assert_shown(page, STUDENT, picture, tmp_path)
        wide = page.told("JSON.stringify([innerWidth, document.documentElement.scrollWidth])")
        assert wide == [PHONE["width"]] * 2, "the page is wider than the phone"
        assert (
            page.told('JSON.stringify(getComputedStyle(document.querySelector(".touch")).display)') != "none"
        )
        page.told('camera().then(() => "0")')
        assert page.told()["status"].startswith("No camera: "), page.told()
        page.open(glass)
        assert_shown(page, STUDENT, noisy(seen), tmp_path)
        page.open(deep)
        assert_shown(page, STUDENT, noisy(np.repeat(grey, 3, axis=2)), tmp_path)
        page.choose(BINARY)
        assert_shown(page, BINARY, noisy(np.repeat(grey, 3, axis=2)), tmp_path)
        page.choose(GREY)
        assert_shown(page, GREY, noisy(grey, 28), tmp_path)
    finally:
        browser.close()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / PAGE).write_text("<title>mine</title>")
    with pytest.raises(ConfigError, match="no page of ours"):
        build_playground(tmp_path, [], True, lambda items, label: items)
    assert (tmp_path / PAGE).read_text() == "<title>mine</title>"
