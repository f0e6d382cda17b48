"""Folders, zips, tables and data sets that are legitimate and odd, or made to harm."""

import json
import os
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jvae.data.packed import PackedStore, pack
from jvae.data.packing import LABELS, LONGEST_ID, META
from jvae.data.source import Example
from jvae.data.sources import tfds
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.sources.celeba_builder import prepare
from jvae.data.sources.tables import read_frame, read_table
from jvae.errors import LONGEST, InputError
from jvae.io.files import seal, unseal
from tests.celeba_files import NAMES, as_tfrecord, attribute_table, attributes, encode, partition_table, picture
from tests.celeba_files import write_celeba as write

ODD_NAMES = (
    *("a b.jpg", "-1.jpg", "--out.jpg", 'say "no".jpg', "a,b.jpg", "ünï.jpg", "😀.jpg", "line\nend.jpg", "NA.jpg"),
    *("'.jpg", "=1+1.jpg", "#.jpg", "%s.jpg", "{0}.jpg", "$HOME.jpg"),
)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=9)


class Named:
    """A source of plain pictures under any names."""

    name, attribute_names = "named", ("Bald",)

    def __init__(self, ids: list[str]):
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int, /) -> Example:
        return Example(
            np.full((16, 16, 3), index % 251, np.uint8), np.array([index % 2 == 1]), self.ids[index], "train"
        )


def packed(ids: list[str], path: Path, **options: Any) -> PackedStore:
    return pack(Named(ids), path, size=16, crop="squash", progress=False, overwrite=True, **options)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ids=st.lists(texts, min_size=1, max_size=6, unique=True))
def test_a_store_keeps_any_names(ids: list[str], tmp_path: Path) -> None:
    store = packed(ids, tmp_path / "store")
    assert store.image_ids.tolist() == ids
    assert [store.index(name) for name in ids] == list(range(len(ids)))
    assert store.attrs[:, 0].tolist() == [i % 2 == 1 for i in range(len(ids))]


@pytest.mark.parametrize("name", ["", "a\0b", "x" * (LONGEST_ID + 1)])
def test_names_that_no_file_has_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"image 1 has a name of {len(name)} characters"):
        packed(["a", name], tmp_path / "store")
    assert packed(["a", name], tmp_path / "store", skip_bad=True).image_ids.tolist() == ["a"]


def test_a_celeba_folder_with_odd_names(tmp_path: Path) -> None:
    root = tmp_path / "Ünï ♥ data"
    write(root, NAMES[:1])
    images = root / "img_align_celeba"
    (images / NAMES[0]).unlink()
    for i, name in enumerate(ODD_NAMES):
        (images / name).write_bytes(encode(picture(i)))
    for table in root.glob("list_*"):
        table.unlink()
    quoted = tuple('"' + name.replace('"', '""') + '"' for name in ODD_NAMES)
    attrs = attributes(len(ODD_NAMES))
    (root / "list_attr_celeba.csv").write_text(attribute_table(quoted, attrs, csv=True), encoding="utf-8")
    splits = dict.fromkeys(quoted, "train")
    (root / "list_eval_partition.csv").write_text(partition_table(splits, csv=True), encoding="utf-8")
    store = pack(CelebAFolder(root), tmp_path / "störe 1", size=16, crop="center", progress=False)
    assert tuple(store.image_ids) == ODD_NAMES
    np.testing.assert_array_equal(store.attrs, attrs)


def test_quotes_in_the_official_tables_are_parts_of_names(tmp_path: Path) -> None:
    (tmp_path / "identity.txt").write_text('"a.jpg 1\n\'b.jpg 2\nc".jpg 3\n')
    ids, values = read_table(tmp_path / "identity.txt", ["Identity_No"], headed=False)
    assert ids.tolist() == ['"a.jpg', "'b.jpg", 'c".jpg'] and values[:, 0].tolist() == [1, 2, 3]


def test_a_folder_entry_that_is_no_file_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, NAMES[:3])
    images = tmp_path / "img_align_celeba"
    (images / "000009.jpg").mkdir()
    os.mkfifo(images / "000010.jpg")  # opening it would wait for ever
    (images / "000011.jpg").symlink_to("/dev/zero")
    (images / NAMES[0]).rename(tmp_path / "elsewhere.jpg")
    (images / NAMES[0]).symlink_to(tmp_path / "elsewhere.jpg")  # as people who lack space do
    faces = CelebAFolder(tmp_path)
    assert faces.image_ids.tolist() == list(NAMES[:3]) and faces[0].image == (tmp_path / "elsewhere.jpg").read_bytes()


