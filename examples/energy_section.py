# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # The energy section of a paper
# Most papers multiply spike counts with 0.9 pJ and stop. An audit prices exact counts by every published
# model and gives a range. Here: a student that comes with snn-tool against Restormer's architecture, a
# LaTeX table of every model, and the sentences that may stand beside it.

# %%
from pathlib import Path

import snn_tool as st
from skimage import data

STUDENT, TEACHER = "denoise-25", "restormer"
CROP = 128  # side of the centre crops in pixels
OUT = Path("energy")
photographs = [data.astronaut(), data.coffee(), data.chelsea()]

# %% [markdown]
# `teacher` may be a network that you trained, code of your own, or an architecture's name, which is counted
# at its published size. `claim` is what is audited: here 50 times less energy.

# %%
audit = st.audit(
    STUDENT, photographs, teacher=TEACHER, claim=50, crop=CROP, sweep=False, out=OUT, overwrite=True
)
print(audit)

# %% [markdown]
# The table needs `\usepackage{booktabs}`; the sources of the models stand in it as comments. The command
# line has it as `snn-tool energy report ... --latex FILE`.

# %%
audit.to_latex(OUT / "energy-table.tex", overwrite=True)
audit.to_html(OUT / "report.html", overwrite=True)

# %% [markdown]
# And the paragraph. What spikes alone are worth stands beside the total: the rest is a smaller network and
# fewer bits.

# %%
least, most = audit.headline
equal = audit.report.qann_headline
verdict = audit.report.verdict
paragraph = (
    f"We count every operation of the deployed integer network on {len(photographs)} centre crops of "
    f"{CROP}x{CROP} pixels and price it by {len(audit.report.models)} published models "
    r"(Table~\ref{tab:energy}). "
    f"The student is estimated to need {least:.3g} to {most:.3g} times less energy than {TEACHER.title()}, "
    "depending on the model; the same function without spikes is estimated to need "
    f"{equal.least:.2g} to {equal.most:.2g} times the student's energy. "
    f"A claim of {verdict.claim:g} times less is supported by {len(verdict.supporting)} of "
    f"{len(audit.report.ratios)} estimates. "
    "These are estimates, counts times published prices; nothing was measured on silicon."
)
(OUT / "energy-section.tex").write_text(paragraph + "\n\\input{energy-table}\n")
print(paragraph)
