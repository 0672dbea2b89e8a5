"""The command `product`: which product a camera inspects."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from agent.commands.command import Call
from agent.core.records import Phase
from agent.messages import CommandRequest, Payload


class ProductRequest(CommandRequest):
    """Judge the next parts as this product, now and after a restart; without a name, report which one it is.

    If the product is not in the settings or cannot be inspected, parts are not judged until another one is named.
    """

    command = "product"
    name: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="Name of the product, as in the settings; null: no change.",
    )

    @property
    def only_reads(self) -> bool:
        """Without a name, nothing is changed."""
        return self.name is None


class ProductResult(Payload):
    """The result of `product`."""

    camera: str = Field(description="Name of the camera.")
    product: str | None = Field(
        description="The product that is inspected; null where the camera has no products, or parts are not judged."
    )
    products: list[str] = Field(description="The products in the settings of the camera.")
    ready: list[str] = Field(description="Those whose models are in memory: a change to them takes no time.")
    phase: Phase = Field(description="As in `state`: `calibrating` until the product has a threshold.")


def product(call: Call) -> dict[str, Any]:
    """Change the product of a camera, if the request names one."""
    line, name = call.line(), call.request.name
    if name is not None:
        call.agent.select_product(line, name)
    result = ProductResult(
        camera=line.name,
        product=line.product,
        products=list(call.agent.settings.cameras[line.name].products),
        ready=sorted(name for name in line.setups if name is not None),
        phase=line.station.phase,
    )
    return result.model_dump(mode="json")
