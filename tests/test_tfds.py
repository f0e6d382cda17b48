"""CelebA through TFDS: our builder and the official one write small sets, and both are read, all without TensorFlow."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.datasets.celeb_a import celeb_a_dataset_builder

import jvae.data.sources.tfds
from jvae.data.packed import pack
from jvae.data.source import SPLITS, Example
from jvae.data.sources.celeba import ATTRIBUTES, CelebAFolder
from jvae.data.sources.celeba_builder import IDENTITY, LANDMARKS, prepare
from jvae.data.sources.tfds import CelebATFDS, convert, shuffled_names
from jvae.errors import InputError
from tests.celeba_files import NAMES, SPLIT_OF, as_tfrecord, encode, picture, write_celeba

HAD_TENSORFLOW = "tensorflow" in sys.modules


@pytest.fixture(autouse=True)
def no_tensorflow() -> Iterator[None]:
    yield
    assert HAD_TENSORFLOW or "tensorflow" not in sys.modules


def write_extra(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Adds landmark and identity tables; returns their values, [n,10] and [n]."""
    rng = np.random.default_rng(1)
    landmarks, identity = rng.integers(0, 200, (len(NAMES), 10)), rng.integers(1, 10178, len(NAMES))
    rows = [" ".join([n, *map(str, row)]) for n, row in zip(NAMES, landmarks.tolist(), strict=True)]
    text = "\n".join([str(len(NAMES)), " ".join(LANDMARKS) + " ", *rows, ""])
    (root / "list_landmarks_align_celeba.txt").write_text(text)
    (root / "identity_CelebA.txt").write_text("".join(f"{n} {i}\n" for n, i in zip(NAMES, identity, strict=True)))
    return landmarks, identity


@pytest.fixture(scope="module")
def celeba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("celeba")
    write_celeba(root)
    write_extra(root)
    return root


