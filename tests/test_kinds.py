import dataclasses
from typing import Any

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LinearRegression

from jvae.errors import InputError
from jvae.latent import kinds
from jvae.latent.kinds import SHRINKAGE, Directions, Kind, directions, find_kind, with_joint
from jvae.latent.regression import still
from jvae.latent.statistics import Totals
from jvae.latent.vectors import AttributeVectors
from tests.test_statistics import sums_by_definition

NAMES = ("Male", "Young", "Eyeglasses", "Smiling")
OWN = np.array([[2.0, 0, 0, 0, 0, 0], [0, 1.5, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0], [0, 0, 0, 0.8, 0, 0]])


def data(n=4000, seed=0):
    """Labels of which men have glasses more often and the young less, and latents to which each adds its own part."""
    rng = np.random.default_rng(seed)
    male, young = rng.random(n) < 0.4, rng.random(n) < 0.7
    glasses = rng.random(n) < 0.05 + 0.3 * male + 0.3 * ~young
    smiling = rng.random(n) < 0.6 - 0.2 * male
    attrs = np.stack([male, young, glasses, smiling], axis=1)
    scale = np.linspace(0.4, 1.2, 6)
    mix = np.eye(6) + 0.3 * np.random.default_rng(99).normal(size=(6, 6))
    return (attrs @ OWN + (rng.normal(size=(n, 6)) * scale) @ mix + 1.0), attrs


def totals_of(z, attrs):
    counts, pairs, *rest = sums_by_definition(z.astype(np.float64), attrs.astype(np.float64))
    return Totals(len(z), counts.astype(int), pairs.astype(int), *rest)


def vectors(kind, z=None, attrs=None, halves=False, names=NAMES):
    z, attrs = data() if z is None or attrs is None else (z, attrs)
    columns, labels = with_joint(names, attrs, kind.balance)
    cuts = [slice(0, None, 2), slice(1, None, 2)] if halves else [slice(None)]
    return AttributeVectors([totals_of(z[cut], labels[cut]) for cut in cuts], columns, kind=kind)


def stack(known):
    return np.stack([known[name].vector for name in known])


def cosine(u, v):
    return u @ v / np.linalg.norm(u) / np.linalg.norm(v)


def test_regression_is_least_squares():
    z, attrs = data()
    known = vectors(Kind("regression"))
    np.testing.assert_allclose(stack(known), LinearRegression().fit(attrs, z).coef_.T, rtol=1e-4, atol=1e-5)
    design = np.column_stack([np.ones(len(z)), attrs])
    beta, *_ = np.linalg.lstsq(design, z, rcond=None)
    variance = ((z - design @ beta) ** 2).sum(0) / (len(z) - 5)
    errors = np.sqrt(np.outer(np.diagonal(np.linalg.inv(design.T @ design)), variance))[1:]
    np.testing.assert_allclose(np.stack([known[name].standard_error for name in known]), errors, rtol=1e-4)


def one_more(attrs):
    """Columns that determine one another, among others that do not: name of each -> its group's, and all of them."""
    male, young, glasses = attrs[:, 0], attrs[:, 1], attrs[:, 2]
    colour = np.random.default_rng(3).integers(0, 3, len(attrs)) * (1 + young) % 3  # of three, the young's another
    hair = {name: colour == k for k, name in enumerate(("Black", "Blond", "Brown"))}
    columns = dict(zip(NAMES, attrs.T, strict=True)) | {"Female": ~male, "Spectacles": glasses, "All": male | True}
    groups = [("Male", "Female"), ("Eyeglasses", "Spectacles"), tuple(hair)]
    return {name: group for group in groups for name in group}, columns | hair


