"""How many spikes, and how many timesteps, the student could afford before the reference is cheaper."""

from collections.abc import Iterable

from snn_tool.energy.report.pricing import PricedRow
from snn_tool.energy.report_estimates import ReadingEnergy
from snn_tool.energy.report_robustness import BreakEven

SILENT = "the student needs more than the reference even without a spike"
UNDRIVEN = "no spike was fired, so that there is nothing to scale"
STILL = "nothing is paid per timestep"
ONCE = "what the student pays once per image exceeds the reference"


def break_even(row: PricedRow, reference: str, spikes_per_neuron: float, timesteps: int) -> BreakEven:
    """Solve for equal mean energies of the student's headline and the reference.

        spikes:     E_ref = fixed + f driven                 f multiplies every item that spikes drive
        timesteps:  E_ref = once + (T_equal / T) (E - once)  each step does what it does now

    Args:
        row: with cells of student and reference.
        reference: its column.
        spikes_per_neuron: of the student, mean over the images.
        timesteps: T of the student.
    """
    headline = row.cells["student"].cell.headline
    energy = row.cells[reference].mean_pj
    factor, spikes_note = _factor(headline, energy)
    steps, steps_note = _timesteps(headline, energy, timesteps)
    return BreakEven(
        model=row.name,
        factor=factor,
        spikes_per_neuron=None if factor is None else factor * spikes_per_neuron,
        timesteps=steps,
        note="; ".join(note for note in (spikes_note, steps_note) if note),
    )


def _factor(headline: ReadingEnergy, reference_pj: float) -> tuple[float | None, str]:
    driven = _sum(headline, headline.spike_driven)
    fixed = _sum(headline, headline.items_pj.keys() - set(headline.spike_driven))
    if driven == 0:
        return None, UNDRIVEN
    if reference_pj < fixed:
        return None, SILENT
    return (reference_pj - fixed) / driven, ""


def _timesteps(headline: ReadingEnergy, reference_pj: float, timesteps: int) -> tuple[float | None, str]:
    once = _sum(headline, headline.once)
    steps = _sum(headline, headline.items_pj.keys() - set(headline.once))
    if steps == 0:
        return None, STILL
    if reference_pj < once:
        return None, ONCE
    return timesteps * (reference_pj - once) / steps, ""


def _sum(headline: ReadingEnergy, items: Iterable[str]) -> float:
    return sum(value for item, value in headline.items_pj.items() if item in set(items))
