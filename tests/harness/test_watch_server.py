"""The progress page's server, asked by HTTP: what it answers, and above all what it does not."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from browser import dump, found_in, needs_browser
from command import derby

from harness.progress import Progress
from harness.watch.figures import Figures, Shown
from harness.watch.overview import Overview
from harness.watch.server import Server
from results.layout import Layout
from results.writer import RecordWriter

SWEEP = """\
name: small
repetitions: 2
budget: {evaluations: 4}
tasks: [branin, mixed]
searchers: [random, grid]
"""


@contextmanager
def serving(root, *, every=None):
    figures = Figures(root, "small", every)
    with Server(Overview(root, "small"), figures) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            figures.close()


@pytest.fixture
def server(run_sweep):
    run_sweep(SWEEP)
    with serving(run_sweep.root) as server:
        yield server


def ask(server, path, method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def own(server, name=""):
    return f"/{server.secret}/{name}"


def test_it_serves_the_page_and_the_state(server):
    for name, kind in (("", "text/html"), ("page.css", "text/css"), ("page.js", "text/javascript")):
        answer, content = ask(server, own(server, name))
        assert answer.status == 200
        assert answer.getheader("Content-Type").startswith(kind)
        assert len(content) > 1000
    answer, content = ask(server, own(server, "state.json"))
    state = json.loads(content)
    assert state["view"]["phase"] == "done"
    assert state["view"]["recorded"]["evaluations"] == 32
    assert state["figures"]["state"] == "off"


def test_it_listens_on_loopback_only(server):
    assert server.server_address[0] == "127.0.0.1"
    assert server.url.startswith(f"http://127.0.0.1:{server.server_port}/")


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", ""]
)
def test_another_host_name_is_refused(server, host):
    """A page of another site whose name was made to point here asks under that name."""
    answer, content = ask(server, own(server, "state.json"), Host=host.format(port=server.server_port))
    assert answer.status == 421
    assert b"small" not in content


def test_the_names_of_loopback_are_answered(server):
    for host in ("127.0.0.1", "localhost", "LOCALHOST"):
        assert ask(server, own(server), Host=f"{host}:{server.server_port}")[0].status == 200


def test_without_the_secret_there_is_nothing(server):
    for path in (
        "/",
        "/state.json",
        "/page.js",
        "/wrong/",
        f"/{server.secret[:-1]}/",
        "//",
        "/%c3%a9/",
        "/%ff/state.json",
    ):
        answer, content = ask(server, path)
        assert answer.status == 404, path
        assert b"branin" not in content
    assert len(server.secret) >= 16
    answer, _ = ask(server, f"/{server.secret}")
    assert (answer.status, answer.getheader("Location")) == (308, own(server))


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "NONSENSE"]
)
def test_only_reading_is_answered(server, method):
    answer, content = ask(server, own(server, "state.json"), method)
    assert answer.status == 405
    assert b"branin" not in content


def test_head_is_get_without_content(server):
    answer, content = ask(server, own(server), "HEAD")
    assert (answer.status, content) == (200, b"")
    assert int(answer.getheader("Content-Length")) == len(ask(server, own(server))[1])


@pytest.mark.parametrize("prefix", ["", "report/", "report/figures/"])
def test_no_path_leads_out(server, prefix, tmp_path):
    """Neither by dots nor by an absolute path, written in any way; a file that is there is not served for it."""
    folder = tmp_path / "report"
    (folder / "figures").mkdir(parents=True)
    (folder / "report.html").write_text("of the report")
    (tmp_path / "outside.txt").write_text("outside")
    figures = server.figures
    with drawn(figures, folder):
        assert ask(server, own(server, "report/report.html"))[1] == b"of the report"
        for path in (
            *(
                "../outside.txt",
                "../../outside.txt",
                "%2e%2e/outside.txt",
                "..%2foutside.txt",
                "....//outside.txt",
            ),
            *(str(tmp_path / "outside.txt"), f"/{tmp_path}/outside.txt", "%2e%2e%2f%2e%2e%2foutside.txt"),
            *("..\\outside.txt", "report.html/../../outside.txt", "report.html%00", ".", "", "page.py"),
        ):
            if not (prefix == "" and path == ""):
                answer, content = ask(server, own(server, prefix + path))
                assert answer.status == 404, path
                assert b"outside" not in content
    for name in ("server.py", "overview.py", "__init__.py"):
        assert ask(server, own(server, name))[0].status == 404


@contextmanager
def drawn(figures, folder, items=(), number=1):
    """Let a folder stand for what was drawn."""
    from harness.watch.figures import _Drawing

    figures._current = _Drawing(None, number, folder, 0, 0.0)
    figures._files = frozenset(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    figures._shown = Shown("ready", number, 0.0, list(items))
    yield
    figures._current = None


def test_every_answer_tells_the_browser_to_keep_to_itself(server):
    for path in (own(server), own(server, "state.json"), "/", own(server, "nothing")):
        answer, _ = ask(server, path)
        assert answer.getheader("X-Content-Type-Options") == "nosniff"
        assert answer.getheader("Referrer-Policy") == "no-referrer"
        assert answer.getheader("Cache-Control") == "no-store"
        assert "default-src 'none'" in answer.getheader("Content-Security-Policy")
        assert answer.getheader("Access-Control-Allow-Origin") is None


def test_the_page_needs_nothing_from_elsewhere(server):
    for name in ("", "page.css", "page.js"):
        content = ask(server, own(server, name))[1].decode()
        assert "//" not in content.replace("http://www.w3.org/2000/svg", "").replace("// ", ""), name


def test_several_browsers_are_answered_at_once(server):
    def state(_):
        with urllib.request.urlopen(f"{server.url}state.json", timeout=20) as answer:
            return json.loads(answer.read())["view"]["phase"]

    held = [http.client.HTTPConnection("127.0.0.1", server.server_port) for _ in range(8)]
    for connection in held:
        connection.connect()  # and says nothing
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(state, range(24))) == {"done"}
    for connection in held:
        connection.close()


def test_a_port_that_is_taken_is_said(server, tmp_path):
    done = derby("watch", "small", "--port", str(server.server_port), cwd=tmp_path)
    assert done.returncode == 2
    assert (
        f"cannot listen on port {server.server_port} of 127.0.0.1: another program listens there"
        in done.stderr
    )


def test_a_name_that_no_sweep_can_have_is_refused(tmp_path):
    done = derby("watch", "../secret", cwd=tmp_path)
    assert done.returncode == 3
    assert "'../secret' cannot be used" in done.stderr


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_the_address_and_ends_when_asked(run_sweep, tmp_path, ending):
    run_sweep(SWEEP)
    command = [
        sys.executable,
        "-m",
        "derby",
        "watch",
        "small",
        "--results",
        str(run_sweep.root),
        "--no-figures",
    ]
    watching = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={"TMPDIR": str(tmp_path), "COLUMNS": "60"}
    )
    try:
        url = watching.stdout.readline().split()[-1]
        with urllib.request.urlopen(f"{url}state.json", timeout=20) as answer:
            assert json.loads(answer.read())["view"]["name"] == "small"
        watching.send_signal(ending)
        assert watching.wait(20) == 0
    finally:
        watching.kill()
        watching.stdout.close()
    assert not list(tmp_path.glob("derby-watch-*"))


# Figures.


@pytest.mark.slow
def test_figures_are_drawn_by_another_process_and_shown(run_sweep):
    run_sweep(SWEEP)
    with serving(run_sweep.root, every=0.0) as server:
        folder = server.figures._folder
        assert json.loads(ask(server, own(server, "state.json"))[1])["figures"]["state"] == "drawing"
        process = server.figures._drawing.process
        assert process.pid > 0
        assert process.wait(300) == 0
        figures = json.loads(ask(server, own(server, "state.json"))[1])["figures"]
        assert (figures["state"], figures["number"], figures["problem"]) == ("ready", 1, "")
        assert [(item["task"], item["words"]) for item in figures["items"]] == [
            ("", "Mean rank over tasks."),
            ("branin", "Best value so far on branin."),
            ("mixed", "Best value so far on mixed."),
        ]
        for item in figures["items"]:
            answer, content = ask(server, own(server, f"report/figures/{item['stem']}.png"))
            assert answer.getheader("Content-Type") == "image/png"
            assert content.startswith(b"\x89PNG")
        answer, content = ask(server, own(server, "report/report.html"))
        assert b"<title>" in content
        ask(server, own(server, "state.json"))
        assert server.figures._drawing is None  # of the same studies nothing is drawn again
    assert not folder.exists()


def ended(figures, of):
    figures.consider(of)
    figures._drawing.process.wait(120)
    return figures.consider(of)


@pytest.mark.slow
def test_what_cannot_be_drawn_is_said_and_the_last_figures_stay(run_sweep, tmp_path):
    figures = Figures(run_sweep.root, "small", 0.0)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "report.html").write_text("old")
    with drawn(figures, tmp_path / "old"):
        shown = ended(figures, 1)
        assert "no sweep called 'small'" in shown.problem
        assert shown.number == 1
        assert figures.file("report.html") == b"old"
    figures.close()


def test_what_draws_is_ended_with_the_page(run_sweep):
    run_sweep(SWEEP)
    figures = Figures(run_sweep.root, "small", 0.0)
    assert figures.consider(1).state == "drawing"
    process = figures._drawing.process
    figures.close()
    assert process.poll() is not None
    assert figures.consider(2).state == "none"


# In a browser.


def word():
    """Leave what a driver on a cluster may say."""
    progress = Progress(
        studies=8, evaluations=32, told=5, trained=4, reused=1, reevaluations=8, reevaluated=3
    )
    progress.evaluators_busy, progress.evaluators_idle, progress.evaluators_starting, progress.lost = (
        7,
        6,
        3,
        2,
    )
    progress.missing = ("gpu-2 (not in the cluster)", "gpu-3 (not in the cluster)")
    progress.train_seconds, progress.search_seconds = 7385.0, 65.0
    return msgspec.structs.replace(progress.snapshot(), remaining=187_200.0, per_second=0.5)


PROBE = """
addEventListener('load', async () => {
  const pause = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
  let found;
  try { found = await (async () => { %s })(); } catch (error) { found = {error: String(error)}; }
  const out = document.createElement('pre');
  out.id = 'probe-result';
  out.textContent = JSON.stringify(found);
  document.body.append(out);
});
"""


def probe(server, script, **options):
    """Let a script run in the page beside the page's own, and return what it gives."""
    before = server.page["page.js"]
    server.page["page.js"] = before + (PROBE % script).encode()
    try:
        return found_in(dump(server.url, **options))
    finally:
        server.page["page.js"] = before


