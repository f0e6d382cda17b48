"""A function's value and gradients, compiled as one program."""

import functools

import jax


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradients(function, *args_and_gradient):
    """function(*args), and for each of args the gradient that follows from the value's, the last argument."""
    *args, gradient = args_and_gradient
    value, pull = jax.vjp(function, *args)
    return value, *pull(gradient)
