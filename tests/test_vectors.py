import json
import os
import zipfile

import jax
import numpy as np
import pytest

from jvae.errors import InputError, InputWarning
from jvae.latent.attribute import factor_names, warn_beyond
from jvae.latent.kinds import Kind, with_joint
from jvae.latent.statistics import Totals, init_statistics, update
from jvae.latent.vectors import AttributeVectors, Origin
from tests.test_statistics import sums_by_definition

NAMES = ("Bald", "Eyeglasses", "Smiling", "Young")


def data(n=400, d=5, seed=0):
    rng = np.random.default_rng(seed)
    attrs = rng.random((n, 4)) < [0, 0.2, 0.5, 1.1]  # nobody is bald, everybody young
    z = rng.normal(size=(n, d)) * np.linspace(0.5, 2, d) + 1
    z[:, 0] += 2.0 * attrs[:, 1]
    z[:, 1] -= 0.5 * attrs[:, 2]
    return z.astype(np.float32), attrs


def sums(z, attrs):
    z, labels = z.astype(np.float64), attrs.astype(np.float64)
    counts, pairs, *rest = sums_by_definition(z, labels)
    return Totals(len(z), counts.astype(int), pairs.astype(int), *rest)


@pytest.fixture
def known():
    return AttributeVectors(sums(*data()), NAMES, Origin(split="train", run="y", step=1200, store="x"))


def test_vector_error_and_spread_by_definition(known):
    z, attrs = data()
    z = z.astype(np.float64)
    for i, name in ((1, "Eyeglasses"), (2, "Smiling")):
        v = known[name]
        with_it, without = z[attrs[:, i]], z[~attrs[:, i]]
        np.testing.assert_allclose(v.vector, with_it.mean(0) - without.mean(0), rtol=1e-10)
        error = np.sqrt(with_it.var(0, ddof=1) / len(with_it) + without.var(0, ddof=1) / len(without))
        np.testing.assert_allclose(v.standard_error, error, rtol=1e-10)
        np.testing.assert_allclose(v.error, np.linalg.norm(error), rtol=1e-10)
        np.testing.assert_allclose(v.spread, (z @ v.unit).std(ddof=1), rtol=1e-10)
        np.testing.assert_allclose(v.length, np.linalg.norm(v.vector), rtol=1e-12)
        assert (v.name, v.n_with, v.n_without) == (name, len(with_it), len(without))


def test_standard_error_is_the_scatter_of_the_vector():
    found = [AttributeVectors(sums(*data(300, seed=s)), NAMES)["Eyeglasses"] for s in range(200)]
    scatter = np.std([v.vector for v in found], axis=0, ddof=1)
    claimed = np.mean([v.standard_error for v in found], axis=0)
    np.testing.assert_allclose(scatter, claimed, rtol=0.2)


def test_numpy_sees_vectors(known):
    for name in known:
        found = np.asarray(known[name])
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, known[name].vector)
    np.testing.assert_array_equal(
        np.asarray(known, np.float32), np.stack([known[n].vector for n in known.names], dtype=np.float32)
    )
    with pytest.raises(InputError, match="found by name, not by 0: there are Eyeglasses, Smiling"):
        known[0]


