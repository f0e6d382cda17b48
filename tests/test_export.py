"""Runs as files that others open: for a hub and as StableHLO; what their cards say; and that none is half written."""

import dataclasses
import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

import jvae
from jvae.check import check
from jvae.cli import vectors
from jvae.cli.flags import Trained
from jvae.cli.main import main as command
from jvae.errors import InputError, InputWarning
from jvae.evaluate.provenance import origin_of
from jvae.export import write
from jvae.export.bundle import Bundle, directions, read_bundle
from jvae.export.card import card
from jvae.export.plain import plain_lines
from jvae.export.stablehlo import write_stablehlo
from jvae.latent.vectors import AttributeVectors, Origin
from jvae.models import conv
from jvae.models.registry import MODELS
from jvae.registry import name_of
from jvae.trained import load, load_vectors
from jvae.training import exported
from jvae.training.run import Record
from tests.exports import CONFIGS, EXTRA, bundle_of
from tests.faces import small_store
from tests.runs import whole_run


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A run with vectors, and the hub's folder that the command made of it."""
    pytest.importorskip("safetensors", reason=EXTRA)
    folder = tmp_path_factory.mktemp("exports")
    shutil.copytree(whole_run(), folder / "run")
    vectors.main(Trained(folder / "run", small_store().path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", f"jvae export --run {folder}/run --to {folder}/hub --format hub --kind lda".split())
        command()
    return folder / "hub"


def test_a_hub_folder_loads_as_the_run_it_was(hub):
    run, images = hub.with_name("run"), small_store().images[:3]
    model, again = jvae.load(run), jvae.load(hub)
    assert (again.digest, again.step, again.data, again.config) == (model.digest, model.step, model.data, model.config)
    np.testing.assert_array_equal(again.encode(images), model.encode(images))
    known = load_vectors(hub, again)
    assert str(known.kind) == "lda" and known.names == load_vectors(run, model).names
    with np.load(hub / "directions.npz", allow_pickle=False) as found:
        kinds, names = found["kinds"].tolist(), found["names"].tolist()
        assert kinds[0] == "lda" and {"difference", "regression", "balanced over Male"} < set(kinds)
        at = [names.index(name) for name in known.names]
        np.testing.assert_allclose(found["directions"][0, at], directions(known), rtol=1e-6)
        assert np.isfinite(found["slope"][0, at]).all()
    assert {path.name for path in hub.iterdir()} == {
        *("model.safetensors", "config.json", "vectors.npz", "directions.npz", "edits.png", "README.md"),
    }
    assert all(os.stat(path).st_mode & 0o044 == 0o044 for path in hub.iterdir())


def test_check_finds_what_is_damaged_in_a_hub_folder(hub, tmp_path):
    assert [why for _, why in check(hub)] == [None, None]
    broken = shutil.copytree(hub, tmp_path / "broken")
    data = bytearray((broken / "model.safetensors").read_bytes())
    data[-2] ^= 64
    (broken / "model.safetensors").write_bytes(data)
    assert [bool(why) for _, why in check(broken)] == [True, False]
    with pytest.raises(InputError, match=r"its weights are not those that config\.json is of"):
        jvae.load(broken)
    (broken / "model.safetensors").write_bytes(data[:-100])
    with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
        jvae.load(broken)
    (broken / "config.json").write_text("{}")
    with pytest.raises(InputError, match="is of format None and this jvae reads 'jvae export 1'"):
        jvae.load(broken)


@pytest.mark.parametrize(("name", "registered"), [*((name, True) for name in CONFIGS), ("residual", False)])
def test_the_lines_of_the_card_run(name, registered, tmp_path, monkeypatch):
    pytest.importorskip("safetensors", reason=EXTRA)
    bundle = bundle_of(name)
    exported.write_exported(tmp_path, Record(bundle.model.config), 3, bundle.model.variables)
    cfg = bundle.model.config.model
    lines = plain_lines(name_of(MODELS, type(cfg)) if registered else "your own", type(cfg), 6)
    assert not registered or (lines.strip() in card(bundle, "hub") and "jvae" not in lines)
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    with jax.numpy_rank_promotion("allow"):
        exec(lines, found)
    wanted = bundle.model.decode_fn(bundle.model.variables, jax.device_put(found["z"]))
    np.testing.assert_allclose(found["images"], wanted, atol=1e-5)


def test_a_hub_address_is_looked_up_there(hub, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="hf://faces names no model on a hub: give hf://OWNER/NAME"):
        jvae.load("hf://faces")
    monkeypatch.setattr(exported.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"huggingface_hub, which is not installed: pip install 'jvae\[export\]'"):
        jvae.load("hf://someone/faces")
    monkeypatch.undo()
    pytest.importorskip("huggingface_hub", reason=EXTRA)
    commit = "0123456789abcdef0123456789abcdef01234567"
    place = tmp_path / "hub" / "models--someone--faces"
    shutil.copytree(hub, place / "snapshots" / commit)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text(commit)
    code = "import jvae, sys; print(jvae.load(sys.argv[1]).digest)"
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    for address, out in (("hf://someone/faces", jvae.load(hub).digest), ("hf://someone/other", "")):
        words = [sys.executable, "-c", code, address]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout.strip() == out, done.stderr
    assert "InputError: hf://someone/other cannot be had: " in done.stderr


def test_stablehlo_runs_where_there_is_no_jvae(tmp_path, monkeypatch):
    bundle = bundle_of()
    assert bundle.vectors is not None
    monkeypatch.setattr(conv, "calls_libraries", lambda: False)  # its form is the one that looks at the batch's size
    lines = write_stablehlo(tmp_path, bundle)
    assert len(lines) == 3 and all(line.endswith("for cpu, cuda, tpu") for line in lines)
    images = small_store().images[:3]
    np.savez(tmp_path / "given.npz", image=images.astype(np.float32) / 255, factors=np.array([1, 0, -2], np.float32))
    code = (
        "import sys; sys.modules['jvae'] = None\n"
        "import jax, numpy as np\n"
        "given = np.load('given.npz')\n"
        "read = lambda name: jax.export.deserialize(open(name + '.stablehlo', 'rb').read())\n"
        "mean, logvar = read('encoder').call(given['image'])\n"
        "(image,), (edited,) = read('decoder').call(mean[:2]), read('edit').call(given['image'], given['factors'])\n"
        "np.savez('found.npz', mean=mean, image=image, edited=edited)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "found.npz", allow_pickle=False) as found:
        z = bundle.model.encode(images)
        np.testing.assert_allclose(found["mean"], z, atol=1e-4)
        np.testing.assert_allclose(255 * found["image"], bundle.model.decode(z[:2]), atol=0.51)
        moved = z + np.array([1, 0, -2], np.float32) @ directions(bundle.vectors)
        np.testing.assert_allclose(255 * found["edited"], bundle.model.decode(moved), atol=0.51)


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), OSError(28, "no space left")])
def test_an_export_that_fails_leaves_nothing(failure, tmp_path, monkeypatch):
    def half(folder, bundle, half):
        (folder / "encoder.onnx").write_bytes(b"half of it")
        raise failure

    monkeypatch.setitem(write.WRITERS, "onnx", half)
    with pytest.raises(type(failure)):
        write.export(bundle_of(), tmp_path / "out", "onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_not_written_over(tmp_path, capsys, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    monkeypatch.setattr(sys, "argv", f"jvae export --run {whole_run()} --to {tmp_path}/out --format stablehlo".split())
    with pytest.raises(SystemExit):
        command()
    assert capsys.readouterr().err == f"error: {tmp_path}/out exists already: give another --to, or delete it\n"
    with pytest.raises(InputError, match="weights=float16: the format hub stores them as they are, leave it out"):
        write.export(bundle_of(), tmp_path / "hub", "hub", "float16")


def test_a_run_without_vectors_is_told_how_to_make_them(tmp_path):
    with pytest.warns(
        InputWarning, match="has no attribute vectors, so what is exported makes no edits: `jvae vectors"
    ):
        bundle = read_bundle(whole_run())
    assert bundle.vectors is None and bundle.scores["objective"] > 0
    write.export(bundle, tmp_path / "out", "stablehlo")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "encoder.stablehlo", "decoder.stablehlo", "README.md"
    }  # fmt: skip


