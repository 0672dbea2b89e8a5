"""The cameras of an agent: how they are built, and how their products and settings change while they run."""

from agent.service.cameras.assembly import Assembly
from agent.service.cameras.product_choice import ProductChoice
from agent.service.cameras.rebuild import Rebuilding, changed_bundles

__all__ = ["Assembly", "ProductChoice", "Rebuilding", "changed_bundles"]
