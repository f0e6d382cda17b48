"""Latents [r,c,d] in; one labelled picture (PNG) or a moving one (GIF, MP4) out."""
