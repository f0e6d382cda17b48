"""What a face is made of, and the shapes that follow: signed distances, the head's own coordinates, the hair's outline.

Coordinates run from -1 to 1, x to the right and y down; the eyes lie at y = -0.1.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

NAMES = (
    "Bald", "Bangs", "Big_Nose", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Eyeglasses",
    "Goatee", "Gray_Hair", "Male", "Mouth_Slightly_Open", "Mustache", "Narrow_Eyes", "No_Beard", "Pale_Skin",
    "Rosy_Cheeks", "Smiling", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick", "Wearing_Necktie", "Young",
)  # fmt: skip
EYE_Y = -0.1


class Factors(NamedTuple):
    """What a face is made of: the attributes, and continuous factors in [-1, 1], each float32 [n] unless noted.

    Factors of things a face does not have (its glasses, its beard) are there all the same: they say what they would be.
    """

    attrs: jax.Array  # bool [n, a], in the order of NAMES
    # shape, bell-shaped around 0
    yaw: jax.Array
    pitch: jax.Array
    roll: jax.Array
    face_width: jax.Array
    face_length: jax.Array
    jaw: jax.Array
    eye_spacing: jax.Array
    eye_size: jax.Array
    eye_tilt: jax.Array
    brow_height: jax.Array
    brow_arch: jax.Array
    nose_width: jax.Array
    nose_length: jax.Array
    mouth_width: jax.Array
    lip_fullness: jax.Array
    hair_volume: jax.Array
    hairline: jax.Array
    light: jax.Array  # from the left (-1) or the right (1)
    # style, even
    smile: jax.Array
    opening: jax.Array
    age: jax.Array
    skin_tone: jax.Array  # light to dark
    eye_colour: jax.Array
    hair_shade: jax.Array
    hair_length: jax.Array
    hair_wave: jax.Array
    parting: jax.Array
    bangs: jax.Array
    beard: jax.Array
    lipstick: jax.Array
    glasses_shape: jax.Array
    glasses_colour: jax.Array
    glasses_tint: jax.Array  # below 0.3 clear, above dark
    hat_colour: jax.Array
    hat_brim: jax.Array
    earrings: jax.Array
    clothes_colour: jax.Array
    clothes_light: jax.Array
    tie_colour: jax.Array
    background_colour: jax.Array
    background_light: jax.Array
    background_slope: jax.Array


SKIN = ((0.99, 0.84, 0.75), (0.95, 0.76, 0.63), (0.87, 0.64, 0.49), (0.69, 0.47, 0.34), (0.49, 0.32, 0.24))
HAIR = {  # the ends of each colour's shades; the last is for hair that no label names
    "Black_Hair": ((0.07, 0.06, 0.07), (0.14, 0.11, 0.11)),
    "Blond_Hair": ((0.80, 0.60, 0.30), (0.95, 0.82, 0.52)),
    "Brown_Hair": ((0.25, 0.14, 0.08), (0.40, 0.25, 0.15)),
    "Gray_Hair": ((0.56, 0.56, 0.58), (0.84, 0.84, 0.85)),
    "": ((0.52, 0.17, 0.07), (0.70, 0.31, 0.10)),
}


def cover(d, width):
    """How much of a pixel lies inside a shape: `d` its signed distance, negative inside, `width` that of the edge."""
    return jnp.clip(0.5 - d * (1.0 / width), 0.0, 1.0)


def spot(x, y, cx, cy, rx, ry):
    """A soft round spot, 1 at its middle (cx, cy) and 0 from the ellipse (rx, ry) on."""
    m = jnp.maximum(1.0 - jnp.square((x - cx) * (1.0 / rx)) - jnp.square((y - cy) * (1.0 / ry)), 0.0)
    return m * m


def ellipse(x, y, rx, ry, square: jax.Array | float = 0.0):
    """First-order signed distance to an ellipse, or with `square` up to 1 to a squircle; and its own coordinates."""
    u, v = x * (1.0 / rx), y * (1.0 / ry)
    uu, vv = u * u, v * v
    k = uu + vv - square * jnp.minimum(uu, 1.0) * jnp.minimum(vv, 1.0) + 1e-6
    return (k - jnp.sqrt(k)) * jax.lax.rsqrt(jnp.square(u / rx) + jnp.square(v / ry) + 1e-6), u, v


def wave(p):
    """Nearly a sine of `p` radians, made of two parabolas."""
    t = p * (0.5 / np.pi)
    t = t - jnp.floor(t) - 0.5
    return 8.0 * t * (2.0 * jnp.abs(t) - 1.0)


def blend(a, b, t):
    """The way from `a` at t = 0 to `b` at t = 1."""
    return a + (b - a) * t


def rgb(*values):
    """A colour [3], float32."""
    return jnp.asarray(values, jnp.float32)


def ramp(t, colours):
    """A colour [3] from a palette [k,3], at t in [-1, 1] along it."""
    at = (0.5 * t + 0.5) * (len(colours) - 1)
    weights = jnp.maximum(1.0 - jnp.abs(at - np.arange(len(colours))), 0.0)
    return jnp.sum(weights[:, None] * np.asarray(colours, np.float32), axis=0)


class Face(NamedTuple):
    """What several layers share: where they are, the head's measures, its colours. Scalars, but for [h,w]."""

    px: float  # one pixel
    has: dict[str, jax.Array]  # attributes, 0 or 1
    x0: jax.Array  # the picture's coordinates [1,w], [h,1]
    y0: jax.Array
    x: jax.Array  # the head's, rolled about the point between the eyes
    y: jax.Array
    u: jax.Array  # the features', turned on the head's surface
    v: jax.Array
    m: jax.Array  # |u|: both sides of a face are drawn at once
    side: jax.Array  # -1 on the left, 1 on the right
    d: jax.Array  # signed distance to the head's outline
    hx: jax.Array  # the head as a unit disc
    hy: jax.Array
    a: jax.Array  # half its width
    chin: jax.Array
    eye_x: jax.Array
    nose_y: jax.Array
    mouth_y: jax.Array
    smile: jax.Array
    opened: jax.Array
    skin: jax.Array  # [3]
    hair: jax.Array  # [3]
    beard: jax.Array  # [3]


