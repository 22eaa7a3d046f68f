"""A real Chromium without a window, driven through chromedriver in the W3C WebDriver protocol: JSON over HTTP, and no package for it."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update "
    "--disable-sync --disable-extensions --disable-default-apps --hide-scrollbars"
).split()
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the protocol's own key for one


class Browser:
    """One window. Every request that a page made, and every message on its console, is kept."""

    def __init__(self, profile: Path):
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if not chromium or not driver:
            pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
        self._driver = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert self._driver.stdout is not None
        line = next(line for line in self._driver.stdout if "started successfully on port" in line)
        self._root = f"http://127.0.0.1:{line.rstrip().rstrip('.').rsplit(' ', 1)[1]}/session"
        options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        try:
            self._root += "/" + self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        except BaseException:
            self._driver.kill()
            raise

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self._root + path, data, {"Content-Type": "application/json"}, method=method), timeout=120) as answer:
            return json.load(answer)["value"]

    def close(self) -> None:
        try:
            self._call("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait(20)

    def open(self, url: str, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])
        self._call("POST", "/url", {"url": url})

    def devtools(self, command: str, **params: Any) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script: str, *args: Any) -> Any:
        """The value of a function body in the page; promises are awaited."""
        return self._call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, condition: str, seconds: float = 60) -> None:
        """Until a JavaScript expression is true."""
        script = "const end = Date.now() + arguments[0]; while (!(" + condition + ")) { if (Date.now() > end) return false;"
        done = self.run(script + " await new Promise((r) => setTimeout(r, 50)); } return true;", 1000 * seconds)
        assert done, f"never true: {condition}"

    def click(self, selector: str) -> None:
        self._call("POST", f"/element/{self._find(selector)}/click", {})

    def type(self, selector: str, text: str) -> None:
        element = self._find(selector)
        self._call("POST", f"/element/{element}/clear", {})
        self._call("POST", f"/element/{element}/value", {"text": text})

    def press(self, key: str) -> None:
        """A key as the protocol names it: "\\ue004" is tab."""
        actions = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._call("POST", "/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]})

    def _find(self, selector: str) -> str:
        return str(self._call("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT])

    def messages(self) -> list[str]:
        """What the console said since the last call."""
        return [f"{m['level']}: {m['message']}" for m in self._call("POST", "/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """URLs that pages asked for since the last call; not those inside the page (data:, blob:) and of the empty first tab (chrome:)."""
        events = [json.loads(e["message"])["message"] for e in self._call("POST", "/se/log", {"type": "performance"})]
        urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [u for u in urls if not u.startswith(("data:", "blob:", "chrome:"))]

    def screenshot(self, path: Path, whole: bool = False) -> None:
        shot = self.devtools("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(b64decode(shot["data"]))
