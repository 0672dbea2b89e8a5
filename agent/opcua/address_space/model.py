"""The types of OPC 40100-1 and, for each camera, the object of its type VisionSystemType."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from asyncua import Node, Server, ua
from asyncua.common.instantiate_util import instantiate

from agent.opcua.address_space.publishing import Publishing

URI = "http://opcfoundation.org/UA/MachineVision"
NODESET = Path(__file__).parent / "nodeset" / "Opc.Ua.MachineVision.NodeSet2.xml"

# Types in the nodeset, by their numbers there.
VISION_SYSTEM_TYPE = 1003
RESULT_TYPE = 2002

# Kinds of ids with their binary encodings: RecipeIdExternalDataType, ConfigurationIdDataType, RecipeIdInternalDataType.
ID_BASE_TYPE = 3019
ID_TYPES = {3002: 5002, 3008: 5090, 3013: 5268}

# States and transitions in the nodeset, by their numbers there.
STATES = {
    "Preoperational": 5028,
    "Halted": 5029,
    "Error": 5030,
    "Initialized": 5056,
    "Ready": 5057,
    "SingleExecution": 5058,
    "ContinuousExecution": 5059,
    "Operational": 5031,
    "ContinuousExecutionToReadyAuto": 5073,
    "ErrorToHaltedAuto": 5042,
    "ErrorToPreoperational": 5039,
    "ErrorToPreoperationalAuto": 5040,
    "HaltedToPreoperational": 5037,
    "HaltedToPreoperationalAuto": 5038,
    "InitializedToReadyAuto": 5061,
    "OperationalToErrorAuto": 5051,
    "OperationalToHalted": 5049,
    "OperationalToHaltedAuto": 5050,
    "OperationalToPreoperationalAuto": 5048,
    "PreoperationalToErrorAuto": 5034,
    "PreoperationalToHalted": 5032,
    "PreoperationalToHaltedAuto": 5033,
    "PreoperationalToInitializedAuto": 5036,
    "ReadyToContinuousExecution": 5066,
    "ReadyToContinuousExecutionAuto": 5067,
    "ReadyToInitializedAuto": 5063,
    "ReadyToSingleExecution": 5064,
    "SingleExecutionToReadyAuto": 5070,
}

# Optional parts of the model that this server does not have. A client should not find methods that do nothing.
NOT_OFFERED = (
    "ConfigurationManagement",
    "DiagnosticLevel",
    "SafetyStateManagement",
    "ResultManagement/ReleaseResultHandle",
    "ResultManagement/ResultTransfer",
    "RecipeManagement/AddRecipe",
    "RecipeManagement/Recipes",
    "RecipeManagement/RecipeTransfer",
    "RecipeManagement/ReleaseRecipeHandle",
    "RecipeManagement/RemoveRecipe",
    "RecipeManagement/UnlinkProduct",
    "RecipeManagement/UnprepareProduct",
    "RecipeManagement/Products/<Product>",
    "VisionStateMachine/ConfirmAll",
    "VisionStateMachine/SelectModeAutomatic",
    "VisionStateMachine/ErrorStepModel",
    "VisionStateMachine/HaltedStepModel",
    "VisionStateMachine/PreoperationalStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/ContinuousExecutionStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/InitializedStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/ReadyStepModel",
    "VisionStateMachine/AutomaticModeStateMachine/SimulationMode",
    "VisionStateMachine/AutomaticModeStateMachine/SingleExecutionStepModel",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A server with the types."""

    server: Server
    index: int
    """Of the namespace of OPC 40100-1."""
    own: int
    """Of our namespace."""
    publishing: Publishing

    def type_node(self, number: int) -> Node:
        """A node of the nodeset by its number there."""
        return self.server.get_node(ua.NodeId(number, self.index))

    def state_node(self, name: str) -> ua.NodeId:
        """The id of a state or a transition of the state machines, by its name in their types."""
        return ua.NodeId(STATES[name], self.index)


