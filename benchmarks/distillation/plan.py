"""The plan of the distillation study: `hkd.toml` as values, and every run that it asks for."""

import json
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snn_tool.errors import ConfigError
from snn_tool.files.artifacts import sha256_bytes
from snn_tool.training.settings import RunSettings, load_settings

REFERENCE, LONG = "none", "none-long"
SCREENING, CONFIRMATION = "screening", "confirmation"


@dataclass(frozen=True, slots=True)
class Key:
    """What names a run: `graded/both/10`."""

    neuron: str
    variant: str
    seed: int

    def __str__(self) -> str:
        return f"{self.neuron}/{self.variant}/{self.seed}"


@dataclass(frozen=True, slots=True)
class Phase:
    """A block of runs: its seeds, and the half of the validation crops that scores them."""

    name: str
    seeds: tuple[int, ...]
    half: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The tables of `hkd.toml`; see there."""

    document: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """The plan in a file, checked by making the settings of every run.

        Raises:
            ConfigError: it is not TOML, a table or key is missing or unknown, or the phases share a seed.
        """
        try:
            plan = cls(tomllib.loads(path.read_text(encoding="utf-8")))
            for neuron in plan.neurons:
                for variant in plan.variants:
                    plan.settings(Key(neuron, variant, 0))
                    plan.teacher(variant)
            shared = set(plan.phase(SCREENING).seeds) & set(plan.phase(CONFIRMATION).seeds)
        except KeyError as error:
            raise ConfigError(f"{path}: has no {error}") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{path}: is not TOML ({error})") from error
        if shared:
            raise ConfigError(
                f"{path}: seed {min(shared)} is in both phases; a confirmation needs fresh ones"
            )
        return plan

    @property
    def neurons(self) -> tuple[str, ...]:
        """Kinds of student, in the order of the work."""
        return tuple(self.document["neurons"])

    @property
    def variants(self) -> tuple[str, ...]:
        """All of them, the reference first."""
        return tuple(self.document["variants"])

    @property
    def smallest_effect_db(self) -> float:
        """What a difference must reach to be of interest."""
        return float(self.document["verdict"]["smallest_effect_db"])

    def phase(self, name: str) -> Phase:
        """One of the two."""
        table = self.document[name]
        return Phase(name, tuple(table["seeds"]), table["half"])

    def teacher(self, variant: str) -> str | None:
        """What `--teacher` would take; None for a variant without one."""
        table = self.document["variants"].get(variant, {})
        return self.document["teachers"][table["teacher"]] if "teacher" in table else None

    def has_hints(self, variant: str) -> bool:
        """Whether its teacher's features are needed, which are not cached."""
        return bool(self.document["variants"].get(variant, {}).get("loss", {}).get("hints", 0))

    def settings(self, key: Key, steps: int | None = None) -> RunSettings:
        """Everything that a run is asked for.

        Args:
            key: names the run; `none-long` is the reference of other `steps`.
            steps: instead of the neuron kind's own.

        Raises:
            ConfigError: a key that no settings have, or a value that is not allowed.
        """
        return load_settings(None, self._asked(key, steps))

    def _asked(self, key: Key, steps: int | None) -> dict[str, dict[str, Any]]:
        """What the plan says of a run, by table of the settings."""
        document, own = self.document, self.document["neurons"][key.neuron]
        sizes = {"max_steps": steps or own["steps"], "validate_every": own["validate_every"]}
        table = document["variants"][REFERENCE if key.variant == LONG else key.variant]
        return {
            "training": {**document["training"], **sizes, "seed": key.seed},
            "loss": {**document["loss"], **table["loss"]},
            "student": own["student"],
        }

    def settings_hash(self, key: Key, steps: int | None = None) -> str:
        """One hash of what the plan says of a run: a row of another hash is another study's.

        It does not change where this tool gets further settings with defaults of their own.
        """
        asked = {
            **self._asked(key, steps),
            "task": self.document["task"],
            "teacher": self.teacher(key.variant),
        }
        return sha256_bytes(json.dumps(asked, sort_keys=True).encode())

    def screening(self, neuron: str) -> Iterator[Key]:
        """Its runs of the first phase, seed by seed, so that an early look has whole pairs."""
        for seed in self.phase(SCREENING).seeds:
            for variant in self.variants:
                yield Key(neuron, variant, seed)

    def confirmation(self, neuron: str, best: tuple[str, ...]) -> Iterator[Key]:
        """Its runs of the second phase.

        Args:
            neuron: the kind.
            best: the variants that the screening chose.
        """
        for seed in self.phase(CONFIRMATION).seeds:
            for variant in (REFERENCE, *best):
                yield Key(neuron, variant, seed)
