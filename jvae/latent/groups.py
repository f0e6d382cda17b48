"""Names of attributes in; the groups in which they stand on the page, and how they read, out."""

import re
from collections.abc import Sequence

# The first that a name matches takes it; they are shown from hair to whole face.
_WORDS = {
    "Accessories": r"glasses|earring|necklace|necktie|(^|_)hat($|_)|jewel|mask",
    "Mouth and beard": r"mouth|lip|smil|teeth|beard|mustache|goatee|shadow",
    "Eyes": r"eye|brow(?!n)",
    "Hair": r"hair|bald|bangs|sideburns",
}
REST = "Whole face"
GROUPS = ("Hair", "Eyes", "Mouth and beard", "Accessories", REST)


def grouped(names: Sequence[str]) -> dict[str, list[str]]:
    """The attributes by group, in the order of `GROUPS`, without the empty ones; names that say nothing are the rest's.

    Where no name says anything, as of labels that are no face's, there is one group, "Attributes".
    """
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in names:
        hits = (group for group, words in _WORDS.items() if re.search(words, name.lower()))
        found[next(hits, REST)].append(name)
    if len(found[REST]) == len(names):
        return {"Attributes": list(names)} if names else {}
    return {group: members for group, members in found.items() if members}
