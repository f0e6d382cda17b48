import dataclasses
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from jvae.cli.main import main
from jvae.data.packed import PackedStore
from jvae.errors import InputError, InputWarning
from jvae.judge.judge import COLUMNS, Judge, score_judge
from jvae.judge.net import FEATURES, JudgeNet, init_judge, widths
from jvae.models.model import to_float
from jvae.runtime.mesh import make_mesh
from jvae.trained import load
from jvae.training import step as step_module
from jvae.training.checkpoint import Checkpoints
from jvae.training.judge import train_judge
from jvae.training.log import read_metrics
from jvae.training.loop import train
from jvae.training.presets import JUDGE
from jvae.training.run import read_record
from jvae.training.tasks import judge as task_module
from jvae.training.tasks.judge import class_weights, judge_loss, judgeable
from tests.faces import small_store
from tests.runs import assert_same_judge, stop_after

ONE = make_mesh(jax.devices()[:1])
SHORT = JUDGE.replace(epochs=8.0, batch_size=32)


@pytest.fixture(scope="module")
def store():
    return small_store(600)


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    """The run directory of a judge."""
    out = tmp_path_factory.mktemp("judge") / "run"
    train_judge(store, out, SHORT, progress=False)
    return out


@pytest.fixture(scope="module")
def judge(run):
    return Judge.load(run)


def test_it_learns_what_faces_show(store, judge):
    scores = judge.scores.loc[["Male", "Blond_Hair"]]
    assert (scores[["auc", "soft auc"]] > 0.85).all(axis=None), scores
    assert (scores[["balanced", "soft balanced"]] > 0.7).all(axis=None), scores
    test, i = store.indices("test"), judge.attribute("Male")
    has, logits = store.attrs[test, store.attribute("Male")], judge.logits(store.images[test])
    soft = judge.logits(store.images[test], soft=True)
    assert scores.loc["Male", "auc"] == pytest.approx(roc_auc_score(has, logits[:, i]), abs=1e-6)
    assert scores.loc["Male", "soft auc"] == pytest.approx(roc_auc_score(has, soft[:, i]), abs=1e-6)
    assert scores.loc["Male", "accuracy"] == pytest.approx((judge.says(logits)[:, i] == has).mean())


def test_scores_by_definition():
    rng = np.random.default_rng(0)
    has = rng.random((300, 2)) < [0.2, 0.6]
    sharp, soft = (has * 1.0 + rng.normal(size=has.shape) for _ in range(2))
    table = score_judge(["Bald", "Male"], np.array([0.3, 0.8]), has, sharp, soft)
    assert tuple(table.columns) == COLUMNS
    for i, (name, threshold) in enumerate([("Bald", 0.3), ("Male", 0.8)]):
        row, share = table.loc[name], has[:, i].mean()
        assert row["n"] == 300 and row["share"] == share and row["majority"] == max(share, 1 - share)
        for prefix, logits in (("", sharp), ("soft ", soft)):
            said = logits[:, i] >= threshold
            assert row[f"{prefix}accuracy"] == pytest.approx((said == has[:, i]).mean())
            assert row[f"{prefix}balanced"] == pytest.approx(balanced_accuracy_score(has[:, i], said))
            assert row[f"{prefix}auc"] == pytest.approx(roc_auc_score(has[:, i], logits[:, i]))


def test_class_weights():
    attrs = np.arange(100)[:, None] < np.array([[10, 50, 100, 0]])
    weights = class_weights(attrs)
    assert weights[1, 0] / weights[0, 0] == pytest.approx(3)  # sqrt(.9 / .1)
    np.testing.assert_allclose(weights[:, 1], 1)
    shares = np.stack([~attrs, attrs]).mean(1)
    np.testing.assert_allclose((shares * weights).sum(0)[:2], 1, rtol=1e-6)
    assert np.isfinite(weights).all()


def test_the_loss_by_definition():
    rng = np.random.default_rng(0)
    logits, labels, weights = rng.normal(size=(5, 3)) * 4, rng.random((5, 3)) < 0.5, rng.random((2, 3))
    said = 1 / (1 + np.exp(-logits))
    expected = -np.where(labels, weights[1] * np.log(said), weights[0] * np.log(1 - said)).mean(1)
    np.testing.assert_allclose(judge_loss(*map(jnp.asarray, (logits, labels, weights))), expected, rtol=1e-5)


def test_the_seed_decides(store, judge, tmp_path):
    other = train_judge(store, tmp_path / "other", SHORT.replace(seed=1, epochs=1.0), progress=False)
    assert isinstance(other, Judge)
    assert not any(
        np.array_equal(a, b)
        for a, b in zip(*map(jax.tree.leaves, (judge.variables, other.variables)), strict=True)
        if a.ndim > 1
    )
    with pytest.warns(InputWarning, match="the learning rate was 0 at step"):
        longer = train_judge(str(store.path), tmp_path / "other", SHORT.replace(seed=1, epochs=2.0), progress=False)
    assert isinstance(longer, Judge)  # with the warm-up that it began with


