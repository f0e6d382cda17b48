import numpy as np
import pytest
from PIL import Image

from jvae.data.faces import find_faces, open_store, pick_faces
from jvae.data.packed import PackedStore, pack, preprocess
from jvae.data.source import DataId, Example
from jvae.errors import InputError, InputWarning
from tests.celeba_files import picture


class Plain:
    """Sixty images of one colour each; every third has the first attribute, all have the second."""

    name = "plain"
    attribute_names = ("Eyeglasses", "Young")

    def __len__(self):
        return 60

    def __getitem__(self, i):
        split = ("train", "validation", "test")[i // 20]
        image = np.full((16, 16, 3), 4 * i, np.uint8)
        return Example(image, np.array([i % 3 == 0, True]), f"{i:06d}.jpg", split)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> PackedStore:
    return pack(Plain(), tmp_path_factory.mktemp("stores") / "plain", size=16, crop="center", progress=False)


def test_open_store_checks_the_size(store):
    assert len(open_store(store.path, 16)) == 60
    with pytest.raises(InputError, match=r"holds images of 16x16 but the run was trained on 64x64.*--size 64"):
        open_store(store.path, 64)


def test_a_store_of_another_crop_or_other_data_is_warned_of(store):
    ours = DataId("plain", "center", store.checksum)
    assert DataId.of(store) == DataId.of(open_store(store.path, 16, ours)) == ours
    with pytest.warns(
        InputWarning, match=r"plain are cut by the crop center, and the run was trained on the crop squash"
    ):
        open_store(store.path, 16, DataId("CelebA folder", "squash", "0f"))
    with pytest.warns(
        InputWarning, match=r"plain \(plain\) is not the store that the run was trained on \(CelebA folder\)"
    ):
        open_store(store.path, 16, DataId("CelebA folder", "center", "0f"))


def test_an_image_file_is_cropped_as_the_run_says(store, tmp_path):
    photo = picture(0, 178, 218)
    Image.fromarray(photo).save(tmp_path / "me.png")
    for crop in ("squash", "rendered"):
        (image,) = find_faces(store, [str(tmp_path / "me.png")], crop).images
        np.testing.assert_array_equal(image, preprocess(photo, 16, crop))
        assert (image != preprocess(photo, 16, "center")).any()


def test_faces_by_name_keep_their_order(store):
    faces = find_faces(store, ["000041.jpg", "000007.jpg", "000041.jpg"])
    assert faces.names == ["000041.jpg", "000007.jpg", "000041.jpg"]
    assert faces.images.shape == (3, 16, 16, 3) and faces.images.dtype == np.uint8
    np.testing.assert_array_equal(faces.images[:, 0, 0, 0], [164, 28, 164])


def test_an_image_file_is_cropped_as_the_store_was(store, tmp_path):
    photo = np.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "me.png")
    faces = find_faces(store, ["000001.jpg", str(tmp_path / "me.png")])
    assert faces.names == ["000001.jpg", "me.png"]
    np.testing.assert_array_equal(faces.images[1], preprocess(photo, 16, "center"))


def test_names_of_nothing(store, tmp_path):
    with pytest.raises(InputError, match=r"'000060.jpg'.*0000.*nor is there an image file of that name"):
        find_faces(store, ["000060.jpg"])
    with pytest.raises(InputError, match="nor is there an image file"):
        find_faces(store, [str(tmp_path)])


@pytest.mark.parametrize("content", [b"", b"no image", b"GIF89a"])
def test_files_that_are_no_image(store, tmp_path, content):
    (tmp_path / "me.jpg").write_bytes(content)
    with pytest.raises(InputError, match=r"me\.jpg"):
        find_faces(store, [str(tmp_path / "me.jpg")])


def test_picks_come_from_the_split_and_lack_the_attribute(store):
    faces = pick_faces(store, 5, without="Eyeglasses")
    numbers = [int(name[:6]) for name in faces.names]
    assert len(numbers) == 5 and numbers == sorted(set(numbers))
    assert all(i >= 40 and i % 3 for i in numbers)
    np.testing.assert_array_equal(faces.images[:, 0, 0, 0], np.array(numbers) * 4)
    assert pick_faces(store, 5, without="Eyeglasses").names == faces.names
    assert pick_faces(store, 5, without="Eyeglasses", seed=1).names != faces.names


def test_picks_are_no_more_than_there_are(store):
    assert len(pick_faces(store, 1000).names) == 20
    assert len(pick_faces(store, 1000, split=None).names) == 60


def test_picks_of_nobody(store):
    with pytest.raises(InputError, match="everybody in test has Young"):
        pick_faces(store, 5, without="Young")
    with pytest.raises(InputError, match="did you mean Eyeglasses"):
        pick_faces(store, 5, without="eyeglases")
    with pytest.raises(InputError, match="count=0"):
        pick_faces(store, 0)
