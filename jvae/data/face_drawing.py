"""A face from its factors: signed-distance shapes with one-pixel edges, soft shading, layers from back to front.

Coordinates run from -1 to 1, x to the right and y down; the eyes lie at y = -0.1, as in an aligned CelebA photograph.
"""

from functools import partial
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


def _cover(d, width):
    """How much of a pixel lies inside a shape: `d` its signed distance, negative inside, `width` that of the edge."""
    return jnp.clip(0.5 - d * (1.0 / width), 0.0, 1.0)


def _spot(x, y, cx, cy, rx, ry):
    """A soft round spot, 1 at its middle and 0 from the ellipse (rx, ry) on."""
    m = jnp.maximum(1.0 - jnp.square((x - cx) * (1.0 / rx)) - jnp.square((y - cy) * (1.0 / ry)), 0.0)
    return m * m


def _ellipse(x, y, rx, ry, square=0.0):
    """First-order signed distance to an ellipse, or with `square` up to 1 to a squircle; also its two coordinates."""
    u, v = x * (1.0 / rx), y * (1.0 / ry)
    uu, vv = u * u, v * v
    k = uu + vv - square * jnp.minimum(uu, 1.0) * jnp.minimum(vv, 1.0) + 1e-6
    return (k - jnp.sqrt(k)) * jax.lax.rsqrt(jnp.square(u / rx) + jnp.square(v / ry) + 1e-6), u, v


def _wave(p):
    """Nearly a sine of `p` radians, of two parabolas."""
    t = p * (0.5 / np.pi)
    t = t - jnp.floor(t) - 0.5
    return 8.0 * t * (2.0 * jnp.abs(t) - 1.0)


def _over(canvas, colour, alpha):
    """`colour` [3] or [3,h,w] laid over `canvas` [3,h,w] with the opacity `alpha` [h,w]."""
    colour = (jnp.reshape(colour, (3, 1, 1))) if jnp.ndim(colour) == 1 else colour
    return canvas + alpha * (colour - canvas)


def _mix(a, b, t):
    return a + (b - a) * t


def _rgb(*values):
    return jnp.asarray(values, jnp.float32)


def _hue(h, saturation, value):
    """A colour [3]: hue `h` in turns."""
    ramp = 0.5 + 0.5 * jnp.cos(2.0 * jnp.pi * (h - _rgb(0.0, 1 / 3, 2 / 3)))
    return value * (1.0 - saturation * (1.0 - ramp))


def _ramp(t, colours):
    """A colour [3] from a palette [k,3], t in [-1, 1]."""
    at = np.arange(len(colours))
    weight = jnp.maximum(1.0 - jnp.abs((0.5 * t + 0.5) * (len(colours) - 1) - at), 0.0)
    return jnp.sum(weight[:, None] * np.asarray(colours, np.float32), axis=0)


def _tint(colour, shade):
    """A colour [3] under the light `shade` [h,w], 0 in the dark, 1 full, more than 1 shining: [3,h,w]."""
    c = colour.reshape(3, 1, 1)
    c, dark = ((c, c * _rgb(0.56, 0.46, 0.46).reshape(3, 1, 1)))
    return _mix(dark, c, jnp.clip(shade, 0.0, 1.0)) + jnp.clip(shade - 1.0, 0.0, 1.0) * (1.0 - c)


SKIN = ((0.97, 0.80, 0.69), (0.93, 0.72, 0.58), (0.83, 0.60, 0.45), (0.66, 0.44, 0.32), (0.47, 0.30, 0.22))
EYES = ((0.28, 0.17, 0.10), (0.40, 0.25, 0.12), (0.45, 0.42, 0.18), (0.30, 0.47, 0.32), (0.25, 0.48, 0.66))
LIPS = ((0.62, 0.06, 0.22), (0.80, 0.07, 0.13), (0.86, 0.20, 0.22), (0.88, 0.24, 0.42))
HAIR = {  # two ends of each colour's shades; None: no label holds
    "Black_Hair": ((0.07, 0.06, 0.07), (0.13, 0.11, 0.11)),
    "Blond_Hair": ((0.80, 0.60, 0.30), (0.95, 0.82, 0.52)),
    "Brown_Hair": ((0.27, 0.15, 0.08), (0.42, 0.26, 0.15)),
    "Gray_Hair": ((0.56, 0.56, 0.58), (0.84, 0.84, 0.85)),
    None: ((0.52, 0.17, 0.07), (0.68, 0.30, 0.10)),
}


