# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # A body of your own
# The built-in bodies are an encoder-decoder (`unet`), a dilated stack (`flat`) and a chain. Any other
# wiring is a list of *synapses* (convolutions) and of *populations* (neurons that sum the synapses they
# name). The last population is the read-out: it never fires, and its membrane is what is added to the
# degraded image.
#
# Here: two branches, one of them dilated, that meet in a population which also sees the first one (a
# shortcut).

# %%
import snn_tool as st
import torch
from skimage import data

STEPS = 300
WIDTH = 12
SIDE = 300  # of the photographs, in pixels
whole = data.astronaut(), data.coffee(), data.chelsea(), data.rocket()
photographs = [image[:SIDE, :SIDE] for image in whole]

# %%
wiring = st.Topology(
    synapses=(
        st.Synapse("head", "image", 3, WIDTH, kernel=5, zero_mean=True, gain=3.0),
        st.Synapse("near", "first", WIDTH, WIDTH),
        st.Synapse("far", "first", WIDTH, WIDTH, dilation=3),
        st.Synapse("join_near", "close", WIDTH, WIDTH),
        st.Synapse("join_far", "wide", WIDTH, WIDTH),
        st.Synapse("tail", "joined", WIDTH, 3, gain=0.1),
    ),
    populations=(
        st.Population("first", ("head",), WIDTH),
        st.Population("close", ("near",), WIDTH),
        st.Population("wide", ("far",), WIDTH),
        st.Population("joined", ("head", "join_near", "join_far"), WIDTH),  # `head` once more: the shortcut
        st.Population("readout", ("tail",), 3),
    ),
    hints=("joined",),
)
config = st.StudentConfig(neuron="graded", levels=8)
torch.manual_seed(0)
network = st.build_student(config, wiring)
print(f"{wiring.parameters:,} parameters")

# %% [markdown]
# It trains like any torch module. The loss is that of `distill`, without a teacher.

# %%
settings = st.TrainingSettings(max_steps=STEPS, batch=8, patch=48)
patches, crops = st.patches(photographs, settings, strength=25)
rounded = st.quantization_aware(network, config)
loss_of = st.DistillationLoss.between(network, None)
optimizer, schedule = st.optimizer_for(network, settings, loss_of)
for step, (degraded, clean) in enumerate(patches):
    progress = step / STEPS
    trained = rounded if progress >= 1 - settings.qat else network
    terms = loss_of(*trained.forward_features(degraded), None, clean)
    optimizer.zero_grad()
    loss_of.total(terms, progress).backward()
    optimizer.step()
    schedule.step()

with torch.no_grad():
    errors = [((rounded(seen).clamp(0, 1) - clean) ** 2).mean() for seen, clean in crops]
    before = [((seen.clamp(0, 1) - clean) ** 2).mean() for seen, clean in crops]
db = [float(-10 * torch.stack(each).log10().mean()) for each in (before, errors)]
print(f"held-out crops: {db[0]:.2f} -> {db[1]:.2f} dB")

# %% [markdown]
# Integers, a Loihi-style bundle with golden vectors, and a second implementation that gets the same
# integers.

# %%
net = st.quantize(network.eval(), photographs, config=config, strength=25)
bundle = st.export(net, "loihi", "own-body", size=16, tiles=1, verify=False, overwrite=True)
print(bundle)
print(st.verify(bundle, backends=["nir", "integer"]))