def test_a_scorecard_of_other_weights_or_vectors_is_left_out(tmp_path):
    run, known = tmp_path / "run", bundle_of().vectors
    shutil.copytree(whole_run(), run)
    model = load(run)
    assert known is not None
    known = AttributeVectors(known.parts, known.columns, Origin(digest=model.digest))
    known.save(run / "vectors.npz")
    (run / "scorecard").mkdir()

    def left(**of):
        (run / "scorecard" / "scorecard.json").write_text(json.dumps(scored() | of))
        return read_bundle(run).scorecard

    ours = origin_of(model, known)
    assert left(of=ours | {"step": 17})["judged"] == ["Smiling", "Male"]
    assert not read_bundle(run).named and read_bundle(run, kind="difference").named
    for of in ({}, {"of": None}, {"of": ours | {"model": "0"}}, {"of": ours | {"vectors": "0"}}):
        with pytest.warns(InputWarning, match=r"scorecard\.json is of other weights or vectors than are exported, or"):
            assert left(**of) == {}
    with pytest.warns(InputWarning, match="is of other weights"):
        assert read_bundle(run).stale


def scored() -> dict:
    """A scorecard's file, of two judged attributes."""
    edit = {"hits": [0, 0.5, 0.95], "leakage": [0, 0.1, 0.25], "flips": [[0, 0], [0.5, 0.1], [0.95, 0.25]]}
    return {
        "factors": [0, 1, 2],
        "judged": ["Smiling", "Male"],
        "edits": {"difference": {"Smiling": edit}},
        "reconstruction": {"ssim": 0.75},
        "frechet": {"the judge": {"prior": 3.25}},
    }