def measure(f: Factors, size: int) -> Face:
    """Lays out one face, f's fields without n, on a picture of `size` by `size` pixels."""
    has = {name: f.attrs[i].astype(jnp.float32) for i, name in enumerate(NAMES)}
    male, chubby = has["Male"], has["Chubby"]
    px = 2.0 / size
    x0 = ((jnp.arange(size, dtype=jnp.float32) + 0.5) * px - 1.0)[None, :]
    y0 = x0.T
    angle = 0.10 * f.roll
    x = x0 * jnp.cos(angle) + (y0 - EYE_Y) * jnp.sin(angle)
    y = (y0 - EYE_Y) * jnp.cos(angle) - x0 * jnp.sin(angle) + EYE_Y
    a = 0.505 + 0.03 * f.face_width + 0.018 * male + 0.05 * chubby
    chin = 0.58 + 0.03 * f.face_length + 0.015 * male
    middle = -0.16
    below = y > middle
    t = jnp.clip((y - middle) * (1.0 / (chin - middle)), 0.0, 1.0)
    taper = 0.23 - 0.11 * male - 0.03 * f.jaw - 0.12 * chubby
    square = jnp.where(below, 0.10 + 0.28 * male + 0.10 * f.jaw + 0.25 * chubby, 0.12)
    d, hx, hy = ellipse(x / (1.0 - taper * t * t), y - middle, a, jnp.where(below, chin - middle, 0.68), square)
    u = x - 0.13 * f.yaw * jnp.maximum(1.0 - hx * hx, 0.0)
    v = y - 0.05 * f.pitch * jnp.maximum(1.0 - hy * hy, 0.0)
    skin = blend(ramp(f.skin_tone, SKIN), rgb(1.0, 0.915, 0.87), has["Pale_Skin"])
    hair, unnamed = jnp.zeros(3), 1.0
    for name, (dark, bright) in HAIR.items():
        on = has.get(name, unnamed)
        hair, unnamed = hair + on * blend(rgb(*dark), rgb(*bright), 0.5 + 0.5 * f.hair_shade), unnamed - on
    return Face(
        px, has, x0, y0, x, y, u, v, jnp.abs(u), jnp.sign(u), d, hx, hy, a, chin,
        eye_x=0.243 + 0.016 * f.eye_spacing,
        nose_y=0.175 + 0.02 * f.nose_length + 0.02 * has["Big_Nose"],
        mouth_y=0.34 + 0.012 * f.face_length,
        smile=jnp.where(has["Smiling"] > 0, 0.80 + 0.20 * f.smile, 0.08 * f.smile),
        opened=jnp.where(has["Mouth_Slightly_Open"] > 0, 0.80 + 0.20 * f.opening, 0.0),
        skin=skin, hair=hair, beard=blend(hair * 0.85, skin * 0.5, 0.15),
    )  # fmt: skip