@pytest.fixture(scope="module")
def ours(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare(celeba, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def official(celeba: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official builder's own code on our files; only its downloads are replaced."""

    class Downloads:
        def download(self, urls: dict[str, str]) -> dict[str, Path]:
            names = {"landmarks_celeba": "list_landmarks_align_celeba.txt", "identity_celeba": "identity_CelebA.txt"}
            return {key: celeba / names.get(key, key + ".txt") for key in urls} | {"img_align_celeba": celeba}

        def iter_archive(self, root: Path) -> Iterator[tuple[str, Any]]:
            for path in (root / "img_align_celeba").glob("[0-9]*.jpg"):
                yield f"img_align_celeba/{path.name}", path.read_bytes()

    builder: Any = celeb_a_dataset_builder.Builder(data_dir=str(tmp_path_factory.mktemp("official")))
    make_splits = builder._split_generators
    builder._split_generators = lambda dl_manager: make_splits(Downloads())
    builder.download_and_prepare(file_format="array_record")
    return Path(builder.data_dir)


def check(source: CelebATFDS, folder: CelebAFolder) -> None:
    """Every example of `source` is one of `folder`, with the same bytes, labels and split; splits in order."""
    assert len(source) == len(folder) and source.attribute_names == ATTRIBUTES
    rows: dict[Any, Example] = {folder[i].image: folder[i] for i in range(len(folder))}
    examples: list[Any] = [source[i] for i in range(len(source))]
    for example in examples:
        expected = rows[example.image]
        assert example.split == expected.split
        assert example.attrs.dtype == bool
        np.testing.assert_array_equal(example.attrs, expected.attrs)
    assert [e.split for e in examples] == ["train"] * 6 + ["validation"] * 3 + ["test"] * 3
    assert len({e.image for e in examples}) == len(folder)


def test_ours_has_every_example_with_its_name(celeba: Path, ours: Path) -> None:
    folder, source = CelebAFolder(celeba), CelebATFDS(ours)
    check(source, folder)
    names = {folder[i].image: folder[i].image_id for i in range(len(folder))}
    assert all(names[source[i].image] == source[i].image_id for i in range(len(source)))
    assert source.name == "CelebA through TFDS (celeb_a_with_ids 1.0.0)"


def test_ours_opens_from_the_data_dir_the_set_and_the_version(ours: Path) -> None:
    assert ours.parts[-3:] == ("celeb_a_with_ids", "full", "1.0.0")
    for path in (ours, ours.parent, ours.parents[1], ours.parents[2]):
        assert len(CelebATFDS(path)) == 12


def test_ours_through_tfds_itself(celeba: Path, ours: Path) -> None:
    rows = {name: i for i, name in enumerate(NAMES)}
    landmarks, identity = write_extra(celeba)
    folder = CelebAFolder(celeba)
    builder: Any = tfds.builder("celeb_a_with_ids/full", data_dir=ours.parents[2])
    for split in SPLITS:
        for example in builder.as_data_source(split=split):
            name = example["image_id"].decode()
            row = rows[name]
            assert SPLIT_OF[name] == split
            assert example["image"].shape == (218, 178, 3)
            assert [example["attributes"][a] for a in ATTRIBUTES] == folder.attrs[row].tolist()
            assert [example["landmarks"][c] for c in LANDMARKS] == landmarks[row].tolist()
            assert [example["identity"][c] for c in IDENTITY] == [identity[row]]


def test_our_features_are_the_official_ones_and_image_id(ours: Path, official: Path) -> None:
    mine, theirs = (json.loads((p / "features.json").read_text()) for p in (ours, official))
    mine, theirs = mine["featuresDict"]["features"], theirs["featuresDict"]["features"]
    del mine["image_id"]
    assert mine == theirs


def test_what_the_folder_lacks_is_left_out(tmp_path: Path) -> None:
    write_celeba(tmp_path / "zip", names=NAMES[:3], layout="zip")
    directory = prepare(tmp_path / "zip", tmp_path / "out")
    assert directory.parts[-2:] == ("attributes", "1.0.0")
    source = CelebATFDS(directory)
    assert sorted(source[i].image_id for i in range(len(source))) == list(NAMES[:3])
    assert {source[i].split for i in range(3)} == {"train"}


def test_official_build_is_read_and_its_examples_are_numbered(celeba: Path, official: Path) -> None:
    source = CelebATFDS(official.parents[1])
    assert source.name == "CelebA through TFDS (celeb_a 2.1.0)"
    check(source, CelebAFolder(celeba))
    assert [source[i].image_id for i in (0, 5, 6, 11)] == [
        "train-000000",
        "train-000005",
        "validation-000000",
        "test-000002",
    ]


def test_names_follow_from_tfds_order(celeba: Path, official: Path, ours: Path) -> None:
    folder, theirs, mine = CelebAFolder(celeba), CelebATFDS(official), CelebATFDS(ours)
    name_of = {folder[i].image: folder[i].image_id for i in range(len(folder))}
    written = [name_of[theirs[i].image] for i in range(len(theirs))]
    expected = [n for s in SPLITS for n in shuffled_names(s, [n for n in NAMES if SPLIT_OF[n] == s])]
    assert written == expected != list(NAMES)
    assert [mine[i].image_id for i in range(len(mine))] == expected


def test_complete_official_build_has_names(celeba: Path, official: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Ranges of these lengths make the small build a complete one, of files 1 to 12; the examples are in the same order
    # as they would be under those names, for here the names in the files are ours.
    monkeypatch.setattr(
        jvae.data.sources.tfds, "_OFFICIAL_RANGES", {"train": (1, 6), "validation": (7, 9), "test": (10, 12)}
    )
    unknown = CelebATFDS(official)
    known = {}
    for split, first, count, start in (("train", 1, 6, 0), ("validation", 7, 3, 6), ("test", 10, 3, 9)):
        names = shuffled_names(split, [f"{i:06d}.jpg" for i in range(first, first + count)])
        known[split] = (names[1], "".join("01"[int(v)] for v in unknown[start + 1].attrs))
    monkeypatch.setattr(jvae.data.sources.tfds, "_KNOWN_LABELS", known)
    source = CelebATFDS(official)
    assert sorted(source[i].image_id for i in range(12)) == [f"{i:06d}.jpg" for i in range(1, 13)]
    assert [source[i].image_id for i in (1, 7, 10)] == [known[split][0] for split in SPLITS]
    # When the labels of one are not those of its name, no name is trusted.
    monkeypatch.setattr(jvae.data.sources.tfds, "_KNOWN_LABELS", {**known, "test": (known["test"][0], "0" * 40)})
    assert CelebATFDS(official)[0].image_id == unknown[0].image_id == "train-000000"


def test_pack_reads_it_from_many_threads(celeba: Path, ours: Path, tmp_path: Path) -> None:
    store = pack(CelebATFDS(ours), tmp_path / "out", size=32, crop="center", workers=4, progress=False)
    plain = pack(CelebAFolder(celeba), tmp_path / "plain", size=32, crop="center", progress=False)
    order = [plain.index(i) for i in store.image_ids]
    np.testing.assert_array_equal(store.images, plain.images[order])
    np.testing.assert_array_equal(store.attrs, plain.attrs[order])


def said(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        CelebATFDS(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def copy(directory: Path, to: Path) -> Path:
    to.mkdir(parents=True)
    for path in directory.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    return to


def test_nothing_prepared_and_too_much(ours: Path, tmp_path: Path) -> None:
    assert "does not exist: give the data_dir" in said(tmp_path / "none")
    assert "no prepared celeb_a in" in said(tmp_path) and "jvae prepare-tfds" in said(tmp_path)
    copy(ours, tmp_path / "celeb_a" / "2.1.0")
    copy(ours, tmp_path / "celeb_a_with_ids" / "full" / "1.0.0")
    assert "has several data sets: give one of" in said(tmp_path)


def test_another_format_names_the_conversion(official: Path, tmp_path: Path) -> None:
    path = as_tfrecord(official, tmp_path / "celeb_a" / "2.1.0")
    line = said(tmp_path)
    assert f"{path} is in tfrecord format" in line
    assert f"convert it with `jvae convert-tfds {path}`" in line
    info = path / "dataset_info.json"
    info.write_text(info.read_text().replace("tfrecord", "riegeli"))
    assert f"`tfds convert_format --dataset_version_dir={path} --out_file_format=array_record`" in said(path)
    with pytest.raises(InputError, match="is in riegeli format: only tfrecord can be converted here"):
        convert(path)


def test_conversion_makes_it_readable(official: Path, tmp_path: Path) -> None:
    path = as_tfrecord(official, tmp_path / "celeb_a" / "2.1.0")
    before = sorted(p.name for p in path.iterdir())
    assert convert(tmp_path) == path
    expected, found = CelebATFDS(official), CelebATFDS(path)
    assert [found[i].image for i in range(12)] == [expected[i].image for i in range(12)]
    assert set(before) < {p.name for p in path.iterdir()} and len(list(path.iterdir())) == len(before) + 3
    changed = {p: p.stat().st_mtime_ns for p in path.iterdir()}
    assert convert(path) == path  # nothing left to do
    assert changed == {p: p.stat().st_mtime_ns for p in path.iterdir()}


def test_conversion_of_a_cut_file_changes_nothing(official: Path, tmp_path: Path) -> None:
    path = as_tfrecord(official, tmp_path / "celeb_a" / "2.1.0")
    shard = path / "celeb_a-train.tfrecord-00000-of-00001"
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"celeb_a-train\.tfrecord-00000-of-00001 is cut: 5 examples of 6"):
        convert(path)
    assert "is in tfrecord format" in said(path)


def test_a_data_set_that_is_not_celeba(official: Path, tmp_path: Path) -> None:
    path = copy(official, tmp_path / "celeb_a" / "2.1.0")
    text = (path / "features.json").read_text()
    (path / "features.json").write_text(text.replace('"Bald"', '"Hairless"'))
    assert "is not CelebA: its examples have no Bald" in said(path)
    (path / "features.json").write_text("{")
    assert f"{path / 'features.json'} is damaged: it is not JSON" in said(path)


def test_a_cut_file_is_said(ours: Path, tmp_path: Path) -> None:
    path = copy(ours, tmp_path / "celeb_a" / "1.0.0")
    shard = next(path.glob("*train*"))
    shard.write_bytes(shard.read_bytes()[:-5000])
    with pytest.raises(InputError, match=r"cannot be read .*: prepare the data set again") as caught:
        CelebATFDS(path)[0]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", ["image", "split", "label"])
def test_a_data_set_made_from_other_files_is_not_taken_for_this_one(tmp_path: Path, change: str) -> None:
    celeba, out = tmp_path / "celeba", tmp_path / "out"
    write_celeba(celeba, names=NAMES[:3])
    directory = prepare(celeba, out)
    made = {p: p.stat().st_mtime_ns for p in directory.iterdir()}
    assert prepare(celeba, out) == directory and made == {p: p.stat().st_mtime_ns for p in directory.iterdir()}
    before = CelebATFDS(directory).checksum
    if change == "image":
        (celeba / "img_align_celeba" / NAMES[1]).write_bytes(encode(picture(7)))
    elif change == "split":
        (celeba / "list_eval_partition.txt").write_text("".join(f"{name} 2\n" for name in NAMES[:3]))
    else:
        table = celeba / "list_attr_celeba.txt"
        table.write_text(table.read_text().replace(" -1", "  1", 1))
    with pytest.raises(InputError, match="is there, made from other files: give another --data-dir, or --overwrite"):
        prepare(celeba, out)
    good = (celeba / "img_align_celeba" / NAMES[2]).read_bytes()
    (celeba / "img_align_celeba" / NAMES[2]).write_bytes(b"GIF89a")
    with pytest.raises(InputError, match="is not a JPEG"):
        prepare(celeba, out, overwrite=True)
    assert made == {p: p.stat().st_mtime_ns for p in directory.iterdir()}  # the old one stays
    (celeba / "img_align_celeba" / NAMES[2]).write_bytes(good)
    assert prepare(celeba, out, overwrite=True) == directory
    made_anew, folder = CelebATFDS(directory), CelebAFolder(celeba)
    found = {made_anew[i].image_id: made_anew[i] for i in range(3)}
    for i, name in enumerate(NAMES[:3]):
        assert (found[name].image, found[name].split) == (folder[i].image, folder[i].split)
        assert found[name].attrs.tolist() == folder[i].attrs.tolist()
    assert CelebATFDS(directory).checksum != before
    assert [p.name for p in directory.parent.iterdir()] == [directory.name]
    (directory / "metadata.json").unlink()  # as of an older jvae
    with pytest.raises(InputError, match="made from files that it does not name"):
        prepare(celeba, out)


def test_bad_folder_and_bad_image_leave_nothing_prepared(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        prepare(tmp_path / "none", tmp_path / "out")
    write_celeba(tmp_path / "celeba", names=NAMES[:3])
    (tmp_path / "celeba" / "img_align_celeba" / NAMES[1]).write_bytes(encode(picture(0), "GIF"))
    with pytest.raises(InputError, match=f"{NAMES[1]} is not a JPEG") as caught:
        prepare(tmp_path / "celeba", tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert "no prepared celeb_a" in said(tmp_path / "out")
