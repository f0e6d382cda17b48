"""Latents [r,c,d] in; one labelled picture (PNG or GIF) out."""
