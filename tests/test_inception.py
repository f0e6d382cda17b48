import flax.linen as nn
import jax
import numpy as np
import pytest

from jvae.errors import InputError
from jvae.evaluate import inception_net
from jvae.evaluate.inception import Inception
from jvae.evaluate.inception_net import InceptionV3, shapes
from jvae.runtime.hashing import random_key


@pytest.fixture(scope="module")
def weights():
    """Random ones, by torchvision's names and in its layout."""
    rng, found = np.random.default_rng(0), {"fc.weight": np.zeros((1008, 2048), np.float32)}
    for path, like in jax.tree.leaves_with_path(shapes()):
        _, *rooms, leaf = (key.key for key in path)
        name = str(
            {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}.get(leaf, leaf)
        )
        value = rng.random(like.shape, np.float32) * 0.1
        found[".".join((*rooms, name))] = value.transpose(3, 2, 0, 1) if leaf == "kernel" else value
    return found


def test_the_network_has_the_published_size():
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes()["params"]))
    assert parameters == 23_834_568 - (2048 * 1000 + 1000)  # torchvision's documentation, without its last layer
    found = jax.eval_shape(InceptionV3().apply, shapes(), jax.ShapeDtypeStruct((3, 64, 64, 3), np.float32))
    assert found.shape == (3, 2048)


def test_weights_go_where_their_names_say(weights, tmp_path):
    np.savez(tmp_path / "w.npz", **weights)
    loaded = Inception.load(tmp_path / "w.npz")
    assert loaded.name == "InceptionV3 (2015-12-05)" and loaded.features_fn.net.original
    block = loaded.variables["params"]["Mixed_6b"]["branch7x7_2"]
    np.testing.assert_array_equal(
        block["conv"]["kernel"], weights["Mixed_6b.branch7x7_2.conv.weight"].transpose(2, 3, 1, 0)
    )
    np.testing.assert_array_equal(block["bn"]["scale"], weights["Mixed_6b.branch7x7_2.bn.weight"])
    stats = loaded.variables["batch_stats"]["Conv2d_1a_3x3"]["bn"]
    np.testing.assert_array_equal(stats["var"], weights["Conv2d_1a_3x3.bn.running_var"])
    other = Inception(weights | {"fc.weight": np.zeros((1000, 2048), np.float32)})
    assert other.name == "InceptionV3 (torchvision)" and not other.features_fn.net.original


def test_safetensors(weights, tmp_path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(weights, tmp_path / "w.safetensors")
    loaded = Inception.load(tmp_path / "w.safetensors")
    np.testing.assert_array_equal(
        loaded.variables["params"]["Mixed_7c"]["branch_pool"]["bn"]["bias"], weights["Mixed_7c.branch_pool.bn.bias"]
    )
    whole = (tmp_path / "w.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cut.safetensors is damaged or holds no weights"):
        Inception.load(tmp_path / "cut.safetensors")


def test_the_two_networks_differ_at_the_border_and_in_the_last_pooling():
    x = np.random.default_rng(0).random((1, 4, 4, 192), np.float32)

    def pooled(**options):
        block = inception_net._Block("A", 32, **options)
        variables = jax.jit(block.init)(random_key(0), x)
        branch = variables["params"]["branch_pool"]["conv"]["kernel"][0, 0]
        return np.asarray(jax.jit(block.apply)(variables, x))[0, ..., -32:], np.asarray(branch)

    around = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), (0, 1))  # [4,4,192,3,3]
    counted = np.lib.stride_tricks.sliding_window_view(np.pad(np.ones((4, 4)), 1), (3, 3)).sum((2, 3))
    for options, by_hand in (
        ({"pad_counts": True}, windows.mean((3, 4))),
        ({}, windows.sum((3, 4)) / counted[..., None]),
        ({"pools_maximum": True}, windows.max((3, 4))),
    ):
        found, branch = pooled(**options)
        scale = 1 / np.sqrt(1 + inception_net.EPSILON)
        np.testing.assert_allclose(found, nn.relu(by_hand @ branch * scale), rtol=1e-4, atol=1e-5)


def test_bad_input(weights, tmp_path):
    with pytest.raises(InputError, match="there are no weights at"):
        Inception.load(tmp_path / "absent.npz")
    (tmp_path / "w.pth").write_bytes(b"x")
    with pytest.raises(InputError, match=r"w.pth is neither .npz nor .safetensors"):
        Inception.load(tmp_path / "w.pth")
    (tmp_path / "w.npz").write_bytes(b"x")
    with pytest.raises(InputError, match=r"w.npz is damaged or no .npz file"):
        Inception.load(tmp_path / "w.npz")
    with pytest.raises(InputError, match="weights for 10 classes"):
        Inception({"fc.weight": np.zeros((10, 2048), np.float32)})
    name = "Mixed_5c.branch5x5_2.conv.weight"
    with pytest.raises(InputError, match=f"there is no {name} among the weights"):
        Inception({key: value for key, value in weights.items() if key != name})
    with pytest.raises(InputError, match=rf"{name} has the shape \[3, 3\]"):
        Inception(weights | {name: np.zeros((3, 3), np.float32)})
    with pytest.raises(InputError, match=f"{name} is not finite"):
        Inception(weights | {name: np.full_like(weights[name], np.nan)})
