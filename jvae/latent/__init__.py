"""Posterior means and labels in; sums of one pass, and from them attribute vectors of every kind, out.

Latents and vectors in; paths, edits and grids of latents out.
"""
