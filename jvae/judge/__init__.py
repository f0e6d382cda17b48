"""Photographs and their labels in; a classifier that says which attributes a picture shows, and how surely, out.

It never sees a decoded picture while it learns, so that it can judge edits.
"""
