"""From documents to one row for each camera, and what is wrong with it."""
