"""Every reader of files: valid files for it, and how it is called."""

import dataclasses
import io
import json
import os
import random
import shutil
import signal
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, PngImagePlugin

from faults import oracle, tables
from faults.mutate import mutate, mutate_jpeg, mutate_png, mutate_zip
from faults.tables import Read, mutate_table
from jvae.data.decode import decode, preprocess, read_image
from jvae.data.packed import PackedStore, pack
from jvae.data.packing import IMAGES, LABELS, META
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.tables import read_table
from jvae.io.files import CHECKSUM, seal, unseal
from jvae.training.presets import PRESETS
from tests.celeba_files import (
    NAMES,
    as_tfrecord,
    encode,
    picture,
    write_celeba,
)


class Reader(NamedTuple):
    """`prepare` makes a folder; it gives valid files, and what reads one. `share` is of all inputs."""

    share: float
    prepare: Callable[[Path], tuple[list[bytes], Read]]
    change: Callable[[random.Random, Sequence[bytes]], bytes] = mutate


def _picture(data: bytes) -> None:
    for size, crop in ((16, "center"), (64, "squash")):
        found = preprocess(data, size, crop)
        assert found.shape == (size, size, 3) and found.dtype == np.uint8


def _jpegs(folder: Path) -> tuple[list[bytes], Read]:
    pixels, exif = picture(0, 90, 110), Image.Exif()
    exif[0x0112] = 6
    seeds = [
        encode(pixels),
        encode(pixels, progressive=True),
        encode(pixels[:, :, 0]),
        encode(pixels, exif=exif.tobytes()),
    ]
    cmyk, both = io.BytesIO(), io.BytesIO()
    Image.fromarray(pixels).convert("CMYK").save(cmyk, "JPEG")
    Image.fromarray(pixels).save(both, "MPO", save_all=True, append_images=[Image.fromarray(pixels[:16, :16])])
    return [*seeds, cmyk.getvalue(), both.getvalue()], _picture


def _pngs(folder: Path) -> tuple[list[bytes], Read]:
    pixels = picture(1, 40, 50)
    about = PngImagePlugin.PngInfo()
    about.add_text("Comment", "x" * 300, zip=True)
    palette = io.BytesIO()
    Image.fromarray(pixels).quantize(32).save(palette, "PNG", transparency=3)
    wide = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    deep = io.BytesIO()
    wide.save(deep, "PNG")
    plain = encode(pixels, "PNG", pnginfo=about, icc_profile=bytes(500))
    return [plain, palette.getvalue(), deep.getvalue(), encode(np.dstack([pixels, pixels[:, :, :1]]), "PNG")], _picture


def _webps(folder: Path) -> tuple[list[bytes], Read]:
    pixels = picture(2, 40, 50)
    return [encode(pixels, "WEBP"), encode(pixels, "WEBP", lossless=True), encode(pixels, "BMP")], _picture


def _photos(folder: Path) -> tuple[list[bytes], Read]:
    from jvae.photo.eyes import detect
    from jvae.photo.frame import read_photo

    def read(data: bytes) -> None:
        (folder / "ä photo.jpg").write_bytes(data)
        photo = read_photo(folder / "ä photo.jpg")
        detect(photo if photo.pixels.size < 10_000_000 else dataclasses.replace(photo, pixels=photo.pixels[:64, :64]))

    folder.mkdir(parents=True)
    seeds, _ = _jpegs(folder)
    return [*seeds, *_pngs(folder)[0]], read


def _zips(folder: Path) -> tuple[list[bytes], Read]:
    seeds = []
    for layout in ("zip", "deflated"):
        write_celeba(folder / layout, NAMES[:4], layout)
        seeds.append((folder / layout / "img_align_celeba.zip").read_bytes())
    path = folder / "zip" / "img_align_celeba.zip"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        faces = CelebAFolder(folder / "zip")
        assert all(isinstance(faces[i].image, bytes) for i in range(len(faces)))

    return seeds, read


