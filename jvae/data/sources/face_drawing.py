"""A face from its factors: layers from back to front, shapes with one-pixel edges, soft shading."""

from functools import partial

import jax
import jax.numpy as jnp

from jvae.data.sources.face_shape import (
    EYE_Y,
    Face,
    Factors,
    Hair,
    blend,
    cover,
    ellipse,
    measure,
    ramp,
    rgb,
    shape_hair,
    spot,
)

EYES = ((0.28, 0.17, 0.10), (0.42, 0.26, 0.12), (0.45, 0.42, 0.18), (0.30, 0.50, 0.34), (0.25, 0.50, 0.70))
LIPS = ((0.66, 0.04, 0.22), (0.82, 0.05, 0.12), (0.88, 0.14, 0.18), (0.88, 0.16, 0.38))
FRAMES = ((0.05, 0.05, 0.06), (0.10, 0.07, 0.06), (0.30, 0.13, 0.06), (0.45, 0.05, 0.08))


def _over(canvas, colour, alpha):
    """`colour` [3] or [3,h,w] laid over `canvas` [3,h,w] with the opacity `alpha` [h,w]."""
    colour = jnp.reshape(colour, (3, 1, 1)) if jnp.ndim(colour) == 1 else colour
    return canvas + alpha[None] * (colour - canvas)


def _tint(colour, shade):
    """A colour [3] under the light `shade` [h,w], 0 in the dark, 1 full, more than 1 shining: [3,h,w]."""
    colour = colour.reshape(3, 1, 1)
    dark = colour * rgb(0.58, 0.47, 0.46).reshape(3, 1, 1)
    shade = shade[None]
    return blend(dark, colour, jnp.clip(shade, 0.0, 1.0)) + jnp.clip(shade - 1.0, 0.0, 1.0) * (1.0 - colour)


def _hue(turns, saturation, value):
    """A colour [3] from its hue in turns, saturation and value."""
    ramp = 0.5 + 0.5 * jnp.cos(2.0 * jnp.pi * (turns - rgb(0.0, 1 / 3, 2 / 3)))
    return value * (1.0 - saturation * (1.0 - ramp))


def _paint_background(f: Factors, g: Face):
    colour = _hue(0.5 * f.background_colour, 0.27, 0.70 + 0.18 * f.background_light)
    glow = 0.27 * spot(g.x0, g.y0, 0.5 * f.background_slope, -0.3, 1.7, 1.6)
    light = 0.84 + glow - 0.16 * (g.y0 + 0.6 * f.background_slope * g.x0)
    return colour.reshape(3, 1, 1) * light[None]


def _paint_body(canvas, f: Factors, g: Face, hair: Hair):
    x, y, px = g.x0, g.y0, g.px
    male, chubby = g.has["Male"], g.has["Chubby"]
    canvas = _over(canvas, g.hair * 0.52, cover(hair.outline, px) * (1.0 - g.has["Bald"]))
    neck = 0.20 + 0.06 * male + 0.04 * chubby
    d_neck = jnp.maximum(jnp.abs(x) - neck - 3.0 * jnp.square(jnp.maximum(y - 0.64, 0.0)), 0.3 - y)
    shade = 0.72 + 0.35 * f.light * x - 0.65 * cover(g.d - 0.07, 0.20)
    canvas = _over(canvas, _tint(g.skin, shade), cover(d_neck, px))
    cloth = _hue(0.5 * f.clothes_colour, 0.55, 0.55 + 0.30 * f.clothes_light)
    d_cloth = 0.74 + 0.10 * jnp.abs(x) + 0.20 * x * x - y
    d_neckline, _, _ = ellipse(x, y - 0.70, 0.28 + 0.04 * male, 0.155)
    shade = 0.80 + 0.3 * f.light * x - 0.35 * x * x + 0.9 * jnp.clip(d_neckline * 4.0, 0.0, 0.25)
    canvas = _over(canvas, _tint(cloth, shade), cover(jnp.maximum(d_cloth, -d_neckline), px))
    tie = g.has["Wearing_Necktie"]
    shirt = jnp.maximum(jnp.abs(x) - 0.36 + 0.75 * (y - 0.72), 0.71 + 0.10 * jnp.abs(x) - y)
    collar = jnp.abs(jnp.abs(x) - 0.16 - 0.35 * (y - 0.80))
    canvas = _over(canvas, rgb(0.96, 0.96, 0.98), tie * (1.0 - 0.22 * cover(collar - 0.008, 0.03)) * cover(shirt, px))
    width = jnp.where(y < 0.87, 0.095 - 0.25 * (y - 0.76), 0.068 + 0.4 * (y - 0.87))
    shade = 0.95 - 0.5 * cover(jnp.abs(y - 0.87) - 0.012, px) + 0.4 * f.light * x
    d_tie = jnp.maximum(jnp.abs(x) - width, 0.755 - y)
    return _over(canvas, _tint(_hue(0.5 * f.tie_colour, 0.85, 0.60), shade), tie * cover(d_tie, px))


