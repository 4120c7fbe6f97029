"""Texts are made from results: they say the same when the files that a result came from are gone."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from snn_tool.deploy.export import export_student
from snn_tool.deploy.options import GoldenOptions
from snn_tool.models.integer.file import save_integer_network
from snn_tool.models.integer.network import IntegerNetwork
from snn_tool.texts.deploy import export_document, export_text


def test_an_export_is_told_without_its_folder(
    make_network: Callable[..., IntegerNetwork], tmp_path: Path
) -> None:
    """What is printed is what the files state: the latency, and a statement for each population."""
    save_integer_network(tmp_path / "student.int.safetensors", make_network("lif", "chain"), {})
    options = GoldenOptions(size=16, task="denoise", sigma="25")
    out = tmp_path / "out"
    exported = export_student(tmp_path / "student.int.safetensors", "loihi", out, options, verify=False)
    stated = {name: json.loads((out / f"{name}.json").read_text()) for name in ("ranges", "resources")}
    shutil.rmtree(out)
    text, document = export_text(exported), export_document(exported)
    assert f"one image takes {stated['resources']['latency_steps']} steps" in text
    strength = ("proved", "saturates", "observed")
    weakest = {
        population: max(
            strength.index(quantity["status"])
            for quantity in stated["ranges"]["quantities"]
            if quantity["node"] in (population, *convs)
        )
        for population, convs in stated["ranges"]["inputs"].items()
    }
    # The read-out never fires, by a threshold of 2^18; 17 bits hold 131,071.
    assert document["beyond_registers"] == stated["resources"]["beyond_registers"]
    assert [one["value"] for one in document["beyond_registers"] if one["quantity"] == "vth"] == [262_144]
    assert "simulated beyond the registers:" in text and "vth 262,144 (register: 131,071" in text
    assert document["ranges"] == {name: strength[index] for name, index in weakest.items()}
