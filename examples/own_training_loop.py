# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A training loop of your own, with a teacher of your own
# `snn_tool` gives the parts: batches, a student, the loss, the optimiser, and a view of the student that
# rounds as the chip will. The loop and the teacher are yours. The teacher here is a small residual network
# of torch that is trained first; two of its features are shown to the student as hints.

# %%
import snn_tool as st
import torch
from skimage import data
from torch import nn

STEPS = 400
TEACHER_STEPS = 400
BATCH, PATCH = 8, 48
SIDE = 300  # of the photographs, in pixels
whole = data.astronaut(), data.coffee(), data.chelsea(), data.rocket()
photographs = [image[:SIDE, :SIDE] for image in whole]


# %% [markdown]
# A teacher takes degraded images [N, 3, H, W] in [0, 1] and returns restored ones. For hints it has a
# method `forward_features`, and says how many channels each feature has and how many pixels of the image
# one of its pixels spans.


# %%
class MyTeacher(nn.Module):
    feature_channels = {"coarse": 32, "fine": 32}
    feature_scales = {"coarse": 2, "fine": 1}

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 32, 3, padding=1)
        self.coarse = nn.Conv2d(32, 32, 3, stride=2, padding=1)
        self.up = nn.Sequential(nn.Conv2d(32, 128, 1), nn.PixelShuffle(2))
        self.fine = nn.Conv2d(32, 32, 3, padding=1)
        self.tail = nn.Conv2d(32, 3, 3, padding=1)

    def forward_features(self, degraded):
        first = self.head(degraded).relu()
        coarse = self.coarse(first).relu()
        fine = self.fine(first + self.up(coarse)).relu()
        return degraded + self.tail(fine), {"coarse": coarse, "fine": fine}

    def forward(self, degraded):
        return self.forward_features(degraded)[0]


# %% [markdown]
# Batches: patches of the photographs with noise of sigma 25, by a seed. One photograph in ten, here one, is
# held out; its crops tell how good a network is.


# %%
def batches(steps: int):
    settings = st.TrainingSettings(max_steps=steps, batch=BATCH, patch=PATCH)
    return settings, *st.patches(photographs, settings, strength=25)


def psnr_db(network: nn.Module, crops) -> float:
    with torch.no_grad():
        errors = [(network(degraded).clamp(0, 1) - clean).square().mean() for degraded, clean in crops]
    return float(-10 * torch.stack(errors).log10().mean())


# %%
torch.manual_seed(0)
teacher = MyTeacher()
_, patches, crops = batches(TEACHER_STEPS)
adam = torch.optim.Adam(teacher.parameters(), 1e-3)
for degraded, clean in patches:
    adam.zero_grad()
    (teacher(degraded) - clean).abs().mean().backward()
    adam.step()
print(f"teacher: {psnr_db(teacher.eval(), crops):.2f} dB on the held-out crops")

# %% [markdown]
# The student learns from the clean patches, from the teacher's output and from its features. In the last
# fifth of the steps the network that is trained is the rounded view: 8-bit weights, integer thresholds.

# %%
settings, patches, crops = batches(STEPS)
config = st.StudentConfig(width=12)
student = st.build_student(config)
rounded = st.quantization_aware(student, config)
loss_of = st.DistillationLoss.between(student, teacher)
optimizer, schedule = st.optimizer_for(student, settings, loss_of)
for step, (degraded, clean) in enumerate(patches):
    progress = step / STEPS
    network = rounded if progress >= 1 - settings.qat else student
    with torch.no_grad():
        taught = teacher.forward_features(degraded)
    terms = loss_of(*network.forward_features(degraded), taught, clean)
    optimizer.zero_grad()
    loss_of.total(terms, progress).backward()
    optimizer.step()
    schedule.step()
print(f"student: {psnr_db(rounded.eval(), crops):.2f} dB, terms {', '.join(terms)}")

# %% [markdown]
# Integers of it, and the proof that the exported file computes the same.

# %%
net = st.quantize(student.eval(), photographs, config=config, strength=25)
bundle = st.export(net, "loihi", "own-loop", size=16, tiles=1, verify=False, overwrite=True)
print(st.verify(bundle, backends=["nir", "integer"]))