class Hair(NamedTuple):
    """The hair's shapes, [h,w] but for `rx`."""

    outline: jax.Array  # signed distances [h,w]: to all the hair, to what lies before the face
    front: jax.Array
    window: jax.Array  # to the opening that the face looks out of
    fringe: jax.Array
    strands: jax.Array  # a wave across the strands, -1 to 1
    rx: jax.Array  # half the width
    qx: jax.Array  # the outline as a unit disc
    qy: jax.Array
    hat_line: jax.Array  # v of the hat's edge, above which there is no hair under a hat


def shape_hair(f: Factors, g: Face) -> Hair:
    """The hair of one face: an outline stretched downwards by its length, less a window that the face looks out of."""
    bald = g.has["Bald"]
    length = (0.5 + 0.5 * f.hair_length) * (1.0 - bald)
    volume = 0.5 + 0.5 * f.hair_volume
    rx = g.a + 0.018 + (0.03 + 0.12 * length) * (0.4 + volume)
    sway = 0.026 * (0.5 + 0.5 * f.hair_wave) * length * wave(11.0 * g.y + 2.0 * f.hair_wave)
    below = g.y > -0.22
    ry = jnp.where(below, 0.22 + 1.45 * length, 0.68 + 0.06 * volume)
    outline, qx, qy = ellipse(g.x + sway * jnp.sign(g.x), g.y + 0.22, rx, ry, jnp.where(below, 0.75, 0.15))
    # the parting pulls the window's top to its side
    wx = g.u - 0.30 * f.parting * jnp.clip(-g.v - 0.1, 0.0, 1.0)
    low = g.v > 0.12
    line = -0.57 + 0.04 * f.hairline - 0.02 * g.has["Male"]
    window, _, _ = ellipse(
        wx, g.v - 0.12, g.a - 0.025 - 0.03 * length, jnp.where(low, 4.0, 0.12 - line), jnp.where(low, 0.0, 0.35)
    )
    strands = wave(20.0 * wx * (1.0 + 0.35 * g.y) + 5.0 * sway)
    fringe = g.v + 0.275 - 0.025 * f.bangs - 0.16 * f.parting * g.u + 0.25 * g.u * g.u - 0.014 * strands
    front = jnp.maximum(outline, jnp.where(g.has["Bangs"] > 0, jnp.minimum(-window, fringe), -window))
    sides = jnp.abs(g.d + 0.005) - 0.062 * (1.0 - jnp.square((g.v + 0.16) * (1 / 0.22)))
    front = jnp.where(bald > 0, sides, front)
    hat_line = -0.41 - 0.10 * g.u * g.u
    under_hat = hat_line - 0.05 - g.v - 3.0 * (1.0 - g.has["Wearing_Hat"])
    outline, front = jnp.maximum(outline, under_hat), jnp.maximum(front, under_hat)
    return Hair(outline, front, window, fringe, strands, rx, qx, qy, hat_line)
