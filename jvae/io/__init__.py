"""Values in; files that appear whole or not at all, locked and sealed with checksums, out.

Bytes on a disk or in a bucket in; values that were checked before anything uses them out. Nothing is unpickled.
"""