READ = """
import os, sys
from pathlib import Path
from jvae.data.sources.celeba import CelebAFolder
from jvae.data.packed import PackedStore, pack
root = Path(sys.argv[1])
def read():
    faces, store = CelebAFolder(root / "celeba"), PackedStore.open(root / "store")
    return faces, f"{len(faces[0].image)} {len(store.read([0]))}"
read()  # imports all there is to import: the interpreter may lie in a home
os.setgid(65534); os.setuid(65534)
faces, line = read()
print(line)
try:
    pack(faces, root / "other", size=16, crop="center", progress=False)
except OSError as error:
    print(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="becomes another user, to whom files are read-only")
def test_read_only_folders_are_read_and_a_pack_to_one_is_one_line() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        files = write(root / "celeba", NAMES[:2])
        pack(CelebAFolder(root / "celeba"), root / "store", size=16, crop="center", progress=False)
        root.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", READ, name], capture_output=True, text=True, check=True)
        first, second = done.stdout.splitlines()
        assert first == f"{len(files[NAMES[0]])} 1"
        assert "Permission denied" in second and str(root) in second


def zipped(root: Path, members: dict[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    """A CelebA folder whose images are in a zip of these members."""
    write(root, NAMES[:2], "zip")
    with zipfile.ZipFile(root / "img_align_celeba.zip", "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return root / "img_align_celeba.zip"


IMAGE = encode(picture(0))


@pytest.mark.parametrize("folder", ["../../", "/", "/etc/", "..\\", "C:\\x\\", "a/../../", "./", "\\\\host\\share\\"])
def test_where_a_member_claims_to_lie_does_not_matter(folder: str, tmp_path: Path) -> None:
    zipped(tmp_path / "celeba", {f"{folder}{name}": IMAGE for name in NAMES[:2]})
    before = sorted(tmp_path.rglob("*"))
    faces = CelebAFolder(tmp_path / "celeba")
    assert [faces[i].image for i in range(2)] == [IMAGE, IMAGE]
    assert sorted(tmp_path.rglob("*")) == before  # nothing is unpacked


def said(root: Path) -> str:
    with pytest.raises(InputError) as caught:
        CelebAFolder(root)[0]
    assert str(caught.value).isprintable() and len(str(caught.value)) <= LONGEST
    return str(caught.value)


def test_a_member_that_is_a_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo(NAMES[0])
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    zipped(tmp_path, {link: b"/etc/passwd", NAMES[1]: IMAGE})
    assert f"holds {NAMES[0]} as a link" in said(tmp_path)


def test_names_that_differ_by_their_folder_alone_are_refused(tmp_path: Path) -> None:
    zipped(tmp_path, {f"a/{NAMES[0]}": IMAGE, f"b\\{NAMES[0]}": IMAGE})
    assert f"holds {NAMES[0]} twice" in said(tmp_path)


def test_a_member_that_declares_a_giant_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {NAMES[0]: IMAGE, NAMES[1]: IMAGE})
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 24
    data[place : place + 4] = struct.pack("<I", 2**32 - 2)
    path.write_bytes(data)
    assert f"holds {NAMES[0]} of 4,294,967,294 bytes, and 268,435,456 are the most of an image" in said(tmp_path)


def test_a_member_that_inflates_beyond_what_it_declares_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path, {NAMES[0]: bytes(100_000_000), NAMES[1]: IMAGE}, zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02") + 16
    data[place : place + 4] = struct.pack("<I", zlib.crc32(bytes(1000)))
    data[place + 8 : place + 12] = struct.pack("<I", 1000)
    path.write_bytes(data)
    assert said(tmp_path) == f"{NAMES[0]} is damaged in img_align_celeba.zip"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"image_id,partition\n\n\n\na.jpg" + b",1" * 1_000_000, "has a line of more than 100,000 characters"),
        (b"image_id" + b",x" * 1_000_000, "has a line of more than 100,000 characters"),
        (b"image_id,partition\na,1\nc,1\nb" + b",1" * 1_000_000, "Expected 2 fields in line 4, saw 1000001"),
        (b"image_id,partition\n\xff.jpg,1\n", "is not in UTF-8: save it so"),
        (b"image_id,partition\na.jpg,1\xff\n", "is not in UTF-8: save it so"),
        (b"image_id,partition\na.jpg,1\0\n", "has '1\\x00' for partition of a.jpg"),
        (b"image_id,partition\na.jpg,1e400\n", "has '1e400' for partition of a.jpg"),
        (b"image_id,partition\na.jpg,99999999999999999999\n", "has '99999999999999999999' for partition"),
        (b'image_id,partition\n"a.jpg,1\n', "EOF inside string"),
        (b"image_id,partition\nx\x1b[2Jy,z\n", "for partition of x\\x1b[2Jy"),
    ],
)  # fmt: skip
def test_tables_made_to_harm(text: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(text)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "x.csv", ["partition"])
    assert message in str(caught.value) and str(caught.value).isprintable()


def test_names_in_another_encoding_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes("image_id,Lächeln\na.jpg,1\n".encode("latin-1"))
    for read in (read_frame, lambda path: read_table(path, ["Lächeln"])):
        with pytest.raises(InputError, match=r"x\.csv is not in UTF-8: save it so"):
            read(tmp_path / "x.csv")


@pytest.mark.parametrize("count", ["²", "9" * 5000, "-3", "1_0"])
def test_a_count_that_is_none(count: str, tmp_path: Path) -> None:
    write(tmp_path, NAMES[:2])
    path = tmp_path / "list_attr_celeba.txt"
    path.write_text(path.read_text().replace("2\n", f"{count}\n", 1), encoding="utf-8")
    assert "its first line is the count of its rows" in said(tmp_path)


def change_meta(store: Path, **fields: Any) -> None:
    meta = unseal(json.loads((store / META).read_text()))
    (store / META).write_text(json.dumps(seal(meta | fields)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"count": 10**15}, "do not fit together"),
        ({"count": 10**15, "block_rows": 10**15}, "labels.csv has 2 rows"),
        ({"count": -1}, "-1 images of 16 pixels"),
        ({"size": 0}, "2 images of 0 pixels"),
        ({"size": 10**9}, "images.npy is uint8 [2, 16, 16, 3]"),
        ({"crop": "../x"}, "2 images of 16 pixels, ../x"),
        ({"crc32": {}}, "2 images of 16 pixels"),
        ({"attribute_names": ["Bald", "Bald"]}, "do not fit together"),
        ({"attribute_names": ["image_id"]}, "do not fit together"),
        ({"attribute_names": "Bald"}, "attribute_names is 'Bald', not tuple[str, ...]"),
        ({"format": "2"}, "format is '2', not int"),
    ],
)
def test_a_store_whose_meta_was_made_up(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    packed(["a", "b"], tmp_path / "store")
    change_meta(tmp_path / "store", **fields)
    with pytest.raises(InputError) as caught:
        PackedStore.open(tmp_path / "store")
    assert message in str(caught.value) and str(caught.value).startswith(str(tmp_path / "store"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,train,0\nb,train,2\n", "has a label that is neither 0 nor 1"),
        ("a,train,0\nb,train,256\n", "is damaged"),
        ("a,train,0\nb,train,-1\n", "is damaged"),
        ("a,train,0\n" + "b" * 300 + ",train,1\n", "has an image_id of more than 255 characters"),
        ("a,train,0" + ",1" * 1_000_000 + "\nb,train,1\n", "has a line of more than 100,000 bytes"),
    ],
)
def test_a_store_whose_labels_were_made_up(rows: str, message: str, tmp_path: Path) -> None:
    packed(["a", "b"], tmp_path / "store")
    data = f"image_id,split,Bald\n{rows}".encode()
    (tmp_path / "store" / LABELS).write_bytes(data)
    change_meta(tmp_path / "store", crc32={LABELS: f"{zlib.crc32(data):08x}"})
    with pytest.raises(InputError, match=f"labels.csv {message}"):
        PackedStore.open(tmp_path / "store")


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tfds")
    write(root / "celeba", NAMES[:4])
    return as_tfrecord(prepare(root / "celeba", root / "made"), root / "old")


def changed(data_set: Path, to: Path, name: str, old: str, new: str) -> Path:
    to.mkdir()
    for path in data_set.iterdir():
        (to / path.name).write_bytes(path.read_bytes())
    text = (to / name).read_text()
    assert old in text
    (to / name).write_text(text.replace(old, new))
    return to


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("dataset_info.json", '"{DATASET}-', '"../outside/{DATASET}-', "outside of it"),
        ("dataset_info.json", '"{DATASET}-', '"/tmp/{DATASET}-', "outside of it"),
        ("dataset_info.json", '"4"', '"1000000000000000"', "says it has 1,000,000,000,000,000 examples in"),
        ("features.json", "tensorflow_datasets.core.features.image", "this.image", "features of 'this.image"),
        ("features.json", "{", "[" * 100_000, "lie too deep in one another"),
    ],
)  # fmt: skip
def test_data_sets_made_to_harm(data_set: Path, tmp_path: Path, name: str, old: str, new: str, message: str) -> None:
    path = changed(data_set, tmp_path / "set", name, old, new)
    for read in (tfds.convert, tfds.CelebATFDS):
        with pytest.raises(InputError) as caught:
            read(path)
        assert message in str(caught.value) and str(caught.value).isprintable()
    assert os.listdir(tmp_path) == ["set"]
    assert "this" not in sys.modules


def test_a_data_set_without_examples(data_set: Path, tmp_path: Path) -> None:
    path = tfds.convert(changed(data_set, tmp_path / "set", "dataset_info.json", '"train"', '"train"'))
    (path / "dataset_info.json").write_text((path / "dataset_info.json").read_text().replace('"train"', '"other"'))
    with pytest.raises(InputError, match="has no examples in train, validation, test"):
        tfds.CelebATFDS(path)


def test_an_error_is_one_line_whatever_the_names() -> None:
    message = str(InputError("a\nb\x1b[31m\u202e" + "x" * 10_000 + "\ud800"))
    assert message.startswith("a\\nb\\x1b[31m\\u202e") and message.endswith("\\ud800")
    assert message.isprintable() and len(message) <= LONGEST and " ... " in message
    assert str(InputError("São Paulo 😀")) == "São Paulo 😀"