@needs_browser
@pytest.mark.slow
def test_the_page_shows_the_state(server):
    found = probe(
        server,
        """await pause(1);
        return [document.title, document.getElementById('phase').textContent,
          [...document.querySelectorAll('#numbers dd span')].map(it => it.textContent),
          [...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.textContent)),
          document.getElementById('lost').hidden]""",
    )
    title, phase, numbers, rows, lost = found
    assert title == "100 % small: done"
    assert phase == "done"
    assert numbers[:2] == ["8 of 8", "32 of 32"]
    assert [row[0] for row in rows] == ["random", "grid"] * 2
    assert {row[4] for row in rows} == {"2 of 2"}
    assert lost


@needs_browser
@pytest.mark.slow
def test_the_page_shows_what_a_running_driver_says(server, run_sweep):
    root = run_sweep.root
    for study in Layout(root).plan("small").studies[:3]:
        Layout(root).study(study.study).unlink()
    with RecordWriter(root, sweep="small", host="here", pid=1) as writer:
        writer.write_progress("small", word())
        phase, numbers = probe(
            server,
            """await pause(1);
            const numbers = {};
            for (const box of document.querySelectorAll('#numbers > div')) {
              const [main, small] = box.children[1].children;
              numbers[box.children[0].textContent] = [main.textContent, small.textContent];
            }
            return [document.getElementById('phase').textContent, numbers]""",
        )
    assert phase == "running"
    assert numbers["studies done"] == ["5 of 8", "3 not begun"]
    assert numbers["evaluators"] == ["7 busy", "6 idle, 3 starting, 2 lost"]
    assert numbers["missing machines"] == ["2", "gpu-2 (not in the cluster), gpu-3 (not in the cluster)"]
    assert numbers["rate, last minute"][0] == "30.0 a minute"
    assert numbers["time left, about"][0] == "2 days 4 h"
    assert numbers["training, this run"] == ["2 h 03 min", "searching 1 min 05 s"]
    assert numbers["winners evaluated again"][0] == "3 of 8"


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize(("size", "dark"), [((1200, 900), False), ((390, 800), True)])
def test_the_page_fits_a_phone_and_the_dark(server, size, dark):
    width, content, paper = probe(
        server,
        """await pause(1);
        return [innerWidth, document.documentElement.scrollWidth, getComputedStyle(document.body).backgroundColor]""",
        size=size,
        dark=dark,
    )
    assert content <= width
    assert (sum(map(int, paper[4:-1].split(","))) < 100) is dark