def _paint_head(canvas, f: Factors, g: Face, hair: Hair):
    m, u, v, smile = g.m, g.u, g.v, g.smile
    d_ear, ex, ey = ellipse(jnp.abs(g.x) - g.a - 0.012, g.y, 0.065, 0.13)
    shade = 0.70 - 0.40 * spot(ex, ey, 0.0, 0.0, 0.7, 0.7) + 0.3 * f.light * g.x
    canvas = _over(canvas, _tint(g.skin, shade), cover(d_ear, g.px))

    nose_w, nu = _nose_width(f, g), u - 0.05 * f.yaw
    shade = 0.42 + 0.60 * jnp.sqrt(jnp.maximum(1.0 - g.hx * g.hx - 0.8 * g.hy * g.hy, 0.0))
    shade += 0.34 * f.light * g.hx - 0.14 * g.hy
    shade += 0.20 * spot(u, v, 0.1 * f.light, -0.42, 0.34, 0.22)  # forehead
    shade += (0.20 + 0.12 * smile) * spot(m, v, 0.28, 0.12 - 0.03 * smile, 0.18, 0.15)  # cheeks
    shade -= 0.28 * spot(m, v, g.eye_x - 0.03, EYE_Y - 0.03, 0.21, 0.15)  # eye sockets
    shade += 0.24 * spot(nu, v, 0.012 * f.light, 0.02, 0.055, 0.30)  # the nose: bridge, its dark side, tip, shadow
    shade -= 0.26 * jnp.abs(f.light) * spot(nu, v, -0.075 * jnp.sign(f.light), 0.06, 0.065, 0.24)
    shade += 0.30 * spot(nu, v, 0.015 * f.light, g.nose_y - 0.05, nose_w * 0.8, 0.075)
    shade -= (0.40 + 0.15 * g.has["Big_Nose"]) * spot(nu, v, 0.0, g.nose_y + 0.035, nose_w * 1.5, 0.06)
    shade -= 0.22 * spot(u, v, 0.0, g.mouth_y + 0.125 + 0.06 * g.opened, 0.15, 0.05)  # under the lip
    shade += 0.14 * spot(u, v, 0.0, g.chin - 0.09, 0.14, 0.09)  # chin
    shade -= 0.28 * cover(-hair.window - 0.03, 0.14) * (1.0 - g.has["Bald"])  # what hair and hat throw
    shade -= 0.26 * g.has["Bangs"] * cover(hair.fringe - 0.05, 0.14)
    shade -= 0.35 * g.has["Wearing_Hat"] * cover(v - hair.hat_line - 0.09, 0.14)
    # age: folds beside the mouth, bags under the eyes, lines on the forehead; a smile folds the cheeks a little too
    old = (1.0 - g.has["Young"]) * (0.8 + 0.2 * f.age)
    dv = v - g.nose_y
    fold = jnp.abs(m - 0.102 - 0.50 * dv) + 2.0 * jnp.maximum(jnp.abs(dv - 0.075) - 0.1, 0.0)
    bags = jnp.abs(v - EYE_Y - 0.11 + 1.6 * jnp.square(m - g.eye_x)) + jnp.maximum(jnp.abs(m - g.eye_x) - 0.1, 0.0)
    lines = jnp.abs(jnp.abs(v + 0.415 - 0.2 * u * u) - 0.035) + jnp.maximum(m - 0.22, 0.0)
    creases = cover(fold - 0.014, 0.055) + 0.9 * cover(bags - 0.012, 0.05) + 0.8 * cover(lines - 0.010, 0.045)
    shade -= old * (0.68 * creases + 0.32 * spot(m, v, 0.36, 0.27, 0.16, 0.20))
    shade -= (0.12 + 0.20 * old) * smile * cover(fold - 0.01, 0.06)
    second_chin = cover(jnp.abs(g.d + 0.06) - 0.012, 0.05) * jnp.maximum(1.0 - 5.0 * u * u, 0.0) * (v > 0.3)
    shade -= 0.40 * g.has["Chubby"] * second_chin
    blush = spot(m, v, 0.31, 0.13 - 0.02 * smile, 0.20, 0.16)
    face = _over(_tint(g.skin, shade), g.skin * rgb(0.98, 0.72, 0.66), 0.40 * blush)
    rosy = blend(g.skin, rgb(0.95, 0.27, 0.33), 0.66)
    face = _over(face, rosy, 0.95 * g.has["Rosy_Cheeks"] * jnp.minimum(1.25 * blush, 1.0))
    return _over(canvas, face, cover(g.d, g.px))


