"""A real JupyterLab in a real browser, driven through the application's own commands."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

from asking import WITHIN, ask, sees
from sentinel import INIT

from tools.browser_scripts import text_of

ROOT = Path(__file__).parents[2]
SHOTS = ROOT / "build" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = """
    --headless --no-sandbox --disable-gpu --disable-quic --no-first-run
    --disable-background-networking --disable-component-update --disable-sync
""".split()
FLAGS.append("--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")  # nothing leaves
PAGES = count()

READY = f"""
    {WITHIN}
    const app = window.jupyterapp;
    await within(app.restored, 'JupyterLab to be there', 60);
    const until = performance.now() + 60000;
    while (!app.shell.currentWidget?.context) {{
        if (performance.now() > until) throw new Error('waited 60 s for the notebook to be opened');
        await new Promise((go) => setTimeout(go, 50));
    }}
    const panel = app.shell.currentWidget;
    await within(panel.revealed, 'the notebook to be shown', 60);
    await within(panel.context.ready, "the notebook's file to be read", 60);
    await within(panel.sessionContext.ready, 'the session to begin', 90);
    const kernel = panel.sessionContext.session?.kernel;
    await within(Promise.resolve(kernel?.info), 'the kernel to say what it is', 90);
"""
"""In a function of the page: the notebook that is open, when its kernel can be talked to."""
RUN = f"""async (index) => {{ {READY}
    panel.content.activeCellIndex = index;
    await app.commands.execute('notebook:run-cell');
    return panel.content.widgets[index].model.outputs.toJSON();
}}"""
SAY = f"""async (code) => {{ {READY}
    let said = '';
    const future = kernel.requestExecute({{ code, store_history: false, stop_on_error: false }});
    future.onIOPub = (message) => {{
        if (message.header.msg_type === 'stream') said += message.content.text;
        if (message.header.msg_type === 'error') said += message.content.traceback.join('\\n');
    }};
    await future.done;
    return said;
}}"""
HOLD = f"""async (cells) => {{ {READY}
    const model = panel.content.model.sharedModel;
    model.transact(() => {{
        const made = cells.map((source) => ({{ cell_type: 'code', source, metadata: {{}} }}));
        model.deleteCellRange(0, model.cells.length);
        model.insertCells(0, made);
    }});
    // What those before had drawn has left the page.
    while (document.querySelectorAll('.jp-Notebook .jp-Cell').length !== cells.length
           || document.querySelector('.jp-OutputArea-output')) {{
        await new Promise((go) => setTimeout(go, 20));
    }}
}}"""
FORGET = """
if "explorer" in globals():
    explorer.close()
