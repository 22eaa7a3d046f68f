"""`hwnas ui`: what it shows in a real browser, and whom it refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from browser import Browser

from hwnas.steps import RunFolder
from hwnas.ui import Server, Site


@pytest.fixture(scope="module")
def server(workplace: Path) -> Iterator[Server]:
    opened = Server(Site(RunFolder.open(workplace / "runs/tiny", workplace / "lut")))
    thread = threading.Thread(target=opened.serve)
    thread.start()
    yield opened
    opened.close()
    thread.join(20)


def ask(server: Server, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    """headers: Host=..., Origin=..., Content_Type=...; Host is the server's own unless given."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.putrequest(method, path, skip_host=True)
    for name, value in ({"Host": f"127.0.0.1:{server.port}"} | headers).items():
        connection.putheader(name.replace("_", "-"), value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body or None)
    answer = connection.getresponse()
    told = answer.read().decode()
    connection.close()
    return answer.status, told


def test_progress_is_that_of_the_files(server: Server) -> None:
    status, told = ask(server, "GET", f"/{server.token}/state")
    stages = {s["title"]: s for s in json.loads(told)["stages"]}
    assert status == 200 and list(stages)[:2] == ["profile tflite-cpu", "train spos"] and len(stages) == 10
    assert all(s["status"] == "done" for s in stages.values())
    assert stages["train spos"]["done"] == stages["train spos"]["total"] > 0


def test_another_budget_is_searched_at_once(server: Server, workplace: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in workplace.rglob("*") if p.is_file()}
    body = json.dumps({"budget": "tflite-cpu:latency=50%"}).encode()
    status, told = ask(server, "POST", f"/{server.token}/search", body, Origin=server.origin, Content_Type="application/json")
    found = json.loads(told)
    if status == 422:  # the tiny run scored fewer architectures than a model needs
        assert "too few architectures" in found["error"]
    else:
        run = RunFolder.open(workplace / "runs/tiny", workplace / "lut")
        assert status == 200 and "<svg" in found["html"] and run.space.encode(found["choices"]).shape == run.space.sizes.shape
    assert {p: p.stat().st_mtime_ns for p in workplace.rglob("*") if p.is_file()} == before, "nothing is written"


@pytest.mark.parametrize("budget", ["tflite-cpu:latency=1ns", "tflite-cpu:speed=1", "nobody:latency=1ms", "tflite-cpu:latency=1ms|2ms"])
def test_a_budget_that_cannot_be_is_one_line(server: Server, budget: str) -> None:
    body = json.dumps({"budget": budget}).encode()
    status, told = ask(server, "POST", f"/{server.token}/search", body, Origin=server.origin, Content_Type="application/json")
    assert status == 422 and "Traceback" not in told and json.loads(told)["error"]


def test_only_whoever_has_the_address(server: Server) -> None:
    good = f"/{server.token}/"
    assert ask(server, "GET", good)[0] == 200
    assert ask(server, "GET", good, Host=f"localhost:{server.port}")[0] == 200
    for path in ("/", "/state", "/x/state", f"/{server.token}", f"/{server.token[:-1]}/state", "state", "http://127.0.0.1/", "//"):
        assert ask(server, "GET", path)[0] == 404, path
    for host in ("evil.example", f"evil.example:{server.port}", f"127.0.0.1:{server.port + 1}", ""):
        assert ask(server, "GET", good, Host=host)[0] == 403, "DNS rebinding"
    assert ask(server, "GET", good + "state", Origin="https://evil.example")[0] == 403
    assert server._http.server_address[0] == "127.0.0.1"


def test_only_from_its_own_page(server: Server) -> None:
    path, body = f"/{server.token}/search", b'{"budget": "tflite-cpu:latency=50%"}'
    typed = {"Content_Type": "application/json"}
    for origin in ({}, {"Origin": "null"}, {"Origin": "https://evil.example"}, {"Origin": f"http://127.0.0.1:{server.port + 1}"}):
        assert ask(server, "POST", path, body, **typed, **origin)[0] == 403
    assert ask(server, "POST", path, body, Origin=server.origin, Content_Type="text/plain")[0] == 403, "a form of another site"
    assert ask(server, "POST", path, b"x" * 5000, Origin=server.origin, **typed)[0] == 413
    for wrong in (b"[]", b"{}", b"\xff", b'{"budget": 1}'):
        assert ask(server, "POST", path, wrong, Origin=server.origin, **typed)[0] == 400
    assert ask(server, "PUT", path, body, Origin=server.origin, **typed)[0] == 501


def test_no_path_leads_to_a_file(server: Server) -> None:
    climbing = ("../experiment.toml", "..%2f..%2fetc%2fpasswd", "%2e%2e/experiment.toml", "/etc/passwd")
    for path in (*climbing, "pages/ui.html", "ui.js/../x", "state?x"):
        status, told = ask(server, "GET", f"/{server.token}/{path}")
        assert status == 404 and "root:" not in told and "budgets" not in told


def test_in_a_browser(server: Server, tmp_path: Path) -> None:
    browser = Browser(tmp_path)
    try:
        browser.requests()
        browser.open(server.url, 375)
        browser.wait("document.querySelectorAll('#stages tr').length == 10")
        assert "10 of 10 steps done" in browser.run("return document.getElementById('now').textContent")
        assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
        browser.type("#budget", "latency=60%")
        browser.click("#ask button")
        browser.wait("document.getElementById('found').dataset.asked == 1")
        found = browser.run("return document.getElementById('found').innerText")
        assert "latency ≤" in found or "too few architectures" in found
        browser.type("#budget", "latency=<img src=x onerror=alert(1)>")
        browser.click("#ask button")
        browser.wait("document.getElementById('found').dataset.asked == 2")
        assert "is not a value" in browser.run("return document.querySelector('#found .error').textContent")
        assert browser.run("return document.images.length") == 0
        assert [m for m in browser.messages() if "422" not in m] == []
        assert all(u.startswith(server.url) for u in browser.requests())
        browser.open(server.url + "report", 375)
        browser.wait("document.documentElement.dataset.charts == 'drawn'")
        assert browser.messages() == []
    finally:
        browser.close()


def test_the_command_prints_its_address_and_ends_on_interrupt(workplace: Path) -> None:
    env = {**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-u", "-m", "hwnas", "ui", "runs/tiny"]
    heeds = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # where tests run in the background, it is ignored
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    started = subprocess.Popen(words, cwd=workplace, env=env, text=True, preexec_fn=heeds, **pipes)
    assert started.stdout is not None
    url = started.stdout.readline().strip()
    assert url.startswith("http://127.0.0.1:") and len(url.split("/")[3]) >= 24
    started.send_signal(signal.SIGINT)
    _, errors = started.communicate(timeout=60)
    assert started.returncode in (0, 130) and "Traceback" not in errors
