"""What the browser tests share: a JupyterLab of their own, and a page of it in Debian's Chromium."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest

from d2m.files import ROOT

ARTEFACTS = ROOT / "runs" / "browser"  # screenshots and the server's log
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
STARTS_S = 120.0  # within which JupyterLab answers
# Root cannot use Chromium's sandbox; the rest keeps the browser from showing dialogs and using the network.
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
)  # fmt: skip
# All cells are in the page, not only the visible ones; no news are fetched.
SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


@pytest.fixture(scope="session")
def artefacts() -> Path:
    """A folder, ignored by git, for screenshots and logs."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS


@pytest.fixture(scope="session")
def server(tmp_path_factory, artefacts) -> Iterator[tuple[str, str]]:
    """The address and the token of a JupyterLab that shows copies of the notebooks and has no settings but ours."""
    folder, home = tmp_path_factory.mktemp("notebooks"), tmp_path_factory.mktemp("jupyter")
    for path in (ROOT / "notebooks").glob("0?_*.ipynb"):
        _copy_without_outputs(path, folder / path.name)
    for name, values in SETTINGS.items():
        path = home / "lab" / "user-settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}",
        "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}",
    ]  # fmt: skip
    # A kernel "python3" is this Python's; a person's own settings, workspaces and kernels do not count.
    environment = os.environ | {"JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home / "data")}
    environment |= {"JUPYTER_PATH": str(Path(sys.prefix) / "share" / "jupyter")}
    address = f"http://127.0.0.1:{port}"
    with (artefacts / "jupyterlab.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _wait_for(f"{address}/api/status?token={token}", process, artefacts / "jupyterlab.log")
            yield address, token
        finally:
            process.terminate()  # the server ends its kernels
            process.wait(60)


@pytest.fixture
def page(artefacts, tmp_path):
    """A page of a Chromium with an empty profile; a screenshot is taken at the end."""
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=browser, headless=True, args=list(OPTIONS),
            viewport={"width": 1400, "height": 1500},
        )  # fmt: skip
        try:
            yield context.pages[0]
        finally:
            context.pages[0].screenshot(path=artefacts / "last.png")
            context.close()


def _copy_without_outputs(path: Path, copy: Path) -> None:
    """A notebook as if it had never run: saved widgets would look like those of this run."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, copy)


def _wait_for(address: str, process: subprocess.Popen, log: Path) -> None:
    ends = time.monotonic() + STARTS_S
    while process.poll() is None and time.monotonic() < ends:
        with suppress(OSError), urllib.request.urlopen(address, timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"JupyterLab ended, or did not answer within {STARTS_S} s: {log.read_text()[-2000:]}")