@needs_browser
@pytest.mark.slow
def test_news_change_numbers_and_leave_the_rest_standing(server, monkeypatch):
    """No element is made anew where only its text changed, and none is touched where nothing changed."""
    states = json.loads(server.state())
    number = [0]

    def state():
        number[0] += 1
        states["view"]["recorded"]["tasks"][0]["rows"][0]["evaluations"] = number[0]
        states["view"]["recorded"]["failures"] = [
            {"study": "<b>a</b> on b", "reason": "<script>alert(1)</script>"}
        ]
        return json.dumps(states).encode()

    monkeypatch.setattr(server, "state", state)
    first, second, same, changed, failure = probe(
        server,
        """await pause(1);
        const cell = document.querySelector('tbody tr').cells[3], before = cell.textContent, seen = new Set();
        new MutationObserver(all => all.forEach(it => seen.add(it.target.tagName)))
          .observe(document.querySelector('main'), {childList: true, subtree: true});
        await pause(3);
        const now = document.querySelector('tbody tr').cells[3];
        const failure = document.querySelector('#failures li').textContent;
        return [before, now.textContent, now === cell, [...seen], failure]""",
    )
    assert int(second) > int(first)
    assert same
    assert changed == ["TD"]
    assert failure == "<b>a</b> on b: <script>alert(1)</script>"