get_ipython().run_line_magic("reset", "-f")
"""
LATE = "[anywidget] Failed to initialize model."
STARTING = 60 + 60 + 60 + 90 + 90
"""The seconds that all of `READY` may take together."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Server:
    """JupyterLab with settings of its own, so that nothing of the machine's leaks in."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        settings = folder / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
        (settings / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
        self.notebooks = folder / "notebooks"
        self.notebooks.mkdir()

    def __enter__(self) -> Self:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {
            **os.environ,
            "PYTHONPATH": path.rstrip(os.pathsep),
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
            "IPYTHONDIR": str(self.folder / "ipython"),
        }
        command = [
            sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
            f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0",
            "--IdentityProvider.token=", "--ServerApp.ip=127.0.0.1",
            "--ServerApp.disable_check_xsrf=True", "--LabApp.expose_app_in_browser=True",
            "--LabApp.extension_manager=readonly", "--ServerApp.open_browser=False",
        ]  # fmt: skip
        self._log = (self.folder / "server.log").open("w")
        self._process = subprocess.Popen(
            command, cwd=self.notebooks, env=environment, stdout=self._log, stderr=self._log
        )
        try:
            self._wait()
        except BaseException:
            self._end()
            raise
        return self

    def _wait(self) -> None:
        until = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/api", timeout=10).close()
                return
            except OSError:
                said = (self.folder / "server.log").read_text()
                assert self._process.poll() is None, f"JupyterLab ended at once:\n{said}"
                assert time.monotonic() < until, f"waited 180 s for JupyterLab:\n{said}"
                time.sleep(0.2)

    def kernels(self) -> list[str]:
        """The ids of the kernels that run."""
        with urllib.request.urlopen(f"{self.url}/api/kernels", timeout=30) as answer:
            return [kernel["id"] for kernel in json.load(answer)]

    def end_kernels(self, *wanted: str) -> None:
        """Delete these kernels, or every one."""
        for kernel in self.kernels():
            if wanted and kernel not in wanted:
                continue
            request = urllib.request.Request(f"{self.url}/api/kernels/{kernel}", method="DELETE")
            urllib.request.urlopen(request, timeout=30).close()

    def __exit__(self, *_: object) -> None:
        try:
            self.end_kernels()
        finally:
            self._end()

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(15)
        self._log.close()


@dataclass
class Notebook:
    """A notebook that is open in a page; what went wrong in the page is kept."""

    page: Any
    server: Server
    path: Path
    errors: list[str] = field(default_factory=list)
    abroad: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    received: list[str] = field(default_factory=list)

    def listen(self) -> None:
        """Note the page's errors, and every request that would leave the machine."""
        self.page.add_init_script(INIT)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._console)
        self.page.on("websocket", self._socket)

        # To hold each request up would keep the browser from its cache.
        self.page.on("request", self._asked)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.server.url, "data:", "blob:")):
            self.abroad.append(request.url)

    def _socket(self, socket: Any) -> None:
        # The server has a socket of its own for news of its files.
        if "/channels" not in socket.url:
            return
        socket.on("framesent", lambda _: self.sent.append(socket.url))
        socket.on("framereceived", lambda _: self.received.append(socket.url))

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def open(self) -> Self:
        """Show it, as JupyterLab does when somebody opens a link to it."""
        # Pages of one workspace would send each other away.
        place = f"/doc/workspaces/page-{next(PAGES)}/tree/{self.path.name}"
        self.page.goto(f"{self.server.url}{place}?reset", timeout=60_000)
        self.ready()
        return self

    def ask(
        self, script: str, argument: Any = None, *, what: str = "an answer", seconds: float = 60
    ) -> Any:
        """What an expression or a function is in the page, see `asking.ask`."""
        return ask(self.page, script, argument, what=what, seconds=seconds)

    def sees(self, condition: str, argument: Any = None, *, seconds: float = 30) -> None:
        """Wait until an expression or a function is true in the page."""
        sees(self.page, condition, argument, seconds=seconds)

    def ready(self) -> None:
        """Wait until JupyterLab, the notebook and its kernel are there."""
        self.sees("window.jupyterapp !== undefined", seconds=60)
        self.ask(f"async () => {{ {READY} }}", what="the kernel", seconds=STARTING)

    def save(self) -> None:
        """Write the notebook to its file, and wait until it is written."""
        saved = f"""async () => {{ {READY}
            await app.commands.execute('docmanager:save');
        }}"""
        self.ask(saved, what="the notebook to be saved", seconds=STARTING)

    def theme(self, name: str) -> None:
        """Change JupyterLab's theme, if it is another."""
        light = "false" if "Dark" in name else "true"
        if self.ask("document.body.dataset.jpThemeLight") == light:
            return
        change = "(theme) => window.jupyterapp.commands.execute('apputils:change-theme', {theme})"
        self.ask(change, name, what=f"the theme to become {name}")
        self.page.wait_for_selector(f"body[data-jp-theme-light={light}]", state="attached")

    def kernel_id(self) -> str:
        """The id of the kernel."""
        asked = f"async () => {{ {READY} return kernel?.id ?? ''; }}"
        return str(self.ask(asked, what="the kernel", seconds=STARTING))

    def check(self) -> None:
        """Nothing went wrong in the page since the last check, and nothing left the machine."""
        # Where the machine is busy, anywidget gives a model up, and the explorer sees to it.
        errors = [error for error in self.errors if LATE not in error]
        self.errors = []
        assert not errors, "\n".join(errors)
        assert not self.abroad, "\n".join(self.abroad)

    def run(self, index: int, *, seconds: float = 120) -> list[dict[str, Any]]:
        """Run a cell; answers its outputs."""
        outputs: list[dict[str, Any]] = self.ask(
            RUN, index, what=f"cell {index} to be carried out", seconds=seconds
        )
        failed = [one for one in outputs if one["output_type"] == "error"]
        assert not failed, "\n".join(failed[0]["traceback"])
        return outputs

    def say(self, code: str, *, seconds: float = 120) -> str:
        """Run code in the kernel beside the notebook; answers what it prints."""
        what = f"the kernel to carry out {code[:200]!r}"
        said: str = self.ask(SAY, code, what=what, seconds=seconds)
        return said.strip()

    def value(self, expression: str) -> Any:
        """What an expression is in the kernel, by way of JSON."""
        said = self.say(f"import json\nprint(json.dumps({expression}))")
        try:
            return json.loads(said)
        except json.JSONDecodeError:
            raise AssertionError(said) from None

    def until(self, expression: str, wanted: Callable[[Any], bool] = bool) -> Any:
        """Ask the kernel until it answers what is wanted."""
        until = time.monotonic() + 20
        while not wanted(value := self.value(expression)):
            assert time.monotonic() < until, f"{expression} is still {value!r}"
            time.sleep(0.15)
        return value

    def shot(self, name: str, target: str = ".mes-explorer") -> None:
        """Take pictures of a part of the page, light and dark; the theme is the other one then."""
        place = self.page.locator(target).last
        if not place.count():
            place = self.page.locator(".jp-OutputArea").last
        here = self.ask("document.body.dataset.jpThemeLight") == "true"
        for light in (here, not here):
            self.theme("JupyterLab Light" if light else "JupyterLab Dark")
            photograph(place, f"{name}-{'light' if light else 'dark'}")

    def violations(self, selector: str) -> list[str]:
        """What axe-core finds wrong in a part of the page."""
        return violations(self.page, selector)