@pytest.mark.parametrize("spread", [1.0, 1e-4])
def test_regression_gives_inseparable_labels_the_direction_that_they_share(spread):
    z, attrs = data()
    groups, columns = one_more(attrs)
    z = 2 + spread * z
    known = vectors(Kind("regression"), z, np.column_stack(list(columns.values())), names=tuple(columns))
    for name, of in ((name, groups.get(name, ())) for name in columns if name != "All"):
        others = [c for n, c in columns.items() if n not in (name, *of)]
        design = np.column_stack([np.ones(len(z)), columns[name], *others]).astype(float)
        beta, _, rank, _ = np.linalg.lstsq(design, z, rcond=None)
        np.testing.assert_allclose(known[name].vector, beta[1], rtol=1e-6, atol=1e-9 * spread)
        variance = ((z - design @ beta) ** 2).sum(0) / (len(z) - rank)
        inverse = np.linalg.pinv(design.T @ design)[1, 1]
        np.testing.assert_allclose(known[name].standard_error, np.sqrt(inverse * variance), rtol=1e-5)
    assert known.notes.keys() == groups.keys() and list(known.missing) == ["All"]
    assert known.notes["Female"] == (
        "inseparable from Male, as their labels determine one another: its vector is the direction that they share"
    )
    assert known.notes["Brown"].startswith("inseparable from Black, Blond, as")


def test_regression_of_fewer_rows_than_labels_is_of_each_alone():
    z, attrs = data(9)
    attrs = np.random.default_rng(1).random((9, 12)) < 0.5
    names = tuple("abcdefghijkl")
    known = vectors(Kind("regression"), z, attrs, names=names)
    np.testing.assert_allclose(stack(known), stack(vectors(Kind(), z, attrs, names=names)), atol=1e-12)
    assert all(note.startswith("inseparable from") and ", 6 others, as" in note for note in known.notes.values())


def test_labels_that_differ_in_one_row_are_separable():
    z, attrs = data()
    copy = attrs[:, 2].copy()
    copy[7] ^= True
    known = vectors(Kind("regression"), z, np.column_stack([attrs, copy]), names=(*NAMES, "Copy"))
    coefficients = LinearRegression().fit(np.column_stack([attrs, copy]), z).coef_.T
    np.testing.assert_allclose(stack(known), coefficients, rtol=1e-6)
    assert not known.notes and known["Copy"].error > 1


def test_lda_is_the_discriminant():
    z, attrs = data()
    known = vectors(Kind("lda"))
    for i, name in enumerate(NAMES):
        reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(z, attrs[:, i])
        assert cosine(known[name].vector, reference.coef_[0]) > 1 - 1e-8
        others = [vectors(Kind(kind))[name].separation for kind in ("difference", "regression")]
        assert known[name].separation > max(others) - 0.02
        difference = z[attrs[:, i]].mean(0) - z[~attrs[:, i]].mean(0)
        np.testing.assert_allclose(known[name].length, difference @ known[name].unit)


def test_the_error_of_lda_is_its_derivative_times_the_error_of_the_means():
    z, attrs = data(500)
    v, d = vectors(Kind("lda"), z, attrs)["Eyeglasses"], z.shape[1]
    groups = [z[attrs[:, 2]], z[~attrs[:, 2]]]
    within = sum((g - g.mean(0)).T @ (g - g.mean(0)) for g in groups) / (len(z) - 2)
    inverse = np.linalg.inv((1 - SHRINKAGE) * within + SHRINKAGE * np.trace(within) / d * np.eye(d))

    def vector(difference):
        w = inverse @ difference
        return w * (w @ difference) / (w @ w)

    difference, step = groups[0].mean(0) - groups[1].mean(0), 1e-6
    np.testing.assert_allclose(v.vector, vector(difference), rtol=1e-9)
    slope = [(vector(difference + e) - vector(difference - e)) / (2 * step) for e in step * np.eye(d)]
    covariance = np.transpose(slope) @ within @ slope * sum(1 / len(g) for g in groups)
    np.testing.assert_allclose(v.standard_error, np.sqrt(np.diagonal(covariance)), rtol=1e-6)