def _nose_width(f: Factors, g: Face):
    return (0.088 + 0.012 * f.nose_width + 0.008 * g.has["Male"]) * (1.0 + 0.60 * g.has["Big_Nose"])


def _paint_beard_mouth_nose(canvas, f: Factors, g: Face, hair: Hair):
    u, v, m, px, smile = g.u, g.v, g.m, g.px, g.smile
    bearded, grow = 1.0 - g.has["No_Beard"], 0.5 + 0.5 * f.beard
    full = bearded * (1.0 - jnp.maximum(g.has["Goatee"], g.has["Mustache"]))
    lit_beard = _tint(g.beard, 0.78 + 0.35 * f.light * g.hx + 0.10 * hair.strands)
    cheek = 0.27 - 0.95 * jnp.square(jnp.maximum(m - 0.10, 0.0)) - 0.10 * jnp.maximum(m - 0.3, 0.0) - v
    d_full = jnp.maximum(g.d - 0.015 - 0.03 * grow, cheek)
    d_goatee = jnp.maximum(g.d - 0.015 - 0.03 * grow, g.mouth_y + 0.115 + 0.8 * jnp.maximum(m - 0.05, 0.0) - v)
    d_goatee = jnp.maximum(jnp.minimum(d_goatee, jnp.maximum(m - 0.05, g.mouth_y + 0.08 - v)), m - 0.16 - 0.02 * grow)
    d_goatee = jnp.maximum(d_goatee, g.d - 0.015 - 0.03 * grow)
    alpha = jnp.maximum(full * cover(d_full, 0.05), bearded * g.has["Goatee"] * cover(d_goatee, 0.04))
    canvas = _over(canvas, lit_beard, 0.94 * alpha)

    w = 0.162 + 0.014 * f.mouth_width + 0.060 * smile
    s = jnp.minimum(jnp.square(u * (1.0 / w)), 1.3)
    arch = jnp.maximum(1.0 - s, 0.0)
    mid = g.mouth_y + 0.012 - (0.020 + 0.070 * smile) * (s - 0.45)
    gap = (0.042 * jnp.maximum(smile, 0.0) + g.opened * (0.062 + 0.015 * smile)) * arch
    gap_top, gap_low = mid - 0.35 * gap, mid + 0.65 * gap
    lip = 0.040 + 0.008 * f.lip_fullness - 0.009 * g.has["Male"] + 0.010 * g.has["Wearing_Lipstick"]
    bow = 0.35 * spot(u, v, 0.0, g.mouth_y - 0.04, 0.06, 0.5)
    upper = gap_top - lip * (arch - bow) * (1.0 - 0.25 * smile)
    lower = gap_low + 1.25 * lip * arch * (2.0 - arch) * (1.0 - 0.2 * smile)
    lips = blend(g.skin * rgb(0.88, 0.65, 0.60), ramp(f.lipstick, LIPS), 0.95 * g.has["Wearing_Lipstick"])
    shine = 0.55 * spot(u, v, 0.25 * f.light * w, lower - 0.025, 0.12, 0.035)
    shade = 0.62 + (0.25 + shine) * cover(mid - v, 0.025)
    inside_w = cover(m - w, px)
    canvas = _over(canvas, _tint(lips, shade), cover(jnp.maximum(upper - v, v - lower), px) * inside_w)
    alpha = cover(jnp.maximum(gap_top - v, v - gap_low) - 0.008, px) * inside_w
    canvas = _over(canvas, rgb(0.30, 0.07, 0.08) * blend(0.6, 1.0, jnp.minimum(smile + g.opened, 1.0)), alpha)
    teeth = jnp.maximum(gap_top - v, v - jnp.minimum(gap_top + 0.052, gap_low - 0.3 * g.opened * gap))
    alpha = cover(teeth + 0.002, px) * jnp.minimum(arch * 8.0, 1.0) * jnp.clip(1.2 * smile + 0.6 * g.opened, 0.0, 1.0)
    canvas = _over(canvas, rgb(0.98, 0.96, 0.93), alpha)

    thick = (0.042 + 0.012 * grow) * jnp.maximum(1.0 - jnp.square(m * (1 / 0.22)), 0.0)
    d_must = jnp.maximum(jnp.abs(v - g.nose_y - 0.078 - 1.5 * u * u) - thick, m - 0.205)
    alpha = jnp.maximum(bearded * g.has["Mustache"], 0.8 * full) * cover(d_must, 0.03)
    canvas = _over(canvas, lit_beard, 0.95 * alpha)

    nose_w, n = _nose_width(f, g), jnp.abs(u - 0.05 * f.yaw)
    nostril = spot(n, v, 0.50 * nose_w, g.nose_y + 0.012, 0.34 * nose_w + 0.012, 0.030)
    canvas = _over(canvas, g.skin * rgb(0.36, 0.21, 0.19), 0.75 * jnp.sqrt(nostril))
    wing, _, _ = ellipse(n - 0.55 * nose_w, v - g.nose_y + 0.022, 0.55 * nose_w, 0.052)
    alpha = cover(jnp.abs(wing) - 0.008, 0.03) * jnp.clip((n - 0.7 * nose_w) * 30.0, 0.0, 1.0)
    return _over(canvas, g.skin * rgb(0.58, 0.40, 0.36), 0.6 * alpha)


