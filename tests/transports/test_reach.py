"""hwnas/transports/reach.py: what a user writes down about reaching devices, and what is refused in it."""

import sys

import pytest
import toy

from hwnas.errors import HwnasError
from hwnas.measure import Worker
from hwnas.transports.adb import Adb
from hwnas.transports.reach import Reach, devices_toml, load_reaches, save_reach, transport_of
from hwnas.transports.ssh import Ssh
from hwnas.transports.transport import Local


@pytest.fixture(autouse=True)
def configuration(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config/hwnas/devices.toml"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_a_configuration_every_device_is_this_machine(configuration):
    assert devices_toml() == configuration and load_reaches() == {} and transport_of("anything") == Local()
    assert Local().argv(configuration)[0] == sys.executable


def test_each_way_gives_its_transport(configuration, tmp_path):
    (tmp_path / "key").write_text("")
    write(
        configuration,
        f"""
        [pi]
        ssh = "pi@10.0.0.7"
        port = 2222
        identity = "{tmp_path}/key"
        python = "~/venv/bin/python"
        prefix = ["nice", "-n", "-5"]
        [old]
        python = "~/old/bin/python"
        [phone]
        adb = "R58M123ABC"
        benchmark = "~/benchmark_model"
        patience_s = 5
        """,
    )
    pi, old, phone = transport_of("pi"), transport_of("old"), transport_of("phone")
    assert isinstance(pi, Ssh) and (pi.host, pi.python, pi.prefix) == ("pi@10.0.0.7", "~/venv/bin/python", ("nice", "-n", "-5"))
    assert isinstance(old, Local) and old.python.startswith("/") and old.python.endswith("/old/bin/python")
    assert isinstance(phone, Adb) and (phone.serial, phone.patience_s) == ("R58M123ABC", 5)


@pytest.mark.parametrize(
    "text, reason",
    [
        ('[pi]\nshs = "pi@host"', r"unknown key in .*devices.toml: \[pi\] 'shs': did you mean 'ssh'"),
        ('[pi]\nssh = "-oProxyCommand=touch${IFS}x"', r"\[pi\]: ssh = '-oProxyCommand.*begins with a letter"),
        ('[pi]\nssh = "pi@-oProxyCommand=x"', r"\[pi\]: ssh = .*does not begin with -"),
        ('[pi]\nssh = "pi@host; reboot"', r"\[pi\]: ssh = 'pi@host; reboot'"),
        ('[phone]\nadb = "-s"\nbenchmark = "b"', r"\[phone\]: adb = '-s'"),
        ('[pi]\nssh = "pi@host"\nport = 0', r"\[pi\]: port = 0: .*greater than or equal to 1"),
        ('[pi]\nssh = "pi@host"\nadb = "X"\nbenchmark = "b"', r"\[pi\]: ssh and adb are two ways"),
        ("[pi]\nport = 22", r"\[pi\]: port belongs to ssh"),
        ('[phone]\nadb = "X"', r"\[phone\]: adb and benchmark belong together"),
        ('[phone]\nadb = "X"\nbenchmark = "b"\npython = "p"', r"\[phone\]: python and prefix mean nothing over adb"),
        ('pi = "pi@host"', r"\[pi\] = 'pi@host': expected a section"),
        ("[pi", "devices.toml: cannot be read as TOML"),
    ],
)
def test_mistakes_name_the_file_the_device_the_field_and_the_value(configuration, text, reason):
    write(configuration, text)
    with pytest.raises(HwnasError, match=reason) as error:
        transport_of("pi")
    assert "\n" not in str(error.value)


def test_sections_come_and_go_and_the_rest_stays(configuration):
    save_reach("pi", Reach(ssh="pi@a"))
    write(configuration, configuration.read_text() + '\n# my own comment\n[other]\npython = "/p"  # keep\n')
    save_reach("pi.4-b", Reach(ssh="pi@c", prefix=("a", "b")))
    save_reach("pi", Reach(ssh="pi@b", port=5))
    assert load_reaches() == {"pi": Reach(ssh="pi@b", port=5), "other": Reach(python="/p"), "pi.4-b": Reach(ssh="pi@c", prefix=("a", "b"))}
    assert "# keep" in configuration.read_text()
    save_reach("pi", None), save_reach("pi.4-b", None)
    assert load_reaches() == {"other": Reach(python="/p")} and "# keep" in configuration.read_text()


def test_an_odd_way_to_write_it_is_kept_in_meaning(configuration):
    write(configuration, 'pi.ssh = "pi@a"\nother = { python = "/p" }\n')
    save_reach("pi", Reach(ssh="pi@b"))
    assert load_reaches() == {"pi": Reach(ssh="pi@b"), "other": Reach(python="/p")}


def test_every_worker_goes_the_way_that_is_written_down(configuration):
    write(configuration, '[toy]\npython = "/no/such/python"')
    with pytest.raises(HwnasError, match="cannot start /no/such/python"):
        Worker(toy.DEVICE, toy.Profiler()).facts()
    write(configuration, '[toy]\nprefix = ["env", "A=b c"]')
    with Worker(toy.DEVICE, toy.Profiler()) as worker:
        assert worker.facts()["runtime"]["name"] == "toy"
