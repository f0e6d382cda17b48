"""The page's server, over HTTP, and the command that starts it."""

import http.client
import json
import socket
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer

import numpy as np
import pytest

from jvae import trained
from jvae.cli import explore as explore_module
from jvae.cli.main import main as jvae
from jvae.errors import InputError, InputWarning
from jvae.explore import server as server_module
from jvae.explore.app import App
from jvae.explore.asks import Look
from jvae.explore.server import PAGE, address, open_server
from jvae.explore.studio import Studio
from tests.faces import small_store
from tests.runs import untrained_judge
from tests.test_explore import A, B, body, known, model, pixels, run, studio  # noqa: F401

pytestmark = pytest.mark.filterwarnings("ignore::jvae.errors.InputWarning")


@pytest.fixture
def port(studio):  # noqa: F811
    """A server of the page, on a thread."""
    with open_server(App(studio, small_store().path)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, method: str, path: str, sent: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    try:
        connection.request(method, path, sent, headers)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def test_the_page_and_what_it_asks(port, studio):  # noqa: F811
    for path in ("/", *(f"/{file.name}" for file in PAGE.iterdir())):
        status, found = ask(port, "GET", path)
        assert status == 200 and found == (PAGE / (path[1:] or "index.html")).read_bytes()
    status, found = ask(port, "GET", f"/api/face?id={A}")
    assert status == 200 and json.loads(found)["name"] == A
    status, found = ask(port, "POST", "/api/picture", body(studio.from_store(A)))
    np.testing.assert_array_equal(pixels(found), small_store().images[3])


def test_the_page_names_no_other_machine():
    for file in PAGE.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in text.replace("// ", "") or "http" not in text, file.name


@pytest.mark.parametrize(
    ("method", "path", "sent", "headers", "status", "message"),
    [
        ("GET", "/../studio.py", None, {}, 404, "there is nothing at"),
        ("GET", "/page/none.js", None, {}, 404, "there is nothing at"),
        ("POST", "/api/none", b"{}", {}, 404, "there is nothing at"),
        ("POST", "/api/show", b"{}", {}, 422, "names no face"),
        ("GET", "/api/face?id=nobody", None, {}, 422, "unknown image_id"),
        ("POST", "/api/framed", b'{"photo": "x"}', {}, 410, "drop it in again"),
        ("POST", "/api/photo?name=a.jpg", b"", {}, 422, "a.jpg is empty"),
        ("POST", "/api/show", b"{}", {"Content-Length": "999999999"}, 413, "more than 200 MB"),
        ("POST", "/api/show", b"{}", {"Content-Length": "²"}, 413, "more than 200 MB"),
        ("POST", "/api/show", b"{}", {"Content-Length": "9" * 5000}, 413, "more than 200 MB"),
        ("GET", "/api/none", None, {"Host": "localhost", "Origin": "http://localhost"}, 404, "there is nothing at"),
        ("GET", "/api/none", None, {"Host": "evil.example"}, 403, "only the page itself"),
        ("GET", "/api/setup", None, {"Host": "evil.example:80"}, 403, "only the page itself"),
        ("POST", "/api/vectors", b"", {"Origin": "http://evil.example"}, 403, "only the page itself"),
    ],
)
def test_what_is_not_there_or_not_allowed(port, method, path, sent, headers, status, message):
    found, said = ask(port, method, path, sent, **headers)
    assert found == status and message in json.loads(said)["error"]


def test_a_bug_is_told_and_the_server_goes_on(port, studio, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr(Studio, "sample", lambda *_: 1 / 0)
    status, said = ask(port, "GET", "/api/sample?seed=1")
    assert status == 500 and "a bug of jvae's" in json.loads(said)["error"]
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert ask(port, "GET", "/api/setup")[0] == 200


def test_several_pages_do_not_mix(port, studio):  # noqa: F811
    asks = [
        body(studio.from_store(name), Look({"Smiling": factor}, keep=keep))
        for name in (A, B)
        for factor in (-2.0, 1.0)
        for keep in ((), ("Male",))
    ]
    alone = [ask(port, "POST", "/api/picture", each)[1] for each in asks]
    with ThreadPoolExecutor(8) as pages:
        together = list(pages.map(lambda each: ask(port, "POST", "/api/picture", each)[1], asks * 3))
    assert together == alone * 3 and len(set(alone)) == len(alone)


@pytest.fixture
def started(run, model, monkeypatch, capsys):  # noqa: F811
    """Starts the command with some words, and ends it as soon as it serves: what it printed, and whether it opened."""

    def start(*words: object) -> tuple[str, list[str]]:
        opened = []
        monkeypatch.setattr(trained, "load", lambda path: model)
        monkeypatch.setattr(explore_module.webbrowser, "open", lambda url: opened.append(url) or True)
        monkeypatch.setattr(
            ThreadingHTTPServer, "serve_forever", lambda server: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        monkeypatch.setattr(sys, "argv", ["jvae", "explore", "--run", str(run), *map(str, words)])
        jvae()
        said = capsys.readouterr()
        return said.err + said.out, opened

    return start


def test_the_command_opens_the_page(started, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")
    out, opened = started("--data", small_store().path)
    assert "is at http://127.0.0.1:" in out and out.endswith("closed\n")
    assert len(opened) == 1 and opened[0] in out
    out, opened = started("--no-browser")
    assert not opened and "display" not in out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux without a window")
def test_without_a_display_it_says_where_the_page_is(started, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    out, opened = started()
    assert not opened and "there is no display here: open that address" in out


def test_a_judge_of_another_crop_is_said(started, tmp_path):
    judge = untrained_judge(small_store())
    for crop in ("rendered", "squash"):
        judge.crop = crop
        judge.save(tmp_path / "judge.npz")
        with warnings.catch_warnings():
            warnings.simplefilter("always", InputWarning)
            out, _ = started("--judge", tmp_path / "judge.npz", "--no-browser")
        said = "crop squash, and those of the store that the run was trained on are cut by the crop rendered" in out
        assert said == (crop == "squash")


def test_a_run_without_vectors_is_offered_some(started, run, model, monkeypatch):  # noqa: F811
    (run / "vectors.npz").unlink()
    out, _ = started("--no-browser")
    assert "no attribute vectors, so there are no sliders: `jvae vectors` makes them" in out
    apps = []
    monkeypatch.setattr(explore_module, "App", lambda *args: apps.append(App(*args)) or apps[-1])
    out, _ = started("--data", small_store().path, "--no-browser")
    assert "the page offers to make them" in out
    setup = json.loads(apps[0].vectors({}, b"").body)
    assert "Smiling" in setup["groups"]["Mouth and beard"] and (run / "vectors.npz").exists()
    started("--vectors", run / "vectors.npz", "--no-browser")
    assert [app.vectors_file for app in apps] == [None, run / "vectors.npz"]


def test_what_does_not_fit_is_one_line(started, tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        used = taken.getsockname()[1]
        for words, message in (
            (("--port", used), f"port {used} is in use: give another --port"),
            (("--port", 99999), "port=99999 must lie between"),
            (("--data", small_store(20, 32).path), "holds images of 32x32 but the run was trained on 16x16"),
            (("--data", tmp_path / "none"), "no packed store at"),
            (("--vectors", tmp_path / "none.npz"), "there are no attribute vectors at"),
            (("--judge", tmp_path / "none"), "there is no judge at"),
        ):
            with pytest.raises(SystemExit) as stop:
                started(*words, "--no-browser")
            shown = capsys.readouterr().err
            assert stop.value.code == 2 and message in shown and shown.count("\n") == 1


def test_free_ports_are_found(studio):  # noqa: F811
    app = App(studio, None)
    with open_server(app) as one, open_server(app) as two:
        assert address(one) != address(two) and address(one).startswith("http://127.0.0.1:")
        with pytest.raises(InputError, match="is in use"):
            open_server(app, one.server_address[1])
    assert server_module.HOST == "127.0.0.1"
