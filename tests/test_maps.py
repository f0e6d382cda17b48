import numpy as np
import pytest

from jvae.errors import InputError
from jvae.latent import maps
from jvae.latent.kinds import Kind
from tests.test_kinds import data, totals_of, vectors


def test_cosines_and_correlations_by_definition():
    z, attrs = data()
    known = vectors(Kind())
    raw = np.stack([known[name].vector for name in known])
    expected = raw @ raw.T / np.outer(np.linalg.norm(raw, axis=1), np.linalg.norm(raw, axis=1))
    np.testing.assert_allclose(maps.cosines(known), expected)
    found = maps.correlations(totals_of(z, attrs))
    np.testing.assert_allclose(found, np.corrcoef(attrs.T), atol=1e-12)
    one_sided = np.column_stack([attrs, np.ones(len(z), bool)])
    assert np.isnan(maps.correlations(totals_of(z, one_sided))[4]).all()


def test_what_is_alike_lies_together():
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(4), 5))
    similarity = np.where(group[:, None] == group[None], 0.9, -0.1) + 0.05 * rng.normal(size=(20, 20))
    order = maps.order(similarity)
    assert sorted(order) == list(range(20))
    assert (np.diff(group[order]) != 0).sum() == 3
    assert list(maps.order(np.eye(2))) == [0, 1]
    with pytest.raises(InputError, match="not finite"):
        maps.order(np.full((3, 3), np.nan))
