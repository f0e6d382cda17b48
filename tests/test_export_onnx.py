"""ONNX graphs, held in onnxruntime against the model and against JAX."""

import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jvae.errors import InputError
from jvae.export import onnx_files
from jvae.export.bundle import directions
from jvae.export.functions import Function, functions
from jvae.export.graph import Graph
from jvae.export.primitives import FORMS
from jvae.models import conv
from tests.exports import CONFIGS, EXTRA, bundle_of
from tests.faces import small_store

pytest.importorskip("onnx", reason=EXTRA)
pytest.importorskip("onnxruntime", reason=EXTRA)


@pytest.mark.parametrize(("name", "half"), [*((name, False) for name in CONFIGS), ("book", True)])
def test_onnx_gives_what_the_model_gives(name, half, tmp_path):
    bundle = bundle_of(name)
    assert bundle.vectors is not None
    lines = onnx_files.write_onnx(tmp_path, bundle, half=half)
    assert [line.partition(":")[0] for line in lines] == ["encoder.onnx", "decoder.onnx", "edit.onnx"]
    encoder, decoder, edit = (onnx_files.session(tmp_path / f"{n}.onnx") for n in ("encoder", "decoder", "edit"))
    for count in (1, 5):
        images = small_store().images[:count]
        z, logvar = bundle.model.posterior(images)
        given = images.astype(np.float32) / 255
        mean, found = encoder.run(None, {"image": given})
        np.testing.assert_allclose(mean, z, atol=5e-3 if half else 1e-4)
        np.testing.assert_allclose(found, logvar, atol=5e-3 if half else 1e-4)
        factors = np.array([1, -2, 0.5], np.float32)
        moved = z + factors @ directions(bundle.vectors)
        for picture, latents in (
            (decoder.run(None, {"z": z})[0], z),
            (edit.run(None, {"image": given, "factors": factors})[0], moved),
        ):
            assert picture.dtype == np.float32 and picture.shape == (count, 16, 16, 3)
            np.testing.assert_allclose(255 * picture, bundle.model.decode(latents), atol=0.5 + 0.26 * (1 + half))
    about = encoder.get_modelmeta().custom_metadata_map
    assert json.loads(about["attributes"]) == ["Smiling", "Eyeglasses", "Male"] and about["kind"] == "difference"


def test_float16_takes_half_the_room(tmp_path):
    bundle, sizes = bundle_of("linear"), []
    for half in (False, True):
        onnx_files.write_onnx(tmp_path, bundle, half=half, only=("decoder",))
        sizes.append((tmp_path / "decoder.onnx").stat().st_size)
    assert sizes[1] < 0.6 * sizes[0] and not (tmp_path / "edit.onnx").exists()


def compare(call, *shapes: tuple) -> None:
    """Holds a function's graph against the function."""
    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    function = Function("f", lambda *x: (jnp.asarray(call(*x), jnp.float32),), inputs, ("y",), "")
    rng = np.random.default_rng(0)
    graph = onnx_files.to_onnx(function, half=False, about={}).SerializeToString()
    for batch in (1, 3):
        given = [rng.uniform(-1, 1, [batch if d is None else d for d in shape]).astype(np.float32) for shape in shapes]
        assert max(onnx_files.differences(onnx_files.session(graph), function, given)) < 1e-5


