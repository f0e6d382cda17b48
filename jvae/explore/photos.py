"""The bytes of photographs in; the face as the model sees it, and the photograph with an edit pasted, out.

The last photographs are kept, so that a page need not send one with every move of a slider. A page whose photograph was
dropped in favour of later ones sends it again.
"""

import functools
import hashlib
import threading
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
from PIL import Image

from jvae.data.packed import preprocess
from jvae.errors import InputError
from jvae.explore.asks import jpeg
from jvae.photo.eyes import DetectedFace, detect
from jvae.photo.frame import Alignment, Photo, align, alignment_by_eyes, cut_out, decode_photo, paste

KEPT = 400e6  # bytes of photographs, as files
CLOSE_UP = 384  # pixels of the longer side of what is shown
PREVIEW = 960  # pixels of the longer side of the whole photograph, on which eyes are set


class Gone(InputError):
    """The photograph is not kept any more."""


class Sight(NamedTuple):
    """A photograph, small, and the faces that were found in it.

    Attributes:
      jpeg: the photograph, at most `PREVIEW` pixels.
      scale: pixels of the photograph to one of it.
      faces: those found, the largest first.
    """

    jpeg: bytes
    scale: float
    faces: tuple[DetectedFace, ...]


class Photos:
    """The last photographs that pages have sent, by name.

    Attributes:
      crop: how the images were cut that the model was trained on.
      size: height and width of the model's images.
    """

    def __init__(self, crop: str, size: int) -> None:
        self.crop, self.size = crop, size
        self._files: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._lock = threading.Lock()  # OpenCV's cascades and dlib's networks serve one thread at a time
        self._pixels = functools.lru_cache(1)(self._decoded)
        self.close_up = functools.lru_cache(16)(self._close_up)
        self.look = functools.lru_cache(16)(self._look)

    def add(self, data: bytes, name: str) -> str:
        """Keeps a photograph's file under a name made of its bytes, which is returned."""
        key = hashlib.sha256(data).hexdigest()[:24]
        with self._lock:
            self._files[key] = name, data
            self._files.move_to_end(key)
            while len(self._files) > 1 and sum(len(kept) for _, kept in self._files.values()) > KEPT:
                self._files.popitem(last=False)
        return key

    def read(self, key: str) -> Photo:
        """A photograph.

        Raises:
          Gone: it is not kept any more.
          InputError: the file is not an image that is read.
        """
        if key not in self._files:
            raise Gone("the photograph is not here any more: drop it in again")
        return self._pixels(key)

    def framed(self, key: str, eyes: tuple[float, ...]) -> np.ndarray:
        """The face as the model sees it: uint8 [size,size,3].

        Raises:
          InputError: see `read` and `alignment_by_eyes`.
        """
        photo = self.read(key)
        return preprocess(align(photo.pixels, alignment_by_eyes(photo, eyes)), self.size, self.crop)

    def as_it_is(self, key: str) -> np.ndarray:
        """The whole picture cut and scaled for the model, as a picture that is framed already: uint8 [size,size,3]."""
        return preprocess(self.read(key).pixels, self.size, self.crop)

    def painted(self, key: str, eyes: tuple[float, ...], layer: np.ndarray, *, residual: bool) -> np.ndarray:
        """The whole photograph with a layer [s,s,3] pasted, uint8 [h,w,3]; see `paste`."""
        photo = self.read(key)
        return paste(photo.pixels, layer, alignment_by_eyes(photo, eyes), self.crop, residual=residual)

    def _decoded(self, key: str) -> Photo:
        name, data = self._files[key]
        return decode_photo(data, name)

    def _close_up(self, key: str, eyes: tuple[float, ...]) -> tuple[np.ndarray, Alignment]:
        photo = self.read(key)
        return cut_out(photo.pixels, alignment_by_eyes(photo, eyes), CLOSE_UP)

    def _look(self, key: str) -> Sight:
        """Looks for faces in a photograph."""
        photo = self.read(key)
        with self._lock:
            faces = tuple(detect(photo))
        small = Image.fromarray(photo.pixels)
        small.thumbnail((PREVIEW, PREVIEW))
        return Sight(jpeg(np.asarray(small), photo.profile), photo.pixels.shape[1] / small.width, faces)