def _streams(folder: Path) -> tuple[list[bytes], Read]:
    """JPEGs of one scan, of which an independent reader can tell whether their codes are whole."""
    pixels = picture(0, 90, 110)
    kinds: list[dict[str, Any]] = [{}, {"subsampling": 0}, {"restart_marker_blocks": 4}, {"quality": 50}]
    seeds = [encode(pixels, **kind) for kind in kinds] + [encode(pixels[:, :, 0])]

    def read(data: bytes) -> None:
        found = [read_image(data, "the image"), decode(data, 96, "squash", "the image")[0]]
        assert oracle.is_whole(data) is not False, "its codes do not make a picture, and it was read"
        expected = oracle.picture(data)
        assert expected is not None, "Pillow refuses it, and it was read"
        assert all(np.array_equal(pixels, expected) for pixels in found), "it is another picture than Pillow's"

    return seeds, read


def _number_tables(folder: Path) -> tuple[list[bytes], Read]:
    folder.mkdir(parents=True)

    def read(data: bytes) -> None:
        (folder / "identity_CelebA.txt").write_bytes(data)
        ids, values = read_table(folder / "identity_CelebA.txt", ["Identity_No"], headed=False)
        assert values.shape == (len(ids), 1)

    return ["".join(f"{n} {i * 37}\n" for i, n in enumerate(NAMES)).encode()], read


def _store_files(name: str) -> Callable[[Path], tuple[list[bytes], Read]]:
    def prepare(folder: Path) -> tuple[list[bytes], Read]:
        write_celeba(folder / "celeba")
        store = pack(CelebAFolder(folder / "celeba"), folder / "store", size=16, crop="center", progress=False).path
        meta = unseal(json.loads((store / META).read_text()))

        def read(data: bytes) -> None:
            (store / name).write_bytes(data)
            if name == LABELS:  # so that what is changed is looked at
                meta["crc32"][LABELS] = f"{zlib.crc32(data):08x}"
                (store / META).write_text(json.dumps(seal(meta)))
            found = PackedStore.open(store)
            assert len(found) == len(found.images) == len(found.image_ids) == len(found.splits) == len(found.attrs)
            assert found.images.nbytes == len(found) * found.size**2 * 3

        return [(store / name).read_bytes()], read

    return prepare


