"""Teachers: sizes by formula, features, padding, attention against a loop over heads, files."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from snn_tool.energy.counts.dense import count_macs
from snn_tool.errors import ArtifactError, ConfigError
from snn_tool.models.bodies import unet
from snn_tool.models.checkpoints import sidecar_of, write_tensors
from snn_tool.models.config import StudentConfig
from snn_tool.models.network import Network
from snn_tool.models.neurons import ReluNeuron
from snn_tool.models.student import build_twin
from snn_tool.models.teachers.nafnet import NAFBlock, NAFNet
from snn_tool.models.teachers.registry import (
    SCHEMA,
    TEACHER_KIND,
    TEACHERS,
    build_teacher,
    load_teacher,
    save_teacher,
)
from snn_tool.models.teachers.restormer import Attention, ChannelNorm, Restormer
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

SMALL: dict[str, dict[str, object]] = {
    "unet": {"width": 4},
    "flat": {"width": 4},
    "chain": {"width": 4},
    "nafnet": {
        "width": 4,
        "encoder_blocks": [1, 1, 1],
        "middle_blocks": 1,
        "decoder_blocks": [1, 0, 1],
    },
    "restormer": {"dim": 4, "blocks": [1, 1, 1, 1], "refinement_blocks": 1, "heads": [1, 2, 2, 4]},
}
MULTIPLES = {"unet": 2, "flat": 1, "chain": 1, "nafnet": 8, "restormer": 8}
SIDD = {"encoder_blocks": (2, 2, 4, 8), "middle_blocks": 12, "decoder_blocks": (2, 2, 2, 2)}
# Restormer's stages as (blocks, channels per dim, heads, level of resolution), encoder to refinement.
STAGES = [
    (4, 1, 1, 0),
    (6, 2, 2, 1),
    (6, 4, 4, 2),
    (8, 8, 8, 3),
    (6, 4, 4, 2),
    (6, 2, 2, 1),
    (4, 2, 1, 0),
    (4, 2, 1, 0),
]


def randomised(architecture: str) -> nn.Module:
    """A small teacher in which no branch is switched off by its initialisation."""
    torch.manual_seed(1)
    teacher = build_teacher(architecture, SMALL[architecture]).eval()
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return teacher


def on_meta(make: type[nn.Module], **options: object) -> nn.Module:
    with torch.device("meta"):
        return make(**options)


def flops(module: nn.Module, shape: tuple[int, ...]) -> dict[str, int]:
    """FLOPs by operation from torch's own counter; shapes are enough, so nothing is computed."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(shape, device="meta"))
    return {str(operation): count for operation, count in counter.get_flop_counts()["Global"].items()}


