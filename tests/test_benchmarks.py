"""What the benchmarks measure with: that it does what it says. No speed is asserted."""

import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from benchmarks import bench_book_loop, bench_feed, bench_scaling, bench_startup, faces
from benchmarks.faces import Repeated
from benchmarks.peers.pillow import by_pillow
from benchmarks.peers.tfds import DecodedByTFDS
from jvae.data.feed import Feed, chunk_order
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.errors import InputError
from jvae.latent.encoding import attribute_statistics
from jvae.latent.statistics import add_totals, totals
from jvae.render.sheet import sheet
from jvae.render.tiles import decode_tiles, to_uint8
from jvae.runtime.hashing import random_key
from jvae.runtime.mesh import make_mesh
from jvae.training.presets import preset
from tests.celeba_files import NAMES, write_celeba

ROOT = Path(__file__).parents[1]


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 16, 16, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "index",
    [
        0,
        7,
        22,
        -1,
        -23,
        np.int64(13),
        slice(5, 20),
        slice(None, None, 9),
        np.arange(23)[::-1],
        np.array([[0, 9], [22, 7]]),
    ],
    ids=str,
)
def test_repeated_rows_are_those_of_the_tiled_array(rows, index):
    repeated, tiled = Repeated(rows, 23), np.concatenate([rows] * 4)[:23]
    assert (len(repeated), repeated.shape, repeated.dtype) == (23, tiled.shape, tiled.dtype)
    np.testing.assert_array_equal(repeated[index], tiled[index])


def test_repeated_rows_end_where_an_array_does(rows):
    for index in (23, -24, np.array([0, 23])):
        with pytest.raises(IndexError, match="of 23"):
            Repeated(rows, 23)[index]
    with pytest.raises(IndexError, match="bool"):
        Repeated(rows, 23)[np.ones(23, bool)]
    for array, count in ((rows[:0], 5), (rows, 0)):
        with pytest.raises(InputError, match="at least 1"):
            Repeated(array, count)


def test_a_feed_streams_repeated_rows(rows):
    mesh, key = make_mesh(), random_key(3)
    images = Repeated(rows, 1_000)
    feed = Feed(
        images,  # pyright: ignore[reportArgumentType]
        np.arange(1_000),
        batch_size=4,
        chunk_steps=3,
        key=key,
        mesh=mesh,
        residency="streamed",
    ).chunks(0)
    chunk = next(feed)
    order = np.asarray(chunk_order(key, np.int32(0), n=1_000, b=4, k=3))
    np.testing.assert_array_equal(np.asarray(chunk.images), rows[order % 7])


def test_statistics_of_repeated_rows(rows):
    model = faces.untrained(preset("demo").replace(image_size=16, widths=(4, 4), latent_dim=3))
    has = np.arange(7)[:, None] % 2 == np.arange(2)[None]  # [7,2]: even rows, odd rows
    images, attrs = Repeated(rows, 21), Repeated(has, 21)
    halves = attribute_statistics(model, images, attrs, np.arange(21), batch_size=8)  # pyright: ignore
    found = add_totals([totals(half) for half in halves])
    assert found.n == 21
    assert found.counts.tolist() == [12, 9]
    np.testing.assert_allclose(found.z, 3 * model.encode(rows).sum(0, dtype=np.float64), rtol=1e-4, atol=1e-5)


def test_the_loop_of_a_label_finds_the_difference_of_the_means(rows, monkeypatch):
    monkeypatch.setattr(bench_book_loop, "BATCH", 3)
    has = np.array([True, False, True, True, False, False, True])
    z = rows.reshape(7, -1)[:, :5].astype(np.float32)
    found = bench_book_loop.vector_of_one_label(lambda x: x, z.__getitem__, has, seed=1)
    np.testing.assert_allclose(found, z[has].mean(0) - z[~has].mean(0), rtol=1e-6)


def test_the_grids_of_the_loop_are_ours():
    def decode_fn(scale, z):  # [b,3] -> [b,4,4,3]
        return jax.nn.sigmoid(scale * z)[:, None, None, :] * np.linspace(0, 1, 16).reshape(1, 4, 4, 1)

    rng = np.random.default_rng(0)
    z, vector, factors = rng.normal(size=(2, 3)), rng.normal(size=3), np.array([-1.0, 0.0, 2.0])
    decode = jax.jit(lambda z: to_uint8(decode_fn(1.0, z)))
    latents = (z[:, None] + factors[None, :, None] * vector).astype(np.float32)
    ours = sheet(np.asarray(decode_tiles(1.0, latents, decode_fn=decode_fn)), raw=True)
    np.testing.assert_array_equal(bench_book_loop.grid_by_cells(decode, z, vector, factors), ours)
    figure = bench_book_loop.figure_by_cells(decode, z, vector, factors)
    assert figure.dtype == np.uint8 and figure.ndim == 3 and figure.shape[2] == 4
    assert len(np.unique(figure.reshape(-1, 4), axis=0)) > 10  # not a blank page


