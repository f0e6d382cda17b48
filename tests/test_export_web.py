"""The page that runs a model in the browser alone, in a headless Chromium that reaches nothing but this machine."""

import base64
import dataclasses
import functools
import http.server
import importlib.util
import io
import json
import shutil
import subprocess
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jvae.errors import InputError
from jvae.export import web, write
from jvae.export.bundle import Bundle, faces
from tests.exports import EXTRA, bundle_of
from tests.faces import portraits

BROWSER = "needs Chromium, its driver and Selenium: apt install chromium chromium-driver, pip install selenium"
PATIENCE = 240  # seconds, for a machine that does much else


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The page of a model of random weights."""
    pytest.importorskip("onnxruntime", reason=EXTRA)
    try:
        web.fetch_runtime()
    except InputError as error:
        pytest.skip(str(error))
    to = tmp_path_factory.mktemp("web") / "page"
    write.export(bundle_of(), to, "web")
    return to


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def address(folder):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser(address):
    """The page, opened and ready, where no name is resolved."""
    if not (shutil.which("chromium") and shutil.which("chromedriver") and importlib.util.find_spec("selenium")):
        pytest.skip(BROWSER)
    from selenium import webdriver  # pyright: ignore[reportMissingImports]

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    flags = (
        "headless=new no-sandbox disable-dev-shm-usage disable-gpu disable-background-networking window-size=1200,900"
    )
    for flag in [*flags.split(), "host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(PATIENCE)
    driver.get(address)
    until(driver, "return document.body.dataset.ready")
    yield driver
    driver.quit()


def until(driver, script: str):
    """Waits until a script gives something true."""
    from selenium.webdriver.support.wait import WebDriverWait  # pyright: ignore[reportMissingImports]

    return WebDriverWait(driver, PATIENCE).until(lambda d: d.execute_script(script))


def drawn(driver, act) -> np.ndarray:
    """Does something, waits until the page has drawn what comes of it: uint8 [h,w,3]."""
    before = driver.execute_script("return Number(document.body.dataset.drawn)")
    act()
    until(driver, f"return Number(document.body.dataset.drawn) > {before}")
    return picture(driver)


def picture(driver) -> np.ndarray:
    url = driver.execute_script("return document.getElementById('face').toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def assert_same(one: np.ndarray, other: np.ndarray) -> None:
    """But for how the browser rounds, which is not always alike."""
    np.testing.assert_allclose(one.astype(int), other, atol=1)


def click(driver, name: str) -> None:
    driver.execute_script(f"document.getElementById('{name}').click()")


def drag(driver, name: str, *values: float) -> None:
    script = "const i = document.getElementById(arguments[0]); for (const v of arguments[1]) "
    driver.execute_script(script + "{ i.value = v; i.dispatchEvent(new Event('input')); }", name, values)


def give(driver, path: Path) -> None:
    driver.find_element("id", "file").send_keys(str(path))


@pytest.mark.browser
def test_the_page_asks_for_nothing_from_elsewhere(browser, address, folder):
    names = browser.execute_script("return performance.getEntriesByType('resource').map((e) => e.name)")
    names = [name for name in names if not name.startswith("data:")]
    assert names and all(name.startswith(address) for name in names)
    assert {"decoder.onnx", "meta.json", "page.js"} <= {name.rpartition("/")[2] for name in names}
    assert "encoder.onnx" not in " ".join(names)  # until there is a photograph
    assert [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 30e6


@pytest.mark.browser
def test_the_browser_decodes_and_encodes_what_the_model_does(browser):
    bundle = bundle_of()
    z = faces(bundle, 2, seed=1)
    pixels = bundle.model.decode(z[0]).astype(np.float32) / 255
    script = (
        "const [z, pixels, done] = arguments;"
        "import('/model.js').then((m) => m.openModel()).then(async (model) => ["
        "  [...await model.decode(Float32Array.from(z))], [...await model.encode(Float32Array.from(pixels))],"
        "  model.probability(z, 0, model.kinds[0]), model.attributes[0]]).then(done, (e) => done(String(e)));"
    )
    image, mean, chance, name = browser.execute_async_script(script, z[0].tolist(), pixels.ravel().tolist())
    np.testing.assert_allclose(255 * np.reshape(image, (16, 16, 3)), bundle.model.decode(z[0]), atol=1)
    np.testing.assert_allclose(mean, bundle.model.encode(bundle.model.decode(z[:1]))[0], atol=0.01)
    assert bundle.vectors is not None
    vector = bundle.vectors[name]
    assert chance == pytest.approx(1 / (1 + np.exp(-(vector.slope * z[0] @ vector.unit + vector.intercept))), abs=1e-4)


@pytest.mark.browser
def test_a_slider_changes_the_picture_and_reset_changes_it_back(browser):
    first = picture(browser)
    moved = drawn(browser, lambda: drag(browser, "slider-Eyeglasses", *np.linspace(0, 2, 200).tolist()))
    assert np.abs(moved.astype(int) - first).max() > 3
    assert browser.find_element("css selector", ".slider output").text  # of the probabilities and values
    assert_same(drawn(browser, lambda: click(browser, "reset")), first)
    kinds = browser.execute_script("return [...document.getElementById('kind').options].map((o) => o.text)")
    assert kinds == [str(known.kind) for known in bundle_of().kinds]
    assert browser.execute_script("return document.getElementById('kind').selectedOptions[0].text") == "regression"


@pytest.mark.browser
def test_a_morph_leads_from_one_face_to_another(browser):
    browser.execute_script("document.getElementById('morph').open = true")
    start = drawn(browser, lambda: browser.execute_script("document.querySelectorAll('#faces button')[1].click()"))
    click(browser, "from")
    end = drawn(browser, lambda: browser.execute_script("document.querySelectorAll('#faces button')[2].click()"))
    click(browser, "to")
    middle = drawn(browser, lambda: drag(browser, "way", 50))
    back = drawn(browser, lambda: drag(browser, "way", 0))
    assert_same(back, start)
    off = [np.abs(middle.astype(int) - other).mean() for other in (start, end)]
    assert 0 < max(off) < np.abs(start.astype(int) - end).mean()


@pytest.mark.browser
def test_a_photograph_is_framed_by_its_eyes_and_keeps_its_detail(browser, tmp_path):
    from selenium.webdriver import ActionChains  # pyright: ignore[reportMissingImports]

    pixels = np.full((300, 400, 3), 120, np.uint8)
    pixels[140:160, 120:140], pixels[110:130, 240:260] = (255, 0, 0), (0, 0, 255)  # eyes, askew
    Image.fromarray(pixels).save(tmp_path / "face.png")
    give(browser, tmp_path / "face.png")
    until(browser, "return document.getElementById('framing').open")
    click(browser, "eyes")
    canvas = browser.find_element("id", "crop")
    scale = canvas.size["width"] / 300  # the photograph's height fills the frame
    for x, y in ((250, 120), (130, 150)):
        ActionChains(browser).move_to_element_with_offset(
            canvas, scale * (x - 200), scale * (y - 150)
        ).click().perform()
    framed = drawn(browser, lambda: click(browser, "use")).astype(int)
    for (x, y), colour in zip(bundle_of().eyes, ((255, 0, 0), (0, 0, 255)), strict=True):
        np.testing.assert_allclose(framed[round(512 * y), round(512 * x)], colour, atol=3)
    until(browser, "return document.getElementById('status').textContent === ''")
    assert browser.find_element("id", "paint-tick").is_displayed()
    edited = drawn(browser, lambda: drag(browser, "slider-Smiling", 3)).astype(int)
    whole = drawn(browser, lambda: click(browser, "paint")).astype(int)
    assert 0 < np.abs(edited - framed).mean() < np.abs(whole - framed).mean()
    drawn(browser, lambda: click(browser, "paint"))
    assert_same(drawn(browser, lambda: click(browser, "reset")), framed)


@pytest.mark.browser
def test_what_is_no_picture_is_said_and_nothing_is_lost(browser, tmp_path):
    before = picture(browser)
    (tmp_path / "notes.jpg").write_text("no picture")
    give(browser, tmp_path / "notes.jpg")
    until(browser, "return document.getElementById('status').textContent.startsWith('notes.jpg is no picture')")
    assert_same(picture(browser), before)


@pytest.mark.browser
def test_a_photograph_of_forty_megapixels_is_taken_in_on_a_phone(browser, tmp_path):
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    assert browser.execute_script("return [innerWidth, document.documentElement.scrollWidth]") == [390, 390]
    large = Image.fromarray(portraits(1, 64)[0]).resize((6400, 6400), Image.Resampling.NEAREST)
    large.save(tmp_path / "large.jpg", quality=50)
    give(browser, tmp_path / "large.jpg")
    until(browser, "return document.getElementById('framing').open")
    assert drawn(browser, lambda: click(browser, "use")).std() > 5


def test_a_page_needs_vectors(tmp_path):
    bundle = bundle_of()
    with pytest.raises(InputError, match="faces has no attribute vectors, and the page's sliders are made of them"):
        write.export(Bundle("faces", bundle.model, (), {}, {}), tmp_path / "out", "web")
    assert not list(tmp_path.iterdir())


def test_what_the_page_knows_is_json():
    known = json.loads(json.dumps(web.describe(bundle_of())))
    assert sorted(known["attributes"]) == ["Eyeglasses", "Male", "Smiling"]
    assert {name for group in known["groups"] for name in group["names"]} == set(known["attributes"])
    assert known["start"] == 1 and len(known["faces"]) == web.FACES
    asked_for = dataclasses.replace(bundle_of(), named=True)
    assert web.describe(asked_for)["start"] == 0


def test_the_runtime_is_npms_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(InputError, match="the page needs onnxruntime-web, which npm fetches, and there is no npm"):
        web.fetch_runtime()

    def npm(code: int, content: bytes | None):
        def run(words, cwd, **flags):
            if content is not None:
                (Path(cwd) / f"{web.RUNTIME}-{web.VERSION}.tgz").write_bytes(content)
            return subprocess.CompletedProcess(words, code, "", "npm error network\n")

        monkeypatch.setattr(web.shutil, "which", lambda name: "/usr/bin/npm")
        monkeypatch.setattr(web.subprocess, "run", run)

    npm(1, None)
    with pytest.raises(InputError, match=r"npm gives no onnxruntime-web [\d.]+ \(npm error network\): see that it"):
        web.fetch_runtime()
    npm(0, b"something else")
    with pytest.raises(InputError, match=r"onnxruntime-web-[\d.]+\.tgz that npm gives is not the one that jvae knows"):
        web.fetch_runtime()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    monkeypatch.setattr(web, "DIGEST", web._digest(Path(__file__)))
    npm(0, Path(__file__).read_bytes())
    assert web.fetch_runtime() == tmp_path / "jvae" / f"onnxruntime-web-{web.VERSION}.tgz"
    npm(1, None)
    assert web.fetch_runtime().is_file()  # from the cache
