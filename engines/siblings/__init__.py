"""Which images show the same part: taken twice, or overlapping crops. A split must not separate them."""

from engines.siblings.folders import warn_of_siblings
from engines.siblings.likeness import Thumbnails, thumbnails
from engines.siblings.pairs import Pair, sibling_groups, siblings_across

__all__ = ["Pair", "Thumbnails", "sibling_groups", "siblings_across", "thumbnails", "warn_of_siblings"]
