import os
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.GifImagePlugin import GifImageFile

from jvae.errors import InputError
from jvae.render.movie import check_movie, save_gif, save_movie, save_mp4


def ramp(n=6, size=16):
    k, y, x = np.mgrid[:n, :size, :size]
    return np.stack([x * k, y * 9, y], -1).astype(np.uint8)


def durations(gif):
    found = []
    for i in range(gif.n_frames):
        gif.seek(i)
        found.append(gif.info["duration"])
    return found


def opened(path) -> Any:
    return GifImageFile(path)


def test_gif_goes_there_and_back_for_ever(tmp_path):
    frames = ramp(6)
    save_gif(tmp_path / "a.gif", frames, milliseconds=60, hold=500, scale=2)
    with opened(tmp_path / "a.gif") as gif:
        assert (gif.format, gif.n_frames, gif.size, gif.info["loop"]) == ("GIF", 10, (32, 32), 0)
        assert durations(gif) == [500, *[60] * 4, 500, *[60] * 4]
        for i, k in enumerate([0, 1, 2, 3, 4, 5, 4, 3, 2, 1]):
            gif.seek(i)
            small = np.asarray(gif.convert("RGB").resize((16, 16), Image.Resampling.BOX), float)
            assert np.abs(small - frames[k]).mean() < 8


def test_gif_one_way_and_of_one_frame(tmp_path):
    save_gif(tmp_path / "a.gif", ramp(6), there_and_back=False)
    with opened(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 6 and gif.size == (192, 192)
    save_gif(tmp_path / "b.gif", ramp(1))
    with opened(tmp_path / "b.gif") as gif:
        assert gif.n_frames == 1


def frames_of(path):
    """The stream's codec, pixel format, rate, and its frames as RGB [n,h,w,3]."""
    import av

    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        decoded = list(file.decode(stream))
        about = stream.codec_context
        space = (about.colorspace, about.color_primaries, about.color_trc, about.color_range)
        return (
            about.name,
            about.pix_fmt,
            stream.average_rate,
            space,
            np.stack([frame.to_ndarray(format="rgb24") for frame in decoded]),
        )


def test_mp4_goes_there_and_back(tmp_path):
    frames = ramp(6, 32)
    save_mp4(tmp_path / "a.mp4", frames, milliseconds=50, hold=150, scale=2)
    codec, pixels, rate, _, shown = frames_of(tmp_path / "a.mp4")
    assert (codec, pixels, rate) == ("h264", "yuv420p", 20)
    order = [0, 0, 0, 1, 2, 3, 4, 5, 5, 5, 4, 3, 2, 1]
    assert shown.shape == (len(order), 64, 64, 3)
    for picture, k in zip(shown, order, strict=True):
        large = Image.fromarray(frames[k]).resize((64, 64), Image.Resampling.LANCZOS)
        assert np.abs(picture.astype(float) - np.asarray(large, float)).mean() < 6


def test_colours_come_back(tmp_path):
    colours = np.array([[200, 30, 30], [30, 160, 30], [30, 30, 220], [224, 172, 150], [255, 255, 255], [0, 0, 0]])
    frames = np.broadcast_to(colours[:, None, None], (6, 32, 32, 3)).astype(np.uint8)
    save_mp4(tmp_path / "a.mp4", frames, hold=60, there_and_back=False, scale=1)
    *_, space, shown = frames_of(tmp_path / "a.mp4")
    assert space == (1, 1, 1, 1)  # BT.709 all through, limited range
    np.testing.assert_allclose(shown.mean((1, 2)), colours, atol=4)


@pytest.mark.parametrize(("height", "width"), [(17, 22), (16, 23), (17, 23)])
def test_odd_sizes_are_made_even(tmp_path, height, width):
    frames = np.full((3, height, width, 3), 120, np.uint8)
    save_mp4(tmp_path / "a.mp4", frames, scale=1)
    shown = frames_of(tmp_path / "a.mp4")[-1]
    assert shown.shape[1:3] == (height + height % 2, width + width % 2)
    np.testing.assert_allclose(shown, 120, atol=3)  # no black line at the edge


def test_mp4_of_one_frame_and_beginning_at_its_index(tmp_path):
    save_mp4(tmp_path / "a.mp4", ramp(1), hold=60)
    assert len(frames_of(tmp_path / "a.mp4")[-1]) == 1
    content = (tmp_path / "a.mp4").read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays before it is loaded
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_the_suffix_chooses_the_format(tmp_path):
    save_movie(tmp_path / "a.gif", ramp(4))
    save_movie(tmp_path / "b.MP4", ramp(4))
    with Image.open(tmp_path / "a.gif") as image:
        assert image.format == "GIF"
    assert frames_of(tmp_path / "b.MP4")[0] == "h264"


def test_a_failed_movie_keeps_what_was(tmp_path, monkeypatch):
    import av

    save_movie(tmp_path / "a.mp4", ramp(2))
    save_movie(tmp_path / "a.gif", ramp(2))
    before = {name: (tmp_path / name).read_bytes() for name in ("a.mp4", "a.gif")}

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    monkeypatch.setattr(av.VideoFrame, "from_ndarray", full)
    for name, content in before.items():
        with pytest.raises(OSError, match="No space"):
            save_movie(tmp_path / name, ramp(3))
        assert (tmp_path / name).read_bytes() == content
    assert sorted(os.listdir(tmp_path)) == ["a.gif", "a.mp4"]


def test_without_pyav_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    check_movie(tmp_path / "a.gif")
    for write in (check_movie, lambda path: save_mp4(path, ramp(2)), lambda path: save_movie(path, ramp(2))):
        with pytest.raises(InputError, match=r"a\.mp4: MP4 needs PyAV.*pip install 'jvae\[video\]'"):
            write(tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == []


def test_bad_input(tmp_path):
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError, match=r"must end in \.gif"):
        save_gif(tmp_path / "a.mp4", frame[None])
    with pytest.raises(InputError, match=r"must end in \.mp4"):
        save_mp4(tmp_path / "a.gif", frame[None])
    with pytest.raises(InputError, match=r"a\.avi must end in \.gif or \.mp4"):
        save_movie(tmp_path / "a.avi", frame[None])
    for name in ("a.gif", "a.mp4"):
        for frames in (frame, frame[None].astype(float), frame[None][:0]):
            with pytest.raises(InputError, match="frames must be uint8"):
                save_movie(tmp_path / name, frames)
    assert os.listdir(tmp_path) == []