def _paint(f: Factors, size: int):
    """One face, f's fields without n: float32 [3,size,size] in [0,1]."""
    px = 2.0 / size
    has = {name: f.attrs[i].astype(jnp.float32) for i, name in enumerate(NAMES)}
    male, old, chubby = has["Male"], 1.0 - has["Young"], has["Chubby"]
    x0 = ((np.arange(size, dtype=np.float32) + 0.5) * px - 1.0)[None, :]
    y0 = ((np.arange(size, dtype=np.float32) + 0.5) * px - 1.0)[:, None]

    # colours
    skin = _ramp(f.skin_tone, SKIN)
    skin = _mix(skin, _rgb(1.0, 0.905, 0.865), has["Pale_Skin"])
    hair = jnp.zeros(3)
    left = 1.0
    for name, (dark, bright) in HAIR.items():
        on = has[name] if name else left
        hair, left = hair + on * _mix(_rgb(*dark), _rgb(*bright), 0.5 + 0.5 * f.hair_shade), left - on
    brow_colour = _mix(hair * 0.62, skin * 0.4, 0.25)
    beard_colour = _mix(hair * 0.85, skin * 0.5, 0.15)
    cloth = _hue(0.5 * f.clothes_colour, 0.55, 0.5 + 0.3 * f.clothes_light)

    # the background: a slope between two tones and a glow behind the head
    back = _hue(0.5 * f.background_colour, 0.32, 0.60 + 0.26 * f.background_light)
    glow = 0.30 * _spot(x0, y0, 0.5 * f.background_slope, -0.3, 1.7, 1.6) - 0.16 * (y0 + 0.6 * f.background_slope * x0)
    canvas = back.reshape(3, 1, 1) * (0.86 + glow)

    # the head's own coordinates: rolled about the point between the eyes (x, y), and turned with the features on (u, v)
    angle = 0.11 * f.roll
    x = x0 * jnp.cos(angle) + (y0 - EYE_Y) * jnp.sin(angle)
    y = (y0 - EYE_Y) * jnp.cos(angle) - x0 * jnp.sin(angle) + EYE_Y
    a = 0.485 + 0.03 * f.face_width + 0.02 * male + 0.045 * chubby
    chin = 0.56 + 0.03 * f.face_length + 0.015 * male
    middle = -0.16
    top, low = 0.66, chin - middle
    t = jnp.clip((y - middle) / low, 0.0, 1.0)
    taper = 0.24 - 0.11 * male - 0.03 * f.jaw - 0.13 * chubby
    square = jnp.where(y > middle, 0.10 + 0.28 * male + 0.10 * f.jaw + 0.25 * chubby, 0.12)
    d_head, hx, hy = _ellipse(x / (1.0 - taper * t * t), y - middle, a, jnp.where(y > middle, low, top), square)
    flat = jnp.maximum(1.0 - hx * hx, 0.0)
    u = x - 0.13 * f.yaw * flat
    v = y - 0.05 * f.pitch * jnp.maximum(1.0 - hy * hy, 0.0)
    m = jnp.abs(u)
    side = jnp.sign(u)

    # hair: an outline stretched downwards by its length, and the window in it that the face looks out of
    bald, hat = has["Bald"], has["Wearing_Hat"]
    length = jnp.where(bald > 0, 0.12, 0.5 + 0.5 * f.hair_length)
    volume = (0.5 + 0.5 * f.hair_volume) * (1.0 - bald)
    rx = a + 0.035 + (0.03 + 0.10 * length) * (0.4 + volume)
    wave = 0.022 * (0.5 + 0.5 * f.hair_wave) * length * _wave(11.0 * y + 2.0 * f.hair_wave)
    below = y > -0.22
    d_hair, qx, qy = _ellipse(
        x + wave * jnp.sign(x), y + 0.22, rx, jnp.where(below, 0.28 + 1.3 * length, 0.66 + 0.07 * volume + 0.02),
        jnp.where(below, 0.75, 0.15),
    )
    line = -0.56 + 0.04 * f.hairline - 0.02 * male
    open_top = 0.12 - line
    wx = u - 0.30 * f.parting * jnp.clip(-v - 0.1, 0.0, 1.0)
    d_open, _, _ = _ellipse(
        wx, v - 0.12, a - 0.035 - 0.02 * length, jnp.where(v > 0.12, 4.0, open_top), jnp.where(v > 0.12, 0.0, 0.35)
    )
    strands = _wave(20.0 * wx * (1.0 + 0.35 * y) + 5.0 * wave)
    fringe = v - (-0.27 + 0.03 * f.bangs + 0.16 * f.parting * u - 0.25 * u * u + 0.012 * strands)
    d_open = jnp.where(has["Bangs"] > 0, jnp.maximum(d_open, -1.0) * 1.0, d_open)
    d_front = jnp.maximum(d_hair, jnp.where(has["Bangs"] > 0, jnp.minimum(-d_open, fringe), -d_open))
    d_front = jnp.where(bald > 0, jnp.maximum(d_front, -0.26 - v), d_front)
    hat_line = -0.40 - 0.10 * u * u
    d_front = jnp.where(hat > 0, jnp.maximum(d_front, hat_line - 0.05 - v), d_front)
    nz = jnp.sqrt(jnp.maximum(1.0 - qx * qx - jnp.minimum(qy, 0.3) * jnp.minimum(qy, 0.3), 0.0))
    gloss = _spot(qx - 0.3 * f.light, qy + 0.55 - 0.35 * qx * qx, 0.0, 0.0, 0.85, 0.26)
    hair_light = 0.30 + 0.55 * nz + 0.25 * f.light * qx - 0.15 * qy + 0.10 * strands
    hair_lit = _tint(hair, hair_light) + gloss * (0.10 + 0.22 * hair.reshape(3, 1, 1))
    canvas = _over(canvas, hair * 0.5, _cover(jnp.maximum(d_hair, hat_line - 0.05 - v + 1.0 - hat), px) * (1.0 - bald))

    # neck, shoulders, clothes
    neck = 0.20 + 0.055 * male + 0.04 * chubby
    d_neck = jnp.maximum(jnp.abs(x0) - neck - 0.55 * jnp.square(jnp.maximum(y0 - 0.62, 0.0)), 0.3 - y0)
    under = 0.62 + 0.35 * f.light * x0 - 0.55 * _cover(d_head - 0.08, 0.22)
    canvas = _over(canvas, _tint(skin, under), _cover(d_neck, px))
    d_cloth = 0.74 + 0.10 * jnp.abs(x0) + 0.16 * x0 * x0 - y0
    d_neckline, _, _ = _ellipse(x0, y0 - 0.68, 0.30, 0.16)
    cloth_light = 0.75 + 0.3 * f.light * x0 - 0.35 * jnp.square(x0) + 0.8 * jnp.clip(d_neckline * 4.0, 0.0, 0.25)
    tie = has["Wearing_Necktie"]
    canvas = _over(canvas, skin * 0.88, _cover(d_cloth, px))
    canvas = _over(canvas, _tint(cloth, cloth_light), _cover(jnp.maximum(d_cloth, -d_neckline), px))
    shirt = jnp.maximum(jnp.abs(x0) - 0.33 + 0.75 * (y0 - 0.72), 0.70 + 0.12 * jnp.abs(x0) - y0)
    canvas = _over(canvas, _rgb(0.95, 0.95, 0.97), tie * _cover(shirt, px))
    knot = jnp.where(y0 < 0.86, 0.085 - 0.25 * (y0 - 0.76), 0.06 + 0.4 * (y0 - 0.86))
    tie_colour = _hue(0.5 * f.tie_colour, 0.85, 0.55)
    tie_light = 0.9 - 0.5 * _cover(jnp.abs(y0 - 0.86) - 0.012, px) + 0.4 * f.light * x0
    canvas = _over(canvas, _tint(tie_colour, tie_light), tie * _cover(jnp.maximum(jnp.abs(x0) - knot, 0.755 - y0), px))

    # ears and head
    d_ear, ex, ey = _ellipse(jnp.abs(x) - a - 0.012, y - 0.0, 0.065, 0.13)
    canvas = _over(canvas, _tint(skin, 0.55 + 0.25 * ey * 0.0 - 0.35 * _spot(ex, ey, 0.0, 0.0, 0.7, 0.7) + 0.3 * f.light * x), _cover(d_ear, px))
    sep = 0.232 + 0.016 * f.eye_spacing
    nose_y = 0.175 + 0.02 * f.nose_length + 0.02 * has["Big_Nose"]
    nose_w = (0.088 + 0.012 * f.nose_width + 0.008 * male) * (1.0 + 0.55 * has["Big_Nose"])
    mouth_y = 0.335 + 0.012 * f.face_length
    smile = jnp.where(has["Smiling"] > 0, 0.78 + 0.22 * f.smile, 0.06 * f.smile)
    opened = jnp.where(has["Mouth_Slightly_Open"] > 0, 0.75 + 0.25 * f.opening, 0.0)
    age = old * (0.8 + 0.2 * f.age)
    nz = jnp.sqrt(jnp.maximum(1.0 - hx * hx - 0.8 * hy * hy, 0.0))
    nu = u - 0.05 * f.yaw
    shade = 0.34 + 0.62 * nz + 0.34 * f.light * hx - 0.14 * hy
    shade += 0.20 * _spot(u, v, 0.1 * f.light, -0.42, 0.34, 0.22)  # forehead
    shade += (0.20 + 0.10 * smile) * _spot(m, v, 0.27, 0.12 - 0.03 * smile, 0.18, 0.15)  # cheeks
    shade -= 0.30 * _spot(m, v, 0.20, EYE_Y - 0.03, 0.20, 0.14)  # eye sockets
    shade += 0.26 * _spot(nu, v, 0.012 * f.light, 0.02, 0.055, 0.30)  # bridge
    shade -= 0.26 * _spot(nu, v, -0.075 * jnp.sign(f.light + 1e-6), 0.06, 0.06, 0.24) * jnp.abs(f.light) ** 0.5
    shade += 0.30 * _spot(nu, v, 0.015 * f.light, nose_y - 0.055, nose_w * 0.8, 0.075)  # tip
    shade -= 0.50 * _spot(nu, v, 0.0, nose_y + 0.035, nose_w * 1.5, 0.06)  # under the nose
    shade -= 0.20 * _spot(u, v, 0.0, mouth_y + 0.125 + 0.06 * opened, 0.15, 0.05)  # under the lip
    shade += 0.14 * _spot(u, v, 0.0, chin - 0.09, 0.14, 0.09)  # chin
    hairline_shadow = _cover(-d_open - 0.03, 0.14) * (1.0 - bald)
    shade -= 0.30 * hairline_shadow + 0.35 * hat * _cover(v - hat_line - 0.09, 0.14)
    # age: folds beside the mouth, bags under the eyes, lines on the forehead
    fold = jnp.abs(m - 0.10 - 0.55 * (v - nose_y + 0.02)) + jnp.maximum(jnp.abs(v - nose_y - 0.075) - 0.10, 0.0) * 2.0
    creases = 0.9 * _cover(fold - 0.012, 0.05)
    bags = jnp.abs(v - EYE_Y - 0.105 + 1.6 * jnp.square(m - sep)) + jnp.maximum(jnp.abs(m - sep) - 0.10, 0.0)
    creases += 0.8 * _cover(bags - 0.010, 0.05)
    rows = jnp.minimum(jnp.abs(v + 0.40 - 0.2 * u * u), jnp.abs(v + 0.47 - 0.2 * u * u))
    creases += 0.7 * _cover(rows + jnp.maximum(m - 0.22, 0.0) - 0.008, 0.045)
    shade -= 0.60 * age * creases + (0.12 + 0.25 * age) * smile * _cover(fold - 0.01, 0.06)
    shade -= 0.35 * chubby * _cover(jnp.abs(d_head + 0.055 + 0.0 * u) - 0.012, 0.05) * (v > 0.3) * jnp.maximum(1.0 - 4.0 * u * u, 0.0)
    face = _tint(skin, shade)
    blush = _spot(m, v, 0.30, 0.13 - 0.02 * smile, 0.19, 0.15)
    face = _over(face, skin * _rgb(0.98, 0.72, 0.66), 0.35 * blush)
    face = _over(face, _mix(skin, _rgb(0.93, 0.22, 0.28), 0.75), has["Rosy_Cheeks"] * 0.85 * jnp.sqrt(blush))

    # beard, under the lips; the moustache comes over them
    bearded = 1.0 - has["No_Beard"]
    goatee, mustache = bearded * has["Goatee"], bearded * has["Mustache"]
    full = bearded * (1.0 - jnp.maximum(has["Goatee"], has["Mustache"]))
    grow = 0.5 + 0.5 * f.beard
    cheek = 0.27 - 0.95 * jnp.square(jnp.maximum(m - 0.10, 0.0)) - 0.10 * jnp.maximum(m - 0.3, 0.0) - v
    d_full = jnp.maximum(d_head - 0.015 - 0.03 * grow, cheek)
    d_goatee, _, _ = _ellipse(u, v - chin + 0.055, 0.135 + 0.02 * grow, 0.125 + 0.03 * grow, 0.3)
    beard_light = 0.75 + 0.35 * f.light * hx + 0.10 * strands
    under_beard = _over(canvas, face, _cover(d_head, px))
    hairy = jnp.maximum(full * _cover(d_full, 0.05), goatee * _cover(d_goatee, 0.04))
    canvas = _over(under_beard, _tint(beard_colour, beard_light), 0.93 * hairy)

    # mouth
    w = 0.150 + 0.014 * f.mouth_width + 0.055 * smile
    s = jnp.minimum(jnp.square(u / w), 1.3)
    arch = jnp.maximum(1.0 - s, 0.0)
    mid = mouth_y + 0.012 - 0.075 * smile * (s - 0.45)
    gap = (0.030 * smile + opened * (0.055 + 0.02 * smile)) * arch
    full_lips = 0.036 + 0.008 * f.lip_fullness - 0.008 * male + 0.006 * has["Wearing_Lipstick"]
    upper = mid - 0.35 * gap - full_lips * (arch - 0.35 * _spot(u, v, 0.0, mouth_y - 0.04, 0.06, 0.5)) * (1.0 - 0.25 * smile)
    lower = mid + 0.65 * gap + 1.25 * full_lips * arch * (2.0 - arch) * (1.0 - 0.2 * smile)
    d_lips = jnp.maximum(upper - v, v - lower)
    natural = skin * _rgb(0.86, 0.60, 0.57)
    lips = _mix(natural, _ramp(f.lipstick, LIPS), 0.92 * has["Wearing_Lipstick"])
    lip_light = 0.62 + 0.55 * _cover(mid - v, 0.03) * _spot(u, v, 0.25 * f.light * w, lower - 0.025, 0.12, 0.035) + 0.25 * _cover(mid - v, 0.02)
    canvas = _over(canvas, _tint(lips, lip_light), _cover(d_lips, px))
    gap_top, gap_low = mid - 0.35 * gap, mid + 0.65 * gap
    inside = _cover(jnp.maximum(gap_top - v, v - gap_low) - 0.008, px)
    canvas = _over(canvas, _rgb(0.30, 0.07, 0.08) * _mix(0.6, 1.0, jnp.minimum(smile + opened, 1.0)), inside * _cover(m - w * 1.02, px))
    teeth = jnp.maximum(gap_top - v, v - jnp.minimum(gap_top + 0.045, gap_low - 0.3 * opened * gap))
    canvas = _over(canvas, _rgb(0.98, 0.96, 0.93), _cover(teeth + 0.002, px) * (arch > 0) * jnp.minimum(smile * 1.2 + 0.6 * opened, 1.0))

    # moustache and nostrils
    d_must = jnp.maximum(jnp.abs(v - (nose_y + 0.075 + 0.9 * u * u)) - (0.038 + 0.012 * grow) * jnp.maximum(1.0 - jnp.square(m / 0.20), 0.0), m - 0.19)
    hairy = jnp.maximum(mustache, 0.8 * full) * _cover(d_must, 0.03)
    canvas = _over(canvas, _tint(beard_colour, beard_light), 0.95 * hairy)
    nostril = _spot(jnp.abs(nu), v, 0.50 * nose_w, nose_y + 0.012, 0.34 * nose_w + 0.012, 0.030)
    canvas = _over(canvas, skin * _rgb(0.30, 0.18, 0.16), 0.75 * jnp.sqrt(nostril))
    wing = jnp.abs(jnp.sqrt(jnp.square((jnp.abs(nu) - 0.55 * nose_w) / (0.55 * nose_w)) + jnp.square((v - nose_y + 0.025) / 0.05)) - 1.0)
    canvas = _over(canvas, skin * _rgb(0.55, 0.38, 0.34), 0.55 * _cover(wing * 0.05 - 0.008, 0.03) * (jnp.abs(nu) > 0.6 * nose_w))

    # eyes, both at once: (ex, ey) run outwards and down from each one's middle
    ex, ey = m - sep, v - EYE_Y
    ey = ey + (0.06 + 0.06 * f.eye_tilt) * ex
    eye_w = 0.122 + 0.010 * f.eye_size
    open_eye = (0.060 + 0.007 * f.eye_size - 0.008 * male) * (1.0 - 0.58 * has["Narrow_Eyes"]) * (1.0 - 0.14 * smile)
    lid = jnp.maximum(1.0 - jnp.square(ex / eye_w), -0.3)
    d_eye = jnp.maximum(-ey - open_eye * lid, ey - 0.72 * open_eye * lid)
    white = _cover(d_eye, px)
    dx, dy = ex + 0.02 * f.yaw * side, ey + 0.008
    iris_r = 0.058
    r2 = jnp.sqrt(dx * dx + dy * dy)
    iris = _ramp(f.eye_colour, EYES)
    ball = _over(_rgb(0.97, 0.95, 0.93).reshape(3, 1, 1) * (0.80 + 0.20 * _cover(-ey - 0.2 * open_eye, 0.06)), iris * (0.55), _cover(r2 - iris_r, px))
    ball = _over(ball, iris * 1.15, _cover(r2 - iris_r + 0.014, px) * _cover(-dy, 0.10))
    ball = _over(ball, _rgb(0.03, 0.02, 0.02), _cover(r2 - 0.026, px))
    glint = _cover(jnp.sqrt(jnp.square(dx * side - 0.022 * jnp.where(f.light > 0, 1.0, -1.0)) + jnp.square(dy + 0.022)) - 0.016, px)
    ball = _over(ball, _rgb(1.0, 1.0, 1.0), 0.95 * glint)
    canvas = _over(canvas, ball, white)
    lash = jnp.abs(-ey - open_eye * lid) - (0.011 + 0.011 * (1.0 - male) * (1.0 + 3.0 * jnp.maximum(ex, 0.0)))
    reach = jnp.maximum(-ex - eye_w, ex - eye_w * (1.04 + 0.18 * (1.0 - male)))
    canvas = _over(canvas, _rgb(0.09, 0.05, 0.05), (0.72 + 0.23 * (1.0 - male)) * _cover(jnp.maximum(lash, reach), px))
    lower_lid = jnp.maximum(jnp.abs(ey - 0.72 * open_eye * lid - 0.006) - 0.006, jnp.abs(ex) - eye_w)
    canvas = _over(canvas, skin * _rgb(0.48, 0.30, 0.28), 0.5 * _cover(lower_lid, px))
    crease = jnp.maximum(jnp.abs(-ey - open_eye * lid - 0.042) - 0.008, jnp.abs(ex) - eye_w)
    canvas = _over(canvas, skin * _rgb(0.50, 0.33, 0.30), 0.45 * _cover(crease, 0.04))

    # brows
    bushy = has["Bushy_Eyebrows"]
    bx = (ex + 0.01) / 0.165
    brow_y = EYE_Y - 0.150 - 0.016 * f.brow_height + 0.018 * male - 0.02 * smile + 0.012 * bushy
    arch_y = brow_y + (0.035 + 0.02 * f.brow_arch - 0.012 * male) * jnp.square(bx - 0.25) - 0.012 * bx
    thick = (0.019 + 0.008 * male) * (1.0 + 1.05 * bushy) * jnp.clip(1.0 - 0.65 * jnp.maximum(bx, -0.4) ** 2 - 0.25 * bx, 0.0, 1.2)
    d_brow = jnp.maximum(jnp.abs(v - arch_y) - thick, (jnp.abs(bx) - 1.0) * 0.165)
    canvas = _over(canvas, brow_colour, (0.78 + 0.2 * bushy) * _cover(d_brow, 0.034))

    # front hair
    canvas = _over(canvas, hair_lit, _cover(d_front, px))

    # earrings
    big = 0.062 + 0.014 * f.earrings
    drop_x, drop_y = jnp.abs(x) - a - 0.03, y - 0.14 - big
    ring = jnp.sqrt(drop_x * drop_x + drop_y * drop_y)
    d_ring = jnp.where(f.earrings > 0, jnp.abs(ring - big) - 0.019, ring - 0.055)
    gold = _mix(_rgb(0.98, 0.80, 0.32), _rgb(0.96, 0.95, 0.98), (f.earrings < 0).astype(jnp.float32))
    canvas = _over(canvas, _tint(gold, 1.0 - 6.0 * (drop_y + drop_x * f.light * 0.3)), has["Wearing_Earrings"] * _cover(d_ring, px))

    # glasses
    lens_w, lens_h = 0.172 + 0.0 * sep, 0.128 + 0.018 * f.glasses_shape
    d_lens, lx, ly = _ellipse(ex - 0.004, v - EYE_Y - 0.012, lens_w, lens_h, 0.35 - 0.35 * f.glasses_shape)
    frame = jnp.abs(d_lens) - 0.026
    bridge = jnp.maximum(jnp.abs(v - EYE_Y + 0.02 - 0.6 * u * u) - 0.024, m - sep + lens_w - 0.01)
    arm = jnp.maximum(jnp.abs(v - EYE_Y + 0.03) - 0.024, jnp.maximum(sep + lens_w - m, jnp.abs(x) - a - 0.01))
    d_frame = jnp.minimum(frame, jnp.minimum(bridge, arm))
    glasses = has["Eyeglasses"]
    dark = (f.glasses_tint > 0.3).astype(jnp.float32)
    lens_colour = _mix(_rgb(0.85, 0.93, 1.0), _rgb(0.06, 0.06, 0.08), dark).reshape(3, 1, 1) + dark * 0.10 * jnp.maximum(ly, 0.0)
    shine = _cover(jnp.abs(u * side * 0.0 + (u - side * sep) + 0.9 * (v - EYE_Y) + 0.03) - 0.028, 0.03)
    canvas = _over(canvas, lens_colour, glasses * _mix(0.10, 0.93, dark) * _cover(d_lens, px))
    canvas = _over(canvas, _rgb(1.0, 1.0, 1.0), glasses * _mix(0.22, 0.14, dark) * shine * _cover(d_lens, px))
    frame_colour = _ramp(f.glasses_colour, ((0.05, 0.05, 0.06), (0.10, 0.07, 0.06), (0.30, 0.13, 0.06), (0.45, 0.05, 0.08)))
    canvas = _over(canvas, frame_colour, glasses * _cover(d_frame, px))

    # hat
    brim = 0.5 + 0.5 * f.hat_brim
    d_crown, kx, ky = _ellipse(x, y + 0.42, jnp.maximum(a + 0.09, rx * 0.97), 0.56, 0.30)
    d_crown = jnp.maximum(d_crown, v - hat_line)
    d_band = jnp.maximum(jnp.abs(v - hat_line + 0.05) - 0.075, jnp.abs(x) - jnp.maximum(a + 0.10, rx) - 0.26 * brim + 0.12 * brim * (v < hat_line - 0.05))
    hat_colour = _hue(0.5 * f.hat_colour, 0.62, 0.62)
    hat_light = 0.55 + 0.45 * jnp.sqrt(jnp.maximum(1.0 - kx * kx, 0.0)) + 0.3 * f.light * kx - 0.2 * ky - 0.2
    canvas = _over(canvas, _tint(hat_colour, hat_light), hat * _cover(d_crown, px))
    canvas = _over(canvas, _tint(hat_colour * 0.62, hat_light + 0.1), hat * _cover(d_band, px))
    return jnp.clip(canvas, 0.0, 1.0)


@partial(jax.jit, static_argnames="size")
def _planes(factors: Factors, size: int):
    return jax.vmap(partial(_paint, size=size))(factors)  # [n,3,size,size]


@jax.jit
def _channels_last(planes):
    return jnp.transpose(planes, (0, 2, 3, 1))


def draw(factors: Factors, size: int) -> jax.Array:
    """Draws faces.

    Args:
      factors: fields [n].
      size: height and width in pixels. The factors do not depend on it: a larger picture is the same face, sharper.

    Returns:
      float32 [n,size,size,3] in [0,1], RGB.
    """
    # Two computations on purpose: with the transposition fused into it, XLA's CPU compiler does not vectorise the painting.
    return _channels_last(_planes(factors, size))
