import numpy as np
import pytest
from PIL import Image

from jvae.errors import InputError
from jvae.render.page import save_page


def page(path, *, matrices=None, curves=None):
    curve = (np.linspace(0, 0.3, 5), np.linspace(0, 1, 5))
    save_page(
        path,
        title="a run",
        lines=["kind  hits", "lda   0.5"],
        curves={"lda": curve} if curves is None else curves,
        axes=("leakage", "hits"),
        matrices=matrices or {"lda": np.eye(3)},
        names=["a", "b", "c"],
        picture=np.full((40, 100, 3), (0, 200, 0), np.uint8),
    )


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_page_has_the_picture_over_its_width(tmp_path):
    page(tmp_path / "page.png")
    pixels = read(tmp_path / "page.png").astype(int)
    green = (abs(pixels - (0, 200, 0)).max(-1) < 5).mean(1)  # the share of each line of pixels
    assert green.max() > 0.9 and 0.2 < (green > 0.9).mean() < 0.5  # .4 of the width in height
    page(tmp_path / "none.png", curves={})
    assert read(tmp_path / "none.png").shape == pixels.shape


def test_bad_input_writes_nothing(tmp_path):
    with pytest.raises(InputError, match=r"lda must be \[3,3\] for 3 names, not \[2, 2\]"):
        page(tmp_path / "page.png", matrices={"lda": np.eye(2)})
    with pytest.raises(InputError, match=r"must end in .png"):
        page(tmp_path / "page.jpg")
    assert not list(tmp_path.iterdir())
