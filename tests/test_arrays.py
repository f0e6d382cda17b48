import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from jvae.errors import InputError
from jvae.io.arrays import read_npz

WHOLE = {
    "a": np.arange(6.0).reshape(2, 3),
    "f": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "b": np.array([True]),
} | {
    "text": np.array(["é", "😀😀"]),
    "one": np.array("x"),
    "none": np.zeros((0, 4), np.float32),
    "no_text": np.array((), np.str_),
}


def member(header: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + data


def header(descr: object = "<f8", shape: object = (1,), order: object = False) -> str:
    return f"{{'descr': {descr!r}, 'fortran_order': {order!r}, 'shape': {shape!r}, }}"


def said(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_npz(path)
    return str(caught.value)


def test_what_numpy_wrote_is_read(tmp_path):
    np.savez(tmp_path / "x.npz", **WHOLE)  # pyright: ignore[reportArgumentType]
    found = read_npz(tmp_path / "x.npz")
    assert found.keys() == WHOLE.keys()
    for name, value in WHOLE.items():
        np.testing.assert_array_equal(found[name], value, strict=True)
        assert found[name].flags.writeable


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (member(header(shape=(10**15,))), "where float64 [1000000000000000] has 8000000000000000"),
        (member(header(shape=(2**62, 4))), "where float64"),
        (member(header(shape=(-1,)), bytes(8)), "not of numbers or text"),
        (member(header("<U0", (10**15,))), "not of numbers or text"),
        (member(header("|V0", (10**15,))), "not of numbers or text"),
        (member(header("|O", (1,)), b"\x80\x04N."), "array is object [1], not of numbers or text"),
        (member(header([("a", "|O")], (1,)), bytes(8)), "not of numbers or text"),
        (member(header("<M8[s]"), bytes(8)), "not of numbers or text"),
        (member(header("<U1"), struct.pack("<I", 0x110000)), "its text is no Unicode"),
        (member(header("<U1"), struct.pack("<I", 0xD800)), "its text is no Unicode"),
        (member("(" * 100, bytes(8)), "it has no header of an array"),
        (member("[" * 100, bytes(8)), "it has no header of an array"),
        (member("{'descr': '<f8', 'fortran_order': False, 'shape': (", bytes(8)), "it has no header of an array"),
        (member("__import__('os').abort()"), "it has no header of an array"),
        (member(header(), bytes(8), (3, 0)), "format (3, 0), not (1, 0)"),
        (member(header(), bytes(16)), "16 bytes where float64 [1] has 8"),
        (b"", "it has no header of an array"),
    ],
)  # fmt: skip
def test_a_member_that_is_no_array(tmp_path, data, message):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("z.npy", data)
    assert said(tmp_path / "x.npz").startswith(f"z in {tmp_path / 'x.npz'} is damaged") and message in said(
        tmp_path / "x.npz"
    )


def test_what_is_deflated_is_refused_before_it_grows(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", z=np.zeros(10**7))
    assert "its members are deflated or larger than the file" in said(tmp_path / "x.npz")


def test_members_that_share_bytes_are_refused(tmp_path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("z.npy", member(header(), bytes(100_000)))
        archive.filelist *= 50  # the directory names it fifty times
    (tmp_path / "x.npz").write_bytes(file.getvalue())
    assert "larger than the file" in said(tmp_path / "x.npz")


def test_every_changed_byte_is_found_or_has_no_meaning(tmp_path):
    np.savez(tmp_path / "x.npz", z=np.arange(20.0))
    whole = (tmp_path / "x.npz").read_bytes()
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 0x41
        (tmp_path / "y.npz").write_bytes(changed)
        try:
            for value in read_npz(tmp_path / "y.npz").values():
                np.testing.assert_array_equal(value, np.arange(20.0))
        except InputError as error:
            assert str(tmp_path / "y.npz") in str(error)


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "x.npz")
