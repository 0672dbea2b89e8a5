"""The cameras of an agent: how they are built, and how their products and settings change while they run."""

from agent.service.cameras.assembly import Assembly
from agent.service.cameras.product_choice import ProductChoice
from agent.service.cameras.rebuild import Rebuilding, changed_bundles
from agent.service.cameras.take_over import TakeOver

__all__ = ["Assembly", "ProductChoice", "Rebuilding", "TakeOver", "changed_bundles"]
