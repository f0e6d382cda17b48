"""Rows named by numbers, a mask or a slice are the same rows, wherever they are named."""

import jax
import numpy as np
import pytest

from jvae.data import packing
from jvae.data.decoded import Decoded
from jvae.data.packed import PackedStore, pack
from jvae.data.source import Example
from jvae.data.sources.rendered import RenderedFaces
from jvae.errors import InputError
from jvae.io.arrays import row_numbers
from jvae.latent.encoding import attribute_statistics
from jvae.runtime.mesh import make_mesh
from jvae.trained import load
from tests.faces import small_store
from tests.runs import whole_run


class Again:
    """The small store as a source."""

    name = "again"
    attribute_names = RenderedFaces(1).attribute_names

    def __len__(self):
        return 120

    def __getitem__(self, i):
        store = small_store()
        return Example(store.images[i], store.attrs[i], str(store.image_ids[i]), str(store.splits[i]))


MASK = np.zeros(120, bool)
MASK[[3, 50, 119]] = True
NAMED = [np.array([3, 50, 119]), [3, 50, -1], MASK, MASK.tolist()]


@pytest.mark.parametrize("rows", NAMED, ids=["numbers", "list", "mask", "list of booleans"])
def test_damage_is_found_however_its_row_is_named(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "_BLOCK", 7 * 16 * 16 * 3)
    store = pack(Again(), tmp_path / "store", size=16, crop="center", progress=False)
    np.testing.assert_array_equal(store.read(rows), store.images[[3, 50, 119]])
    data = bytearray((store.path / "images.npy").read_bytes())
    data[128 + 768 * 50] ^= 1
    (store.path / "images.npy").write_bytes(data)
    store = PackedStore.open(store.path)
    with pytest.raises(InputError, match="the images of rows 49 to 55"):
        store.read(rows)
    store.verify(slice(0, 49), np.arange(56, 120))


def test_a_mask_encodes_and_counts_what_it_marks():
    store, model = small_store(), load(whole_run(), mesh=make_mesh(jax.devices()[:1]))
    numbers = np.flatnonzero(MASK)
    np.testing.assert_array_equal(model.encode(store.images, rows=MASK), model.encode(store.images[numbers]))
    assert model.reconstruction_scores(store, MASK) == model.reconstruction_scores(store, numbers)
    by_mask, by_number = (attribute_statistics(model, store.images, store.attrs, r) for r in (MASK, numbers))
    jax.tree.map(np.testing.assert_array_equal, by_mask, by_number)
    decoded = Decoded(Again(), None, 16, "center")
    np.testing.assert_array_equal(decoded[MASK], decoded[numbers])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones(4, bool), r"a mask of \[4\] for 5 rows: give one value for each"),
        ([0, 5], "row 5 of 5 rows: the last is 4"),
        ([-6], "row -6 of 5 rows"),
        ([0.0, 1.0], "rows are float64: give integers from 0 to 4, or a mask"),
    ],
)
def test_rows_that_are_none(rows, said):
    with pytest.raises(InputError, match=said):
        row_numbers(rows, 5)


def test_rows_by_their_numbers():
    assert row_numbers(None, 3).tolist() == row_numbers(slice(None), 3).tolist() == [0, 1, 2]
    assert row_numbers([], 3).tolist() == [] and row_numbers([[0, -1]], 3).tolist() == [[0, 2]]
    assert row_numbers(range(2), 3) == range(2)  # it takes no memory, and stays so
