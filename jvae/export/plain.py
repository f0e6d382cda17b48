"""A model's name in; lines of plain Flax that decode with its exported weights, without jvae, out.

A test runs them for every model that has some.
"""

_READ = """import json
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load_file

cfg = json.loads(Path("config.json").read_text())["model"]
v = unflatten_dict({tuple(name.split("/")): array for name, array in load_file("model.safetensors").items()})
p = v["params"]
"""

_DRAW = """
z = np.random.default_rng(0).normal(size=(4, cfg["latent_dim"])).astype(np.float32)
images = decode(z)  # float32 [4,h,w,3] in [0, 1]
"""

_DECODERS = {
    "book": """
def decode(z):
    p, stats, n = v["params"]["decoder"], v["batch_stats"].get("decoder"), len(cfg["widths"])
    side = cfg["image_size"] // 2**n
    x = (z @ p["dense"]["kernel"] + p["dense"]["bias"]).reshape(len(z), side, side, -1)
    for i in range(n):
        up = nn.ConvTranspose(p[f"kernel_{i}"].shape[2], (3, 3), (2, 2), use_bias=False, transpose_kernel=True)
        x = up.apply({"params": {"kernel": p[f"kernel_{i}"]}}, x)
        if i < n - 1:
            norm = nn.BatchNorm(use_running_average=True, epsilon=cfg["bn_epsilon"])
            x = norm.apply({"params": p[f"norm_{i}"], "batch_stats": stats[f"norm_{i}"]}, x)
            x = nn.leaky_relu(x, cfg["leaky_slope"])
    return nn.sigmoid(x + p["bias"])
""",
    "linear": """
def decode(z):
    side = cfg["image_size"]
    return jnp.clip(z @ p["decoder"] + p["mean"], 0, 1).reshape(-1, side, side, 3)
""",
    "residual": """
def conv(x, kernel):
    return nn.Conv(kernel.shape[3], (3, 3), use_bias=False).apply({"params": {"kernel": kernel}}, x)


def activate(x, q):
    silu, norm = cfg["activation"] == "silu", nn.GroupNorm(cfg["groups"], epsilon=1e-5)
    x = norm.apply({"params": q}, x) if cfg["norm"] == "group" else x + q["bias"]
    return nn.silu(x) if silu else nn.leaky_relu(x, 0.2)


def enlarge(x, q, k):
    b, h, w, _ = x.shape
    smooth, detail = (x @ q[name]["kernel"] + q[name]["bias"] for name in ("smooth", "detail"))
    smooth = jax.image.resize(smooth, (b, k * h, k * w, smooth.shape[-1]), "linear")
    return smooth + detail.reshape(b, h, w, k, k, -1).swapaxes(2, 3).reshape(smooth.shape)


def decode(z):
    p, side = v["params"]["decoder"], cfg["image_size"] // 2 ** (len(cfg["widths"]) + 1)
    x = (z @ p["dense"]["kernel"] + p["dense"]["bias"]).reshape(len(z), side, side, -1)
    for i in reversed(range(len(cfg["widths"]))):
        for q in (p[f"block_{i}_{j}"] for j in range(cfg["blocks"][i])):
            y = conv(activate(x, q["norm_0"]), q["kernel_0"])
            x = x + conv(activate(y, q["norm_1"]), q["kernel_1"])
        x = enlarge(x, p[f"up_{i}"], 2) if i else x
    x = enlarge(activate(x, p["norm"]), p["head"], 4)
    x = conv(nn.silu(x) if cfg["activation"] == "silu" else nn.leaky_relu(x, 0.2), p["kernel"])
    found = conv(jnp.ones((1, *x.shape[1:3], 1)), jnp.ones((3, 3, 1, 1)))  # pixels of 9 that the border has
    return nn.sigmoid(x * 9 / found + p["bias"])
""",
}

_ROWS = '    for i in reversed(range(len(cfg["widths"]))):\n'
_DECODERS["principal"] = (
    _DECODERS["residual"]
    .replace(
        _ROWS,
        f"""    b, s, matrix = len(z), cfg["image_size"], v["linear"]
    linear = (z @ matrix["linear_decoder"] + matrix["linear_mean"]).reshape(b, s, s, 3)
    beside = (linear - 0.5).reshape(b, s // 4, 4, s // 4, 4, 3).swapaxes(2, 3).reshape(b, s // 4, s // 4, -1)
{_ROWS}        x = x if i else x + beside @ p["beside"]["kernel"] + p["beside"]["bias"]
""",
    )
    .replace('nn.sigmoid(x * 9 / found + p["bias"])', 'jnp.clip(linear + x * 9 / found + p["bias"], 0, 1)')
)

_OF_JVAE = """import json
from pathlib import Path

import numpy as np
from flax.traverse_util import unflatten_dict
from safetensors.numpy import load_file

from {module} import {config}

cfg = json.loads(Path("config.json").read_text())["model"]
fields = {{k: tuple(f) if isinstance(f, list) else f for k, f in cfg.items() if k != "name"}}
network = {config}(**fields).module(np.float32)
variables = unflatten_dict({{tuple(name.split("/")): x for name, x in load_file("model.safetensors").items()}})
z = np.random.default_rng(0).normal(size=(4, {latent_dim})).astype(np.float32)
images = network.apply(variables, z, method="decode")  # float32 [4,h,w,3] in [0, 1]
"""


def plain_lines(name: str, config: type, latent_dim: int) -> str:
    """Python that reads an exported folder, the current one, and decodes four latents to `images`.

    Args:
      name: of the model, in the registry.
      config: class of its config, whose module the lines take where jvae has none of plain Flax for it.
      latent_dim: length of z.
    """
    if name in _DECODERS:
        return f"{_READ}\n{_DECODERS[name]}\n{_DRAW}"
    return _OF_JVAE.format(module=config.__module__, config=config.__name__, latent_dim=latent_dim)
