"""hwnas/device.py: device.toml there and back, and what is wrong with it."""

import pytest

from hwnas.device import BUILT_IN, Device, find_device
from hwnas.errors import HwnasError
from hwnas.plugins import PROFILERS, installed

PI = Device(name="pi-4", runtime="tflite", threads=4, dtype="int8", batch=8, pin=2, options={"xnnpack": False})


@pytest.mark.parametrize("device", [PI, *BUILT_IN.values()], ids=lambda d: d.name)
def test_toml_and_back(tmp_path, device):
    device.save(tmp_path / device.name / "device.toml")
    assert Device.load(tmp_path / device.name / "device.toml") == device == find_device(device.name, tmp_path)


def test_a_short_file_is_enough(tmp_path):
    (tmp_path / "device.toml").write_text('name = "a"\nruntime = "onnx"\n')
    assert Device.load(tmp_path / "device.toml") == Device(name="a", runtime="onnx")


@pytest.mark.parametrize(
    "text, reason",
    [
        ('name = "a"\nruntime = "onnx"\nthread = 2', "unknown key in .*device.toml 'thread': did you mean 'threads'?"),
        ('name = "a"\nruntime = "onnx"\nthreads = 0', "device.toml: threads = 0: .*greater than or equal to 1"),
        ('name = "a"\nruntime = "onnx"\npin = "core 3"', "device.toml: pin = 'core 3'"),
        ('name = "../a"\nruntime = "onnx"', "device.toml: name = '../a'"),
        ('name = "a"', "device.toml: runtime = .*required"),
        ("name = ", "device.toml: cannot be read as TOML"),
    ],
)
def test_bad_files_name_the_key_and_the_value(tmp_path, text, reason):
    (tmp_path / "device.toml").write_text(text)
    with pytest.raises(HwnasError, match=reason) as error:
        Device.load(tmp_path / "device.toml")
    assert "\n" not in str(error.value)


def test_unknown_devices_are_answered_with_the_known_ones(tmp_path):
    PI.save(tmp_path / "pi-4" / "device.toml")
    with pytest.raises(HwnasError, match="unknown device 'pi4': did you mean 'pi-4'.*onnx-cpu.*NAME/device.toml"):
        find_device("pi4", tmp_path)


def test_a_file_in_the_wrong_folder_is_refused(tmp_path):
    PI.save(tmp_path / "pi-5" / "device.toml")
    with pytest.raises(HwnasError, match="name = 'pi-4' but its folder is 'pi-5'"):
        find_device("pi-5", tmp_path)


def test_a_file_goes_before_a_built_in_device(tmp_path):
    Device(name="onnx-cpu", runtime="onnx", threads=2).save(tmp_path / "onnx-cpu" / "device.toml")
    assert find_device("onnx-cpu", tmp_path).threads == 2


def test_the_runtimes_of_built_in_devices_are_installed():
    assert {device.runtime for device in BUILT_IN.values()} <= installed(PROFILERS).keys()


def test_several_threads_are_not_put_on_one_core():
    assert Device(name="a", runtime="onnx", threads=2).worker_options["pin"] == "off"
    assert PI.worker_options == {"xnnpack": False, "threads": 4, "pin": 2, "dtype": "int8", "batch": 8}
