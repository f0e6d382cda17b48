"""A judge as a file: whole again, or refused in a line."""

import json
import zipfile

import jax
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.judge.judge import Judge
from jvae.runtime.mesh import make_mesh
from tests.faces import small_store
from tests.runs import assert_same_judge, untrained_judge

ONE = make_mesh(jax.devices()[:1])


@pytest.fixture(scope="module")
def judge():
    return untrained_judge(small_store())


def test_save_and_load(judge, tmp_path):
    path = tmp_path / "new" / "judge.npz"
    judge.save(path)
    assert_same_judge(judge, Judge.load(path, mesh=ONE))
    assert [p.name for p in path.parent.iterdir()] == ["judge.npz"]
    with np.load(path, allow_pickle=False) as npz:
        assert tuple(npz["attribute_names"]) == judge.attribute_names
        np.testing.assert_array_equal(npz["params/head/bias"], judge.variables["params"]["head"]["bias"])


def test_damage_is_refused(judge, tmp_path):
    path, cut = tmp_path / "judge.npz", tmp_path / "cut.npz"
    judge.save(path)
    whole = path.read_bytes()
    with pytest.raises(InputError, match=r"there is no judge at .*absent.npz: jvae judge trains one"):
        Judge.load(tmp_path / "absent.npz")
    for length in (0, 10, len(whole) // 2, len(whole) - 1):
        cut.write_bytes(whole[:length])
        with pytest.raises(InputError, match="is damaged"):
            Judge.load(cut)
    rng = np.random.default_rng(0)
    for place in [*rng.integers(len(whole), size=20), *range(0, 40), *(len(whole) - rng.integers(1, 900, 30))]:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << rng.integers(8)
        cut.write_bytes(flipped)
        try:
            assert_same_judge(judge, Judge.load(cut, mesh=ONE))  # a date in the archive, say
        except InputError as error:
            assert str(cut) in str(error)
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"is damaged or no \.npz file"):
        Judge.load(tmp_path / "array.npy")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": np.array("jvae judge 9")}, "is of format 'jvae judge 9'"),
        ({"about": np.array("{}")}, "is damaged"),
        ({"about": np.array(json.dumps({"image_size": 16, "missing": []}))}, "is damaged"),
        ({"about": np.array(json.dumps({"image_size": 30, "missing": {}}))}, "is damaged"),
        ({"about": np.array(json.dumps({"image_size": 64, "missing": {}}))}, "is damaged"),
        ({"thresholds": np.zeros(2)}, "finite thresholds"),
        ({"scores": np.zeros((2, 2))}, "is damaged"),
        ({"params/head/bias": np.zeros(3, np.float32)}, "params/head/bias is float32"),
        ({"params/kernel_0": np.full((3, 3, 3, 128), np.nan, np.float32)}, "params/kernel_0 is not finite"),
        ({"params/kernel_0": np.full((3, 3, 3, 128), 0.0)}, "params/kernel_0 is float64"),
        ({"attribute_names": np.array(["Male", "Male"])}, "is damaged"),
        ({"thresholds": np.array(["a"])}, "is damaged"),
    ],
)
def test_wrong_contents_are_refused(judge, tmp_path, change, said):
    path = tmp_path / "judge.npz"
    judge.save(path)
    with np.load(path) as npz:
        arrays = dict(npz)
    np.savez(path, **(arrays | change))
    with pytest.raises(InputError, match=said):
        Judge.load(path)
    np.savez(path, **{name: value for name, value in arrays.items() if name not in change})
    with pytest.raises(InputError, match="is damaged"):
        Judge.load(path)


def test_no_pickles(judge, tmp_path):
    path = tmp_path / "judge.npz"
    judge.save(path)
    with np.load(path) as npz:
        arrays: dict = dict(npz)
    np.savez(path, allow_pickle=True, **(arrays | {"thresholds": np.array([{}], object)}))
    with pytest.raises(InputError, match="is damaged"):
        Judge.load(path)
    with zipfile.ZipFile(path) as archive:
        assert "thresholds.npy" in archive.namelist()
