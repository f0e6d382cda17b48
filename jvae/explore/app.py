"""Requests of a page in, by name; replies out. It holds nothing of any page: each request says all there is to know."""

import dataclasses
import importlib.util
import io
import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jvae.errors import InputError
from jvae.explore import reading
from jvae.explore.asks import WHAT, jpeg, png, read_ask, text
from jvae.explore.command import command
from jvae.explore.studio import Studio, enlarged
from jvae.io.fields import build, read_object
from jvae.latent.groups import grouped
from jvae.latent.kinds import FUNCTIONS, Kind
from jvae.latent.vectors import AttributeVectors
from jvae.photo.frame import FEWEST

GRID = (-3.0, -1.5, 0.0, 1.5, 3.0)  # standard deviations, of each of two attributes

Query = Mapping[str, str]


class Reply(NamedTuple):
    """What goes back to the page."""

    body: bytes
    type: str = "application/json"
    status: int = 200


def as_json(value: Any, status: int = 200) -> Reply:
    """A reply of JSON."""
    return Reply(json.dumps(value).encode(), status=status)


@dataclasses.dataclass(frozen=True)
class Framed:
    """Which face of a photograph that was sent before: see `Studio.from_photo`."""

    photo: str
    eyes: tuple[float, ...] = ()


class App:
    """What the page can ask for: functions of a query and a body, by the path they are asked at.

    Attributes:
      studio: the run.
      data: the store, as it was given, or None.
      estimate: makes the run's attribute vectors; None where it cannot.
      vectors_file: where the vectors are from, as it was given; None is the run's own.
    """

    def __init__(
        self,
        studio: Studio,
        data: Path | None,
        estimate: Callable[[], AttributeVectors] | None = None,
        vectors: Path | None = None,
    ) -> None:
        self.studio, self.data, self.estimate, self.vectors_file = studio, data, estimate, vectors
        self._estimating = threading.Lock()
        self.gets: dict[str, Callable[[Query], Reply]] = {
            "/api/setup": self.setup,
            "/api/faces": self.faces,
            "/api/face": lambda query: as_json(dataclasses.asdict(studio.from_store(query.get("id", "")))),
            "/api/sample": lambda query: as_json(dataclasses.asdict(studio.sample(_whole(query.get("seed", "0"))))),
            "/api/scorecard": lambda query: Reply(reading.scorecard(studio), "image/png"),
            "/api/map": lambda query: Reply(reading.vector_map(studio), "image/png"),
            "/api/worst": self.worst,
        }
        self.posts: dict[str, Callable[[Query, bytes], Reply]] = {
            "/api/photo": self.photo,
            "/api/framed": self.framed,
            "/api/show": self.show,
            "/api/around": self.around,
            "/api/picture": self.picture,
            "/api/movie": self.movie,
            "/api/command": self.command,
            "/api/latent": self.latent,
            "/api/vectors": self.vectors,
        }

    def setup(self, query: Query) -> Reply:
        """What the page is made of."""
        studio, known = self.studio, self.studio.known
        names = known.attribute_names if known else ()
        more = ("balanced",) * bool(names) + ("learned",) * bool(known and known.learned)
        return as_json(
            {
                "run": str(studio.run),
                "model": studio.model.digest,
                "size": studio.model.image_size,
                "groups": grouped(names),
                "missing": known.of_kind(Kind()).missing if known else {},
                "kinds": [*(kind for kind in FUNCTIONS if kind != "conditional"), *more],
                "kind": {"conditional": "difference"}.get(known.kind.name, known.kind.name) if known else "difference",
                "balance": known.kind.balance if known else (),
                "keep": known.kind.keep if known else (),
                "faces": len(studio.store) if studio.store else 0,
                "judged": studio.judge.attribute_names if studio.judge else (),
                "mp4": importlib.util.find_spec("av") is not None,
                "grid": GRID,
                "estimates": self.estimate is not None,
            }
        )

    def faces(self, query: Query) -> Reply:
        """Faces of the store to choose from, as `Studio.find` finds them."""
        studio, seed = self.studio, _whole(query.get("seed", "0"))
        rows = studio.find(query.get("words", ""), seed, query.get("without", ""))
        found = [{"id": image_id, "image": text(png(studio.tile(image_id)))} for image_id in rows]
        return as_json(found)

    def worst(self, query: Query) -> Reply:
        """Faces beside their reconstructions, those farthest off first."""
        found, count = reading.worst(self.studio)
        tiles = [np.concatenate([self.studio.tile(name), decoded], axis=1) for name, _, decoded in found]
        listed = [
            {"id": name, "error": error, "image": text(png(tile))}
            for (name, error, _), tile in zip(found, tiles, strict=True)
        ]
        return as_json({"count": count, "faces": listed})

    def photo(self, query: Query, body: bytes) -> Reply:
        """A photograph's file → the faces in it, and the one to start from where there is just one."""
        studio = self.studio
        key = studio.photos.add(body, query.get("name", "photograph"))
        sight = studio.photos.look(key)
        faces = [[face.left.real, face.left.imag, face.right.real, face.right.imag] for face in sight.faces]
        fits = [eyes for eyes, face in zip(faces, sight.faces, strict=True) if face.apart >= FEWEST]
        found: dict[str, Any] = {"photo": key, "faces": faces, "scale": sight.scale, "image": text(sight.jpeg)}
        if len(faces) == len(fits) == 1:
            found["start"] = dataclasses.asdict(studio.from_photo(key, tuple(fits[0])))
        return as_json(found)

    def framed(self, query: Query, body: bytes) -> Reply:
        """One face of a photograph, by its eyes."""
        wanted = build(Framed, read_object(body, WHAT), WHAT)
        if len(wanted.eyes) not in (0, 4):
            raise InputError(f"{len(wanted.eyes)} numbers are no two eyes, x y x y")
        return as_json(dataclasses.asdict(self.studio.from_photo(wanted.photo, wanted.eyes)))

    def show(self, query: Query, body: bytes) -> Reply:
        """The picture, and what it shows."""
        began = time.perf_counter()
        ask, _ = read_ask(body)
        picture, chances = self.studio.show(ask)
        small = len(picture) == self.studio.model.image_size
        written, kind = (png, "image/png") if small else (jpeg, "image/jpeg")
        image = written(picture, self.studio.profile(ask))
        ms = 1000 * (time.perf_counter() - began)
        return as_json({"image": text(image), "type": kind, "chances": chances, "ms": ms})

    def around(self, query: Query, body: bytes) -> Reply:
        """The face with two attributes changed at once: its tiles as one picture, row by row."""
        ask, rest = read_ask(body)
        tiles = self.studio.around(ask, str(rest.get("x")), str(rest.get("y")), GRID)
        rows, columns, h, w, _ = tiles.shape
        return as_json({"image": text(png(tiles.swapaxes(1, 2).reshape(rows * h, columns * w, 3)))})

    def picture(self, query: Query, body: bytes) -> Reply:
        """The picture as a file: as it is shown, at 4 times its size, or the whole photograph."""
        ask, rest = read_ask(body)
        whole = rest.get("whole")
        picture = self.studio.whole(ask) if whole else self.studio.show(ask)[0]
        if rest.get("times") == 4 and not whole:
            picture = enlarged(picture, 4)
        return Reply(png(picture, self.studio.profile(ask)), "image/png")

    def movie(self, query: Query, body: bytes) -> Reply:
        """An animation of a morph as a file."""
        ask, rest = read_ask(body)
        mp4 = rest.get("suffix") == ".mp4"
        return Reply(self.studio.movie(ask, ".mp4" if mp4 else ".gif"), "video/mp4" if mp4 else "image/gif")

    def command(self, query: Query, body: bytes) -> Reply:
        """The command that makes the same picture, and the file it needs: see `command`."""
        known = self.studio.known
        if known is None:
            raise InputError(f"{self.studio.run} has no attribute vectors, which the command would need")
        line, file = command(self.studio.run, self.data, read_ask(body)[0], known.names[0], self.vectors_file)
        return as_json({"command": line, "file": file})

    def latent(self, query: Query, body: bytes) -> Reply:
        """The latent that the sliders start from, as a .npy file."""
        out = io.BytesIO()
        np.save(out, self.studio.base(read_ask(body)[0]), allow_pickle=False)
        return Reply(out.getvalue(), "application/octet-stream")

    def vectors(self, query: Query, body: bytes) -> Reply:
        """Makes the attribute vectors of a run that has none."""
        with self._estimating:
            if self.studio.known is None:
                if self.estimate is None:
                    raise InputError("vectors are made of a labelled store: start jvae explore with --data")
                self.studio.known = self.estimate()
        return self.setup(query)


def _whole(number: str) -> int:
    """A seed, from 0 on; InputError where it is none."""
    if not number.isascii() or not number.isdigit() or len(number) > 15:
        raise InputError(f"seed={number[:20]!r} must be a whole number from 0 on")
    return int(number)