@pytest.mark.parametrize("balance", [("Male",), ("Young", "Male")])
def test_balanced_is_the_average_within_the_groups(balance):
    z, attrs = data()
    found = vectors(Kind("balanced", balance=balance))
    for i, name in enumerate(NAMES):
        groups = attrs[:, [NAMES.index(b) for b in balance if b != name]] @ (2 ** np.arange(len(set(balance) - {name})))
        total, weights = np.zeros(6), 0.0
        for group in np.unique(groups):
            with_it, without = z[(groups == group) & attrs[:, i]], z[(groups == group) & ~attrs[:, i]]
            weight = len(with_it) * len(without) / (len(with_it) + len(without))
            total += weight * (with_it.mean(0) - without.mean(0))
            weights += weight
        np.testing.assert_allclose(found[name].vector, total / weights, atol=1e-9)


def test_what_goes_with_an_attribute_stays_out():
    confounded = vectors(Kind())["Eyeglasses"].vector
    assert abs(confounded[0]) > 0.4 and abs(confounded[1]) > 0.3  # men and the old have glasses
    for kind in (Kind("regression"), Kind("balanced", balance=("Male", "Young"))):
        vector = vectors(kind)["Eyeglasses"]
        np.testing.assert_allclose(vector.vector[:4], OWN[2, :4], atol=0.12)
        assert np.abs((vector.vector - OWN[2]) / vector.standard_error).max() < 4


def test_balanced_says_which_groups_are_left_out():
    z, attrs = data()
    attrs[:, 2] &= attrs[:, 0]  # no woman has glasses
    known = vectors(Kind("balanced", balance=("Male",)), z, attrs)
    men = attrs[:, 0]
    expected = z[men & attrs[:, 2]].mean(0) - z[men & ~attrs[:, 2]].mean(0)
    np.testing.assert_allclose(known["Eyeglasses"].vector, expected)
    assert known.notes == {"Eyeglasses": "1 of 2 groups have it on one side only and are left out"}
    attrs[:, 2] = attrs[:, 0]
    missing = vectors(Kind("balanced", balance=("Male",)), z, attrs).missing
    assert missing == {"Eyeglasses": "in no group by Male do some have it and some not"}


@pytest.mark.parametrize("name", ["difference", "lda", "conditional"])
def test_keeping_leaves_the_others_directions_alone(name):
    kind = Kind(name, keep=("Male", "Young"))
    free, known = vectors(Kind("difference" if name == "conditional" else name)), vectors(kind)
    for kept in kind.keep:
        assert abs(cosine(known["Eyeglasses"].vector, free[kept].vector)) < 1e-12
    basis = np.stack([free[kept].vector for kept in kind.keep], axis=1)
    projected, *_ = np.linalg.lstsq(basis, free["Eyeglasses"].vector, rcond=None)
    np.testing.assert_allclose(known["Eyeglasses"].vector, free["Eyeglasses"].vector - basis @ projected, atol=1e-12)
    assert known.missing == dict.fromkeys(kind.keep, "nothing is left of it when Male and Young must not change")
    with pytest.raises(InputError, match="no vector for Male: nothing is left of it when Male and Young"):
        known["Male"]


def test_regression_keeps_the_others_readouts_still_at_the_least_change_under_the_covariance(monkeypatch):
    keep, (z, _), rng = ("Male", "Young"), data(), np.random.default_rng(0)
    known, lda = vectors(Kind("regression", keep=keep)), vectors(Kind("lda"))
    assert max(abs(cosine(known["Eyeglasses"].vector, lda[kept].vector)) for kept in keep) < 1e-12
    assert known.missing == dict.fromkeys(keep, "nothing is left of it when Male and Young must not change")
    monkeypatch.setattr(kinds, "SHRINKAGE", 0.0)
    known, lda, difference = vectors(Kind("regression", keep=keep)), vectors(Kind("lda")), vectors(Kind())
    precision, readouts = np.linalg.inv(np.cov(z.T)), np.stack([lda[kept].vector for kept in keep])
    free = np.linalg.svd(readouts)[2][2:]  # [4,6], what moves neither
    change = known["Eyeglasses"].vector - vectors(Kind("regression"))["Eyeglasses"].vector
    leaves = still(readouts, np.stack([difference[kept].vector for kept in keep]))
    best = leaves @ difference["Eyeglasses"].vector

    def moves(v):
        return v @ lda["Eyeglasses"].vector / np.sqrt(v @ precision @ v)

    for other in rng.normal(size=(100, 4)) @ free * 0.01:
        assert change @ precision @ change < (change + other) @ precision @ (change + other)
        assert moves(best) > max(moves(best + other), moves(other))  # its own readout moves most, for the length


