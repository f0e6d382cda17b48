import os

import numpy as np
import pytest
from PIL import Image

from jvae.errors import InputError
from jvae.render.charts import save_histograms
from jvae.render.sheet import TILE, save_png, sheet

COLOURS = np.array([[200, 30, 30], [30, 160, 30], [30, 30, 220], [220, 180, 20], [20, 180, 200], [180, 20, 180]])


def plain_tiles(r=2, c=3, size=16):
    """A tile of one colour each."""
    tiles = np.broadcast_to(COLOURS[: r * c].reshape(r, c, 1, 1, 3), (r, c, size, size, 3))
    return np.ascontiguousarray(tiles.astype(np.uint8))


def boxes(picture, tiles):
    """Where each tile lies, from its colour: [r,c] of (top, left, bottom, right)."""
    found = {}
    for i, j in np.ndindex(tiles.shape[:2]):
        ys, xs = np.nonzero((picture == tiles[i, j, 0, 0]).all(-1))
        found[i, j] = ys.min(), xs.min(), ys.max() + 1, xs.max() + 1
        assert len(ys) == (ys.max() + 1 - ys.min()) * (xs.max() + 1 - xs.min())  # a full rectangle
    return found


def ink(region):
    return (region < 160).all(-1).sum()


def test_bare_sheet():
    tiles = plain_tiles()
    picture = sheet(tiles)
    at = boxes(picture, tiles)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    assert all((b - t, r - l) == (TILE, TILE) for t, l, b, r in at.values())
    assert at[0, 0][1] < at[0, 1][1] < at[0, 2][1] and at[0, 0][0] < at[1, 0][0]
    assert at[0, 1][1] - at[0, 0][3] == at[1, 0][0] - at[0, 0][2] > 0  # the gaps
    outside = np.ones(picture.shape[:2], bool)
    for t, l, b, r in at.values():
        outside[t:b, l:r] = False
    assert (picture[outside] == 255).all()


def test_scale():
    tiles = plain_tiles(1, 2)
    t, l, b, r = boxes(sheet(tiles, scale=3), tiles)[0, 0]
    assert (b - t, r - l) == (48, 48)
    large = plain_tiles(1, 1, size=160)
    t, l, b, r = boxes(sheet(large), large)[0, 0]
    assert (b - t, r - l) == (160, 160)


def test_labels_stand_beside_what_they_name():
    tiles = plain_tiles()
    names = {"rows": ["000238.jpg", ""], "columns": ["original", "", "+4"], "title": "Eyeglasses"}
    picture = sheet(tiles, **names)
    at = boxes(picture, tiles)
    top, left = at[0, 0][0], at[0, 0][1]
    middle = (at[0, 0][0] + at[0, 0][2]) // 2
    assert ink(picture[middle - 10 : middle + 10, :left]) > 50  # the first row's name; the second has none
    assert ink(picture[at[1, 0][0] :, :left]) == 0
    line = slice(top - 24, top)
    assert ink(picture[line, at[0, 0][1] : at[0, 0][3]]) > 50
    assert ink(picture[line, at[0, 1][1] : at[0, 1][3]]) == 0
    assert 0 < ink(picture[line, at[0, 2][1] : at[0, 2][3]]) < ink(picture[line, at[0, 0][1] : at[0, 0][3]])
    assert ink(picture[: top - 28]) > 50  # the title
    for kept in ("rows", "columns", "title"):  # each alone makes a picture with ink outside of the tiles
        one = sheet(tiles, **{kept: names[kept]})
        assert ink(one) > ink(sheet(tiles))


def test_other_names_draw_otherwise():
    tiles = plain_tiles(1, 1)
    a, b, again = (sheet(tiles, columns=[name]) for name in ("+3", "-3", "+3"))
    np.testing.assert_array_equal(a, again)
    assert a.shape == b.shape and not np.array_equal(a, b)