def _paint_eyes(canvas, f: Factors, g: Face):
    px, male, smile = g.px, g.has["Male"], g.smile
    ex = g.m - g.eye_x  # outwards, and down, from the middle of each eye
    ey = g.v - EYE_Y + (0.045 + 0.07 * f.eye_tilt) * ex
    w = 0.130 + 0.010 * f.eye_size
    h = (0.066 + 0.007 * f.eye_size - 0.008 * male) * (1.0 - 0.52 * g.has["Narrow_Eyes"]) * (1.0 - 0.14 * smile)
    lid = jnp.maximum(1.0 - jnp.square(ex * (1.0 / w)), -0.3)
    dx, dy = ex + 0.02 * f.yaw * g.side, ey + 0.008
    r = jnp.sqrt(dx * dx + dy * dy)
    white = rgb(0.98, 0.96, 0.94).reshape(3, 1, 1) * (0.80 + 0.20 * cover(-ey - 0.2 * h, 0.06))[None]
    iris = ramp(f.eye_colour, EYES)
    ball = _over(white, iris * 0.5, cover(r - 0.062, px))
    ball = _over(ball, iris * 1.2, cover(r - 0.047, px) * cover(-dy, 0.10))
    ball = _over(ball, rgb(0.03, 0.02, 0.02), cover(r - 0.027, px))
    glint = jnp.square(dx * g.side - 0.022 * jnp.sign(f.light)) + jnp.square(dy + 0.022)
    ball = _over(ball, rgb(1.0, 1.0, 1.0), 0.95 * cover(jnp.sqrt(glint) - 0.017, px))
    ends = jnp.abs(ex) - w
    canvas = _over(canvas, ball, cover(jnp.maximum(jnp.maximum(-ey - h * lid, ey - 0.72 * h * lid), ends), px))
    lash = jnp.abs(ey + h * lid + 0.010) - 0.012 - 0.011 * (1.0 - male) * (1.0 + 3.0 * jnp.maximum(ex, 0.0))
    lash = jnp.maximum(lash, jnp.maximum(-ex - w, ex - w * (1.22 - 0.18 * male)))
    canvas = _over(canvas, rgb(0.09, 0.05, 0.05), (0.95 - 0.23 * male) * cover(lash, px))
    under = jnp.maximum(jnp.abs(ey - 0.72 * h * lid - 0.006) - 0.006, ends)
    canvas = _over(canvas, g.skin * rgb(0.48, 0.30, 0.28), 0.45 * cover(under, px))
    crease = jnp.maximum(jnp.abs(ey + h * lid + 0.050) - 0.008, ends)
    canvas = _over(canvas, g.skin * rgb(0.52, 0.34, 0.31), 0.45 * cover(crease, 0.04))

    bushy = g.has["Bushy_Eyebrows"]
    b = (ex + 0.01) * (1 / 0.165)
    high = EYE_Y - 0.160 - 0.018 * f.brow_height + 0.016 * male - 0.015 * smile + 0.010 * bushy
    high = high + (0.024 + 0.014 * f.brow_arch - 0.008 * male) * jnp.square(b - 0.1) - 0.008 * b
    thick = (0.017 + 0.007 * male) * (1.0 + 1.2 * bushy) * (1.0 - 0.45 * b)
    d_brow = jnp.maximum(jnp.abs(g.v - high) - thick, (jnp.abs(b) - 0.95) * 0.165)
    colour = blend(g.hair * 0.62, g.skin * 0.4, 0.25)
    return _over(canvas, colour, (0.78 + 0.2 * bushy) * cover(d_brow, 0.036))