def test_a_device_waits_from_the_end_of_a_chunk_to_the_next():
    assert bench_feed.waited([0.0, 2.0, 3.0], [1.5, 4.0, 6.0]) == 0.5
    assert bench_feed.waited([0.0], [1.0]) == 0


@pytest.fixture(scope="module")
def celeba(tmp_path_factory):
    folder = tmp_path_factory.mktemp("celeba")
    write_celeba(folder)
    return folder


def test_a_copy_of_celeba_is_an_even_sample(celeba, tmp_path):
    faces.copy_celeba(celeba, tmp_path / "some", 4)
    found = CelebAFolder(tmp_path / "some")
    assert found.image_ids.tolist() == list(NAMES[::3])
    assert [example.image for example in found] == [CelebAFolder(celeba)[i].image for i in range(0, 12, 3)]
    faces.copy_celeba(celeba, tmp_path / "all", 100)
    assert len(CelebAFolder(tmp_path / "all")) == len(NAMES)


def test_rendered_files_are_celeba(tmp_path):
    faces.write_celeba(tmp_path / "rendered", 5, distinct=2)
    found = CelebAFolder(tmp_path / "rendered")
    assert (len(found), found.attribute_names) == (5, ATTRIBUTES)
    assert found[0].image == found[4].image != found[1].image
    assert by_pillow(found.folder / "000001.jpg", 64, "center").shape == (64, 64, 3)


def test_tfds_decodes_the_images_that_we_read(celeba, tmp_path):
    from jvae.data.sources.tfds import CelebATFDS

    directory = faces.prepare_tfds(celeba, tmp_path / "tfds")
    ours, peer = CelebATFDS(directory), DecodedByTFDS(directory)
    if peer.how == "Pillow":
        for row in range(len(ours)):
            file = CelebAFolder(celeba).folder / ours[row].image_id
            np.testing.assert_array_equal(peer.image(row, 32, "center"), by_pillow(file, 32, "center"))
    with pytest.raises(IndexError):
        peer.image(len(ours), 32, "center")


def test_a_new_process_is_timed_to_its_file(tmp_path):
    script = "import sys, time; open(sys.argv[1], 'w').write('x'); time.sleep(1.5)"
    start = time.perf_counter()
    seconds = bench_startup.seconds_to(tmp_path / "there", script, [str(tmp_path / "there")], tmp_path)
    assert 0 < seconds < time.perf_counter() - start - 1  # what comes after the file does not count
    with pytest.raises(RuntimeError, match="for picture ended with 3:\nno luck"):
        bench_startup.seconds_to(tmp_path / "picture", "print('no luck'); raise SystemExit(3)", [], tmp_path)
    with pytest.raises(RuntimeError, match="for picture ended with 0"):
        bench_startup.seconds_to(tmp_path / "picture", "", [], tmp_path)


def test_a_job_runs_in_a_process_of_its_own(rows, tmp_path):
    np.save(tmp_path / "images.npy", np.repeat(np.repeat(rows, 4, 1), 4, 2))
    job = {"store": str(tmp_path / "images.npy"), "preset": "demo", "steps": 1, "what": "statistics", "count": 40}
    found = bench_scaling.measure(job, 2)
    assert found["cost"] > 0 and found["memory"] > 50e6
    with pytest.raises(RuntimeError, match=r"no-such.npy"):
        bench_scaling.measure({**job, "store": str(tmp_path / "no-such.npy")}, None)


def test_a_store_smaller_than_the_smallest_is_refused():
    with pytest.raises(InputError, match=r"--most 5000 is less than the smallest .*: give 10000 or more"):
        bench_scaling.main(most=5000)


def test_peak_memory_is_the_most_there_was():
    code = (  # in a process that holds little
        "import numpy as np; from benchmarks.bench_scaling import peak_memory\n"
        "before = peak_memory(); held = np.ones(before // 8)  # as much again\n"
        "there = peak_memory(); del held\n"
        "print(before, there, peak_memory())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    before, there, after = map(int, done.stdout.split())
    assert there > 1.5 * before and after > 1.5 * before


def test_scaling_compares_with_the_first_case():
    def got(cost, memory):
        return {"cost": cost * 1e-6, "memory": memory * 1e6}

    found = {1: [got(100, 500), got(120, 500), got(90, 510)], 8: [got(125, 500)]}
    rows = bench_scaling.rows_of("training", found, {1: "1 device", 8: "8 devices", 9: "9 devices"}, "1 device", 3)
    assert [r.case.split(", ")[1] for r in rows[:3]] == ["1 device: cost", "8 devices: cost", "9 devices: cost"]
    assert [r.ours for r in rows] == pytest.approx([100, 125, None, 500, 500, None])
    assert [r.ratio for r in rows] == pytest.approx([None, 0.8, None, None, 1.0, None])
    assert [r.n for r in rows[:2]] == [3, 1]
    assert rows[2].target is not None and rows[0].target is None
