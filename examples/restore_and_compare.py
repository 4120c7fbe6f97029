# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
# ---

# %% [markdown]
# # Restore a photograph, and see what was gained
# A student that comes with snn-tool removes noise of sigma 25 from a photograph of scikit-image. The noise
# is drawn here, so that the clean photograph is known and the gain can be measured.

# %%
from pathlib import Path

import numpy as np
import snn_tool as st
from PIL import Image
from skimage import data
from skimage.metrics import peak_signal_noise_ratio

STUDENT = "denoise-25"
CROP = 512  # side of the picture in pixels
OUT = Path("restored.png")

# %%
clean = data.astronaut()[:CROP, :CROP]
noise = np.random.default_rng(0).normal(0, 25 / 255, clean.shape)
noisy = clean / 255 + noise  # floats in [0, 1] before the noise, which may leave that range

student = st.load(STUDENT)
restored = student.restore(noisy)  # what comes out has the kind of what went in: here floats


# %% [markdown]
# PSNR in dB says how near two images are: 10 dB more are a tenth of the squared error.


# %%
def psnr_db(image: np.ndarray) -> float:
    rounded = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return peak_signal_noise_ratio(clean, rounded, data_range=255)


print(student)
print(f"noisy {psnr_db(noisy):.2f} dB, restored {psnr_db(restored):.2f} dB")

# %% [markdown]
# The three side by side: noisy, restored, clean.

# %%
row = np.hstack([np.clip(noisy, 0, 1), restored, clean / 255])
Image.fromarray(np.round(row * 255).astype(np.uint8)).save(OUT)
print(OUT)
