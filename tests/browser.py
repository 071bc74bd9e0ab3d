"""Drives a real Chromium through its DevTools protocol: pages, clicks, keys, screenshots, requests, accessibility."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), ""
)
needs_chromium = pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed (Debian's package `chromium`)")
SHOTS = os.environ.get("SCREENSHOTS", "")
"""Folder to keep screenshots in; none by default."""
WIDE, NARROW = (1280, 900), (400, 800)


class Page:
    """A tab. `requests`: addresses that it asked for; `errors`: what its console and policy complained of."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._number = socket, 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """The result of one command of the protocol."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=60))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        parameters = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(parameters["request"]["url"])
        elif message.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(parameters["exceptionDetails"].get("exception", {}).get("description")))
        elif message.get("method") == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            self.errors.append(parameters["entry"]["text"])

    def open(self, address: str, size: tuple[int, int] = WIDE, dark: bool = False) -> None:
        """Go to an address and wait until it is loaded."""
        self.size(*size)
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )
        self.call("Page.navigate", url=address)
        self.until("document.readyState === 'complete'")

    def size(self, width: int, height: int) -> None:
        """Resize the window; below 600 pixels it is that of a phone."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )

    def js(self, expression: str) -> Any:
        """The value of an expression; promises are waited for."""
        done = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        end = time.monotonic() + seconds
        while not self.js(f"Boolean({expression})"):
            assert time.monotonic() < end, f"still false: {expression}\n{self.errors}"
            time.sleep(0.05)

    def click(self, selector: str, text: str = "") -> None:
        """Click the first visible element that matches, with a real mouse event."""
        found = self.js(
            f"""(() => {{ const e = [...document.querySelectorAll({json.dumps(selector)})]
              .find(e => e.checkVisibility() && e.textContent.includes({json.dumps(text)}));
              if (!e) return null; e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect();
              return [b.x + b.width / 2, b.y + Math.min(b.height / 2, 20)]; }})()"""
        )
        assert found, f"nothing to click: {selector} {text}"
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=found[0], y=found[1], button="left", clickCount=1)

    def type(self, selector: str, text: str) -> None:
        """Put text into a field as a person does."""
        self.js(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select?.(); }})()")
        self.call("Input.insertText", text=text)

    def key(self, name: str, code: int = 0) -> None:
        """Press a key, such as `Enter` or `Tab`."""
        codes = {"Enter": 13, "Tab": 9, "Escape": 27, "ArrowRight": 39, "ArrowLeft": 37, "End": 35, "Home": 36}
        about = {"key": name, "code": name, "windowsVirtualKeyCode": code or codes[name]}
        text = {"text": "\r"} if name == "Enter" else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def shot(self, name: str, whole: bool = False) -> None:
        """Keep a screenshot, if the variable SCREENSHOTS names a folder. whole: of all the page, not of the window."""
        if SHOTS:
            data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
            Path(SHOTS).mkdir(parents=True, exist_ok=True)
            (Path(SHOTS) / f"{name}.png").write_bytes(base64.b64decode(data))

    def overflow(self) -> int:
        """Pixels by which the page is wider than its window."""
        return self.js("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    def axe(self) -> list[str]:
        """Findings of axe-core that are serious or critical. Skips the test where npm cannot give axe-core."""
        self.js(axe_source())
        found = self.js("axe.run(document, {resultTypes: ['violations']}).then(r => r.violations)")
        return [
            f"{v['id']}: {v['help']}: {[n['html'][:150] + ' ' + n['failureSummary'][-200:] for n in v['nodes'][:3]]}"
            for v in found
            if v["impact"] in ("serious", "critical")
        ]


@contextmanager
def browser(*options: str) -> Iterator[Page]:
    """A tab of a fresh, headless Chromium, which is ended afterwards."""
    from websockets.sync.client import connect

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        base = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
        base += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"]
        process = subprocess.Popen(
            [CHROMIUM, *base, f"--user-data-dir={profile}", *options, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield Page(connect(_address(profile, process), max_size=None))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _address(profile: str, process: subprocess.Popen[bytes]) -> str:
    """The socket of the first tab."""
    from urllib.request import urlopen

    port = Path(profile) / "DevToolsActivePort"
    end = time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        if port.exists() and len(port.read_text().splitlines()) == 2:
            with urlopen(f"http://127.0.0.1:{port.read_text().split()[0]}/json/list", timeout=30) as answer:
                tabs = [t for t in json.load(answer) if t["type"] == "page"]
            if tabs:
                return str(tabs[0]["webSocketDebuggerUrl"])
        time.sleep(0.05)
    raise RuntimeError("Chromium did not start")


def axe_source() -> str:
    """The script of axe-core, installed by npm once for all tests of a machine; nothing of it is part of corpusmill."""
    folder = Path(tempfile.gettempdir()) / "corpusmill-axe-4.14.1"
    script = folder / "node_modules/axe-core/axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("npm is not installed, which brings axe-core")
        folder.mkdir(exist_ok=True)
        command = [npm, "install", "--no-save", "--silent", "--prefix", str(folder), "axe-core@4.14.1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode or not script.exists():
            pytest.skip(f"npm could not install axe-core: {done.stderr[-200:]}")
    return script.read_text(encoding="utf-8")
