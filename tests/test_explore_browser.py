"""The page with sliders in a real browser, headless Chromium, on a small linear model of rendered faces."""

import base64
import contextlib
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit

from benchmarks.browser import GET, PATIENCE, THERE, chromium, served, settle
from jvae.cli import vectors
from jvae.cli.flags import Trained
from jvae.explore.app import App
from jvae.explore.asks import read_ask
from jvae.explore.studio import Studio
from jvae.trained import load, load_vectors
from jvae.training.loop import train
from jvae.training.presets import preset
from tests.faces import portraits, small_store
from tests.runs import untrained_judge

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not THERE and os.environ.get("JVAE_TEST_BROWSER") != "1", reason=f"needs a browser: {GET}"),
]
EYES = slice(12, 18)  # rows of the eyes in 32


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Studio:
    store, run = small_store(800, 32), tmp_path_factory.mktemp("runs") / "linear"
    train(preset("linear64").replace(image_size=32, latent_dim=32), store, run, progress=False)
    vectors.main(Trained(run, store.path))
    model = load(run)
    return Studio(run, model, load_vectors(run, model), store, None, "rendered")


@pytest.fixture(scope="module")
def page(studio):
    with served(App(studio, studio.store.path)) as url:
        yield url


@contextlib.contextmanager
def opened(url: str, downloads: Path):
    """Headless Chromium with a page open; afterwards, whatever it asked for was asked of that page's server."""
    assert THERE, GET
    driver = chromium(downloads)
    try:
        driver.get(url)
        settle(driver)
        yield driver
        messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
        asked = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
        assert asked and all(each.startswith((url, "data:", "blob:")) for each in asked)
    finally:
        driver.quit()


@pytest.fixture
def browser(page, tmp_path):
    with opened(page, tmp_path) as driver:
        yield driver


def until(function: Any, what: str) -> Any:
    """What a function gives, as soon as it is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := function():
            return found
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about")


def find(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def shown(driver: Any) -> np.ndarray:
    """What the canvas shows, at 32x32: float [32,32,3]."""
    url = driver.execute_script("return document.querySelector('#after').toDataURL()")
    with Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGB").resize((32, 32), Image.Resampling.BOX), float)


def asked(driver: Any) -> bytes:
    """What the page says is set."""
    script = """const done = arguments[0];
        import("/state.js").then(({ asked }) => done(JSON.stringify(asked())));"""
    return driver.execute_async_script(script).encode()


def exact(driver: Any, studio: Studio) -> np.ndarray:
    """What the model says to what the page says is set."""
    return studio.show(read_ask(asked(driver))[0])[0]


def shows_what_is_set(driver: Any) -> bool:
    """Whether the canvas has, to the pixel, what it would have if what is set were asked for and drawn anew."""
    script = """const done = arguments[0], paths = ["/server.js", "/state.js", "/picture.js"];
        Promise.all(paths.map((path) => import(path))).then(async ([{ ask, bitmap }, { asked }, { draw }]) => {
          const reply = await ask("/api/show", asked());
          const shown = document.querySelector("#after"), anew = shown.cloneNode();
          shown.after(anew);
          draw(anew, await bitmap(reply.image, reply.type));
          const same = anew.toDataURL() === shown.toDataURL();
          anew.remove();
          done(same);
        });"""
    return driver.execute_async_script(script)


def slider(driver: Any, name: str) -> Any:
    return find(driver, f".slider[data-name='{name}'] .range")


def drag(driver: Any, name: str, share: float) -> None:
    """Drags a slider's knob by a share of its length, with the mouse."""
    from selenium.webdriver.common.action_chains import ActionChains  # pyright: ignore[reportMissingImports]

    knob = slider(driver, name)
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", knob)
    way = ActionChains(driver, duration=20).click_and_hold(knob)
    for _ in range(5):
        way.move_by_offset(round(share * knob.size["width"] / 5), 0)
    way.release().perform()
    settle(driver)


def factor(driver: Any, name: str) -> float:
    return float(slider(driver, name).get_property("value"))


def saved(folder: Path, pattern: str) -> Path:
    return until(lambda: next(iter(folder.glob(pattern)), None), f"a download of {pattern}")


def drop(driver: Any, path: Path) -> None:
    """Drops a file onto the page."""
    script = """const [bytes, name] = arguments, files = new DataTransfer();
        const data = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
        files.items.add(new File([data], name, { type: "image/jpeg" }));
        document.body.dispatchEvent(new DragEvent("drop", { bubbles: true, cancelable: true, dataTransfer: files }));"""
    driver.execute_script(script, base64.b64encode(path.read_bytes()).decode(), path.name)