class SystemNodes:
    """The nodes of one camera, by their paths of browse names."""

    def __init__(self, model: Model, root: Node) -> None:
        self.model = model
        self.root = root
        self._found: dict[str, Node] = {}

    async def at(self, path: str) -> Node:
        """The node at a path such as `VisionStateMachine/CurrentState/Id`."""
        if path not in self._found:
            self._found[path] = await _child(self.root, path.split("/"))
        return self._found[path]

    async def write(self, path: str, value: Any, kind: ua.VariantType, status: int = ua.StatusCodes.Good) -> None:
        """Write the value of a variable; with a bad `status`, clients get no value."""
        node = await self.at(path)
        variant = ua.Variant(value, kind) if value is not None else ua.Variant()
        now = datetime.now(timezone.utc)
        data = ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=now, ServerTimestamp=now)
        await self.model.server.write_attribute_value(node.nodeid, data)


async def load_model(server: Server, own_uri: str) -> Model:
    """Load the types: 790 nodes, four seconds on a slow core."""
    await server.import_xml(NODESET)
    publishing = Publishing(server.iserver.subscription_service)
    model = Model(server, await server.get_namespace_index(URI), await server.register_namespace(own_uri), publishing)
    await _define_ids(model)
    await server.load_data_type_definitions()
    return model


async def _define_ids(model: Model) -> None:
    """The kinds of ids add no field to their base, and the nodeset leaves their definition out: clients need it."""
    base = await model.type_node(ID_BASE_TYPE).read_data_type_definition()
    for number, encoding in ID_TYPES.items():
        definition = copy.copy(base)
        definition.DefaultEncodingId = ua.NodeId(encoding, model.index)
        definition.BaseDataType = ua.NodeId(ID_BASE_TYPE, model.index)
        value = ua.DataValue(ua.Variant(definition, ua.VariantType.ExtensionObject))
        node = model.type_node(number)
        await model.server.write_attribute_value(node.nodeid, value, ua.AttributeIds.DataTypeDefinition)


async def add_system(model: Model, place: str, products: Sequence[str]) -> SystemNodes:
    """Add the object of a camera to `Objects`, that of a group to `Objects/parts`.

    Without products, it has no RecipeManagement.
    """
    server = model.server
    folder, _, name = place.rpartition("/")
    root = await (await _folder(model, folder)).add_object(
        ua.NodeId(place, model.own),
        ua.QualifiedName(name, model.own),
        objecttype=model.type_node(VISION_SYSTEM_TYPE).nodeid,
    )
    nodes = SystemNodes(model, root)
    unwanted = [*NOT_OFFERED] if products else [*(p for p in NOT_OFFERED if "Recipe" not in p), "RecipeManagement"]
    for path in unwanted:
        await server.delete_nodes([await nodes.at(path)], recursive=True)
    nodes = SystemNodes(model, root)
    for product in products:
        await _add_product(nodes, product)
    await _add_latest(nodes)
    await root.set_event_notifier([ua.EventNotifier.SubscribeToEvents])
    await server.nodes.server.add_reference(root, ua.ObjectIds.HasNotifier)
    return nodes


async def _folder(model: Model, name: str) -> Node:
    """A folder in `Objects`, made where it is not there yet; `Objects` itself without a name."""
    objects, node = model.server.nodes.objects, model.server.get_node(ua.NodeId(name, model.own))
    if not name:
        return objects
    if any(each.nodeid == node.nodeid for each in await objects.get_children()):
        return node
    return await objects.add_folder(node.nodeid, ua.QualifiedName(name, model.own))


async def _add_latest(nodes: SystemNodes) -> None:
    """The latest result as a variable, for clients that follow values and no events."""
    model = nodes.model
    await instantiate(
        await nodes.at("ResultManagement/Results"),
        model.type_node(RESULT_TYPE),
        nodeid=ua.NodeId(f"{nodes.root.nodeid.Identifier}.ResultManagement.Results.Latest", model.own),
        bname=ua.QualifiedName("Latest", model.own),
        idx=model.own,
    )


async def _add_product(nodes: SystemNodes, product: str) -> None:
    model, folder = nodes.model, await nodes.at("RecipeManagement/Products")
    value = ua.ProductDataType(ExternalId=ua.ProductIdDataType(Id=product))
    place = ua.NodeId(f"{nodes.root.nodeid.Identifier}.RecipeManagement.Products.{product}", model.own)
    await folder.add_variable(place, ua.QualifiedName(product, model.own), value)


async def _child(node: Node, path: Sequence[str]) -> Node:
    """The child of this browse name, in whichever namespace it is."""
    for name in path:
        children = {(await each.read_browse_name()).Name: each for each in await node.get_children()}
        node = children[name]
    return node
