import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from jvae.errors import InputError
from jvae.render.charts import save_curves, save_matrices

CURVE = (np.array([0.0, 0.1, 1]), np.array([0.0, 0.8, 1]), 0.85)


def picture(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_curves_are_drawn(tmp_path):
    path = tmp_path / "curves.png"
    save_curves(path, {f"name_{i}": CURVE for i in range(11)}, title="eleven")
    eleven = picture(path)
    save_curves(path, {f"name_{i}": CURVE for i in range(3)})
    assert picture(path).shape[0] < eleven.shape[0] and picture(path).shape[1] < eleven.shape[1]
    blue = (np.abs(picture(path).astype(int) - [0x2B, 0x6C, 0xB0]) < 8).all(-1)
    assert blue.sum() > 100


def test_matrices_are_red_above_zero_and_blue_below(tmp_path):
    path = tmp_path / "map.png"
    matrix = np.array([[1.0, -1], [np.nan, 1]])
    save_matrices(path, {"left": matrix, "right": -matrix}, ["a", "b"], title="two")
    seen = picture(path).astype(int)
    red = (seen[..., 0] - seen[..., 2] > 80).sum()
    blue = (seen[..., 2] - seen[..., 0] > 60).sum()
    assert red > 1000 and blue > 1000


def test_bad_input(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.png"):
        save_curves(tmp_path / "a.jpg", {"a": CURVE})
    with pytest.raises(InputError, match="no ROC curves"):
        save_curves(tmp_path / "a.png", {})
    with pytest.raises(InputError, match=r"left must be \[3,3\]"):
        save_matrices(tmp_path / "a.png", {"left": np.eye(2)}, list("abc"))
    with pytest.raises(InputError, match="no matrices"):
        save_matrices(tmp_path / "a.png", {}, list("abc"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("backend", ["module://matplotlib_inline.backend_inline", "TkAgg"])
def test_a_notebooks_backend_does_not_matter(tmp_path, backend):
    code = (
        "import os, sys; import numpy as np; from jvae.render.charts import save_matrices\n"
        "save_matrices(sys.argv[1], {'a': np.eye(2)}, ['a', 'b'])\n"
        "assert os.environ['MPLBACKEND'] == sys.argv[2]; assert 'matplotlib.pyplot' not in sys.modules"
    )
    env = os.environ | {"MPLBACKEND": backend}
    subprocess.run([sys.executable, "-c", code, tmp_path / "map.png", backend], env=env, check=True)
    assert picture(tmp_path / "map.png").size
