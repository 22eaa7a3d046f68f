"""hwnas/deploy/verify.py, bundle.py, external.py: a certificate repeated from the bundle alone, and bundles made to do harm."""

import json
import os
import shutil

import flatbuffers
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema
from bundles import make_bundle, rehash, save
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from hwnas.deploy import Bundle, Rules, verify
from hwnas.deploy.external import refuse_external
from hwnas.device import BUILT_IN
from hwnas.errors import HwnasError

QUICK = Rules(samples=64, processes=1, total_s=0.05)


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Device -> a bundle for it, not to be changed."""
    folder = tmp_path_factory.mktemp("bundles")
    limits = {"latency_ms": 1000.0, "file_bytes": 1e6, "memory_bytes": 1e6, "macs": 1e9}
    for device in ("tflite-cpu-int8", "onnx-cpu"):
        make_bundle(folder / device, device, limits)
    return folder


@pytest.fixture
def bundle(originals, tmp_path):
    """A copy of the int8 TFLite bundle, to be changed."""
    return shutil.copytree(originals / "tflite-cpu-int8", tmp_path / "bundle")


def edit(folder, change):
    certificate = json.loads((folder / "certificate.json").read_text())
    change(certificate)
    save(folder, certificate)


def check(folder, device="tflite-cpu-int8"):
    return verify(Bundle.open(folder), BUILT_IN[device], QUICK)


@pytest.mark.parametrize("device", ["tflite-cpu-int8", "onnx-cpu"])
def test_an_untouched_bundle_passes_and_says_what_is_different_here(originals, device):
    found = check(originals / device, device)
    assert found.verdict in ("PASS", "INCONCLUSIVE")  # the latter where the machine is busy
    assert found.parity_db > found.parity_at_least_db
    certified = json.loads((originals / device / "certificate.json").read_text())
    for field in ("file_bytes", "memory_bytes", "macs"):
        assert found.limits[field]["value"] == certified["counted"][field] == found.limits[field]["certified"]
    assert found.differences["host.cpu"][0] == "of another machine" and "device.dtype" not in found.differences


def test_a_limit_that_is_not_kept_here_fails(bundle):
    edit(bundle, lambda c: c["limits"]["macs"].update(budget=10.0))
    found = check(bundle)
    assert found.verdict == "FAIL" and not found.limits["macs"]["keeps"] and found.limits["latency_ms"]["keeps"]


def test_outputs_that_are_others_fail(bundle):
    tensors = load_file(bundle / "sample.safetensors")
    tensors["output.model.tflite"] = tensors["output.model.tflite"][::-1].copy()
    save_file(tensors, bundle / "sample.safetensors")
    rehash(bundle, "sample.safetensors")
    found = check(bundle)
    assert found.verdict == "FAIL" and found.parity_db < found.parity_at_least_db and all(k["keeps"] for k in found.limits.values())


def test_model_py_is_never_run(bundle):
    (bundle / "model.py").write_text(f"open({str(bundle / 'ran')!r}, 'w'); raise SystemExit(9)")
    rehash(bundle, "model.py")
    check(bundle)
    assert not (bundle / "ran").exists()


def test_a_device_of_another_runtime_is_refused(bundle):
    with pytest.raises(HwnasError, match="'onnx-cpu' runs .onnx files, the bundle certifies model.tflite: give another --device"):
        check(bundle, "onnx-cpu")


def test_what_was_checked_is_what_runs(bundle):
    """A file that is changed after the bundle was opened changes nothing."""
    opened = Bundle.open(bundle)
    (bundle / "model.tflite").write_bytes(b"junk")
    assert verify(opened, BUILT_IN["tflite-cpu-int8"], QUICK).parity_db > 25


def refused(folder):
    with pytest.raises(HwnasError) as error:
        Bundle.open(folder)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    return str(error.value)


def flip(folder, name):
    data = bytearray((folder / name).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / name).write_bytes(data)


@pytest.mark.parametrize("name", ["model.tflite", "model.onnx", "model.py", "README.md", "sample.safetensors"])
def test_one_changed_bit_is_found(bundle, name):
    flip(bundle, name)
    assert name in refused(bundle) and "sha256" in refused(bundle)


def test_files_that_are_gone_longer_or_no_files(bundle):
    (bundle / "model.h").unlink()
    assert "model.h" in refused(bundle) and "No such file" in refused(bundle)
    (bundle / "model.h").mkdir()
    assert "model.h" in refused(bundle)
    (bundle / "model.h").rmdir()
    os.mkfifo(bundle / "model.h")
    assert "not a plain file" in refused(bundle)  # and does not wait for someone to write into it
    (bundle / "model.h").unlink()
    (bundle / "model.h").write_bytes(b"x" * 10_000_000)
    assert "10000000 bytes" in refused(bundle)


@pytest.mark.parametrize("name", ["model.tflite", "certificate.json"])
def test_links_are_refused_wherever_they_lead(bundle, name, tmp_path):
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert "is a link" in refused(bundle)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "C:x", ".hidden", "a\nb", "a\0b", "x" * 300, "ｍodel"]
)
def test_names_that_are_no_names_are_refused(bundle, name):
    edit(bundle, lambda c: c["files"].update({name: {"sha256": "0" * 64, "bytes": 1}}))
    assert "is not the name of a file in it" in refused(bundle)
    edit(bundle, lambda c: c.update(certified_file=name, files={k: v for k, v in c["files"].items() if k != name}))
    refused(bundle)


CHANGES = [
    (lambda c: c.update(format=2), "format"),
    (lambda c: c.pop("files"), "files"),
    (lambda c: c.update(limits={}), "limits"),
    (lambda c: c["limits"].update(latency_ms={"budget": float("nan"), "value": 1.0}), "limits"),
    (lambda c: c["limits"].update(latency_ms={"budget": -1.0, "value": 1.0}), "limits"),
    (lambda c: c["limits"].update(latency_ms={"budget": "1", "value": 1.0}), "limits"),
    (lambda c: c["limits"].update(beauty={"budget": 1.0, "value": 1.0}), "beauty"),
    (lambda c: c["rules"].update(name="none"), "rules.name"),
    (lambda c: c.update(certified_file="model.exe"), "model.exe"),
    (lambda c: c["files"].pop("sample.safetensors"), "sample.safetensors"),
    (lambda c: c["files"]["model.py"].update(sha256="0"), "sha256"),
    (lambda c: c["files"]["model.py"].update(bytes=10**30), "bytes"),
    (lambda c: c.update(verdict="SPLENDID"), "verdict"),
]


@pytest.mark.parametrize("change, word", CHANGES)
def test_certificates_that_make_no_sense(bundle, change, word):
    edit(bundle, change)
    assert word in refused(bundle)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "3", "[" * 100_000, '{"format": 1}', "\x00", '{"format": ' + "9" * 5000 + "}"])
def test_certificates_that_are_none(bundle, text):
    (bundle / "certificate.json").write_text(text)
    refused(bundle)


def test_no_folder(tmp_path):
    assert "no such folder" in refused(tmp_path / "nothing")
    assert "certificate.json" in refused(tmp_path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20), lambda v: st.lists(v, max_size=3), max_leaves=5
)
KEYS = st.sampled_from(["format", "verdict", "device", "dtype", "certified_file", "files", "limits", "rules", "fingerprint"])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KEYS, VALUES, st.text(max_size=12))
def test_any_certificate_opens_or_is_refused_in_one_line(bundle, key, value, name):
    text = (bundle / "certificate.json").read_text()
    try:
        certificate = json.loads(text)
        if isinstance(certificate[key], dict) and name:
            certificate[key][name] = value
        else:
            certificate[key] = value
        save(bundle, certificate)
        try:
            opened = Bundle.open(bundle)
            assert all((bundle / n).resolve().parent == bundle.resolve() for n in opened.data)
        except HwnasError as error:
            assert len(str(error).splitlines()) == 1
    finally:
        (bundle / "certificate.json").write_text(text)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["model.onnx", "model.tflite", "sample.safetensors"]), st.data())
def test_any_bytes_in_a_file_are_run_in_the_worker_or_refused(originals, name, data):
    """With a certificate that agrees. Reading here raises nothing else; what the runtime makes of it is the worker's affair."""
    whole = (originals / "tflite-cpu-int8" / name).read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] + data.draw(st.binary(max_size=8)) + whole[at + data.draw(st.integers(0, 8)) :]
    try:
        refuse_external(name, broken)
    except HwnasError as error:
        assert len(str(error).splitlines()) == 1


