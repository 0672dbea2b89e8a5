"""What a region of lower sensitivity does for the rest of the part."""