def test_keeping_equal_directions_twice_takes_them_once():
    z, attrs = data()
    attrs = np.column_stack([attrs, ~attrs[:, 0]])
    names = (*NAMES, "Female")
    twice = vectors(Kind(keep=("Male", "Female")), z, attrs, names=names)
    np.testing.assert_allclose(
        twice["Smiling"].vector, vectors(Kind(keep=("Male",)), z, attrs, names=names)["Smiling"].vector, atol=1e-9
    )
    for kind in ("lda", "regression"):  # what moves no readout of its own is no vector
        assert set(vectors(Kind(kind, keep=("Male",)), z, attrs, names=names).missing) == {"Male", "Female"}


@pytest.mark.parametrize("name", ["difference", "regression", "lda"])
def test_standard_errors_are_the_scatter_of_the_vectors(name):
    found = [vectors(Kind(name), *data(600, seed))["Eyeglasses"] for seed in range(60)]
    scatter = np.std([v.vector for v in found], axis=0, ddof=1)
    claimed = np.mean([v.standard_error for v in found], axis=0)
    np.testing.assert_allclose(np.linalg.norm(claimed), np.linalg.norm(scatter), rtol=0.25)


def test_split_half():
    known = vectors(Kind("regression"), halves=True)
    z, attrs = data()
    halves = [vectors(Kind("regression"), z[k::2], attrs[k::2]) for k in (0, 1)]
    for name in NAMES:
        np.testing.assert_allclose(known[name].split_half, cosine(*(half[name].vector for half in halves)))
        assert known[name].split_half > 0.9
    np.testing.assert_allclose(stack(known), stack(vectors(Kind("regression"))), atol=1e-9)
    assert np.isnan(vectors(Kind())["Male"].split_half)
    noise = np.random.default_rng(5).random((len(z), 1)) < 0.3
    known = vectors(Kind(), z, np.append(attrs, noise, axis=1), halves=True, names=(*NAMES, "Noise"))
    assert known["Noise"].split_half < 0.9


def test_scales_by_definition():
    z, attrs = data()
    for kind in (Kind(), Kind("lda"), Kind("regression", keep=("Male",))):
        v = vectors(kind)["Eyeglasses"]
        along, has = z @ v.unit, attrs[:, 2]
        np.testing.assert_allclose([v.mean, v.spread], [along.mean(), along.std(ddof=1)])
        within = np.concatenate([along[has] - along[has].mean(), along[~has] - along[~has].mean()])
        sd = np.sqrt((within**2).sum() / (len(z) - 2))
        np.testing.assert_allclose(v.separation, (along[has].mean() - along[~has].mean()) / sd)
        reference = LinearDiscriminantAnalysis().fit(along[:, None], has)
        np.testing.assert_allclose(v.slope, reference.coef_[0, 0], rtol=1e-3)
        logits = reference.decision_function(along[:, None])
        np.testing.assert_allclose(v.slope * along + v.intercept, logits, rtol=1e-3, atol=1e-3)