def external(tensor):
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return tensor


def hidden_in_an_attribute():
    value = external(TensorProto(name="inner", data_type=TensorProto.FLOAT, dims=[1]))
    return helper.make_graph([helper.make_node("Constant", [], ["c"], value=value)], "g", [], [])


def hidden_in_a_branch():
    return helper.make_graph([helper.make_node("If", ["x"], ["y"], then_branch=hidden_in_an_attribute())], "g", [], [])


def hidden_in_an_initializer():
    tensor = external(TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1]))
    return helper.make_graph([], "g", [], [], [tensor])


@pytest.mark.parametrize("graph", [hidden_in_an_initializer, hidden_in_an_attribute, hidden_in_a_branch])
def test_onnx_external_data_is_refused_wherever_it_hides(bundle, graph):
    model = onnx.ModelProto(ir_version=8, graph=graph())
    (bundle / "model.onnx").write_bytes(model.SerializeToString())
    rehash(bundle, "model.onnx")
    assert "outside the file, in '/etc/passwd'" in refused(bundle)


def test_tflite_external_buffers_are_refused(bundle):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs((bundle / "model.tflite").read_bytes()))
    model.subgraphs[0].tensors[0].externalBuffer = 7
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    (bundle / "model.tflite").write_bytes(bytes(builder.Output()))
    rehash(bundle, "model.tflite")
    assert "outside the file" in refused(bundle)


@pytest.mark.parametrize(
    "tensors", [{}, {"input": np.zeros((1, 2, 8, 8), np.float32)}, {"input": np.zeros(3), "output.model.tflite": np.zeros(3)}]
)
def test_samples_that_are_none(bundle, tensors):
    save_file(tensors, bundle / "sample.safetensors")
    rehash(bundle, "sample.safetensors")
    with pytest.raises(HwnasError, match="sample.safetensors"):
        check(bundle)


def test_a_model_that_does_not_run_is_one_line(bundle):
    (bundle / "model.tflite").write_bytes((bundle / "model.tflite").read_bytes()[:2000])
    rehash(bundle, "model.tflite")
    with pytest.raises(HwnasError) as error:
        check(bundle)
    assert len(str(error.value).splitlines()) == 1
