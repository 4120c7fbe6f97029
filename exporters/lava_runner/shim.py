"""Import Lava on Python 3.11 and later, which it does not support officially.

Since 3.11 a dataclass field refuses a default whose class is not hashable. One module of lava-nc 0.10.0
(lava.magma.compiler.var_model) has such defaults. Its dataclasses are made hashable while it is imported;
nothing else is changed, and no arithmetic is touched.
"""

import dataclasses
import importlib
import sys
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
