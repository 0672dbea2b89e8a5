"""A production line that exists only as numbers: parts, defects and the two cameras that look at them."""