def test_saved_and_read_in_any_kind(tmp_path):
    path = tmp_path / "vectors.npz"
    saved = vectors(Kind("balanced", balance=("Male", "Young")), halves=True)
    saved.save(path)
    again = AttributeVectors.load(path)
    assert (again.kind, again.columns, again.attribute_names) == (saved.kind, (*NAMES, "Male&Young"), NAMES)
    np.testing.assert_array_equal(stack(again), stack(saved))
    assert again["Smiling"].split_half == saved["Smiling"].split_half
    regression = AttributeVectors.load(path, Kind("regression"))
    np.testing.assert_array_equal(stack(regression), stack(vectors(Kind("regression"), halves=True)))
    np.testing.assert_array_equal(stack(saved.of_kind(Kind("regression"))), stack(regression))


def test_labels_counted_alone_cannot_be_balanced_together():
    with pytest.raises(InputError, match=r"Male and Young were not counted together: .* --balance Male Young"):
        vectors(Kind()).of_kind(Kind("balanced", balance=("Young", "Male")))


def test_bad_kinds():
    with pytest.raises(InputError, match="unknown kind 'regresion': did you mean regression"):
        Kind("regresion")  # pyright: ignore[reportArgumentType]
    with pytest.raises(InputError, match='the kind "balanced" go together'):
        Kind("balanced")
    with pytest.raises(InputError, match="go together"):
        Kind("lda", balance=("Male",))
    with pytest.raises(InputError, match="needs attributes to keep"):
        Kind("conditional")
    with pytest.raises(InputError, match="unknown attribute 'Mail': did you mean Male"):
        vectors(Kind(keep=("Mail",)))
    with pytest.raises(InputError, match="unknown attribute 'Mail'"):
        with_joint(NAMES, data()[1], ("Mail",))
    with pytest.raises(InputError, match="6 attributes make 64 groups: balance 5 at most"):
        with_joint(tuple("abcdef"), np.zeros((3, 6), bool), tuple("abcdef"))
    z, attrs = data()
    attrs[:, 3] = False
    with pytest.raises(InputError, match="Smiling has no vector, so there is nothing to keep"):
        vectors(Kind(keep=("Smiling",)), z, attrs)


def test_flags_name_a_kind():
    assert find_kind(None) is None
    assert find_kind("lda", keep=("Male",)) == Kind("lda", keep=("Male",))
    assert find_kind(None, keep=("Male",)) == Kind("conditional", keep=("Male",))
    assert find_kind(None, balance=("Male",)) == Kind("balanced", balance=("Male",))
    assert str(Kind("lda", keep=("Male", "Young"))) == "lda, keeping Male and Young"
    assert str(Kind("balanced", balance=("Male",))) == "balanced over Male"


def test_one_sided_labels_and_flat_latents():
    z, attrs = data()
    attrs[:, 3] = False
    for name in ("difference", "regression", "lda"):
        assert vectors(Kind(name), z, attrs).missing == {"Smiling": "none of the 4,000 images has it"}
    flat = np.zeros_like(z)
    for name in ("difference", "regression", "lda"):
        assert set(vectors(Kind(name), flat, attrs).missing) == set(NAMES)


def test_a_dimension_without_variance_is_no_obstacle():
    z, attrs = data()
    z[:, 5] = 3.0
    for name in ("difference", "regression", "lda"):
        known = vectors(Kind(name), z, attrs)
        assert len(known) == 4
        assert abs(known["Male"].vector[5]) < 1e-9


def test_kinds_are_values():
    assert Kind("lda") == Kind("lda") and hash(Kind("lda")) == hash(Kind("lda"))
    assert dataclasses.replace(Kind("lda"), keep=("Male",)).keep == ("Male",)


def test_a_kind_is_a_function_and_a_line(monkeypatch):
    def twos(sums: Any, a: int) -> Directions:
        return Directions(np.full((a, len(sums.z)), 2.0), np.zeros((a, len(sums.z))), {})

    with pytest.raises(InputError, match="unknown kind 'twos': there are: difference, regression, lda, condit"):
        Kind("twos")
    monkeypatch.setitem(kinds.FUNCTIONS, "twos", twos)
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, "twos"))
    assert (directions(Kind("twos"), totals_of(*data(50)), NAMES, 4).vectors == 2).all()
