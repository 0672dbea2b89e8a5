"""Which operators a bundle's graph may use: none that can run for ever, and no more than a bounded number.

A loop can have 10^12 steps, and a function that calls another one twice, which calls another one twice, has 2^n nodes
when a runtime writes them out. Both fit into a kilobyte. Networks that inspect images need neither.
"""

from __future__ import annotations

from collections.abc import Iterator

from engines.bundles.external_data import OnnxFormatError, raw_fields

# Repeat a subgraph as often as a tensor says, which may be computed. The last four are ONNX Runtime's own.
FORBIDDEN = frozenset({"Loop", "Scan", "SequenceMap", "BeamSearch", "WhisperBeamSearch", "GreedySearch", "Sampling"})

# Nodes with all functions written out. Our graphs have 260, those of large backbones some thousands.
MAX_NODES = 100_000

# As in `external_data`.
_MAX_DEPTH = 64

# onnx.proto: field numbers.
_MODEL_GRAPH, _MODEL_TRAINING, _MODEL_FUNCTION = 7, 20, 25
_TRAINING_GRAPHS = (1, 2)
_FUNCTION_NAME, _FUNCTION_DOMAIN, _FUNCTION_NODE, _GRAPH_NODE = 1, 10, 7, 1
_NODE_OPERATOR, _NODE_DOMAIN, _NODE_ATTRIBUTE = 4, 7, 5
_ATTRIBUTE_GRAPHS = (6, 11)


def check_operators(model: bytes) -> None:
    """Raise OnnxFormatError, one line, if the graph uses a forbidden operator or too many nodes."""
    fields = list(_messages(memoryview(model)))
    functions = {
        name: nodes for number, each in fields if number == _MODEL_FUNCTION for name, nodes in [_function(each)]
    }
    graphs = [each for number, each in fields if number == _MODEL_GRAPH]
    for number, each in fields:
        if number == _MODEL_TRAINING:
            graphs += [graph for inner, graph in _messages(each) if inner in _TRAINING_GRAPHS]
    operators = [name for graph in graphs for name in _operators(graph, _GRAPH_NODE, 0)]
    counts: dict[str, int] = {}
    total = sum(_count(name, functions, counts, ()) for name in operators)
    if total > MAX_NODES:
        raise OnnxFormatError(f"{total} operators, wanted at most {MAX_NODES}")


def _function(message: memoryview) -> tuple[str, list[str]]:
    return _key(message, _FUNCTION_DOMAIN, _FUNCTION_NAME), list(_operators(message, _FUNCTION_NODE, 0))


def _key(message: memoryview, domain_field: int, name_field: int) -> str:
    """Domain and name of a function, or of the operator of a node; a function may have the name of an operator."""
    texts = {number: bytes(value).decode(errors="replace") for number, value in _messages(message)
             if number in (domain_field, name_field)}  # fmt: skip
    return f"{texts.get(domain_field, '')}.{texts.get(name_field, '')}"


def _operators(message: memoryview, node_field: int, depth: int) -> Iterator[str]:
    """The operators of a graph or a function, with those of its subgraphs."""
    if depth > _MAX_DEPTH:
        raise OnnxFormatError(f"nested deeper than {_MAX_DEPTH} levels")
    for number, node in _messages(message):
        if number != node_field:
            continue
        key = _key(node, _NODE_DOMAIN, _NODE_OPERATOR)
        if (operator := key.rpartition(".")[2]) in FORBIDDEN:
            raise OnnxFormatError(f"operator {operator} can run for ever; wanted a graph without loops")
        yield key
        for inner, value in _messages(node):
            if inner == _NODE_ATTRIBUTE:
                for field, graph in _messages(value):
                    if field in _ATTRIBUTE_GRAPHS:
                        yield from _operators(graph, _GRAPH_NODE, depth + 1)


def _count(name: str, functions: dict[str, list[str]], counts: dict[str, int], calls: tuple[str, ...]) -> int:
    """Number of nodes that an operator stands for; `counts` keeps what is known."""
    if name not in functions:
        return 1
    if name in calls or len(calls) > _MAX_DEPTH:
        raise OnnxFormatError(f"function {name!r} calls itself, or nests deeper than {_MAX_DEPTH} levels")
    if name not in counts:
        counts[name] = 1 + sum(_count(each, functions, counts, (*calls, name)) for each in functions[name])
    return counts[name]


def _messages(message: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields with a content: texts, bytes and messages."""
    for number, value, _ in raw_fields(message):
        if not isinstance(value, int):
            yield number, value
