"""What the finished runs of the distillation study say, and which are missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import fmean

from snn_tool.errors import ConfigError

from distillation.plan import CONFIRMATION, LONG, REFERENCE, SCREENING, Key, Phase, Plan
from distillation.rows import Rows
from distillation.statistics import Difference, holm, paired, verdict


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run of the study.

    Attributes:
        block: what it belongs to, e.g. `graded screening`.
        steps: instead of the plan's, of `none-long`.
    """

    key: Key
    block: str
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variant against a reference on one half.

    Attributes:
        corrected_p: by Holm, over the comparisons of its table.
        verdict: by the words that were registered.
    """

    variant: str
    against: str
    found: Difference
    corrected_p: float
    verdict: str


@dataclass(frozen=True, slots=True)
class Study:
    """The plan, and the rows that there are."""

    plan: Plan
    rows: Rows

    @classmethod
    def of(cls, plan: Plan, rows: Rows) -> "Study":
        """Both, if the rows are of this plan.

        Raises:
            ConfigError: a row was made by other settings, or is of no run of the plan.
        """
        for key, row in rows.items():
            steps = row.steps if key.variant == LONG else None
            try:
                same = plan.settings_hash(key, steps) == row.settings_sha256
            except KeyError:
                same = False
            if not same:
                raise ConfigError(f"{key}: a row of other settings than the plan's; it is of another study")
        return cls(plan, rows)

    def screened(self, neuron: str) -> bool:
        """Whether all runs of the first phase are there."""
        return all(key in self.rows for key in self.plan.screening(neuron))

    def best(self, neuron: str) -> tuple[str, ...]:
        """The variants that go on, best first; empty as long as the screening is not whole.

        The highest mean on the phase's half; of those within the plan's tie the one of least processor time.
        """
        if not self.screened(neuron):
            return ()
        phase, table = self.plan.phase(SCREENING), self.plan.document[CONFIRMATION]
        left = {v: self.scores(neuron, v, phase) for v in self.plan.variants if self.plan.teacher(v)}
        left = {variant: scores for variant, scores in left.items() if scores}
        chosen: list[str] = []
        while left and len(chosen) < table["best"]:
            means = {variant: fmean(scores.values()) for variant, scores in left.items()}
            near = [v for v, mean in means.items() if mean > max(means.values()) - table["tie_db"]]
            chosen.append(min(near, key=lambda v: self.cpu_s(neuron, v, phase.seeds)))
            del left[chosen[-1]]
        return tuple(chosen)

    def confirmed(self, neuron: str) -> bool:
        """Whether all runs of the second phase are there."""
        best = self.best(neuron)
        return bool(best) and all(key in self.rows for key in self.plan.confirmation(neuron, best))

    def long_steps(self, neuron: str) -> int | None:
        """Steps of `none` in the time of the better confirmed variant; None before the confirmation is whole.

        A whole number of validations, rounded down: the reference never gets more time.
        """
        if not self.confirmed(neuron):
            return None
        own, seeds = self.plan.document["neurons"][neuron], self.plan.phase(CONFIRMATION).seeds
        ratio = self.cpu_s(neuron, self.better(neuron), seeds) / self.cpu_s(neuron, REFERENCE, seeds)
        return max(1, int(own["steps"] * ratio / own["validate_every"])) * int(own["validate_every"])

    def better(self, neuron: str) -> str:
        """Of the confirmed variants the one with the higher mean."""
        phase = self.plan.phase(CONFIRMATION)
        return max(self.best(neuron), key=lambda v: fmean(self.scores(neuron, v, phase).values() or [-1e9]))

    def scores(self, neuron: str, variant: str, phase: Phase) -> Mapping[int, float]:
        """PSNR of a variant by seed on a phase's half; failed runs are left out."""
        found = {seed: self.rows.get(Key(neuron, variant, seed)) for seed in phase.seeds}
        return {seed: row.score(phase.half) for seed, row in found.items() if row and not row.failed}

    def cpu_s(self, neuron: str, variant: str, seeds: tuple[int, ...]) -> float:
        """Mean processor seconds of its runs, the teacher run at every step."""
        found = [self.rows.get(Key(neuron, variant, seed)) for seed in seeds]
        return fmean([row.cpu_s for row in found if row and not row.failed] or [float("inf")])

    def screening(self, neuron: str) -> list[Comparison]:
        """All variants against `none`, in the plan's order; none before it is whole."""
        others = self.plan.variants[1:] if self.screened(neuron) else ()
        return self._compared(neuron, others, REFERENCE, self.plan.phase(SCREENING))

    def confirmation(self, neuron: str) -> list[Comparison]:
        """The chosen variants against `none`; none before it is whole."""
        others = self.best(neuron) if self.confirmed(neuron) else ()
        return self._compared(neuron, others, REFERENCE, self.plan.phase(CONFIRMATION))

    def equal_time(self, neuron: str) -> list[Comparison]:
        """The better variant against `none` of as much time; none before that is whole."""
        phase = self.plan.phase(CONFIRMATION)
        if any(Key(neuron, LONG, seed) not in self.rows for seed in phase.seeds) or not self.best(neuron):
            return []
        return self._compared(neuron, (self.better(neuron),), LONG, phase)

    def _compared(
        self, neuron: str, variants: tuple[str, ...], against: str, phase: Phase
    ) -> list[Comparison]:
        reference, smallest = self.scores(neuron, against, phase), self.plan.smallest_effect_db
        found = {}
        for variant in variants:
            ours = self.scores(neuron, variant, phase)
            if ours.keys() & reference.keys():
                found[variant] = paired(ours, reference)
        p = holm({variant: 1.0 if each.p is None else each.p for variant, each in found.items()})
        confidence = self.plan.document["verdict"]["confidence"]
        return [
            Comparison(v, against, each, p[v], verdict(each, p[v], smallest, confidence))
            for v, each in found.items()
        ]

    def wanted(self) -> Iterator[Wanted]:
        """Every run that is asked for by what is known so far, in the order of the work."""
        for neuron in self.plan.neurons:
            for key in self.plan.screening(neuron):
                yield Wanted(key, f"{neuron} {SCREENING}")
            if best := self.best(neuron):
                for key in self.plan.confirmation(neuron, best):
                    yield Wanted(key, f"{neuron} {CONFIRMATION}")
        for neuron in self.plan.neurons:
            if steps := self.long_steps(neuron):
                for seed in self.plan.phase(CONFIRMATION).seeds:
                    yield Wanted(Key(neuron, LONG, seed), f"{neuron} {LONG}", steps)

    def missing(self) -> list[Wanted]:
        """Those without a row."""
        return [each for each in self.wanted() if each.key not in self.rows]

    def estimates(self) -> dict[Key, float]:
        """Processor seconds of every missing run: by finished runs of its kind, else by the rehearsal.

        A teacher's cached answers are counted for the first run of a seed that asks for them.
        """
        asked = {
            (row.teacher_sha256, row.seed)
            for row in self.rows.values()
            if not self.plan.has_hints(row.variant)
        }
        names = {self.plan.teacher(row.variant): row.teacher_sha256 for row in self.rows.values()}
        found = {}
        for each in self.missing():
            key = each.key
            steps = each.steps or self.plan.document["neurons"][key.neuron]["steps"]
            table, hints = self.plan.document["rehearsed"], self.plan.has_hints(key.variant)
            per_step = self._rate(key) or table[key.neuron] + (table["hints"][key.neuron] if hints else 0)
            if teacher := self.plan.teacher(key.variant):
                question = (names.get(teacher) or teacher, key.seed)
                if hints or question not in asked:
                    per_step += table[self.plan.document["variants"][key.variant]["teacher"]]
                if not hints:
                    asked.add(question)
            found[key] = steps * per_step
        return found

    def _rate(self, key: Key) -> float | None:
        """Seconds per step without the teacher, of finished runs of the variant; None without one."""
        rates = [
            row.last.cpu_s / row.steps
            for row in self.rows.values()
            if (row.neuron, row.variant) == (key.neuron, key.variant) and not row.failed
        ]
        return fmean(rates) if rates else None