def test_a_card_says_what_the_run_is_and_what_its_edits_leak():
    text = card(bundle_of(scorecard=scored()), "hub")
    assert "| Smiling | 2.0 | 95% | 25.0% | Male (25%) |" in text
    assert "| test ssim | 0.75 |" in text and "| validation objective | 12.5 |" in text
    assert "| Fréchet distance of prior, features of the judge | 3.25 |" in text
    assert "license: apache-2.0" in text and "there is no licence to heed" in text
    assert "on test images, by a classifier" in text
    painted = card(bundle_of(scorecard=scored() | {"of": {"painted": True}}), "hub")
    assert "on test images, painted onto photographs, by a classifier" in painted
    alone = scored()["edits"]["difference"]["Smiling"] | {"leakage": [None, None, None]}  # no other was judged
    assert "| Smiling | 2.0 | 95% | – |" in card(
        bundle_of(scorecard=scored() | {"edits": {"difference": {"Smiling": alone}}}), "hub"
    )
    unjudged = card(bundle_of(), "hub")
    assert "No scorecard was made of this run (`jvae scorecard`), so nobody has" in unjudged
    assert "| Smiling | +" in unjudged
    stale = card(dataclasses.replace(bundle_of(), stale=True), "hub")
    assert "The scorecard of this run is of other weights or vectors, so nobody has judged these edits" in stale
    other = card(bundle_of(scorecard=scored() | {"edits": {"lda": {}}}), "hub")
    assert "The scorecard of this run does not hold the kind `difference`, so nobody" in other


@pytest.mark.parametrize(("source", "says"), [
    ("CelebA folder", "may be used for non-commercial research alone"),
    ("folder of images", "the consent of those they show"),
])  # fmt: skip
def test_a_card_says_whose_the_data_is(source, says):
    for format in write.WRITERS:
        text = card(bundle_of(source=source), format)
        assert says in text and "license: other" in text and "## Intended use" in text


def test_a_card_without_vectors_names_none():
    bundle = bundle_of()
    for format in write.WRITERS:
        text = card(Bundle("faces", bundle.model, (), {}, {}), format)
        assert "Smiling" not in text and "What edits leak" not in text and "edit." not in text