def _mutate_sealed(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """As `mutate`, and mostly the checksum is right again."""
    data = mutate(rng, seeds)
    try:
        fields = {k: v for k, v in json.loads(data).items() if k != CHECKSUM or rng.random() < 0.2}
    except (ValueError, AttributeError, RecursionError):
        return data
    return json.dumps(fields if CHECKSUM in fields else seal(fields)).encode()


def _configs(folder: Path) -> tuple[list[bytes], Read]:
    from jvae.training.run import CONFIG, Record, claim_run, read_record

    def read(data: bytes) -> None:
        (folder / CONFIG).write_bytes(data)
        found = read_record(folder)
        assert found.config.replace() == found.config and all(isinstance(name, str) for name in found.labels)

    for name, cfg in PRESETS.items():
        claim_run(folder / name, Record(cfg, ("Male", "Smiling")))
    return [(folder / name / CONFIG).read_bytes() for name in PRESETS], read


def _metrics(folder: Path) -> tuple[list[bytes], Read]:
    from jvae.training.log import METRICS, Log, NoTracker, read_metrics

    def read(data: bytes) -> None:
        (folder / METRICS).write_bytes(data)
        assert all(row["step"] + 0 is not None for row in read_metrics(folder))
        (folder / METRICS).write_bytes(data)
        Log(folder, 30, NoTracker()).close()

    folder.mkdir(parents=True)
    rows = [
        {"step": i, "split": s, "objective": 1.5 * i, "kl": 3e-5} for i in range(10, 60, 10) for s in ("train", "test")
    ]
    return ["".join(json.dumps(row) + "\n" for row in rows).encode()], read


def _vectors(folder: Path) -> tuple[list[bytes], Read]:
    from jvae.latent.kinds import Kind
    from jvae.latent.vectors import AttributeVectors
    from tests.test_vectors import NAMES, data, sums

    folder.mkdir(parents=True)
    path = folder / "vectors.npz"
    seeds = []
    for kind in (Kind(), Kind("regression"), Kind("lda")):
        AttributeVectors(sums(*data()), NAMES, kind=kind).save(path)
        seeds.append(path.read_bytes())

    def read(data: bytes) -> None:
        path.write_bytes(data)
        found = AttributeVectors.load(path)
        assert len(found.table()) == len(found) and all(np.isfinite(found[n].vector).all() for n in found)

    return seeds, read


def _judges(folder: Path) -> tuple[list[bytes], Read]:
    import jax
    import pandas as pd

    from jvae.judge.judge import COLUMNS, Judge
    from jvae.judge.net import JudgeNet, init_judge

    folder.mkdir(parents=True)
    path, names = folder / "judge.npz", ("Male", "Smiling")
    scores = pd.DataFrame(np.ones((2, len(COLUMNS))), pd.Index(names, name="attribute"), COLUMNS)
    Judge(names, 16, init_judge(JudgeNet(2, 16), jax.random.key(0)), np.zeros(2), scores).save(path)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        found = Judge.load(path)
        assert found.thresholds.shape == (len(found.attribute_names),)

    return [path.read_bytes()], read


def _data_sets(convert: bool, name: str) -> Callable[[Path], tuple[list[bytes], Read]]:
    """A file of a TFDS data set, read in ArrayRecord format or converted to it; `name` ends the file's."""

    def prepare(folder: Path) -> tuple[list[bytes], Read]:
        from jvae.data.sources import celeba_builder, tfds

        write_celeba(folder / "celeba")
        made = celeba_builder.prepare(folder / "celeba", folder / "made")
        work = folder / "celeb_a" / "1.0.0"
        if convert:
            as_tfrecord(made, folder / "old")
            made = folder / "old"
        (path,) = made.glob(f"*{name}")
        outside = sorted(os.listdir(folder))

        def read(data: bytes) -> None:
            shutil.rmtree(work, ignore_errors=True)
            shutil.copytree(made, work)
            (work / path.name).write_bytes(data)
            try:
                if convert:
                    assert tfds.convert(work) == work
                faces = tfds.CelebATFDS(work)
                assert all(isinstance(faces[i].image, bytes) for i in range(min(len(faces), 20)))
            finally:
                assert sorted({*os.listdir(folder), "celeb_a"}) == sorted({*outside, "celeb_a"})
                assert os.listdir(folder / "celeb_a") == ["1.0.0"]

        return [path.read_bytes()], read

    return prepare


READERS: dict[str, Reader] = {
    "JPEG": Reader(15, _jpegs),
    "pixels of a JPEG": Reader(20, _streams, mutate_jpeg),
    "PNG": Reader(15, _pngs, mutate_png),
    "WebP and BMP": Reader(6, _webps),
    "photograph": Reader(1, _photos),
    "zip of images": Reader(10, _zips, mutate_zip),
    "attribute table": Reader(8, tables.attribute_tables),
    "dialect of an attribute table": Reader(12, tables.attribute_tables, mutate_table),
    "dialect of one's own labels": Reader(16, tables.own_tables, mutate_table),
    "partition table": Reader(5, tables.partition_tables),
    "dialect of a partition table": Reader(6, tables.partition_csv, mutate_table),
    "identity table": Reader(2, _number_tables),
    "meta.json": Reader(6, _store_files(META), _mutate_sealed),
    "labels.csv": Reader(5, _store_files(LABELS)),
    "images.npy": Reader(4, _store_files(IMAGES)),
    "config.json": Reader(6, _configs, _mutate_sealed),
    "metrics.jsonl": Reader(4, _metrics),
    "vectors.npz": Reader(7, _vectors, mutate_zip),
    "judge.npz": Reader(2, _judges, mutate_zip),
    "TFRecord shard": Reader(2, _data_sets(True, "train.tfrecord-00000-of-00001")),
    "dataset_info.json to convert": Reader(2, _data_sets(True, "dataset_info.json")),
    "ArrayRecord shard": Reader(4, _data_sets(False, "train.array_record-00000-of-00001")),
    "dataset_info.json": Reader(2, _data_sets(False, "dataset_info.json")),
    "features.json": Reader(2, _data_sets(False, "features.json")),
}


def _bad(read: Callable[[Path], object]) -> Reader:
    return Reader(0, lambda folder: ([], lambda _: read(folder)), lambda rng, seeds: b"x")


BAD: dict[str, Reader] = {
    "a crash": _bad(lambda _: os.kill(os.getpid(), signal.SIGSEGV)),
    "a hang": _bad(lambda _: [None for _ in iter(int, 1)]),
    "a bomb": _bad(lambda _: bytes(1 << 40)),
    "an escape": _bad(lambda folder: (folder.parent / "outside").mkdir()),
    "another error": _bad(lambda _: 1 // 0),
}