def test_names_fit_their_place():
    tiles = plain_tiles()
    picture = sheet(tiles, columns=["a_very_long_file_name_indeed.jpeg"] * 3, rows=["x" * 300, "ß"])
    at = boxes(picture, tiles)
    gap = picture[: at[0, 0][0], at[0, 0][3] : at[0, 1][1]]
    assert ink(gap) == 0  # cut before the neighbour's
    assert at[0, 0][1] < 2.5 * TILE
    narrow = sheet(plain_tiles(1, 1), title="A title much wider than the only tile there is")
    assert narrow.shape[1] > 2 * TILE and (narrow[:, -5:] == 255).all()


def test_letters_beyond_ascii():
    tiles = plain_tiles(1, 1)
    a, b = (sheet(tiles, columns=[name]) for name in ("é", "ё"))
    assert not np.array_equal(a, b)  # neither is a box for what the font lacks


def test_breaks_set_columns_apart():
    tiles = plain_tiles(1, 4)
    at = boxes(sheet(tiles, breaks=(1, 3)), tiles)
    gaps = [at[0, j + 1][1] - at[0, j][3] for j in range(3)]
    assert gaps[0] == gaps[2] > 2 * gaps[1] > 0


def test_raw_tiles_stand_side_by_side():
    tiles = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 6, 3), dtype=np.uint8)
    picture = sheet(tiles, rows=["a", "b"], title="left out", breaks=(1,), raw=True)
    assert picture.shape == (2 * 4, 5 * 6, 3)
    for i, j in np.ndindex(2, 5):
        np.testing.assert_array_equal(picture[i * 4 : (i + 1) * 4, j * 6 : (j + 1) * 6], tiles[i, j])


def test_bad_tiles_and_names():
    tiles = plain_tiles()
    with pytest.raises(InputError, match="uint8"):
        sheet(tiles.astype(np.float32))
    with pytest.raises(InputError, match="rows, columns, height, width, 3"):
        sheet(tiles[0])
    with pytest.raises(InputError, match="2 names for 3 columns"):
        sheet(tiles, columns=["a", "b"])


def test_png_round_trip(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    save_png(tmp_path / "new" / "a.png", picture)
    with Image.open(tmp_path / "new" / "a.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), picture)
    assert os.listdir(tmp_path / "new") == ["a.png"]


def test_a_failed_write_keeps_what_was(tmp_path, monkeypatch):
    picture = np.zeros((4, 4, 3), np.uint8)
    save_png(tmp_path / "a.png", picture)
    before = (tmp_path / "a.png").read_bytes()

    def full(self, file, **kwargs):
        with open(file, "wb") as out:
            out.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_png(tmp_path / "a.png", picture + 1)
    assert (tmp_path / "a.png").read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


def test_histograms(tmp_path):
    z = np.random.default_rng(0).normal(size=(500, 7))
    save_histograms(tmp_path / "a.png", z, [str(i) for i in range(7)], title="latents", columns=4)
    save_histograms(tmp_path / "b.png", z * 0.1, [str(i) for i in range(7)], title="latents", columns=4)
    with Image.open(tmp_path / "a.png") as image:
        wide = np.asarray(image.convert("RGB"), int)
    with Image.open(tmp_path / "b.png") as image:
        narrow = np.asarray(image.convert("RGB"), int)
    assert wide.shape == narrow.shape and wide.shape[1] > wide.shape[0] > 200
    blue = [((p[..., 2] > 200) & (p[..., 0] < 180)).sum() for p in (wide, narrow)]
    red = [((p[..., 0] > 170) & (p[..., 2] < 80)).sum() for p in (wide, narrow)]
    assert blue[0] > 1.5 * blue[1] > 0  # the spike is cut off
    assert min(red) > 500  # the density
    assert (wide[-100:, -150:] == 255).all()  # the eighth place is empty


def test_suffixes_and_empty_input(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match=r"must end in \.png"):
        save_png(tmp_path / "a.jpg", picture)
    with pytest.raises(InputError, match=r"must end in \.png"):
        save_histograms(tmp_path / "a.pdf", np.zeros((5, 2)), ["0", "1"])
    with pytest.raises(InputError, match="and d names, not"):
        save_histograms(tmp_path / "a.png", np.zeros((5, 2)), ["0"])
    assert os.listdir(tmp_path) == []
