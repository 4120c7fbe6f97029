"""Finds what compiles C to WebAssembly, and compiles a network."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snn_tool.errors import BackendUnavailableError
from snn_tool.exporters.contract.process import run_group

REMEDY = "pip install 'snn-tool[wasm]', or install clang and lld"
TIMEOUT_S, VERSION_S = 600.0, 60.0
FLAGS = ("-std=c99", "-O3", "-msimd128", "-mbulk-memory", "-nostdlib", "-Wl,--no-entry", "-Wl,--strip-all")
"""SIMD and bulk memory are in every browser since 2023."""
STACK = "-Wl,-z,stack-size=65536"
ZIG, ZIG_TARGET, CLANG_TARGET = "ziglang", "wasm32-freestanding", "wasm32"


@dataclass(frozen=True, slots=True)
class WasmCompiler:
    """A compiler that answers.

    Attributes:
        command: program and the options that make it write WebAssembly.
        version: what it says of itself.
        environment: its environment variables.
    """

    command: tuple[str, ...]
    version: str
    environment: Mapping[str, str] = field(repr=False)

    def compile(self, files: Mapping[str, str]) -> bytes:
        """The module of a folder's C files.

        Args:
            files: contents by file name; those that end with .c are compiled.

        Raises:
            BackendUnavailableError: the compiler fails or hangs; its last words are told.
        """
        with tempfile.TemporaryDirectory(prefix="snn-tool-wasm-") as scratch:
            folder = Path(scratch)
            for name, text in files.items():
                (folder / name).write_text(text, encoding="utf-8")
            sources = [folder / name for name in files if name.endswith(".c")]
            made = folder / "snn.wasm"
            words: list[str | Path] = [
                *self.command,
                *FLAGS,
                STACK,
                "-DSNN_TAPS",
                "-I",
                folder,
                "-o",
                made,
                *sources,
            ]
            finished = run_group(words, timeout_s=TIMEOUT_S, environment=self.environment)
            if finished.code != 0:
                how = "does not end" if finished.code is None else f"ends with exit code {finished.code}"
                raise BackendUnavailableError(f"{self.command[0]} {how}: {finished.last_words}; {REMEDY}")
            return made.read_bytes()


def find_wasm_compiler() -> WasmCompiler | None:
    """Zig's compiler from PyPI, else clang with wasm-ld; None if neither is there.

    Raises:
        BackendUnavailableError: the one that is there does not run.
    """
    if importlib.util.find_spec(ZIG):
        return _answering(
            (sys.executable, "-m", ZIG), "version", (f"--target={ZIG_TARGET}",), "zig ", ("cc",)
        )
    clang = shutil.which("clang")
    if clang and shutil.which("wasm-ld"):
        return _answering((clang,), "--version", (f"--target={CLANG_TARGET}",))
    return None


def need_wasm_compiler() -> WasmCompiler:
    """The same, where one is needed.

    Raises:
        BackendUnavailableError: there is none.
    """
    found = find_wasm_compiler()
    if found is None:
        raise BackendUnavailableError(f"no compiler for WebAssembly; {REMEDY}")
    return found


def _answering(
    program: tuple[str, ...], ask: str, options: tuple[str, ...], prefix: str = "", mode: tuple[str, ...] = ()
) -> WasmCompiler:
    finished = run_group([*program, ask], timeout_s=VERSION_S)
    if finished.code != 0:
        raise BackendUnavailableError(f"{' '.join(program)} {ask} fails: {finished.last_words}; {REMEDY}")
    version = next(iter(finished.stdout.strip().splitlines()), "unknown")
    return WasmCompiler((*program, *mode, *options), f"{prefix}{version}", dict(os.environ))
