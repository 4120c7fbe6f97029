"""`snn-tool energy map`: a student's dense rivals, mapped layer by layer onto a described accelerator."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from snn_tool.auditing.networks import audited_cnn, audited_teacher, dense_rivals
from snn_tool.auditing.options import MapOptions
from snn_tool.energy.counts.dense_layer import DenseLayer
from snn_tool.energy.estimators.estimate import AnnLoad
from snn_tool.energy.estimators.prices import Pricing
from snn_tool.energy.report.columns import activation_bits, teacher_load, twin_load
from snn_tool.energy.report.mapped import MappedColumn, MappedRival
from snn_tool.errors import ConfigError
from snn_tool.exporters.zigzag.edge import NAME, PRICED_AT_45_NM, SOURCE, unrolled
from snn_tool.exporters.zigzag.environment import ZigzagEnvironment
from snn_tool.exporters.zigzag.mapping import Mapped, Request, map_nests
from snn_tool.exporters.zigzag.report import (
    MappedLayer,
    MappedNest,
    MappedNetwork,
    MappingReport,
    Unmapped,
    read_mapping,
)
from snn_tool.files.artifacts import sha256_file
from snn_tool.models.loop_nest import LoopNest
from snn_tool.networks.open import open_integers

NO_NEST = "no loop nest of this form: an interpolation, or a transposed or uneven convolution"
Layers = tuple[DenseLayer, ...]


def map_rivals(
    options: MapOptions, environment: ZigzagEnvironment, log: Callable[[str], None] | None = None
) -> MappingReport:
    """Map teacher, twin, CNN and quantised twin; layers of one shape are mapped once.

    Args:
        options: which networks, and the size of the image.
        environment: an interpreter with ZigZag.
        log: receives progress lines.

    Raises:
        ConfigError: a size that a network cannot read, no such clock, or the student restores no image.
        UnsupportedLayerError: the teacher holds an operation that cannot be counted.
        BackendUnavailableError: ZigZag died or left no usable result.
    """
    if options.clock <= 0:
        raise ConfigError("--clock must be above 0 MHz")
    titles, layers, hashes = rivals(options)
    nests = tuple(dict.fromkeys(nest for held in layers.values() for each in held for nest in each.nests))
    request = Request(NAME, nests, [unrolled(nest) for nest in nests])
    accelerator, found = map_nests(request, environment, log)
    mapped = {nest: each for nest, each in zip(nests, found, strict=True) if isinstance(each, Mapped)}
    faults = {nest: each for nest, each in zip(nests, found, strict=True) if isinstance(each, str)}
    numbers = {nest: number for number, nest in enumerate(mapped)}
    return MappingReport(
        accelerator=accelerator,
        source=SOURCE,
        clock_mhz=options.clock,
        objective=request.objective,
        loops=request.loops,
        height=options.size,
        width=options.size,
        nests=tuple(MappedNest(nest, each) for nest, each in mapped.items()),
        networks=tuple(_network(name, titles[name], layers[name], numbers, faults) for name in layers),
        hashes=hashes,
        versions={"zigzag-dse": environment.version, "python": environment.python_version},
    )


def rivals(options: MapOptions) -> tuple[dict[str, str], dict[str, Layers], dict[str, str]]:
    """Titles and operations of the dense columns, and the hashes of files.

    Raises:
        ConfigError: a size that the student cannot read, or a student that restores no image.
    """
    network, size = open_integers(options.student).network, options.size
    topology = network.topology
    if not topology.restores:
        raise ConfigError(f"{options.student}: restores no image, so that it has no dense twin")
    if size < 1 or size % topology.multiple:
        raise ConfigError(f"--size {size}: the student reads multiples of {topology.multiple} pixels")
    teacher, hashes = audited_teacher(options.teacher, options.weights)
    beside = dense_rivals(options.student, None, options.cnn, None)
    cnn, bits = audited_cnn(beside.cnn), activation_bits(network)
    found: dict[str, tuple[str, AnnLoad]] = {}
    if teacher is not None:
        found["teacher"] = teacher.name, teacher_load(teacher, size, size)
    found["twin"] = "ANN twin", twin_load(topology, size, size)
    if cnn is not None:
        found["cnn"] = "int8 CNN", twin_load(cnn.topology, size, size)
        hashes["cnn"] = beside.hashes["cnn"]
    found["qann"] = f"quantised, {bits} bits", twin_load(topology, size, size, bits)
    titles = {name: title for name, (title, _) in found.items()}
    layers = {name: load.layers for name, (_, load) in found.items()}
    return titles, layers, {"student": sha256_file(options.student), **hashes}


def _network(
    column: str,
    title: str,
    layers: Layers,
    numbers: Mapping[LoopNest, int],
    faults: Mapping[LoopNest, str],
) -> MappedNetwork:
    mapped = [
        MappedLayer(layer.name, tuple(numbers[nest] for nest in layer.nests if nest in numbers))
        for layer in layers
        if any(nest in numbers for nest in layer.nests)
    ]
    return MappedNetwork(
        column=column,
        title=title,
        layers=tuple(mapped),
        unmapped=tuple(_unmapped(layers, faults)),
        elementwise_ops=sum(layer.elementwise_ops for layer in layers),
    )


def _unmapped(layers: Layers, faults: Mapping[LoopNest, str]) -> Iterable[Unmapped]:
    """Products without a nest, and nests without a mapping: none of them counts as zero in silence."""
    for layer in layers:
        if rest := layer.padded_macs - sum(nest.macs for nest in layer.nests):
            yield Unmapped(layer.name, rest, NO_NEST)
        for nest in layer.nests:
            if nest in faults:
                yield Unmapped(layer.name, nest.macs, faults[nest])


def read_rivals(path: Path, student: Path) -> MappingReport:
    """The file of mapped rivals, of this student.

    Raises:
        ArtifactError: missing or damaged.
        ConfigError: it is of another student.
    """
    report = read_mapping(path)
    if report.hashes["student"] != sha256_file(student):
        raise ConfigError(
            f"--mapping {path}: made with another student than {student}; run 'snn-tool energy map' "
            "on this one"
        )
    return report


def mapped_rival(found: MappingReport, pricing: Pricing) -> MappedRival:
    """The file as an energy report shows it.

    Args:
        found: of `read_rivals`.
        pricing: whose constants price the same accesses in 45 nm.
    """
    return MappedRival(
        tool="ZigZag",
        versions=dict(found.versions),
        accelerator=found.accelerator.name,
        source=found.source,
        units=found.accelerator.units,
        clock_mhz=found.clock_mhz,
        height=found.height,
        width=found.width,
        objective=found.objective,
        hashes=dict(found.hashes),
        columns=tuple(_column(found, network, pricing) for network in found.networks),
        excluded=found.excluded,
    )


def _column(found: MappingReport, network: MappedNetwork, pricing: Pricing) -> MappedColumn:
    totals = found.totals(network)
    return MappedColumn(
        name=network.column,
        title=network.title,
        macs=totals.macs,
        unmapped_macs=totals.unmapped_macs,
        elementwise_ops=network.elementwise_ops,
        energy_pj=totals.energy_pj,
        dram_pj=totals.dram_pj,
        at_45_nm_pj=at_45_nm_pj(found, network, pricing),
        cycles=totals.cycles,
        time_ms=totals.cycles / found.clock_mhz / 1e3,
        utilisation=totals.utilisation,
    )


def at_45_nm_pj(found: MappingReport, network: MappedNetwork, pricing: Pricing) -> float:
    """The same MACs and accesses by the 45 nm constants of the other models; registers as described.

    e_mul + e_add per MAC        e / 64 per bit of SRAM and DRAM
    """
    value = {key: constant.value for key, constant in pricing.constants.items()}
    described = found.memory_pj(network)
    macs = found.totals(network).macs * (value["mul-int8"] + value["add-int8"])
    return macs + sum(
        found.bits_moved(network, name) * value[PRICED_AT_45_NM[name]] / 64
        if name in PRICED_AT_45_NM
        else energy
        for name, energy in described.items()
    )