CONVOLVE: Any = functools.partial(lax.conv_general_dilated, dimension_numbers=("NHWC", "HWIO", "NHWC"))
KERNEL = np.linspace(-1, 1, 3 * 3 * 4 * 6, dtype=np.float32).reshape(3, 3, 4, 6)
FUNCTIONS = {
    "logs and powers": (lambda x: jnp.log1p(x * x) + jnp.exp(-abs(x)) ** 3 / jnp.sqrt(x * x + 1), [(None, 4)]),
    "comparisons": (lambda x: jnp.where((x > 0.2) & (x != 0.5) | ~(x <= -0.5) & (x == x), x, 3 - x), [(None, 4)]),
    "less": (lambda x: jnp.where((x < 0) | (x >= 0.5), jnp.tanh(x), lax.erf(x)), [(None, 4)]),
    "waves and steps": (lambda x: jnp.sin(x) * jnp.cos(x) + jnp.sign(x) + jnp.ceil(3 * x) - jnp.floor(x), [(None, 4)]),
    "nothing": (lambda x: lax.optimization_barrier(jnp.array(x, copy=True)) + lax.stop_gradient(x), [(None, 4)]),
    "a power": (lambda x: jnp.power(2 + x, 2.5), [(None, 4)]),
    "clamp": (lambda x: lax.clamp(-0.5, x, 0.5) + jnp.maximum(x, 0.1) + jnp.minimum(x, 0.1), [(None, 4)]),
    "reductions": (lambda x: jnp.max(x, 1) - jnp.min(x, 1) + jax.nn.softmax(x, 1)[:, 0], [(None, 4)]),
    "log and rsqrt": (lambda x: jnp.log(2 + x) + lax.rsqrt(2 + x) + lax.integer_pow(x, 3), [(None, 4)]),
    "a shape of the batch": (lambda x: jnp.broadcast_to(jnp.arange(3.0), (2 * x.shape[0], 3)), [(None, 4)]),
    "slices": (lambda x: jnp.broadcast_to(x[:, None, ::2], (x.shape[0], 3, 2)) * x[:, 1:4, None], [(None, 4)]),
    "places": (lambda x: x[:, [[2, 0], [1, 1]]] + x[:, :1, None] - x[:, 3, None, None], [(None, 4)]),
    "pad and stack": (lambda x: jnp.pad(jnp.stack([x, x], 1), ((0, 0), (1, 2), (0, 0))), [(None, 4)]),
    "products": (lambda x, y: jnp.einsum("bij,bkj->bki", x, y), [(None, 3, 4), (None, 2, 4)]),
    "whole numbers": (lambda x: jnp.squeeze((4 * x).astype(jnp.int32) + (x > 0), 1), [(None, 1, 4)]),
    "a dilated convolution": (lambda x: CONVOLVE(x, KERNEL, (1, 2), "SAME", rhs_dilation=(2, 1)), [(None, 8, 6, 4)]),
    "groups": (lambda x: CONVOLVE(x, KERNEL[:, :, :2], (2, 1), "VALID", feature_group_count=2), [(None, 8, 6, 4)]),
    "a transposed one": (
        lambda x: CONVOLVE(x, KERNEL, (1, 1), ((2, 1), (1, 2)), lhs_dilation=(2, 3)),
        [(None, 5, 4, 4)],
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_primitive_does_what_it_does_in_jax(name):
    call, shapes = FUNCTIONS[name]
    inputs = {f"x{i}": shape for i, shape in enumerate(shapes)}
    function = Function("f", lambda *x: (jnp.asarray(call(*x), jnp.float32),), inputs, ("y",), "")
    session = onnx_files.session(onnx_files.to_onnx(function, half=False, about={}).SerializeToString())
    rng = np.random.default_rng(0)
    for batch in (1, 3):
        given = [rng.uniform(-1, 1, [batch if d is None else d for d in shape]).astype(np.float32) for shape in shapes]
        assert max(onnx_files.differences(session, function, given)) < 1e-5


def test_every_form_is_tried():
    """By the functions above or by a model: a form that nothing reaches may do anything."""
    used: set[str] = set()

    def noted(name, graph, eqn, *inputs):
        used.add(name)
        return FORMS[name](graph, eqn, *inputs)

    forms = {name: functools.partial(noted, name) for name in FORMS}
    (batch,) = jax.export.symbolic_shape("b")
    of_models = [each for name in CONFIGS for each in functions(bundle_of(name))]
    others = [Function(n, lambda *x, c=c: (c(*x),), {str(i): s for i, s in enumerate(shapes)}, ("y",), "")
              for n, (c, shapes) in FUNCTIONS.items()]  # fmt: skip
    for function in of_models + others:
        shapes = [tuple(batch if d is None else d for d in shape) for shape in function.inputs.values()]
        traced = jax.make_jaxpr(function.call)(*(jax.ShapeDtypeStruct(shape, np.float32) for shape in shapes))
        graph = Graph(forms, batch, half=False)
        for name, shape in zip(function.inputs, shapes, strict=True):
            graph.input(name, shape)
        graph.run(traced.jaxpr, traced.consts, list(function.inputs))
    assert set(FORMS) - used == set()


def test_the_form_that_has_no_library_exports_too(monkeypatch):
    monkeypatch.setattr(conv, "calls_libraries", lambda: False)
    bundle = bundle_of()
    decoder = functions(bundle)[1]
    session = onnx_files.session(onnx_files.to_onnx(decoder, half=False, about={}).SerializeToString())
    assert max(onnx_files.differences(session, decoder, [onnx_files.samples(bundle, 2)["z"]])) < 1e-5


def test_a_layer_without_a_form_is_named():
    def call(x):
        with jax.named_scope("Encoder"), jax.named_scope("sorter"):
            return (jnp.sort(x, axis=1),)

    function = Function("f", call, {"x": (None, 3)}, ("y",), "")
    with pytest.raises(InputError, match=r"^the layer Encoder/sorter uses sort, for which the export to ONNX has no"):
        onnx_files.to_onnx(function, half=False, about={})


def test_a_graph_that_is_off_is_found(monkeypatch, tmp_path):
    monkeypatch.setitem(FORMS, "logistic", FORMS["tanh"])
    with pytest.raises(InputError, match="the ONNX graph of the decoder is off by 0"):
        onnx_files.write_onnx(tmp_path, bundle_of(), half=False)


def test_without_the_extra_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setattr(onnx_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"onnx and onnxruntime is not installed: pip install 'jvae\[export\]'$"):
        onnx_files.write_onnx(tmp_path, bundle_of(), half=False)
