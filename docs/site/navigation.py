"""The site's table of contents: sections by folder, so that a new page is found without being listed.

mkdocs.yml (`nav`) names sections and the pages that have an order. Pages of a section's folder that it does
not name follow by name, and decisions by number.
"""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

FOLDERS = {
    "Start": "start",
    "Tutorials": "tutorials",
    "Guides": "guides",
    "Reference": "reference",
    "Explanation": "explanation",
    "Results": "results",
    "Decisions": "decisions",
}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Complete every section by the pages of its folder."""
    docs = Path(config.docs_dir)
    for entry in config.nav or []:
        for title, named in entry.items() if isinstance(entry, dict) else ():
            if title in FOLDERS:
                entry[title] = completed(named or [], docs, FOLDERS[title])
    return config


def completed(named: list[Any], docs: Path, folder: str) -> list[Any]:
    """The pages that are named, and then all others of the folder, in order of their names."""
    paths = {each if isinstance(each, str) else next(iter(each.values())) for each in named}
    found = sorted(path.relative_to(docs).as_posix() for path in (docs / folder).glob("*.md"))
    return [*named, *(path for path in found if path not in paths)]