def _paint_hair(canvas, f: Factors, g: Face, hair: Hair):
    qx, qy = hair.qx, jnp.minimum(hair.qy, 0.3)
    shade = 0.34 + 0.55 * jnp.sqrt(jnp.maximum(1.0 - qx * qx - qy * qy, 0.0))
    shade += 0.25 * f.light * qx - 0.15 * hair.qy + 0.11 * hair.strands
    gloss = spot(qx - 0.3 * f.light, hair.qy + 0.55 - 0.35 * qx * qx, 0.0, 0.0, 0.85, 0.26)
    shine = (0.08 + 0.20 * g.hair.reshape(3, 1, 1)) * gloss[None]
    canvas = _over(canvas, _tint(g.hair, shade) + shine, cover(hair.front, g.px))

    big = 0.064 + 0.012 * f.earrings
    dx, dy = jnp.abs(g.x) - g.a - 0.03, g.y - 0.14 - big
    r = jnp.sqrt(dx * dx + dy * dy)
    hoop = f.earrings > 0
    d_ring = jnp.where(hoop, jnp.abs(r - big) - 0.020, r - 0.058)
    metal = jnp.where(hoop, rgb(0.98, 0.80, 0.32), rgb(0.96, 0.95, 0.98))
    return _over(canvas, _tint(metal, 1.0 - 5.0 * dy), g.has["Wearing_Earrings"] * cover(d_ring, g.px))


