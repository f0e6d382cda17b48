import jax
import jax.numpy as jnp
import pytest

from jvae.errors import InputError
from jvae.runtime import mesh as mesh_module
from jvae.runtime.mesh import along_data, check_batch_size, check_dtype, make_mesh, on_accelerator, replicated


def test_shardings_split_the_named_axis():
    mesh = make_mesh()
    n = len(jax.devices())
    assert along_data(mesh).shard_shape((2 * n, 3)) == (2, 3)
    assert along_data(mesh, 1).shard_shape((5, 2 * n, 3)) == (5, 2, 3)
    assert replicated(mesh).shard_shape((7, 3)) == (7, 3)


def test_a_batch_that_does_not_divide_says_what_would():
    mesh = make_mesh()
    n = len(jax.devices())
    check_batch_size(4 * n, mesh)
    if n > 1:
        said = f"batch_size={4 * n + 1} does not divide over {n} devices: use {4 * n} or {5 * n}"
        with pytest.raises(InputError, match=said):
            check_batch_size(4 * n + 1, mesh)


def test_bfloat16_runs_here():
    check_dtype("bfloat16", make_mesh())  # on every CPU: XLA computes it in float32 where there are no instructions


def test_a_dtype_that_the_device_lacks_is_one_line(monkeypatch):
    def broken(x, dtype):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no bf16 here\nstack\nstack")

    monkeypatch.setattr(mesh_module, "_probe", broken)
    with pytest.raises(
        InputError, match=r"^dtype=bfloat16 does not run on .* \(UNIMPLEMENTED: no bf16 here\): use .*$"
    ):
        check_dtype("bfloat16", make_mesh())


@pytest.mark.gpu
def test_a_gpu_is_an_accelerator_and_computes():
    mesh = make_mesh()
    assert on_accelerator(mesh)
    assert float(jax.device_put(jnp.ones((8,)), replicated(mesh)).sum()) == 8


def test_settings_of_jax_that_do_not_go_are_named(monkeypatch):
    with jax.enable_x64(True), pytest.raises(InputError, match=r"JAX_ENABLE_X64 is on.*unset it"):
        make_mesh()

    def none():
        raise RuntimeError("Unable to initialize backend 'cuda'")

    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(InputError, match=r"JAX_PLATFORMS=.* finds no device .*cuda.*: unset it, or give cpu"):
        make_mesh()

    def silent():
        raise AssertionError

    monkeypatch.setattr(jax, "devices", silent)
    with pytest.raises(InputError, match=r"finds no device .none of that kind is installed"):
        make_mesh()
