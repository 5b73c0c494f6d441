"""Debian's Firefox, driven by WebDriver BiDi, which it speaks itself: Playwright needs a Firefox of its own.

It has a display of its own (Xvfb), since without one Firefox has no WebGL, and a sound card of its own (PulseAudio with
a sink that plays nothing), since without one it refuses to play. All three end with the test.
"""

import base64
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = {"firefox-esr": "firefox-esr", "Xvfb": "xvfb", "pulseaudio": "pulseaudio"}  # and Debian's packages
STARTS_S = 60.0  # within which each of them answers
# No pages of Mozilla's; a page may play sound at once; WebGL is drawn by the processor.
PREFERENCES = {
    "media.autoplay.default": 0, "webgl.force-enabled": True, "app.normandy.enabled": False,
    "app.update.auto": False, "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False, "toolkit.telemetry.reportingpolicy.firstRun": False,
}  # fmt: skip


def missing() -> list[str]:
    """The Debian packages that are needed and not installed."""
    return [package for program, package in PROGRAMS.items() if shutil.which(program) is None]


class Page:
    """The one page of a Firefox: what it requested and what went wrong are in `requests` and `problems`."""

    def __init__(self, address: str):
        import websocket

        self._socket = websocket.create_connection(f"{address}/session", timeout=STARTS_S, suppress_origin=True)
        self._number, self.requests, self.problems = 0, [], []
        self.version = self.send("session.new", capabilities={})["capabilities"]["browserVersion"]
        self._place = {"context": self.send("browsingContext.getTree")["contexts"][0]["context"]}
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])

    def send(self, method: str, **parameters) -> dict:
        """Send a command and return its result; what the page reports meanwhile is kept."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv())).get("id") != self._number:
            content = answer.get("params", {})
            if content.get("context", self._place["context"]) != self._place["context"]:
                continue  # a page of Firefox itself
            if answer.get("method") == "network.beforeRequestSent":
                self.requests.append(content["request"]["url"])
            elif answer.get("method") == "log.entryAdded" and content["level"] == "error":
                self.problems.append(content["text"])
        assert answer["type"] == "success", answer
        return answer["result"]

    def goto(self, address: str, size: dict) -> None:
        self.send("browsingContext.setViewport", viewport=size, **self._place)
        self.send("browsingContext.navigate", url=address, wait="complete", **self._place)

    def evaluate(self, expression: str):
        """The value of an expression that JSON can hold; a promise is awaited."""
        answer = self.send(
            "script.evaluate", expression=f"(async () => JSON.stringify(await ({expression})))()", target=self._place,
            awaitPromise=True, userActivation=True,
        )  # fmt: skip
        assert answer["type"] == "success", answer
        return json.loads(answer["result"].get("value", "null"))

    def click(self, x: float, y: float, *path: tuple[float, float]) -> None:
        """Press at a place, drag along `path` and release."""
        moves = [{"type": "pointerMove", "x": round(a), "y": round(b), "duration": 50} for a, b in ((x, y), *path)]
        down, up = ({"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp"))
        self._act("pointer", [moves[0], down, *moves[1:], up])

    def press(self, key: str) -> None:
        self._act("key", [{"type": kind, "value": key} for kind in ("keyDown", "keyUp")])

    def _act(self, kind: str, actions: list[dict]) -> None:
        self.send("input.performActions", actions=[{"type": kind, "id": kind, "actions": actions}], **self._place)

    def screenshot(self, path: Path) -> Path:
        path.write_bytes(base64.b64decode(self.send("browsingContext.captureScreenshot", **self._place)["data"]))
        return path

    def close(self) -> None:
        self.send("browser.close")
        self._socket.close()


@contextmanager
def opened(folder: Path, log: Path) -> Iterator[Page]:
    """The page of a Firefox with an empty profile in `folder`."""
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});\n" for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("".join(lines))
    sound = folder / "sound"
    environment = os.environ | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PULSE_SERVER": f"unix:{sound}"}
    card = [
        "pulseaudio", "-n", "--exit-idle-time=-1", "--daemonize=no", "--use-pid-file=no", "-L", "module-null-sink",
        "-L", f"module-native-protocol-unix socket={sound} auth-anonymous=1",
    ]  # fmt: skip
    screen = ["Xvfb", "-displayfd", "1", "-screen", "0", "1280x1024x24", "-nolisten", "tcp"]
    firefox = ["firefox-esr", "--no-remote", "--profile", str(folder), "--remote-debugging-port=0"]
    with log.open("w") as errors:
        processes = [subprocess.Popen(card, env=environment, stdout=errors, stderr=errors)]
        try:
            processes.append(subprocess.Popen(screen, stdout=subprocess.PIPE, stderr=errors, text=True))
            environment |= {"DISPLAY": f":{processes[-1].stdout.readline().strip()}", "LIBGL_ALWAYS_SOFTWARE": "1"}
            environment.pop("WAYLAND_DISPLAY", None)
            processes.append(subprocess.Popen(firefox, env=environment, stdout=errors, stderr=errors))
            page = Page(_address(log, processes[-1]))
            try:
                yield page
            finally:
                page.close()
                processes[-1].wait(STARTS_S)
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait(STARTS_S)


def _address(log: Path, process: subprocess.Popen) -> str:
    ends = time.monotonic() + STARTS_S
    while process.poll() is None and time.monotonic() < ends:
        if found := re.search(r"WebDriver BiDi listening on (ws://\S+)", log.read_text(errors="replace")):
            return found[1]
        time.sleep(0.2)
    raise AssertionError(f"Firefox ended, or did not answer within {STARTS_S} s: {log.read_text()[-2000:]}")
