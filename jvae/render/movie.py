"""Frames in; an animation on disk, as GIF or MP4."""

import importlib.util
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from jvae.errors import InputError
from jvae.io.files import replacing
from jvae.render.sheet import TILE, check_suffix

SIZE = 3 * TILE // 2  # pixels to which a smaller frame is enlarged
BT709 = 1  # in H.264: the matrix, the primaries and the transfer of high-definition television


def check_movie(path: str | os.PathLike[str]) -> None:
    """Raises InputError unless `path` ends in .gif or .mp4 and that can be written: commands ask before the work."""
    suffix = Path(path).suffix.lower()
    if suffix not in (".gif", ".mp4"):
        raise InputError(f"{path} must end in .gif or .mp4: those are the formats written")
    if suffix == ".mp4" and importlib.util.find_spec("av") is None:
        raise InputError(
            f"{path}: MP4 needs PyAV, which the extra video brings: pip install 'jvae[video]', or name a .gif"
        )


def save_movie(
    path: str | os.PathLike[str],
    frames: np.ndarray,
    *,
    milliseconds: int = 60,
    hold: int = 600,
    there_and_back: bool = True,
    scale: int | None = None,
) -> None:
    """Writes an animation by `save_gif` or `save_mp4`, as the suffix says.

    Raises:
      InputError: no frames, another suffix, or no PyAV for an MP4.
      OSError: it cannot be written.
    """
    check_movie(path)
    save = save_gif if Path(path).suffix.lower() == ".gif" else save_mp4
    save(path, frames, milliseconds=milliseconds, hold=hold, there_and_back=there_and_back, scale=scale)


def save_gif(
    path: str | os.PathLike[str],
    frames: np.ndarray,
    *,
    milliseconds: int = 60,
    hold: int = 600,
    there_and_back: bool = True,
    scale: int | None = None,
) -> None:
    """Writes an endless animation, whole or not at all.

    Args:
      path: ends in .gif.
      frames: uint8 [n,h,w,3].
      milliseconds: a frame is shown.
      hold: milliseconds the first and the last are shown.
      there_and_back: play the frames backwards too, the two ends once a round.
      scale: enlargement (Lanczos); None brings them to at least 1.5 `TILE` pixels.

    Raises:
      InputError: no frames, or `path` does not end in .gif.
      OSError: it cannot be written.
    """
    check_suffix(path, ".gif")
    order = _order(frames, there_and_back)
    coloured = [_in_colours(frame, size) for frame, size in _sized(frames, scale)]
    shown = [hold if i in (0, len(frames) - 1) else milliseconds for i in order]
    first, *rest = (coloured[i] for i in order)
    with replacing(path) as part:
        first.save(part, format="GIF", save_all=True, append_images=rest, duration=shown, loop=0, disposal=1)


def save_mp4(
    path: str | os.PathLike[str],
    frames: np.ndarray,
    *,
    milliseconds: int = 60,
    hold: int = 600,
    there_and_back: bool = True,
    scale: int | None = None,
    crf: int = 16,
) -> None:
    """Writes a video that browsers play: H.264, yuv420p, BT.709; whole or not at all.

    Args:
      path: ends in .mp4.
      frames: uint8 [n,h,w,3]. An odd height or width grows by a line like the last.
      milliseconds: a frame is shown.
      hold: milliseconds the first and the last are shown, by repeating them.
      there_and_back: play the frames backwards too, the two ends once a round.
      scale: enlargement (Lanczos); None brings them to at least 1.5 `TILE` pixels.
      crf: of x264: 0 is lossless, 18 looks so, 51 is the worst.

    Raises:
      InputError: no frames, `path` does not end in .mp4, or there is no PyAV.
      OSError: it cannot be written.
    """
    check_suffix(path, ".mp4")
    check_movie(path)
    order = _order(frames, there_and_back)
    import av  # here, so that jvae works without the extra video
    from av.video.reformatter import ColorRange, Colorspace

    pause = max(round(hold / milliseconds), 1)
    shown = [i for i in order for _ in range(pause if i in (0, len(frames) - 1) else 1)]
    pictures = [_even(frame.resize(size, Image.Resampling.LANCZOS)) for frame, size in _sized(frames, scale)]
    with replacing(path) as part:
        with av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as file:
            stream = file.add_stream("libx264", rate=Fraction(1000, milliseconds), options={"crf": str(crf)})
            stream.height, stream.width = pictures[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context  # without a name for its colours every player would guess
            context.colorspace, context.color_primaries, context.color_trc = BT709, BT709, BT709
            context.color_range = ColorRange.MPEG
            for i in shown:
                frame = av.VideoFrame.from_ndarray(pictures[i], format="rgb24")
                file.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709)))
            file.mux(stream.encode())


def _order(frames: np.ndarray, there_and_back: bool) -> list[int]:
    """The frames in the order in which they are shown."""
    if frames.ndim != 4 or frames.dtype != np.uint8 or not frames.size:
        raise InputError(f"frames must be uint8 [n, height, width, 3], not {frames.dtype} {frames.shape}")
    n = len(frames)
    return [*range(n), *(range(n - 2, 0, -1) if there_and_back else ())]


def _sized(frames: np.ndarray, scale: int | None) -> list[tuple[Image.Image, tuple[int, int]]]:
    """Each frame, and the width and height it shall be enlarged to."""
    h, w = frames.shape[1:3]
    scale = scale or -(-SIZE // max(h, w))
    return [(Image.fromarray(frame), (w * scale, h * scale)) for frame in frames]


def _even(picture: Image.Image) -> np.ndarray:
    """[h,w,3], an odd height or width grown by a line like the last."""
    x = np.asarray(picture)
    return np.pad(x, ((0, len(x) % 2), (0, x.shape[1] % 2), (0, 0)), mode="edge")


def _in_colours(frame: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A frame enlarged, in 256 colours of its own.

    A face lives on few hues, and one palette for all frames turns lips gray. Chosen on the small frame it costs a
    tenth of the time; dithering only adds noise and bytes.
    """
    palette = frame.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1)
    return frame.resize(size, Image.Resampling.LANCZOS).quantize(palette=palette, dither=Image.Dither.NONE)
