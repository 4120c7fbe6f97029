"""The lowered graph of residual streams, by hand: who accumulates, who reads what, and at which depth."""

import pytest
from snn_tool.errors import ConfigError, ExportError
from snn_tool.models.bodies import flat, unet
from snn_tool.models.streams import LoweredPopulation, hop_depths, lower, lowered_sources, relay_counts
from snn_tool.models.topology import IMAGE, Topology

TWO_STREAMS = {
    "a": ("head",),
    "a_mid": ("a1",),
    "b": ("head", "a2"),
    "c": ("down",),
    "c_mid": ("c1",),
    "d": ("down", "c2"),
    "out": ("tail",),
}
SOURCES = {"head": IMAGE, "a1": "a", "a2": "a_mid", "down": "b", "c1": "c", "c2": "c_mid", "tail": "d"}


def inputs_of(topology: Topology) -> dict[str, tuple[str, ...]]:
    return {p.name: p.inputs for p in topology.populations}


def test_two_streams_by_hand() -> None:
    """head has the readers a and b, down has c and d; what b and d add on top is read by themselves alone."""
    lowered = lower(TWO_STREAMS, "relay")
    assert lowered == (
        LoweredPopulation("a_stream", ("head",), ("head",), None, True),
        LoweredPopulation("a", ("head",), (), "a_stream", False),
        LoweredPopulation("a_mid", ("a1",), ("a1",), None, False),
        LoweredPopulation("b", ("head", "a2"), ("a2",), "a_stream", False),
        LoweredPopulation("c_stream", ("down",), ("down",), None, True),
        LoweredPopulation("c", ("down",), (), "c_stream", False),
        LoweredPopulation("c_mid", ("c1",), ("c1",), None, False),
        LoweredPopulation("d", ("down", "c2"), ("c2",), "c_stream", False),
        LoweredPopulation("out", ("tail",), ("tail",), None, False),
    )
    sources = lowered_sources(lowered, SOURCES)
    assert sources["b"] == ("a_stream", "a_mid") and sources["a"] == ("a_stream",)
    depths = hop_depths(sources, IMAGE)
    assert depths == {
        IMAGE: 0,
        **{"a_stream": 1, "a": 2, "a_mid": 3, "b": 4},
        **{"c_stream": 5, "c": 6, "c_mid": 7, "d": 8, "out": 9},
    }
    # b at depth 4 takes what a_stream, at depth 1, sent three steps ago: two relays; so for d and c_stream.
    waiting = {name: stages for name, stages in relay_counts(sources, IMAGE).items() if stages}
    assert waiting == {"a_stream": 2, "c_stream": 2}


def test_fan_out_delivers_everything_to_everyone() -> None:
    lowered = lower(TWO_STREAMS, "fanout")
    assert [(p.name, p.synapses) for p in lowered] == list(TWO_STREAMS.items())
    assert not any(p.accumulates or p.accumulator for p in lowered)


def test_a_longer_stream_takes_the_sum_of_the_shorter_one() -> None:
    """Four readers of a growing stream: three accumulators in a row, the last reader adds its own part."""
    lowered = {p.name: p for p in lower(inputs_of(unet()), "relay")}
    held = [(p.name, p.synapses, p.accumulator) for p in lowered.values() if p.accumulates]
    assert held == [
        ("enc_in_stream", ("head",), None),
        ("down_in_stream", ("enc_conv2",), "enc_in_stream"),
        ("mid_in_stream", ("down",), None),
        ("dec_in_stream", ("up",), "down_in_stream"),
    ]
    assert (lowered["tail_in"].synapses, lowered["tail_in"].accumulator) == (("dec_conv2",), "dec_in_stream")
    assert lowered["tail_in"].stream == ("head", "enc_conv2", "up", "dec_conv2")


@pytest.mark.parametrize("topology", [unet(), flat(), flat(dilations=(1, 2)), flat(dilations=(1,))])
def test_every_synapse_is_delivered_once_and_every_stream_is_complete(topology: Topology) -> None:
    lowered = lower(inputs_of(topology), "relay")
    delivered = [name for population in lowered for name in population.synapses]
    assert sorted(delivered) == sorted(synapse.name for synapse in topology.synapses)
    arriving: dict[str, tuple[str, ...]] = {}
    for population in lowered:
        carried = arriving[population.accumulator] if population.accumulator else ()
        arriving[population.name] = (*carried, *population.synapses)
        assert arriving[population.name] == population.stream
    assert all(arriving[p.name] == p.inputs for p in topology.populations)
    readers = [p.accumulator for p in lowered]
    assert all(readers.count(p.name) >= 2 for p in lowered if p.accumulates)


def test_equal_streams_branches_and_strangers() -> None:
    """Two readers of one stream share an accumulator; a common part that is no reader's stream has none."""
    lowered = {p.name: p for p in lower({"a": ("h", "i"), "b": ("h", "i"), "c": ("h", "j")}, "relay")}
    assert lowered["a_stream"].synapses == ("h", "i")
    assert lowered["a"].accumulator == lowered["b"].accumulator == "a_stream"
    assert (lowered["c"].synapses, lowered["c"].accumulator) == (("h", "j"), None)
    branches = {p.name: p for p in lower({"a": ("h",), "b": ("h", "i"), "c": ("h", "j")}, "relay")}
    assert (branches["b"].synapses, branches["c"].synapses) == (("i",), ("j",))
    assert branches["b"].accumulator == branches["c"].accumulator == "a_stream"
    late = lower({"b": ("h", "i"), "a": ("h",)}, "relay")
    assert [p.name for p in late] == ["a_stream", "b", "a"], "an accumulator precedes all of its readers"


def test_a_population_with_an_accumulators_name_is_refused() -> None:
    with pytest.raises(ExportError, match="a_stream: an accumulator would have the name of this population"):
        lower({"a": ("h",), "a_stream": ("h", "i")}, "relay")


def test_an_unknown_lowering_is_named() -> None:
    with pytest.raises(ConfigError, match="--lowering copy is unknown; use one of fanout, relay"):
        lower(TWO_STREAMS, "copy")