def test_two_devices_train_as_one_does_and_trace_once(store, run, tmp_path, traced_once, monkeypatch):
    traced, honest = traced_once(lambda state: state), step_module.train_step
    monkeypatch.setattr(step_module, "train_step", lambda task, state, *rest: honest(task, traced(state), *rest))
    cfg = read_record(run).config.replace(adam_epsilon=2e-8)  # with its warm-up; another program than of earlier tests
    train(cfg, store, tmp_path / "one", mesh=ONE, progress=False)  # the last of its chunks is partial
    ours, theirs = ([r["loss"] for r in read_metrics(r) if r["split"] == "train"] for r in (tmp_path / "one", run))
    assert len(ours) == len(theirs) == -(-cfg.loop.total_steps(len(store.indices("train"))) // 25)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-3)
    np.testing.assert_allclose(ours, theirs, rtol=0.05)


def test_it_is_a_run_like_any_other(store, run, judge, tmp_path):
    rows = [row for row in read_metrics(run) if row["split"] == "validation"]
    assert rows and {"loss", "accuracy"} <= rows[-1].keys()
    assert read_record(run).labels == judge.attribute_names
    with pytest.raises(InputError, match="is a run of the preset judge, which trains no model of faces"):
        load(run)
    cut = tmp_path / "cut"
    ending = train_judge(store, cut, SHORT, progress=False, stopped=stop_after(2))
    assert not isinstance(ending, Judge) and ending.step == 50 and not (cut / "judge.npz").exists()
    assert_same_judge(judge, train_judge(store, cut, SHORT, progress=False))  # it goes on where it was
    with Checkpoints(cut, read_only=True) as checkpoints:
        assert checkpoints.last_step == ending.total


def test_images_of_another_crop_than_it_learnt_from_are_said(store, judge):
    assert judge.crop == store.crop == "rendered"
    judge.warn_unless_cut_alike(store)
    judge.warn_unless_cut_alike(types.SimpleNamespace(crop=None))  # a model that does not know
    squashed = dataclasses.replace(store, meta=dataclasses.replace(store.meta, source="celeba", crop="squash"))
    with pytest.warns(
        InputWarning, match="learnt from images of the crop rendered, and those of .* are cut by the crop squash"
    ):
        judge.warn_unless_cut_alike(squashed)


def test_pure_functions_and_their_batches(store, judge):
    x = to_float(jnp.asarray(store.images[:5]))

    def total(x):
        logits = judge.logits_fn(judge.variables, x)
        return logits.sum(), logits

    @jax.jit
    def all_of(x):
        return jax.grad(total, has_aux=True)(x), judge.features_fn(judge.variables, x)

    (gradient, logits), features = all_of(x)
    assert features.shape == (5, FEATURES) and logits.shape == (5, len(judge.attribute_names))
    head = judge.variables["params"]["head"]
    np.testing.assert_allclose(features @ head["kernel"] + head["bias"][None], logits, atol=1e-4)
    np.testing.assert_allclose(judge.logits(store.images)[:5], logits, atol=1e-4)
    assert judge.logits(store.images).shape == (len(store), logits.shape[1])
    assert judge.logits(store.images[:0]).shape == (0, logits.shape[1])
    assert not np.allclose(judge.logits(store.images[:5], soft=True), logits, atol=1e-3)
    assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (jnp.zeros((2, 32, 32, 3)), r"float images \[b,16,16,3\], not float32 \[2, 32, 32, 3\]"),
        (jnp.zeros((16, 16, 3)), r"not float32 \[16, 16, 3\]"),
        (jnp.zeros((2, 16, 16, 3), jnp.uint8), "not uint8"),
    ],
)
def test_images_that_do_not_fit(judge, x, said):
    for function in (judge.logits_fn, judge.features_fn):
        with pytest.raises(InputError, match=said):
            function(judge.variables, x)
    with pytest.raises(InputError, match=r"images must be uint8 \[n,16,16,3\]"):
        judge.logits(np.zeros((2, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("size", [16, 32, 48, 64, 80, 128])
def test_any_size_of_a_store(size):
    net = JudgeNet(3, size)
    variables = jax.eval_shape(lambda key: init_judge(net, key), jax.random.key(0))
    out = jax.eval_shape(lambda v: net.apply(v, jnp.zeros((2, size, size, 3))), variables)
    assert [leaf.shape for leaf in out[:2]] == [(2, 3), (2, FEATURES)]
    assert [layer.shape[-1] for layer in out.layers] == list(widths(size))
    assert widths(size)[-2:] == (128, 128)
    with pytest.raises(InputError, match="image_size=30"):
        widths(30)


def test_a_judge_of_another_network(store, judge, tmp_path):
    cfg = SHORT.replace(epochs=1.0, blocks=1)
    other = train_judge(store, tmp_path / "run", cfg, progress=False)
    assert isinstance(other, Judge)
    assert set(other.variables["params"]) == {*judge.variables["params"], "block_0_0", "block_1_0"}
    moved = other.variables["params"]["block_1_0"]["kernel_1"]  # begins as zeros
    assert np.abs(moved).max() > 0
    again = Judge.load(tmp_path / "run")
    assert again.net == other.net != judge.net
    assert_same_judge(again, other)
    np.testing.assert_array_equal(again.logits(store.images[:3]), other.logits(store.images[:3]))
    given = (other.attribute_names, 16, other.variables, other.thresholds, other.scores)
    with pytest.raises(InputError, match=r"missing or too many: .*block_0_1"):
        Judge(*given, blocks=2, mesh=ONE)
    with pytest.raises(InputError, match="its network has -1 blocks"):
        Judge(*given, blocks=-1, mesh=ONE)
    for blocks in (-1, 65):  # as no file of a judge may have: said before anything is trained
        with pytest.raises(InputError, match=f"blocks={blocks}"):
            JUDGE.replace(blocks=blocks)


def test_an_attribute_by_name(judge):
    assert judge.attribute_names[judge.attribute("Smiling")] == "Smiling"
    with pytest.raises(InputError, match="unknown attribute 'Smilling': did you mean Smiling"):
        judge.attribute("Smilling")
    lacking = Judge(
        judge.attribute_names, 16, judge.variables, judge.thresholds, judge.scores, {"Bald": "none"}, mesh=ONE
    )
    with pytest.raises(InputError, match="Bald is not judged: none"):
        lacking.attribute("Bald")


def test_what_does_not_fit_together_is_no_judge(judge):
    names, thresholds, scores = judge.attribute_names, judge.thresholds, judge.scores
    cases = [
        (names[:-1], 16, thresholds, scores, "thresholds"),
        (names[:-1], 16, thresholds[:-1], scores, "scores are of other attributes"),
        (names[:-1], 16, thresholds[:-1], scores.iloc[:-1], "params/head/bias is"),
        ((names[0], *names[:-1]), 16, thresholds, scores, "of them different"),
        ((), 16, thresholds[:0], scores.iloc[:0], "0 attributes"),
        (names, 64, thresholds, scores, "missing or too many"),
        (names, 16, thresholds * np.nan, scores, "finite thresholds"),
    ]
    for names, size, thresholds, scores, said in cases:
        with pytest.raises(InputError, match=said):
            Judge(names, size, judge.variables, thresholds, scores, mesh=ONE)


def test_bad_stores_and_settings(store, tmp_path):
    def changed(**fields) -> PackedStore:
        return dataclasses.replace(store, **fields)

    splits = np.where(store.splits == "validation", "train", store.splits)
    out = tmp_path / "run"
    with pytest.raises(InputError, match="has no validation images"):
        train_judge(changed(splits=splits), out, SHORT, mesh=ONE, progress=False)
    with pytest.raises(InputError, match="has no attribute that some images of each split have"):
        train_judge(changed(attrs=store.attrs & False), out, SHORT, mesh=ONE, progress=False)
    with pytest.raises(InputError, match="batch_size=15 does not divide over 2 devices"):
        train_judge(store, out, SHORT.replace(batch_size=15), progress=False)
    assert not out.exists()
    with pytest.raises(InputError, match="do not fill one batch of batch_size=4096"):
        train_judge(store, out, SHORT.replace(batch_size=4096), mesh=ONE, progress=False)


def test_an_attribute_of_one_side_is_left_out(store):
    attrs, i = store.attrs.copy(), store.attribute("Smiling")
    attrs[store.indices("test"), i] = True
    names, missing = judgeable(dataclasses.replace(store, attrs=attrs))
    n = len(store.indices("test"))
    assert missing["Smiling"] == f"all of the {n} test images have it" and "Smiling" not in names
    assert sorted([*names, *missing]) == sorted(store.attribute_names)


def test_a_loss_that_is_not_finite_is_named(store, tmp_path, monkeypatch):
    monkeypatch.setattr(task_module, "class_weights", lambda attrs: np.full((2, attrs.shape[1]), np.nan, np.float32))
    with pytest.raises(InputError, match="the loss is not finite at step 1: no checkpoint was saved; train anew"):
        train_judge(store, tmp_path / "run", SHORT, progress=False)


def test_the_command(store, tmp_path, monkeypatch, capsys):
    out = tmp_path / "judge"
    args = ["--data", str(store.path), "--out", str(out), "--loop.epochs", "2", "--loop.batch-size", "32"]
    monkeypatch.setattr(sys, "argv", ["jvae", "judge", *args])
    main()
    shown = capsys.readouterr().out
    judge, file = Judge.load(out), out / "judge.npz"
    assert all(name in shown for name in (*judge.attribute_names, *judge.missing, "soft balanced", f"wrote {file}"))
    assert f"auc {judge.scores['auc'].mean():.3f}, blurred {judge.scores['soft auc'].mean():.3f}" in shown
    assert_same_judge(judge, Judge.load(file))