def _paint_glasses(canvas, f: Factors, g: Face):
    px, on, m, v = g.px, g.has["Eyeglasses"], g.m, g.v
    w, h = 0.182, 0.136 + 0.016 * f.glasses_shape
    d_lens, _, down = ellipse(m - g.eye_x - 0.002, v - EYE_Y - 0.014, w, h, 0.38 - 0.36 * f.glasses_shape)
    bridge = jnp.maximum(jnp.abs(v - EYE_Y + 0.02 - 0.6 * m * m) - 0.024, m - g.eye_x + w - 0.01)
    arm = jnp.maximum(jnp.abs(v - EYE_Y + 0.03) - 0.024, jnp.maximum(g.eye_x + w - m, jnp.abs(g.x) - g.a - 0.01))
    d_frame = jnp.minimum(jnp.abs(d_lens) - 0.026, jnp.minimum(bridge, arm))
    dark = (f.glasses_tint > 0.3).astype(jnp.float32)
    colour = blend(rgb(0.85, 0.93, 1.0), rgb(0.06, 0.06, 0.08), dark).reshape(3, 1, 1)
    inside = on * cover(d_lens, px)
    canvas = _over(canvas, colour + (dark * 0.12 * jnp.maximum(down, 0.0))[None], blend(0.10, 0.93, dark) * inside)
    shine = cover(jnp.abs(g.u - g.side * g.eye_x + 0.9 * (v - EYE_Y) + 0.03) - 0.028, 0.03)
    canvas = _over(canvas, rgb(1.0, 1.0, 1.0), blend(0.22, 0.14, dark) * shine * inside)
    return _over(canvas, ramp(f.glasses_colour, FRAMES), on * cover(d_frame, px))


def _paint_hat(canvas, f: Factors, g: Face, hair: Hair):
    on, brim = g.has["Wearing_Hat"], 0.5 + 0.5 * f.hat_brim
    half = jnp.maximum(g.a + 0.09, hair.rx)
    d_crown, kx, ky = ellipse(g.x, g.y + 0.42, half - 0.02, 0.56, 0.30)
    above = (g.v < hair.hat_line - 0.05).astype(jnp.float32)
    d_band = jnp.maximum(
        jnp.abs(g.v - hair.hat_line + 0.05) - 0.075, jnp.abs(g.x) - half - 0.01 - brim * (0.26 - 0.12 * above)
    )
    colour = _hue(0.5 * f.hat_colour, 0.62, 0.66)
    shade = 0.35 + 0.50 * jnp.sqrt(jnp.maximum(1.0 - kx * kx, 0.0)) + 0.3 * f.light * kx - 0.25 * ky
    canvas = _over(canvas, _tint(colour, shade), on * cover(jnp.maximum(d_crown, g.v - hair.hat_line), g.px))
    return _over(canvas, _tint(colour * 0.62, shade + 0.1), on * cover(d_band, g.px))


def _paint(f: Factors, size: int):
    """One face, f's fields without n: float32 [3,size,size] in [0,1]."""
    g = measure(f, size)
    hair = shape_hair(f, g)
    canvas = _paint_background(f, g)
    canvas = _paint_body(canvas, f, g, hair)
    canvas = _paint_head(canvas, f, g, hair)
    canvas = _paint_beard_mouth_nose(canvas, f, g, hair)
    canvas = _paint_eyes(canvas, f, g)
    canvas = _paint_hair(canvas, f, g, hair)
    canvas = _paint_glasses(canvas, f, g)
    canvas = _paint_hat(canvas, f, g, hair)
    return jnp.clip(canvas, 0.0, 1.0)


@partial(jax.jit, static_argnames="size")
def _planes(factors: Factors, size: int):
    with jax.numpy_dtype_promotion("standard"):  # a mask is multiplied with, also where "strict" is set
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
    # Two computations on purpose: with the transposition fused into it, XLA does not vectorise the painting on a CPU.
    return _channels_last(_planes(factors, size))
