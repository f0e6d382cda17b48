"""The second reader, by which the faults tell a wrong result from a right one."""

from types import SimpleNamespace

import numpy as np
import pytest

from faults import oracle
from tests.celeba_files import encode, picture

IDS = ["1.jpg", "2.jpg"]


def read(names, rows, ids=IDS):
    return SimpleNamespace(attribute_names=names, attrs=np.array(rows, bool), image_ids=ids)


@pytest.mark.parametrize("how", [{}, {"subsampling": 0}, {"restart_marker_blocks": 4}])
def test_a_jpeg_with_a_hole_is_not_whole(how):
    data = encode(picture(0, 60, 50), **how)
    assert oracle.is_whole(data) and oracle.picture(data) is not None
    middle = 3 * len(data) // 4
    for bad in (
        data[:middle] + data[middle + 300 :],
        data[:middle] + b"\xff\xd9",
        data[:middle] + bytes(300) + data[-2:],
    ):
        assert oracle.is_whole(bad) is False
    assert oracle.is_whole(data[:-2] + bytes(9) + data[-2:])  # a few stray bytes
    assert oracle.is_whole(encode(picture(0, 60, 50), progressive=True)) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize(
    "text", ["id,B\u00e4rt,b\r\n1.jpg,1,0\r\n2.jpg,0,yes\r\n", "2\nB\u00e4rt b\n1.jpg  1 -1\n2.jpg -1 1\n"]
)
def test_a_table_is_read_in_any_dialect(encoding, text):
    found = oracle.tables(text.encode(encoding))
    oracle.check_labels(read(["B\u00e4rt", "b"], [[1, 0], [0, 1]]), found)
    oracle.check_labels(read(["b"], [[1], [0]], IDS[::-1]), found)
    for wrong in (
        read(["b", "B\u00e4rt"], [[1, 0], [0, 1]]),
        read(["c"], [[1], [0]]),
        read(["b"], [[0], [1]], ["1.jpg", "3.jpg"]),
    ):
        with pytest.raises(AssertionError, match="not what the table says"):
            oracle.check_labels(wrong, found)


def test_what_is_no_table_or_no_label():
    with pytest.raises(AssertionError):
        oracle.check_labels(read(["a"], [[1], [0]]), oracle.tables(b"id,a,a\n1.jpg,1,0\n"))
    for cells in ("2", "", "nan", "maybe"):
        with pytest.raises(AssertionError):
            oracle.check_labels(read(["a"], [[1], [0]]), oracle.tables(f"id,a\n1.jpg,1\n2.jpg,{cells}\n".encode()))
    splits = SimpleNamespace(splits=["train", "test"], image_ids=IDS)
    oracle.check_splits(splits, oracle.headless(b"1.jpg 0\n2.jpg 2\n"))
    with pytest.raises(AssertionError):
        oracle.check_splits(splits, oracle.tables(b"id,partition\n1.jpg,False\n2.jpg,True\n"))
