"""Import Lava on Python 3.11 and later, and lava-dl's netx without torch; officially neither works.

Since 3.11 a dataclass field refuses a default whose class is not hashable. One module of lava-nc 0.10.0
(lava.magma.compiler.var_model) has such defaults. Its dataclasses are made hashable while it is imported;
nothing else is changed, and no arithmetic is touched.

lava-dl 0.6.0 demands torch, gigabytes that netx does not use: it imports torch for the decay of
resonate-and-fire neurons and for data loaders that run beside a network. Stand-ins take their places.
"""

import dataclasses
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

NEEDED = sys.version_info >= (3, 11)
"""Whether this Python is newer than Lava allows."""


def make_lava_importable() -> None:
    """Import the one module that needs help; call before any other import of lava."""
    if not NEEDED or "lava.magma.compiler.var_model" in sys.modules:
        return
    module: Any = dataclasses  # to the type checker a module's functions are final
    original = module.dataclass

    def hashable(cls: type | None = None, **options: bool) -> Any:
        return original(cls, **{"unsafe_hash": True, **options})

    module.dataclass = hashable
    try:
        importlib.import_module("lava.magma.compiler.var_model")
    finally:
        module.dataclass = original


TORCH_ONLY = ("lava.lib.dl.slayer", "lava.lib.dl.slayer.neuron", "lava.lib.dl.slayer.neuron.rf")


def make_netx_importable() -> None:
    """Put stand-ins in place of what needs torch; call before any import of lava.lib.dl.netx.

    Raises:
        ImportError: lava-dl is not installed.
    """
    spec = importlib.util.find_spec("lava.lib.dl.netx")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("lava.lib.dl.netx was not found")
    for name in TORCH_ONLY:
        sys.modules.setdefault(name, ModuleType(name))
    vars(sys.modules[TORCH_ONLY[-1]])["neuron_params"] = _refuse_resonators
    # Lava's compiler imports every module of netx's folder, and asks each for the file that it came from.
    loaders = ModuleType("lava.lib.dl.netx.sequential_modules")
    loaders.__file__ = str(Path(spec.submodule_search_locations[0]) / "sequential_modules.py")
    sys.modules.setdefault(loaders.__name__, loaders)


def _refuse_resonators(_: Any) -> Any:
    raise ValueError("resonate-and-fire neurons need torch, which this environment does not have")