def photograph(folder: Path, name: str, *faces: int, size: tuple[int, int] = (900, 600)) -> Path:
    """A photograph of rendered faces side by side."""
    pixels = (
        np.concatenate([portraits(8, 256)[i] for i in faces], axis=1) if faces else np.full((9, 9, 3), 150, np.uint8)
    )
    picture = Image.new("RGB", size, (150, 150, 150))
    scale = min(size[0] / pixels.shape[1], size[1] / pixels.shape[0]) * 0.8
    face = Image.fromarray(pixels).resize((round(pixels.shape[1] * scale), round(pixels.shape[0] * scale)))
    picture.paste(face, ((size[0] - face.width) // 2, (size[1] - face.height) // 2))
    picture.save(folder / name, quality=90)
    return folder / name


def caption(driver: Any, text: str) -> None:
    until(lambda: text in find(driver, "#caption").text, f"the caption {text}")
    settle(driver)


def said(driver: Any, text: str) -> None:
    until(lambda: text in find(driver, "#said").text, f"the words {text}")


def test_glasses_change_the_eyes_and_the_rest_no_more_than_the_model_says(browser, studio, tmp_path):
    find(browser, "#kind option[value='regression']").click()
    settle(browser)
    before, first = shown(browser), exact(browser, studio)
    drag(browser, "Eyeglasses", 0.3)
    assert factor(browser, "Eyeglasses") > 2 and shows_what_is_set(browser)
    moved = np.abs(shown(browser) - before).mean((1, 2))  # [rows]
    says = np.abs(exact(browser, studio).astype(float) - first).mean((1, 2))
    rest = np.delete(np.arange(32), np.arange(32)[EYES])
    assert moved[EYES].mean() > 1.5 * moved[rest].mean() and moved[rest].mean() < 1.2 * says[rest].mean() + 0.5
    find(browser, "[data-save='1']").click()
    with Image.open(saved(tmp_path, "*.png")) as image:
        np.testing.assert_array_equal(np.asarray(image), exact(browser, studio))
    chance = find(browser, ".slider[data-name='Eyeglasses'] .chance").text
    assert float(chance.removesuffix("%")) > 50
    assert find(browser, "#took").text.startswith("drag to picture")


def test_keys_undo_and_what_is_held(browser):
    from selenium.webdriver.common.keys import Keys  # pyright: ignore[reportMissingImports]

    knob = slider(browser, "Smiling")
    knob.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    settle(browser)
    assert factor(browser, "Smiling") == 0.2
    knob.send_keys(Keys.CONTROL, "z")
    settle(browser)
    assert factor(browser, "Smiling") == 0.1
    knob.send_keys("0")
    find(browser, ".slider[data-name='Male'] .hold").click()
    settle(browser)
    assert json.loads(asked(browser))["look"]["keep"] == ["Male"] and factor(browser, "Smiling") == 0
    find(browser, "[role='tab'][data-view='sliders']").send_keys(Keys.ARROW_RIGHT)
    until(lambda: len(browser.find_elements("css selector", "#cells [aria-pressed='true']")) == 1, "a square of faces")
    find(browser, "#cells button:last-child").click()
    settle(browser)
    assert factor(browser, "Smiling") == factor(browser, "Eyeglasses") == 3


def test_of_200_quick_moves_the_last_counts(browser):
    script = """const [range, done] = arguments;
        for (let i = 1; i <= 200; i++) setTimeout(() => {
          range.value = i / 100;
          range.dispatchEvent(new Event("input", { bubbles: true }));
          if (i === 200) setTimeout(() => done(performance.getEntriesByName(`${location.origin}/api/show`).length), 50);
        }, 2 * i);"""
    count = browser.execute_async_script(script, slider(browser, "Smiling"))
    settle(browser)
    assert 2 <= count < 150 and factor(browser, "Smiling") == 2
    assert shows_what_is_set(browser)


def test_photographs(browser, tmp_path):
    from selenium.webdriver.common.action_chains import ActionChains  # pyright: ignore[reportMissingImports]

    drag(browser, "Smiling", 0.2)
    smile = factor(browser, "Smiling")
    (tmp_path / "text.jpg").write_text("no picture")
    drop(browser, tmp_path / "text.jpg")
    said(browser, "text.jpg is not an image")
    drop(browser, photograph(tmp_path, "one.jpg", 2))
    caption(browser, "one.jpg")
    drop(browser, photograph(tmp_path, "two.jpg", 2, 3))
    until(lambda: len(browser.find_elements("css selector", "#shown button")) == 2, "two faces to choose from")
    find(browser, "#shown button:nth-of-type(2)").click()
    caption(browser, "two.jpg")
    drop(browser, photograph(tmp_path, "nobody.jpg"))
    until(lambda: "No face found" in find(browser, "#eyes").text, "a photograph to set eyes in")
    picture = find(browser, "#shown img")
    for x in (-60, 60):
        ActionChains(browser).move_to_element_with_offset(picture, x, -20).click().perform()
    find(browser, "#eyes-use").click()
    caption(browser, "nobody.jpg")
    drop(browser, photograph(tmp_path, "large.jpg", 4, size=(7400, 5500)))  # 40 megapixels
    caption(browser, "large.jpg")
    eyes = np.array(json.loads(asked(browser))["start"]["eyes"]).reshape(2, 2)
    assert 500 < eyes[1, 0] - eyes[0, 0] < 2000 and factor(browser, "Smiling") == smile
    assert shows_what_is_set(browser)


def test_a_morph_its_animation_and_a_reload(browser, tmp_path):
    find(browser, "[role='tab'][data-view='morph']").click()
    caption(browser, "→")
    place = find(browser, "#place")
    browser.execute_script("arguments[0].value = 1; arguments[0].dispatchEvent(new Event('input'))", place)
    caption(browser, "100 %")
    assert shows_what_is_set(browser)
    find(browser, "#gif").click()
    with Image.open(saved(tmp_path, "*.gif")) as movie:
        assert getattr(movie, "n_frames", 1) > 30
    if find(browser, "#mp4").is_displayed():  # where PyAV is
        find(browser, "#mp4").click()
        assert saved(tmp_path, "*.mp4").read_bytes()[4:8] == b"ftyp"
    before = asked(browser)
    browser.refresh()
    settle(browser)
    assert json.loads(asked(browser)) == json.loads(before)
    assert shows_what_is_set(browser)


def test_a_page_forgets_faces_of_what_the_run_was_before_it_trained_on(browser, studio, monkeypatch):
    drag(browser, "Smiling", 0.3)
    monkeypatch.setitem(vars(studio.model), "digest", "0")
    browser.refresh()
    settle(browser)
    sent = json.loads(asked(browser))
    assert sent["start"]["model"] == "0" and not any(sent["look"]["factors"].values())
    assert shows_what_is_set(browser)


def test_vectors_are_made_on_the_page_and_a_judge_says_what_it_sees(studio, tmp_path):
    judge = untrained_judge(studio.store)
    bare = Studio(studio.run, studio.model, None, studio.store, judge, "rendered")
    with served(App(bare, studio.store.path, lambda: studio.known)) as url, opened(url, tmp_path) as browser:
        assert not browser.find_elements("css selector", ".slider")
        find(browser, "#none button").click()
        until(lambda: browser.find_elements("css selector", ".slider"), "sliders")
        drag(browser, "Smiling", 0.2)
        assert find(browser, "#whose").text == "% by the judge" and shows_what_is_set(browser)
        picture, chances = bare.show(read_ask(asked(browser))[0])
        logit = judge.logits(picture[None])[0, judge.attribute("Smiling")]
        assert chances["Smiling"] == pytest.approx(float(expit(logit)), abs=1e-5)
        assert find(browser, ".slider[data-name='Smiling'] .chance").text == f"{100 * chances['Smiling']:.0f} %"


def test_two_pages_do_not_mix(browser, page):
    first = browser.current_window_handle
    drag(browser, "Smiling", 0.3)
    browser.switch_to.new_window("tab")
    browser.get(page)
    settle(browser)
    assert factor(browser, "Smiling") == 0
    drag(browser, "Eyeglasses", 0.2)
    other = json.loads(asked(browser))["look"]["factors"]
    browser.switch_to.window(first)
    mine = json.loads(asked(browser))["look"]["factors"]
    assert set(other) == {"Eyeglasses"} and set(mine) == {"Smiling"}
    assert shows_what_is_set(browser)


def test_it_fits_a_telephone(browser):
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    for view in ("around", "morph", "read", "sliders"):
        find(browser, f"[role='tab'][data-view='{view}']").click()
        settle(browser)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    knob = slider(browser, "Young")
    browser.execute_script("arguments[0].scrollIntoView({block: 'end'})", knob)
    until(lambda: browser.execute_script("return scrollY") > 300, "a page further down")
    box = browser.execute_script("return document.querySelector('#picture').getBoundingClientRect()")
    assert 0 <= box["top"] < box["bottom"] < 500  # the picture stays beside the slider
