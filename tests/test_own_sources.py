"""What people's own sources yield: images of every kind, ids that are numbers, and what is no example at all."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from jvae.data.decoded import DecodedStore
from jvae.data.packed import PackedStore, pack
from jvae.data.source import Example
from jvae.data.sources.celeba import ATTRIBUTES
from jvae.errors import InputError
from tests.celeba_files import NAMES, encode, picture, write_celeba
from tests.folders import write
from tests.sources import Pictures, Rendered


class Own(Pictures):
    """Three examples as they are given; of one, the others are like it."""

    def __init__(self, *given: Any, **members: Any):
        super().__init__(3)
        self.given = given
        vars(self).update(members)

    def __getitem__(self, index: int, /) -> Any:
        return self.given[index % len(self.given)]


def examples(*images: Any, ids: tuple[Any, ...] = ("a", "b", "c"), labels: Any = (True, False)) -> list[Example]:
    return [Example(image, labels, image_id, "train") for image, image_id in zip(images, ids, strict=True)]


def both(source: Any, out: Path) -> list[PackedStore | DecodedStore]:
    """The source packed, and as it is."""
    return [pack(source, out, size=16, crop="squash", progress=False), DecodedStore(source, size=16, crop="squash")]


def said(source: Any, out: Path) -> set[str]:
    """What is said of a source when it is packed, and when its images are decoded on the way."""
    lines = set()
    for read in (lambda: pack(source, out, size=16, progress=False), lambda: DecodedStore(source, size=16).images[[0]]):
        with pytest.raises(InputError) as caught:
            read()
        lines.add(str(caught.value))
    assert not out.exists()
    return lines


def test_images_are_pixels_pillows_bytes_or_paths(tmp_path: Path) -> None:
    pixels = picture(0, 20, 20)
    file = tmp_path / "x.png"
    file.write_bytes(encode(pixels, "PNG"))
    opened = Image.open(file)
    given = (
        Image.fromarray(pixels),
        opened,
        file,
        str(file),
        memoryview(file.read_bytes()),
        bytearray(encode(pixels, "PNG")),
    )
    for kind in range(0, 6, 3):
        for store in both(Own(*examples(*given[kind : kind + 3])), tmp_path / f"out{kind}"):
            images = store.images[np.arange(3)]
            expected = pack(Own(*examples(*[pixels] * 3)), tmp_path / "is", size=16, crop="squash", overwrite=True)
            np.testing.assert_array_equal(images, expected.images)


def test_an_image_of_pillows_is_read_as_its_file(tmp_path: Path) -> None:
    turned, clear = Image.fromarray(picture(1, 20, 30)), Image.new("RGBA", (20, 20))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save(tmp_path / "a.jpg", exif=exif)
    clear.save(tmp_path / "b.png")
    names = [tmp_path / "a.jpg", tmp_path / "b.png", tmp_path / "b.png"]
    one, other = (
        pack(Own(*examples(*given)), tmp_path / how, size=16, crop="squash", progress=False).images
        for how, given in (("files", names), ("pillow", map(Image.open, names)))
    )
    np.testing.assert_array_equal(one, other)
    assert (one[1] == 255).all()


def test_ids_may_be_numbers(tmp_path: Path) -> None:
    source = Own(*examples(*[picture(0, 16, 16)] * 3, ids=(7, np.int64(8), "9")))
    assert pack(source, tmp_path / "out", size=16, progress=False).image_ids.tolist() == ["7", "8", "9"]
    assert len(DecodedStore(source, size=16)) == 3


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ([[0, 0], [0]], "a is a list: give pixels, a Pillow image, or the bytes or path of a file"),
        (None, "a is a NoneType: give pixels"),
        ("none.png", "a is the file none.png, which cannot be read: No such file or directory"),
        (np.zeros((16, 16, 3)), "a is float64 [16, 16, 3]: pixels are uint8 [h,w,3]"),
        (Image.new("F", (16, 16)), "a has pixels of Pillow's mode F: save it as JPEG or PNG"),
    ],
)
def test_what_is_no_image_is_named(tmp_path: Path, image: Any, message: str) -> None:
    lines = said(Own(*examples(image, *[picture(0, 16, 16)] * 2)), tmp_path / "out")
    assert len(lines) == 2 and all(message in line for line in lines)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"image": 0, "attrs": 1, "image_id": 2, "split": 3},
            "is a dict: give an Example(image, attrs, image_id, split)",
        ),
        ((np.zeros((16, 16, 3), np.uint8), 1), "is a tuple: give an Example(image, attrs, image_id, split)"),
        ((b"", (True, True), None, "train"), "has the image_id None: give a text, or a number"),
    ],
)
def test_what_is_no_example_is_refused(tmp_path: Path, given: Any, message: str) -> None:
    assert all(message in line for line in said(Own(given), tmp_path / "out"))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((True,), "image a has 1 labels and the source 2 attributes: give one for each"),
        (((True, False), (True,)), "image a has odd labels and the source 2 attributes: give one for each"),
        (None, "image a has 1 labels and the source 2 attributes: give one for each"),
    ],
)
def test_ragged_labels_are_refused(tmp_path: Path, labels: Any, message: str) -> None:
    source = Own(*examples(*[picture(0, 16, 16)] * 3, labels=labels))
    assert said(source, tmp_path / "out") == {message}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([1, 2], "a list has no name, as a source has (see jvae.Source): give one, or the path of a folder of images"),
        (Own(name=None), "the source has the name None: give it a text"),
        (Own(count=0), "the source pictures has no images"),
        (Own(attribute_names="Smile"), "attribute_names is the str 'Smile': give a tuple of names"),
        (Own(attribute_names=None), "attribute_names is the NoneType None: give a tuple of names"),
        (Own(attribute_names={"Smile"}), "attribute_names is the set {'Smile'}: give a tuple of names"),
        (Own(attribute_names=(1, 2)), "attribute 1 is no text: rename it"),
        (Own(*examples(*[picture(0, 16, 16)] * 3), attribute_names=["a", "a"]), "attribute 'a' is there twice"),
        (Own(Example(picture(0, 16, 16), (True, False), "a", 0)), "image a is of the split 0: a split is train"),  # pyright: ignore
        (Own(ranges={"val": (0, 3)}, checksum="x"), ""),
    ],
)
def test_what_is_no_source_is_refused(tmp_path: Path, source: Any, message: str) -> None:
    if message:
        assert all(message in line for line in said(source, tmp_path / "out"))
        return
    with pytest.raises(InputError, match="is of the split 'val': a split is train, validation, test"):
        DecodedStore(source, size=16)


def test_a_path_is_packed_as_the_folder_that_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = write(tmp_path / "folder", "0.png", "a/1.png")
    monkeypatch.chdir(tmp_path)
    assert pack("folder", "out", size=16, progress=False).image_ids.tolist() == names
    write_celeba(tmp_path / "celeba")
    store = pack(tmp_path / "celeba", tmp_path / "labelled", size=16, progress=False)
    assert store.attribute_names == ATTRIBUTES and store.image_ids.tolist() == list(NAMES)
    with pytest.raises(InputError, match=r"^celebra does not exist: give a folder of images, or a zip$"):
        pack("celebra", "other")
    assert "other" not in os.listdir(tmp_path)


def test_a_split_without_images_is_said_with_a_way_out(tmp_path: Path) -> None:
    for store in both(Own(*examples(*[picture(0, 16, 16)] * 3)), tmp_path / "out"):
        with pytest.raises(InputError, match=r"has no validation images \(it has 3 train\): give data that has"):
            store.indices("validation")
        with pytest.raises(InputError, match="unknown split 'val': there are: train, validation, test"):
            store.indices("val")


def test_labels_of_one_attribute_need_no_row_and_names_may_be_any_list(tmp_path: Path) -> None:
    one = Own(*examples(*[picture(0, 16, 16)] * 3, labels=True), attribute_names=pd.Index(["Smile"]))
    for store in both(one, tmp_path / "out"):
        assert store.attribute_names == ("Smile",) and store.attrs[np.arange(3)].tolist() == [[True]] * 3


def test_a_label_that_pandas_lacks_is_refused(tmp_path: Path) -> None:
    source = Own(*examples(*[picture(0, 16, 16)] * 3, labels=[1, pd.NA]))
    assert said(source, tmp_path / "out") == {"image a has <NA> for Large: a label is False or True, or 0 or 1"}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"render": lambda rows: np.zeros((len(rows), 16, 16, 3), np.float32)}, "gave float32 [70, 16, 16, 3]"),
        ({"render": lambda rows: np.zeros((len(rows), 32, 32, 3), np.uint8)}, "gave uint8 [70, 32, 32, 3]"),
        ({"render": lambda rows: np.zeros((len(rows) + 1, 16, 16, 3), np.uint8)}, "gave uint8 [71, 16, 16, 3]"),
        ({"image_id": lambda row: None}, "example 0 of the source has the image_id None"),
        ({"image_id": lambda row: ""}, "image 0 has a name of 0 characters"),
        ({"split": lambda row: "val"}, "is of the split 'val'"),
    ],
)
def test_what_is_drawn_is_what_a_store_holds(tmp_path: Path, members: dict[str, Any], message: str) -> None:
    source = Rendered(70)
    vars(source).update(members)
    with pytest.raises(InputError) as caught:
        pack(source, tmp_path / "out", size=16, progress=False)
    assert message in str(caught.value) and not any(tmp_path.iterdir())


def streamed(**members: Any) -> DecodedStore:
    """Three pictures as a source with these members besides is streamed."""
    return DecodedStore(Own(*examples(*[picture(0, 16, 16)] * 3), **members), size=16)


ARRAYS = {"image_ids": [7, 8, 9], "splits": ["train"] * 3, "attrs": [(True, False)] * 3}


@pytest.mark.parametrize(
    "members", [{}, ARRAYS, {"image_ids": [7, 8, 9]}, {"ranges": {"train": (0, 3), "test": (3, 3)}}]
)
@pytest.mark.parametrize("checksum", [{}, {"checksum": "x"}])
def test_a_source_streams_by_what_it_has_whole(members: dict[str, Any], checksum: dict[str, str]) -> None:
    store = streamed(**members, **checksum)
    assert len(store.indices("train")) == 3 and store.attrs[np.arange(3)].tolist() == [[True, False]] * 3
    with pytest.raises(InputError, match="has no test images"):
        store.indices("test")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (ARRAYS | {name: values[:2]}, "has 3 images, and image_ids, splits or attrs of 2: give one for each image")
        for name, values in ARRAYS.items()
    ]
    + [
        (ARRAYS | {"attrs": [(1, -1)] * 3}, "image 7 has -1 for Large"),
        ({"checksum": "x", "ranges": {"train": (0, 9)}}, "of 3 images has the ranges {'train': (0, 9)}: give rows"),
        ({"checksum": "x", "ranges": {"train": (0, 2), "test": (1, 3)}}, "each in one range"),
    ],
)
def test_arrays_and_ranges_that_do_not_fit_are_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        streamed(**members)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (examples(b"", b"", b"", labels=(1, -1)), "image a has -1 for Large: a label is"),
        (examples(b"", b"", b"", labels=(1,)), "image a has 1 labels and the source 2 attributes"),
        (examples(b"", b"", b"")[:2], "the source pictures gave 2 examples for 3 rows: give one for each"),
        (examples(b"", b"", b"") * 2, "the source pictures gave 6 examples for 3 rows: give one for each"),
        ([{}, {}, {}], "example 0 of the source is a dict: give an Example("),
    ],
)
def test_labels_read_on_the_way_are_checked_as_they_are_when_packed(given: list[Any], message: str) -> None:
    store = streamed(ranges={"train": (0, 3)}, checksum="x", examples=lambda rows: given)
    with pytest.raises(InputError) as caught:
        _ = store.attrs[np.arange(3)]
    assert message in str(caught.value)