class Sheet(Notebook):
    """A notebook that is opened once, with one kernel, and holds other cells for other tests."""

    cells: tuple[str, ...] = ()

    def hold(self, *cells: str) -> Self:
        """Take the place of the cells that were there; the kernel forgets what they had made."""
        self.cells = ()
        self.say(FORGET)
        self.ask(HOLD, list(cells), what="the cells to be replaced")
        self.cells = cells
        return self

    def explored(self) -> Self:
        """Run all cells, and wait for the explorer that they show."""
        for index in range(len(self.cells)):
            self.run(index)
        self.alive()
        return self

    def alive(self, variable: str = "explorer") -> Any:
        """Wait until an explorer is alive in the page; answers where it is."""
        key = self.value(f"{variable}.view.key")
        place = self.page.locator(f'[data-modulus-es="{key}"] .mes-explorer[data-ready]')
        place.wait_for()
        return place

    def press(self, name: str) -> None:
        """Press one of the explorer's buttons."""
        self.page.get_by_role("button", name=name, exact=True).last.click()

    def mark(self, kind: str, lane: str) -> Any:
        """The last mark of a kind in a lane of the timeline."""
        number = self.value(
            f"max(i for i, m in enumerate(explorer.marks) if m.kind == {kind!r} "
            f"and m.handler == {lane!r})"
        )
        return self.page.locator(f'.mes-mark[data-mark="{number}"]')

    def node(self, id_: str) -> Any:
        """A node of the graph."""
        return self.page.locator(f'.mes-node[data-node="{id_}"]')


def violations(page: Any, selector: str) -> list[str]:
    """What axe-core finds wrong in a part of a page."""
    if not ask(page, "'axe' in window"):
        ask(page, f"() => {{ {text_of('axe-core')} }}", what="axe-core")
    found = ask(page, "(selector) => axe.run(selector)", selector, what="axe-core's judgement")
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
    ]


def photograph(place: Any, name: str, **options: Any) -> None:
    """Keep a picture of a part of a page, or of a page, for somebody to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    place.screenshot(path=SHOTS / f"{name}.png", animations="disabled", **options)
