"""A valid file in, one that is changed at random out; always the same for the same random numbers."""

import io
import random
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence

SIZES = (0, 1, 2, 127, 128, 255, 256, 32767, 65535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**53, 2**63 - 1, 2**64 - 1)
WORDS = (
    *(b"0", b"-1", b"2", b"1e400", b"nan", b"NaN", b"-Infinity", b"0x10", b"1.5", b"9" * 25, b"9" * 5000,
      b"1" + b"0" * 15),
    *(b"null", b"true", b'""', b'"', b"'", b",", b";", b"\n", b"\r", b"\r\n", b"\t", b"\0", b"\\", b"#",
      b"{", b"[", b"]"),
    *(b"[" * 100_000, b'{"a":' * 20_000, b"{}", b"[]", b'"\\ud800"', b"\xff\xfe", b"\xc3",
      b"\xf0\x9f\x98\x80", b"\x1b[2J"),
    *(b"../../x", b"/etc/passwd", b"C:\\x", b"," * 50_000, b" 1" * 50_000,
      b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"(", b"-"),
)  # fmt: skip


def mutate(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds after one to four changes."""
    data = rng.choice(seeds)
    for _ in range(rng.choice((1, 1, 2, 4))):
        data = rng.choice(CHANGES)(rng, data, rng.choice(seeds))
    return data


def _flip(rng: random.Random, data: bytes, other: bytes) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 20))):
        if out:
            out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)
    return bytes(out)


def _set(rng: random.Random, data: bytes, other: bytes) -> bytes:
    out = bytearray(data)
    if out:
        out[rng.randrange(len(out))] = rng.choice((0, 1, 127, 128, 254, 255))
    return bytes(out)


def _cut(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, stop = _part(rng, data)
    return data[:start] + data[stop:]


def _repeat(rng: random.Random, data: bytes, other: bytes) -> bytes:
    start, stop = _part(rng, data)
    times = rng.choice((2, 2, 3, 50))
    return data[:start] + data[start:stop] * times + data[stop:]


def _splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _length(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """An absurd number where a length may be."""
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(SIZES) & (1 << 8 * width) - 1
    at = rng.randrange(len(data) + 1)
    return data[:at] + value.to_bytes(width, rng.choice(("little", "big"))) + data[at + width :]


def _number(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Something else where a number is written."""
    places = [m.span() for m in re.finditer(rb"-?\d+", data)]
    if not places:
        return _word(rng, data, other)
    start, stop = rng.choice(places)
    return data[:start] + rng.choice((*WORDS, str(rng.choice(SIZES)).encode())) + data[stop:]


def _swap(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Two of the words in each other's place."""
    places = [m.span() for m in re.finditer(rb"[^\s,:\"\[\]]+", data[:20_000])]
    if len(places) < 2:
        return data
    (a, b), (c, d) = sorted(rng.sample(places, 2))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def _word(rng: random.Random, data: bytes, other: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(WORDS) + data[at:]


CHANGES: tuple[Callable[[random.Random, bytes, bytes], bytes], ...] = (
    _flip, _flip, _set, _cut, _drop, _repeat, _splice, _length, _length, _number, _word, _swap,
)  # fmt: skip


def _part(rng: random.Random, data: bytes) -> tuple[int, int]:
    start = rng.randrange(len(data) + 1)
    return start, min(len(data), start + rng.choice((1, 4, 16, 64, 1024)))


def mutate_png(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """As `mutate`, or one chunk changed, with its length and its checksum."""
    if rng.random() < 0.2:
        return mutate(rng, seeds)
    data = rng.choice(seeds)
    bodies, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        bodies.append(data[at + 4 : at + 8 + length])
        at += 12 + length
    i = rng.randrange(len(bodies))  # one of the few small ones, as a rule
    bodies[i] = mutate(rng, [bodies[i], rng.choice(bodies)])
    chunks = [struct.pack(">I", max(0, len(body) - 4)) + body + struct.pack(">I", zlib.crc32(body)) for body in bodies]
    return data[:8] + b"".join(chunks)


def mutate_zip(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """As `mutate`, or one of the members changed and the zip whole."""
    if rng.random() < 0.4:
        return mutate(rng, seeds)
    with zipfile.ZipFile(io.BytesIO(rng.choice(seeds))) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    name = rng.choice(list(members))
    what = rng.random()
    if what < 0.1:
        del members[name]
    elif what < 0.5 and members[name].startswith(b"\x93NUMPY"):  # its header, at the same length where that can be
        end = 10 + int.from_bytes(members[name][8:10], "little")
        head = mutate(rng, [members[name][:end]])
        members[name] = head.ljust(end)[: max(end, len(head))] + members[name][end:]
    else:
        members[name] = mutate(rng, [members[name], members[rng.choice(list(members))]])
    out = io.BytesIO()
    with zipfile.ZipFile(
        out, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    ) as archive:
        for key, value in members.items():
            archive.writestr(key, value)
    return out.getvalue()


def mutate_jpeg(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A JPEG whose head is whole and whose pixels are not: as broken disks, transfers and cards leave them."""
    data = rng.choice(seeds)
    scan = data.index(b"\xff\xda") + 14  # its own head comes first
    head, body = data[:scan], data[scan:-2]
    at = rng.randrange(len(body))
    some = rng.choice((1, 2, 8, 64, 512, 1500))
    how = rng.choice(("zeros", "ones", "removed", "twice", "bytes", "bit", "cut", "marker", "swapped", "stray"))
    if how == "zeros":
        body = body[:at] + bytes(min(some, len(body) - at)) + body[at + some :]
    elif how == "ones":
        body = body[:at] + b"\xff\x00" * (some // 2) + body[at + some :]
    elif how == "removed":
        body = body[:at] + body[at + some :]
    elif how == "twice":
        body = body[: at + some] + body[at:]
    elif how == "bytes":
        body = body[:at] + rng.randbytes(some) + body[at + some :]
    elif how == "bit":
        body = body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]
    elif how == "cut":
        body = body[:at]
    elif how == "marker":
        body = body[:at] + bytes([0xFF, rng.choice((0xD0, 0xD3, 0xD8, 0xD9, 0xC4, 0xFE))]) + body[at:]
    elif how == "swapped":
        body = body[:at] + body[at + some : at + 2 * some] + body[at : at + some] + body[at + 2 * some :]
    else:
        body += rng.randbytes(some)
    return head + body + rng.choice((b"\xff\xd9", b"\xff\xd9", b"\xff\xd9", b""))
