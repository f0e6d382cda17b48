"""Latents in; tiles uint8 [r,c,h,w,3], all of a grid by one decoder call, out.

Tiles, tables and names in; one picture (PNG), a chart, a page or a movie (GIF, MP4) out.
"""
