"""`jvae pack`: the flags are those of the source that its first word names."""

import importlib.util
import inspect
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro
from PIL import Image

from jvae.cli.main import main
from jvae.data import sources
from jvae.data.packed import PackedStore
from jvae.data.sources import SOURCES, find_source
from jvae.errors import InputError
from tests.celeba_files import NAMES, prepared_celeba, write_celeba
from tests.sources import Pictures

spec: Any = importlib.util.spec_from_file_location("pack_command", Path(__file__).parent.parent / "jvae/cli/pack.py")
command: Any = importlib.util.module_from_spec(spec)
spec.loader.exec_module(command)


def jvae_pack(*words: object) -> None:
    function, left = command.choose([str(word) for word in words])
    tyro.cli(function, args=left, config=(tyro.conf.OmitArgPrefixes,))


def test_a_python_without_docstrings_packs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inspect, "getdoc", lambda _: None)  # as with PYTHONOPTIMIZE=2
    jvae_pack("rendered", "--count", "40", "--size", "16", "--out", tmp_path / "store")
    assert len(PackedStore.open(tmp_path / "store")) == 40


def test_every_source_is_found_and_described() -> None:
    for name in SOURCES:
        assert callable(find_source(name))
        main, left = command.choose([name, "--out", "x"])
        assert left == ["--out", "x"]
        assert {"out", "size", "crop", "count", "skip_bad", "workers", "overwrite"} <= set(
            inspect.signature(main).parameters
        )
    with pytest.raises(InputError, match="unknown source 'foldr': did you mean folder"):
        find_source("foldr")
    with pytest.raises(InputError, match="name what to pack: jvae pack rendered, celeba, folder, tfds"):
        command.choose([])
    with pytest.raises(InputError, match="unknown source 'rendred': did you mean rendered"):
        command.choose(["rendred", "--out", "x"])


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--help"], ["Sources: rendered, celeba, folder, tfds"]),
        (["folder", "--help"], ["PATH", "--labels", "--pattern", "--skip-bad", "folder, whose folders are searched"]),
        (["rendered", "--help"], ["--seed", "(default: 20000)", "number of faces"]),
        (["celeba", "--help"], ["PATH", "the folder that holds the images"]),
    ],
)
def test_help(words: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        jvae_pack(*words)
    printed = capsys.readouterr().out
    assert caught.value.code == 0 and all(text in printed for text in shown)


def test_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(12):
        path = tmp_path / "in" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 20, 3), i, np.uint8)).save(path)
    (tmp_path / "in" / "a" / "x.jpg").write_bytes(b"")
    how = ("--labels", "folders", "--size", 32, "--skip-bad", "--split", "random")
    jvae_pack("folder", tmp_path / "in", "--out", tmp_path / "out", *how)
    printed = capsys.readouterr().out
    assert printed.startswith("split at random by id: ") and f"{tmp_path / 'out'}: 12 images (" in printed
    assert "; 1 could not be read, 32x32, " in printed
    store = PackedStore.open(tmp_path / "out")
    assert store.attribute_names == ("a", "b") and store.size == 32
    with pytest.raises(InputError, match="exists: give another --out"):
        jvae_pack("folder", tmp_path / "in", "--out", tmp_path / "out")
    jvae_pack("folder", tmp_path / "in", "--out", tmp_path / "out", *how, "--overwrite", "--count", 7)
    assert 5 < len(PackedStore.open(tmp_path / "out")) <= 7


def test_celeba_and_tfds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_celeba(tmp_path / "celeba")
    (tmp_path / "celeba" / "img_align_celeba" / NAMES[1]).unlink()
    jvae_pack("celeba", tmp_path / "celeba", "--out", tmp_path / "a", "--size", 16, "--count", 6)
    printed = capsys.readouterr().out
    assert "11 of the 12 images in list_attr_celeba.txt are here; 1 are missing" in printed
    assert f"{tmp_path / 'a'}: 6 images (3 train, 1 validation, 2 test), 16x16" in printed
    jvae_pack("tfds", prepared_celeba(tmp_path / "made"), "--out", tmp_path / "b", "--size", 16, "--crop", "squash")
    assert (PackedStore.open(tmp_path / "b").meta.crop, len(PackedStore.open(tmp_path / "b"))) == ("squash", 12)


def test_rendered_faces_take_count_and_size_themselves(tmp_path: Path) -> None:
    jvae_pack("rendered", "--count", 5, "--size", 32, "--seed", 3, "--out", tmp_path / "out")
    store = PackedStore.open(tmp_path / "out")
    assert (len(store), store.size, store.meta.source_count) == (5, 32, 5)
    np.testing.assert_array_equal(store.images, find_source("rendered")(count=5, size=32, seed=3).render(range(5)))


def test_a_source_of_ones_own_is_a_line_in_the_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Own(Pictures):
        """Small pictures."""

        def __init__(self, path: Path, *, shade: int = 3):
            """Counts to 20.

            Args:
              path: where they would be.
              shade: how dark they are.
            """
            super().__init__(20)
            self.folder, self.shade = path, shade

        def __getitem__(self, index: int, /) -> Any:
            return super().__getitem__(index)._replace(image=np.full((16, 16, 3), self.shade, np.uint8))

    module: Any = types.ModuleType("own_source")
    module.Own = Own
    monkeypatch.setitem(sys.modules, "own_source", module)
    monkeypatch.setitem(sources.SOURCES, "own", "own_source:Own")
    jvae_pack("own", tmp_path, "--shade", 9, "--size", 16, "--out", tmp_path / "out")
    assert (PackedStore.open(tmp_path / "out").images == 9).all()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["jvae", "pack", *arguments])
    main()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    celeba = tmp_path / "celeba"
    write_celeba(celeba)
    (celeba / "img_align_celeba" / NAMES[1]).unlink()
    out = tmp_path / "out"
    arguments = ("celeba", str(celeba), "--out", str(out), "--size", "32", "--count", "6")
    run(monkeypatch, *arguments)
    printed = capsys.readouterr().out
    assert "11 of the 12 images in list_attr_celeba.txt are here; 1 are missing" in printed
    assert f"{out}: 6 images (3 train, 1 validation, 2 test), 32x32" in printed
    with pytest.raises(SystemExit) as caught:
        run(monkeypatch, *arguments)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {out} exists: give another --out, or --overwrite to replace it"
    ]
    with pytest.raises(SystemExit):
        run(monkeypatch, "celebra", "--out", str(tmp_path / "other"))
    assert capsys.readouterr().err == "error: unknown source 'celebra': did you mean celeba?\n"
