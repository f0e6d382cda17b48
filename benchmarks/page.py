"""The page of `jvae explore` in headless Chromium: from the move of a slider to the picture; and pictures for docs/.

    python -m benchmarks.page --run runs/demo --data runs/demo-faces
    python -m benchmarks.page --run runs/demo --data runs/demo-faces --pictures docs

A slider is moved every 16 ms for a few seconds, as by a hand that drags it; a row is the median of what the page itself
measures, from the event to the frame that shows the picture, of the moves that no later one replaced; least and most
stand beside it. Once with nothing else set, and once with an attribute held.
Needs the extra browser, Chromium and its driver.
"""

import base64
import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import browser, timing
from jvae.cli.annotated import Maybe
from jvae.cli.run import run as run_main
from jvae.data.faces import crop_of, open_store
from jvae.errors import InputError
from jvae.explore.app import App
from jvae.explore.studio import Studio
from jvae.trained import load, load_vectors

DRAG = """const [name, moves, done] = arguments, took = document.querySelector("#took"), times = [];
const range = document.querySelector(`.slider[data-name='${name}'] .range`);
new MutationObserver(() => times.push(parseFloat(took.dataset.last))).observe(took, { attributeFilter: ["data-last"] });
let move = 0;
const timer = setInterval(() => {
  range.value = 1.5 * Math.sin(move / 20);
  range.dispatchEvent(new Event("input", { bubbles: true }));
  if (++move < moves) return;
  clearInterval(timer);
  setTimeout(() => done(times), 1000);
}, 16);"""
SET = """for (const [name, value] of Object.entries(arguments[0])) {
  const range = document.querySelector(`.slider[data-name='${name}'] .range`);
  range.value = value;
  range.dispatchEvent(new Event("input", { bubbles: true }));
  range.dispatchEvent(new Event("change", { bubbles: true }));
}"""
PHONE = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
FACE = "#strip button:nth-child(4)"
SHOWN = {"Eyeglasses": 2.5, "Smiling": 1.5}


@contextlib.contextmanager
def opened(run: Path, data: Path):
    """A driver with the page of a run open."""
    if not browser.THERE:
        raise InputError(f"the page is measured in a browser: {browser.GET}")
    model = load(run)
    store = open_store(data, model.image_size, model.data)
    studio = Studio(run, model, load_vectors(run, model), store, None, crop_of(model.config, model.data, data))
    with browser.served(App(studio, data)) as url, contextlib.ExitStack() as ending:
        studio.warm()
        driver = browser.chromium()
        ending.callback(driver.quit)
        driver.get(url)
        browser.settle(driver)
        yield driver


def _click(driver: Any, selector: str) -> None:
    driver.find_element("css selector", selector).click()
    browser.settle(driver)


def _drag(driver: Any, case: str, moves: int) -> timing.Row:
    found = np.array(driver.execute_async_script(DRAG, "Smiling", moves))
    median, most = np.quantile(found, (0.5, 0.95))
    facts = {
        "target": "ours <= 80",
        "spread": (float(found.min()), float(found.max())),
        "n": len(found),
        "higher_is_better": False,
    }
    row = timing.row("page", case, "ms", float(median), command="python -m benchmarks.page", **facts)
    print(f"{case}: {len(found)} pictures of {moves} moves, median {median:.0f} ms, 95 % within {most:.0f}")
    return row


def _picture(driver: Any, path: Path) -> None:
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as image:
        image.convert("RGB").quantize(256).save(path, optimize=True)


def main(run: Path, data: Path, pictures: Maybe[Path] = None, moves: int = 250) -> None:
    """Measures the page of a run, or takes its pictures.

    Args:
      run: run directory, with vectors.
      data: its packed store.
      pictures: folder for explore.png and explore-phone.png, which are taken instead.
      moves: of the slider, 16 ms apart.
    """
    with opened(run, data) as driver:
        if pictures is None:
            alone = _drag(driver, "drag to picture, 64x64", moves)
            _click(driver, ".slider[data-name='Male'] .hold")
            timing.write([alone, _drag(driver, "drag to picture, 64x64, one attribute held", moves)])
            return
        _click(driver, "#kind option[value='regression']")
        _click(driver, FACE)
        driver.execute_script(SET, SHOWN)
        driver.execute_script("document.activeElement.blur()")
        browser.settle(driver)
        _picture(driver, pictures / "explore.png")
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
        browser.settle(driver)
        _picture(driver, pictures / "explore-phone.png")


if __name__ == "__main__":
    run_main(main)