def test_a_string_is_a_kind(known, tmp_path):
    known.save(tmp_path / "vectors.npz")
    found = AttributeVectors.load(tmp_path / "vectors.npz", "regression")
    assert found.kind == known.of_kind("regression").kind == Kind("regression")
    assert Kind("balanced", balance="Young") == Kind("balanced", balance=["Young"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match="unknown kind 'regresion': did you mean regression"):
        known.of_kind("regresion")


def test_steps(known):
    v = known["Eyeglasses"]
    np.testing.assert_allclose(np.linalg.norm(v.step()), 1)
    np.testing.assert_array_equal(v.step("raw"), v.vector)
    np.testing.assert_allclose(np.linalg.norm(v.step("sd")), v.spread)
    for unit in ("unit", "raw", "sd"):
        np.testing.assert_allclose(v.step(unit) @ v.vector, np.linalg.norm(v.step(unit)) * v.length)
    with pytest.raises(InputError, match="unknown unit 'sds': did you mean sd"):
        v.step("sds")


def test_a_shift_by_steps_and_to_a_probability(known):
    v, z = known["Eyeglasses"], data()[0][:7].astype(np.float64)
    for unit in ("unit", "raw", "sd"):
        shifts = v.shift(z, [-2, 0, 0.5], unit)
        assert shifts.shape == (7, 3, 5)
        np.testing.assert_allclose(shifts, np.array([-2, 0, 0.5])[None, :, None] * np.tile(v.step(unit), (7, 3, 1)))
    reached = (z[:, None] + v.shift(z, [0.1, 0.5, 0.9], "probability")) @ v.unit
    np.testing.assert_allclose(1 / (1 + np.exp(-(v.slope * reached + v.intercept))), [[0.1, 0.5, 0.9]] * 7)
    moved = v.shift(z, [0.9], "probability").reshape(7, 5)
    np.testing.assert_allclose(moved, np.outer(moved @ v.unit, v.unit), atol=1e-12)  # along it and no other way
    for wrong in ([0.0], [1.0], [-4, 4]):
        with pytest.raises(InputError, match="between 0 and 1"):
            v.shift(z, wrong, "probability")
    with pytest.raises(InputError, match="says where to go, not how far"):
        v.step("probability")
    with pytest.raises(InputError, match="finite"):
        v.shift(z, [np.nan])


def test_factors_are_called_what_they_are():
    assert factor_names([0.005, 0.125, 0.995, 0.999], "probability") == ["0.5%", "12.5%", "99.5%", "99.9%"]
    assert factor_names([-1.5, 0, 2], "sd") == ["-1.5", "0", "+2"]


def test_half_of_the_faces_at_a_probability_have_it():
    z, attrs = data(20_000)
    v = AttributeVectors(sums(z, attrs), NAMES)["Smiling"]
    logits = v.slope * (z @ v.unit) + v.intercept
    there = np.abs(logits) < 0.3
    assert there.sum() > 1000
    assert abs(attrs[there, 2].mean() - 0.5) < 0.03


def test_edits_far_outside_are_warned_of(known):
    v = known["Eyeglasses"]
    z = data()[0].astype(np.float64)
    np.testing.assert_allclose(v.deviations(z), np.abs(z @ v.unit - (z @ v.unit).mean()) / (z @ v.unit).std(ddof=1))
    warn_beyond(v, z)  # a warning would be an error
    with pytest.warns(InputWarning, match=r"go to \d+\.\d standard deviations .* along Eyeglasses"):
        warn_beyond(v, z[:, None] + v.shift(z, [0, 9], "sd"))


def test_float32_statistics_give_the_same():
    z, attrs = data()
    stats = jax.jit(update)(init_statistics(4, 5), z, attrs)
    found, exact = AttributeVectors.from_statistics(stats, NAMES), AttributeVectors(sums(z, attrs), NAMES)
    assert found.names == exact.names
    for name in exact:
        np.testing.assert_allclose(found[name].vector, exact[name].vector, atol=1e-5)
        np.testing.assert_allclose(found[name].standard_error, exact[name].standard_error, rtol=1e-4)
        np.testing.assert_allclose(found[name].spread, exact[name].spread, rtol=1e-4)


def test_attributes_without_a_vector(known):
    assert known.names == tuple(known) == ("Eyeglasses", "Smiling") and len(known) == 2
    assert "Smiling" in known and "Bald" not in known
    assert known.missing == {"Bald": "none of the 400 images has it", "Young": "all of the 400 images have it"}
    with pytest.raises(InputError, match=r"no vector for Bald: none of the 400 .* there are: Eyeglasses, Smiling"):
        known["Bald"]
    with pytest.raises(InputError, match="unknown attribute 'eyeglases': did you mean Eyeglasses"):
        known["eyeglases"]
    with pytest.raises(InputError, match="there are: Eyeglasses, Smiling"):
        known["xyz"]


def test_equal_means_have_no_direction():
    z = np.array([[1.0, 2], [3, 4], [1, 2], [3, 4]])
    known = AttributeVectors(sums(z, np.array([[True], [True], [False], [False]])), ["Male"])
    assert "same mean" in known.missing["Male"]


def test_one_row_on_a_side_has_a_vector_of_unknown_error():
    z, attrs = data()
    attrs[:, 1] = np.arange(len(z)) == 7
    v = AttributeVectors(sums(z, attrs), NAMES)["Eyeglasses"]
    np.testing.assert_allclose(v.vector, z[7] - np.delete(z, 7, 0).astype(np.float64).mean(0), rtol=1e-6)
    assert np.isnan(v.standard_error).all() and np.isfinite(v.spread)


def test_names_must_fit():
    with pytest.raises(InputError, match="3 attribute names for 4 columns"):
        AttributeVectors(sums(*data()), NAMES[:3])


def test_table_has_the_clearest_first(known):
    table = known.table()
    assert list(table.index) == ["Eyeglasses", "Smiling"]
    assert list(table.columns) == [
        "with",
        "without",
        "length",
        "error",
        "signal",
        "spread",
        "separation",
        "best",
        "split half",
    ]
    v = known["Eyeglasses"]
    row = table.loc["Eyeglasses"]
    assert (row["with"], row["without"]) == (v.n_with, v.n_without)
    np.testing.assert_allclose(row[["signal", "separation"]], [v.length / v.error, v.separation])
    empty = AttributeVectors(sums(data()[0], np.zeros((400, 4), bool)), NAMES)
    assert len(empty.table()) == 0


def test_round_trip(known, tmp_path):
    path = tmp_path / "vectors.npz"
    known.save(path)
    again = AttributeVectors.load(path)
    assert (again.names, again.missing, again.origin) == (known.names, known.missing, known.origin)
    assert again.attribute_names == NAMES
    for a, b in zip(again.totals, known.totals, strict=True):
        np.testing.assert_array_equal(a, b)
    for name in known:
        np.testing.assert_array_equal(again[name].vector, known[name].vector)
        np.testing.assert_array_equal(again[name].standard_error, known[name].standard_error)
    assert os.listdir(tmp_path) == ["vectors.npz"]


def test_the_file_is_plain_arrays(known, tmp_path):
    known.save(tmp_path / "vectors.npz")
    with np.load(tmp_path / "vectors.npz", allow_pickle=False) as npz:
        assert all(npz[name].dtype != object for name in npz.files)
        assert list(npz["vector_names"]) == ["Eyeglasses", "Smiling"]
        np.testing.assert_array_equal(npz["vectors"][1], known["Smiling"].vector)
        assert json.loads(str(npz["origin"]))["step"] == 1200


def test_no_vectors_at_all_can_be_saved(tmp_path):
    AttributeVectors(sums(data()[0], np.zeros((400, 4), bool)), NAMES).save(tmp_path / "v.npz")
    assert AttributeVectors.load(tmp_path / "v.npz").names == ()


def test_an_earlier_file_outlives_a_failed_save(known, tmp_path, monkeypatch):
    path = tmp_path / "vectors.npz"
    known.save(path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        known.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["vectors.npz"]


def test_bad_files(known, tmp_path):
    path = tmp_path / "vectors.npz"
    with pytest.raises(InputError, match="there are no attribute vectors at"):
        AttributeVectors.load(path)
    known.save(path)
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[whole.index(b"attr_z.npy") + 300] ^= 0xFF
    for content in (b"", b"not a file of ours", whole[: len(whole) // 2], whole[:-30], bytes(changed)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"vectors\.npz is damaged"):
            AttributeVectors.load(path)
    path.write_bytes(whole)
    with np.load(path) as npz:
        older: dict = dict(npz) | {"format": np.array("jvae attribute vectors 2")}
    np.savez(path, **older)
    with pytest.raises(InputError, match=r"is of format 'jvae attribute vectors 2' and .* estimate them anew"):
        AttributeVectors.load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(InputError, match="damaged or holds no attribute vectors"):
        AttributeVectors.load(path)
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="damaged"):
        AttributeVectors.load(path)


def test_another_format_and_shapes_that_do_not_fit(known, tmp_path):
    path = tmp_path / "vectors.npz"
    known.save(path)
    with np.load(path, allow_pickle=False) as npz:
        arrays = dict(npz)
    np.savez(path, **{**arrays, "format": np.array("jvae attribute vectors 9")})
    with pytest.raises(InputError, match="vectors 9"):
        AttributeVectors.load(path)
    np.savez(path, **{**arrays, "attr_z": arrays["attr_z"][..., :3]})
    with pytest.raises(InputError, match=r"attr_z is float64 \[1, 4, 3\], not \[1, 4, 5\]"):
        AttributeVectors.load(path)


def test_pickles_are_not_opened(known, tmp_path):
    path = tmp_path / "vectors.npz"
    known.save(path)
    with np.load(path, allow_pickle=False) as npz:
        arrays = dict(npz)
    arrays["z"] = np.array([print, 1], dtype=object)
    np.savez(path, **arrays)
    with zipfile.ZipFile(path) as file:
        assert "z.npy" in file.namelist()
    with pytest.raises(InputError, match=r"z in .*vectors\.npz is damaged: its array is object"):
        AttributeVectors.load(path)


@pytest.mark.parametrize(
    "columns",
    [("Hat&Glasses", "Smile", "Beard"), ("Hat", "Hat&Glasses", "Smile"), ("Hat", "Smile", "Hat&Glasses"), ("a&b",)],
)
def test_a_joint_column_is_of_attributes_before_it(columns):
    z, attrs = data()
    with pytest.raises(InputError, match=r"the column .*&.* is of no attributes before it|there are no attributes"):
        AttributeVectors(sums(z, attrs[:, : len(columns)]), columns)


def test_data_without_attributes_has_no_vectors():
    with pytest.raises(InputError, match="the data has no attributes, so there are no vectors: pack it with labels"):
        with_joint((), np.zeros((4, 0), bool), ())
    with pytest.raises(InputError, match="attribute 'Hat&Glasses' holds &, which joins two attributes: rename it"):
        with_joint(("Hat", "Glasses", "Hat&Glasses"), np.zeros((4, 3), bool), ())
    with pytest.raises(InputError, match="there are no attributes, so there are no vectors"):
        AttributeVectors(Totals(4, np.zeros(0, int), np.zeros((0, 0), int), *[np.zeros(5)] * 5), ())
