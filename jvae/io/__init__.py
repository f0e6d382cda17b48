"""Bytes on a disk or in a bucket in; files that are whole or absent, and values that were checked, out."""
