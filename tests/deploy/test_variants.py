"""hwnas/deploy/variants.py: the same network in other number formats, beside the certified file."""

import json

import numpy as np
import pytest
import torch
from ai_edge_litert.interpreter import Interpreter
from bundles import make_bundle, small_network

from hwnas.deploy import KINDS, Bundle, outputs_here
from hwnas.deploy.accuracy import sqnr_db
from hwnas.deploy.sample import sample_inputs
from hwnas.deploy.variants import variants
from hwnas.device import BUILT_IN

FLOOR_DB = {"fp32": 100, "fp16": 40, "int8": 15, "int8-io": 15}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    make_bundle(folder, "tflite-cpu", also=KINDS)
    return folder


def test_what_the_device_has_already_is_not_written_twice():
    names = set(variants(KINDS, BUILT_IN["tflite-cpu"]))
    assert names == {"model-fp16.onnx", "model-fp16.tflite", "model-int8.onnx", "model-int8.tflite", "model-int8-io.tflite"}
    assert "model-int8.tflite" not in variants(KINDS, BUILT_IN["tflite-cpu-int8"])
    micro = BUILT_IN["tflite-cpu-int8"].model_copy(update={"options": {"int8_io": True}})
    assert set(variants(["int8", "int8-io"], micro)) == {"model-int8.tflite"}, "its own model.tflite is the one with int8 inputs"


@pytest.mark.parametrize("name", variants(KINDS, BUILT_IN["tflite-cpu"]))
def test_every_variant_says_what_torch_says_in_its_own_runtime(bundle, name):
    x = sample_inputs((1, 2, 8, 8), 16, 3)
    with torch.no_grad():
        expected = small_network()(torch.from_numpy(x)).numpy()
    kind = name.removeprefix("model-").rpartition(".")[0]
    assert sqnr_db(expected, outputs_here(bundle / name, 1, x)) > FLOOR_DB[kind]


def test_int8_io_means_int8_at_the_boundary(bundle):
    for name, dtype in (("model-int8.tflite", np.float32), ("model-int8-io.tflite", np.int8)):
        model = Interpreter(str(bundle / name))
        assert {d["dtype"] for d in (*model.get_input_details(), *model.get_output_details())} == {dtype}


def test_they_are_part_of_the_bundle_and_smaller(bundle):
    opened = Bundle.open(bundle)
    size = {name: facts.bytes for name, facts in opened.certificate.files.items()}
    assert size["model-fp16.tflite"] < size["model.tflite"] and "model-int8-io.h" in size
    assert "model_int8_io_data[" in (bundle / "model-int8-io.h").read_text()
    card = (bundle / "README.md").read_text()
    assert "| `model-int8-io.tflite` | the same in int8, inputs and outputs, too; not timed on the device |" in card


def test_an_export_without_them_leaves_none_behind(tmp_path):
    make_bundle(tmp_path, "tflite-cpu", also=("fp16",))
    make_bundle(tmp_path, "tflite-cpu")
    assert not list(tmp_path.glob("model-*")) and "fp16" not in json.loads((tmp_path / "certificate.json").read_text())["files"]
