"""The page in a real browser, from disk: noise and result are the integers that the engine gives."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from snn_tool.errors import ConfigError
from snn_tool.exporters.c.target import expected_bytes
from snn_tool.exporters.nir.file import read_program, write_nir
from snn_tool.exporters.nir.graph import to_nir
from snn_tool.exporters.wasm.compiler import REMEDY, find_wasm_compiler
from snn_tool.models.integer.engine import IntegerEngine, quantize_image
from snn_tool.networks.open import open_integers
from snn_tool.networks.shipped import student_path
from snn_tool.playground.build import PAGE, PATCH, build_playground, quantiles, sample_photograph

VARIABLE = "SNN_TOOL_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND")
STUDENT, SIGMA, SEED = "denoise-25", 25, 1


def noisy(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What templates/worker.js makes of a picture, in numpy: mulberry32's n-th word needs no word before."""
    n = np.arange(1, picture.size + 1, dtype=np.uint32)
    state = np.uint32(SEED) + n * np.uint32(0x6D2B79F5)
    word = (state ^ (state >> 15)) * (1 | state)
    word = (word + (word ^ (word >> 7)) * (61 | word)) ^ word
    chosen = np.array(quantiles(), np.int64)[(word ^ (word >> 14)) >> 20]
    noise = (SIGMA * chosen + 32768) // 65536
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


def opened(page: Path, profile: Path) -> dict[str, str]:
    """What the page tells when its Worker has answered."""
    browser = Browser(profile)
    try:
        target = browser.call("Target.createTarget", url=page.as_uri())["targetId"]
        session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        end = time.monotonic() + PATIENCE_S
        while True:
            found = browser.call("Runtime.evaluate", session, expression=TOLD)["result"].get("value")
            told = dict(json.loads(found)) if found else {}
            if told.get("spikes") or "cannot" in told.get("status", "") or time.monotonic() > end:
                return told
            time.sleep(0.3)
    finally:
        browser.close()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason=f"no browser: install chromium, or set {VARIABLE} to one")
@pytest.mark.skipif(find_wasm_compiler() is None, reason=REMEDY)
def test_the_page_gives_the_engines_integers(tmp_path: Path) -> None:
    made = build_playground(tmp_path, [STUDENT], False, lambda items, label: items)
    with pytest.raises(ConfigError, match="--overwrite"):
        build_playground(tmp_path, [STUDENT], False, lambda items, label: items)
    assert BROWSER
    told = opened(made.page, tmp_path / "profile")

    picture = noisy(sample_photograph())
    assert abs(float((picture.astype(int) - sample_photograph()).std()) - SIGMA) < 4, "noise was not added"
    assert told.get("input") == fingerprint(picture), told
    network = open_integers(student_path(STUDENT)).network
    tiles = quantize_image(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255, network)
    names = [population.wiring.name for population in network.populations]
    trace = IntegerEngine(network).run(tiles, names)
    write_nir(tmp_path / "network.nir", to_nir(network, PATCH, PATCH))
    restored = expected_bytes(read_program(tmp_path / "network.nir"), trace.readout, tiles)
    assert told["output"] == fingerprint(np.ascontiguousarray(restored[0].transpose(1, 2, 0)))
    spikes = [int(np.count_nonzero(trace.spikes[name])) for name in names[:-1]]
    assert told["spikes"] == " ".join(map(str, spikes))


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    (tmp_path / PAGE).write_text("<title>mine</title>")
    with pytest.raises(ConfigError, match="no page of ours"):
        build_playground(tmp_path, [], True, lambda items, label: items)
    assert (tmp_path / PAGE).read_text() == "<title>mine</title>"
