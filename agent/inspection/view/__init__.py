"""The part of an image that a person wants inspected, as drawn on the page."""

from agent.inspection.view.drawn_view import (
    FACTORS,
    DrawnView,
    aligned_image,
    load_drawn_view,
    save_drawn_view,
)

__all__ = ["FACTORS", "DrawnView", "aligned_image", "load_drawn_view", "save_drawn_view"]