def restormer_parameters(dim: int, norm_values: int) -> int:
    total = 27 * dim + 27 * 2 * dim  # patch embedding and output, 3x3
    for blocks, factor, heads, _ in STAGES:
        c = factor * dim
        h = int(2.66 * c)
        attention = 3 * c * c + 9 * 3 * c + c * c + heads
        feed_forward = c * 2 * h + 9 * 2 * h + h * c
        total += blocks * (attention + feed_forward + 2 * norm_values * c)
    total += sum(9 * c * c // 2 for c in (dim, 2 * dim, 4 * dim))  # down: half the channels, then unshuffle
    total += sum(9 * c * 2 * c for c in (8 * dim, 4 * dim, 2 * dim))  # up: twice the channels, then shuffle
    return total + 8 * dim * 4 * dim + 4 * dim * 2 * dim  # the 1x1 reductions after two of the skips


def restormer_macs(dim: int, side: int) -> tuple[int, int]:
    """MACs of convolutions with padded borders, and of the two matrix products of each attention."""
    pixels = [(side >> level) ** 2 for level in range(4)]
    convolutions, products = (27 * dim + 27 * 2 * dim) * pixels[0], 0
    for blocks, factor, heads, level in STAGES:
        c = factor * dim
        h = int(2.66 * c)
        convolutions += blocks * pixels[level] * (4 * c * c + 27 * c + 3 * c * h + 18 * h)
        products += blocks * pixels[level] * 2 * c * (c // heads)
    convolutions += sum(pixels[level] * 9 * (dim << level) ** 2 // 2 for level in (0, 1, 2))
    convolutions += sum(pixels[level] * 9 * 2 * (dim << level) ** 2 for level in (3, 2))
    convolutions += pixels[1] * 9 * 2 * (2 * dim) ** 2
    return convolutions + (pixels[2] * 32 + pixels[1] * 8) * dim * dim, products


@pytest.mark.parametrize(
    ("layer_norm", "norm_values", "published"), [("BiasFree", 1, 26_111_668), ("WithBias", 2, 26_126_644)]
)
def test_restormer_has_its_published_size(layer_norm: str, norm_values: int, published: int) -> None:
    teacher = on_meta(Restormer, layer_norm=layer_norm)
    counted = sum(parameter.numel() for parameter in teacher.parameters())
    assert counted == restormer_parameters(48, norm_values) == published


@pytest.mark.slow
def test_restormer_takes_its_published_macs_without_any_weight_in_memory() -> None:
    teacher = on_meta(Restormer)
    report = count_macs(teacher, (1, 3, 256, 256))
    convolutions, products = restormer_macs(48, 256)
    assert report.of_kind("convolution") == convolutions == 140_990_496_768  # 141 GMAC as published
    assert report.of_kind("matrix product") == products == 13_891_534_848
    assert report.padded_macs == convolutions + products
    assert report.parameters == 26_111_668
    # Only the 3x3 convolutions lose products at the border.
    assert 0.99 * report.padded_macs < report.exact_macs < report.padded_macs
    assert all(parameter.is_meta for parameter in teacher.parameters())
    # torch books two FLOPs per MAC of the same convolutions and products, and nothing for the rest.
    assert flops(teacher, (1, 3, 256, 256)) == {
        "aten.convolution": 2 * convolutions,
        "aten.bmm": 2 * products,
    }


@pytest.mark.slow
@pytest.mark.parametrize("architecture", TEACHERS)
def test_macs_are_half_of_torchs_flops(architecture: str) -> None:
    with torch.device("meta"):
        teacher = build_teacher(architecture, SMALL[architecture])
    for shape in ((1, 3, 40, 24), (2, 3, 16, 16)):
        assert 2 * count_macs(teacher, shape).padded_macs == sum(flops(teacher, shape).values())


def nafnet_parameters(width: int, encoder: tuple[int, ...], middle: int, decoder: tuple[int, ...]) -> int:
    def blocks(count: int, c: int) -> int:
        """Five 1x1 convolutions, two of them twice as wide; biases, 3x3 depthwise, two norms, two scales."""
        pointwise = (2 + 1 + 1 + 2 + 1) * (c * c + c)
        return count * (pointwise + (9 + 1) * 2 * c + 2 * 2 * c + 2 * c)

    channels = [width << level for level in range(len(encoder))]
    total = 27 * width + width + 27 * width + 3 + blocks(middle, width << len(encoder))
    total += sum(blocks(n, c) for n, c in zip(encoder, channels, strict=True))
    total += sum(blocks(n, c) for n, c in zip(decoder, channels[::-1], strict=True))
    return total + sum(4 * c * 2 * c + 2 * c + 2 * c * 4 * c for c in channels)


@pytest.mark.parametrize(
    ("options", "millions"),
    [({}, 17.11), ({"width": 64}, 67.89), (SIDD, 29.16), ({"width": 64, **SIDD}, 115.98)],
)
def test_nafnet_has_its_published_sizes(options: dict[str, object], millions: float) -> None:
    full = {
        "width": 32,
        "encoder_blocks": (1, 1, 1, 28),
        "middle_blocks": 1,
        "decoder_blocks": (1, 1, 1, 1),
        **options,
    }
    counted = sum(parameter.numel() for parameter in on_meta(NAFNet, **options).parameters())
    assert counted == nafnet_parameters(*full.values())  # type: ignore[arg-type]
    assert round(counted / 1e6, 2) == millions


@pytest.mark.slow
@pytest.mark.parametrize("architecture", TEACHERS)
@given(height=st.integers(1, 34), width=st.integers(1, 34))
@settings(max_examples=15, deadline=None)
def test_features_have_the_declared_channels_and_scales(architecture: str, height: int, width: int) -> None:
    """The features are those of the extended image; `unet` leaves the extension to its caller."""
    multiple = MULTIPLES[architecture]
    padded = [-(-side // multiple) * multiple for side in (height, width)]
    size = padded if architecture == "unet" else [height, width]
    with torch.device("meta"):
        teacher = build_teacher(architecture, SMALL[architecture])
        restored, features = teacher.forward_features(torch.empty(2, 3, *size))
    assert teacher.multiple == multiple
    assert restored.shape == (2, 3, *size)
    assert features.keys() == teacher.feature_channels.keys() == teacher.feature_scales.keys()
    for name, feature in features.items():
        scale = teacher.feature_scales[name]
        assert feature.shape == (2, teacher.feature_channels[name], padded[0] // scale, padded[1] // scale)


@pytest.mark.parametrize("architecture", ["nafnet", "restormer"])
@pytest.mark.parametrize("size", [(13, 9), (1, 1), (16, 23)])
def test_odd_sizes_are_extended_by_their_edge_and_cropped(architecture: str, size: tuple[int, int]) -> None:
    teacher = randomised(architecture)
    image = np.random.default_rng(0).random((1, 3, *size)).astype(np.float32)
    extended = np.pad(image, ((0, 0), (0, 0), (0, -size[0] % 8), (0, -size[1] % 8)), mode="edge")
    with torch.no_grad():
        restored = teacher(torch.from_numpy(image))
        reference = teacher(torch.from_numpy(extended))[..., : size[0], : size[1]]
    assert restored.shape == image.shape
    torch.testing.assert_close(restored, reference, rtol=0, atol=0)
    assert not torch.equal(restored, torch.from_numpy(image))


def test_a_fresh_nafnet_block_is_the_identity_and_a_trained_one_is_not() -> None:
    block, x = NAFBlock(6), torch.randn(2, 6, 5, 7)
    assert torch.equal(block(x), x)
    with torch.no_grad():
        block.gamma += 1
    assert not torch.allclose(block(x), x)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("heads", [1, 2, 6])
def test_restormer_attention_equals_a_loop_over_heads_and_channels(heads: int, bias: bool) -> None:
    torch.manual_seed(heads)
    channels, (height, width) = 12, (4, 5)
    attention = Attention(channels, heads, bias).double()
    with torch.no_grad():
        attention.temperature.copy_(torch.rand(heads, 1, 1) + 0.5)
        x = torch.randn(2, channels, height, width, dtype=torch.float64)
        found = attention(x)
        mixed = attention.qkv_dwconv(attention.qkv(x)).numpy()
    size = channels // heads
    for n in range(2):
        joined = np.empty((channels, height * width))
        for head in range(heads):
            rows = [mixed[n, part * channels + head * size :][:size].reshape(size, -1) for part in range(3)]
            query, key, value = rows
            for i in range(size):
                cosines = [
                    query[i] @ key[j] / np.linalg.norm(query[i]) / np.linalg.norm(key[j]) for j in range(size)
                ]
                scores = np.exp(np.array(cosines) * float(attention.temperature.detach()[head]))
                joined[head * size + i] = sum(
                    score * value[j] for j, score in enumerate(scores / scores.sum())
                )
        weight = attention.project_out.weight.detach().numpy()[:, :, 0, 0]
        offset = attention.project_out.bias.detach().numpy()[:, None] if bias else 0.0
        expected = (weight @ joined + offset).reshape(channels, height, width)
        np.testing.assert_allclose(found[n].numpy(), expected, rtol=1e-10, atol=1e-12)


def test_layer_norms_by_their_equations() -> None:
    x = np.random.default_rng(3).normal(2.0, 3.0, (2, 5, 3, 4))
    variance = x.var(axis=1, keepdims=True)
    scaled = {
        "BiasFree": x / np.sqrt(variance + 1e-5),
        "WithBias": (x - x.mean(1, keepdims=True)) / np.sqrt(variance + 1e-5),
    }
    for kind, expected in scaled.items():
        found = ChannelNorm(5, kind).double()(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


def test_parameters_carry_the_names_of_the_published_checkpoints() -> None:
    names = on_meta(Restormer, layer_norm="WithBias").state_dict().keys()
    assert {
        "patch_embed.proj.weight",
        "encoder_level1.0.norm1.body.bias",
        "encoder_level2.5.attn.temperature",
        "encoder_level3.5.attn.qkv_dwconv.weight",
        "latent.7.ffn.project_in.weight",
        "down1_2.body.0.weight",
        "up4_3.body.0.weight",
        "reduce_chan_level3.weight",
        "decoder_level1.3.attn.project_out.weight",
        "refinement.3.ffn.project_out.weight",
        "output.weight",
    } <= names
    assert "reduce_chan_level1.weight" not in names
    names = on_meta(NAFNet).state_dict().keys()
    assert {
        "intro.weight",
        "encoders.3.27.conv5.bias",
        "downs.3.weight",
        "middle_blks.0.sca.1.weight",
        "ups.0.0.weight",
        "decoders.0.0.norm1.weight",
        "decoders.3.0.beta",
        "ending.bias",
    } <= names


def test_the_unet_teacher_is_the_students_topology_with_relu() -> None:
    teacher = build_teacher("unet", {"width": 6})
    assert isinstance(teacher, Network)
    assert (teacher.topology, teacher.timesteps) == (unet(6), 1)
    assert {type(neuron) for neuron in teacher.neurons.values()} == {ReluNeuron}
    twin = build_twin(StudentConfig(width=6))
    twin.load_state_dict(teacher.state_dict())
    image = torch.rand(1, 3, 8, 12)
    assert torch.equal(twin(image), teacher(image))
    # A ReLU network: every population but the read-out passes max(v, 0) on.
    seen: list[Tensor] = []
    teacher.neurons["enc_in"].register_forward_hook(lambda _, given, out: seen.extend((*given, out)))
    teacher(image)
    assert torch.equal(seen[1], functional.relu(seen[0])) and bool((seen[0] < 0).any())


@pytest.mark.parametrize("architecture", TEACHERS)
def test_every_teacher_returns_from_its_file(tmp_path: Path, architecture: str) -> None:
    teacher, path = randomised(architecture), tmp_path / "teacher.safetensors"
    save_teacher(path, teacher, architecture, SMALL[architecture], {"seed": 7})
    loaded, description = load_teacher(path)
    assert (description["options"], description["training"]) == (SMALL[architecture], {"seed": 7})
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    image = torch.rand(1, 3, 16, 8)
    with torch.no_grad():
        assert torch.equal(loaded(image), teacher(image))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "student"}, "expected a file of kind 'teacher', found 'student'"),
        ({"schema": 2}, "schema 2"),
        (
            {"architecture": "promptir"},
            "teacher 'promptir' is unknown; use one of unet, flat, chain, nafnet, restormer",
        ),
        ({"architecture": None}, "architecture = null is not allowed; use a printable name"),
        ({"options": {"depth": 3}}, "teacher 'unet': .*depth"),
        (
            {"options": {"width": "wide"}},
            "teacher.json: architecture 'unet' cannot be built with options .*wide",
        ),
        (
            {"options": {"width": -4}},
            r"options\.width = -4 is not allowed; use .* a whole number from 0 to 1024",
        ),
        ({"options": {"width": 0}}, "unet: width is 0"),
        ({"options": {"width": 10**12}}, r"options\.width = 1000000000000 is not allowed"),
        ({"options": ["width"]}, r'options = \["width"\] is not allowed; use a table'),
        ({"options": {"width": 6}}, "tensor '.*' should have shape"),
        ({"architecture": "nafnet", "options": {}}, "tensor '.*' should have shape"),
    ],
)
def test_a_foreign_teacher_file_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "teacher.safetensors"
    save_teacher(path, build_teacher("unet", {"width": 4}), "unet", {"width": 4}, {})
    sidecar = sidecar_of(path)
    document = {**json.loads(sidecar.read_text()), **change}
    del document["function_sha256"]  # as in files of earlier versions, whose numbers no hash covers
    sidecar.write_text(json.dumps(document))
    with pytest.raises(ArtifactError, match=message) as refused:
        load_teacher(path)
    assert "\n" not in str(refused.value) and "teacher." in str(refused.value)


def test_a_teacher_with_nan_names_the_tensor(tmp_path: Path) -> None:
    path, tensors = tmp_path / "teacher.safetensors", build_teacher("unet", {"width": 4}).state_dict()
    tensors["synapses.tail.bias"] = torch.tensor([0.0, float("nan"), 0.0])
    write_tensors(path, TEACHER_KIND, SCHEMA, tensors, {"architecture": "unet", "options": {"width": 4}}, {})
    with pytest.raises(ArtifactError, match="tensor 'synapses.tail.bias' holds NaN"):
        load_teacher(path)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("restormer", {"dim": 5}, "dim is 5"),
        ("restormer", {"heads": [1, 2, 5, 8]}, r"heads\[2\] is 5"),
        ("restormer", {"blocks": [1, 1, 1]}, "4 values"),
        ("restormer", {"layer_norm": "None"}, "layer_norm 'None' is unknown"),
        ("restormer", {"ffn_expansion": 0.0}, "ffn_expansion"),
        ("nafnet", {"width": 0}, "width is 0"),
        ("nafnet", {"encoder_blocks": [1, 1]}, "2 levels and decoder_blocks 4"),
        ("nafnet", {"middle_blocks": -1}, "must not be negative"),
        ("unet", {"width": 0}, "width is 0"),
        ("unet", {"colour": 1}, "colour"),
        ("resnet", {}, "use one of unet, flat, chain, nafnet, restormer"),
    ],
)
def test_impossible_teachers_are_refused(architecture: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_teacher(architecture, options)
