"""Posterior means and labels in; attribute vectors, paths and edits of latents out."""