@needs_browser
@pytest.mark.slow
def test_the_page_says_when_its_server_is_gone_and_goes_on_when_it_is_back(server, monkeypatch):
    answers = server.state
    number = [0]

    def state():
        number[0] += 1
        if 2 <= number[0] <= 4:
            raise ConnectionError  # the connection breaks off without an answer; a browser asks once more by itself
        return answers()

    monkeypatch.setattr(server, "state", state)
    before = server.page["page.js"]
    server.page["page.js"] = before.replace(b"SECONDS = 2", b"SECONDS = 0.5")
    found = probe(
        server,
        """const seen = [];
        for (let n = 0; n < 15; n++) { await pause(0.25); seen.push(document.getElementById('lost').hidden); }
        return [seen, document.getElementById('name').textContent]""",
        expected="ERR_EMPTY_RESPONSE",
    )
    server.page["page.js"] = before
    seen, name = found
    assert seen[0]
    assert not all(seen)
    assert seen[-1]
    assert name == "small"


def test_the_packages_files_are_installed():
    """The wheel takes the page along."""
    import tomllib

    root = Path(__file__).resolve().parents[2]
    data = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    files = [
        path for path in (root / "harness" / "watch").iterdir() if path.suffix in (".html", ".css", ".js")
    ]
    assert len(files) == 3
    assert {f"*{path.suffix}" for path in files} == set(data["harness.watch"])
