"""What is exported in; a static page, out."""

from pathlib import Path

from jvae.export.bundle import Bundle


def write_web(folder: Path, bundle: Bundle, *, half: bool) -> list[str]:
    """Writes."""
    return []
