"""A page in headless Chromium, for what measures it and what tests it."""

import contextlib
import importlib.util
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jvae.explore.app import App
from jvae.explore.server import address, open_server

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
GET = "apt-get install chromium chromium-driver, and pip install -e '.[browser]' -c constraints.txt"
THERE = bool(CHROMIUM and DRIVER and importlib.util.find_spec("selenium"))
FLAGS = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars".split()
READY = "return document.body?.dataset.ready && !document.querySelector('#picture').ariaBusy"
PATIENCE = 120  # seconds, for a machine that does other things besides


def chromium(downloads: Path | None = None) -> Any:
    """A driver of headless Chromium, 1280×1000, that logs what is asked for; `quit()` ends it."""
    from selenium import webdriver  # pyright: ignore[reportMissingImports]
    from selenium.webdriver.chrome.service import Service  # pyright: ignore[reportMissingImports]

    options: Any = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for word in (*FLAGS, "--window-size=1280,1000"):
        options.add_argument(word)
    if downloads is not None:
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(PATIENCE)
    return driver


def settle(driver: Any) -> None:
    """Waits until the page of `jvae explore` is there, and its picture is that of what is set."""
    from selenium.webdriver.support.wait import WebDriverWait  # pyright: ignore[reportMissingImports]

    WebDriverWait(driver, PATIENCE, 0.05).until(lambda driver: driver.execute_script(READY))


@contextlib.contextmanager
def served(app: App) -> Iterator[str]:
    """The address of a page, which is served meanwhile."""
    with open_server(app) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield address(server)
        finally:
            server.shutdown()
            thread.join()
