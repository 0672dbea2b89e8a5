"""What is wrong with settings, for the person who wrote them: one line with key, value and what was wanted."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError


def explain(error: ValidationError, settings: type[BaseModel]) -> list[str]:
    """One line for each mistake in what should have become `settings`."""
    return [_explain_one(mistake, settings) for mistake in error.errors(include_url=False)]


def nearest(key: str, section: type[BaseModel] | None) -> str:
    """What somebody may have meant by a key that a section does not have; empty where that cannot be said.

    >>> class Example(BaseModel):
    ...     bundle: str
    ...     engine: str
    >>> nearest("bundel", Example), nearest("colour", Example)
    ('; did you mean bundle?', '; wanted one of bundle, engine')
    """
    known = list(section.model_fields) if section is not None else []
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; wanted one of {', '.join(known)}" if known else ""


def _explain_one(mistake: Any, settings: type[BaseModel]) -> str:
    location = [str(part) for part in mistake["loc"]]
    key = ".".join(_walk(settings, location)[0])
    if mistake["type"] == "extra_forbidden":
        return f"{key}: unknown setting{nearest(location[-1], _walk(settings, location[:-1])[1])}"
    if mistake["type"] == "missing":
        return f"{key}: missing; it has no default"
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if isinstance(mistake["input"], dict):
        return f"{key}: {message}" if key else message
    return f"{key} = {_shown(mistake['input'])}: {message[:1].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def _walk(kind: Any, location: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """Follow pydantic's location down from a type: the key as its user wrote it, and the section that it ends at.

    pydantic also names the member of a union, such as `simulator` after `source`: a user never wrote that.
    """
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return _walk(arguments[0], location)
    if _is_section(kind):
        if not location:
            return [], kind
        field = kind.model_fields.get(location[0])
        return _under(location[0], None if field is None else field.annotation, location[1:])
    if get_origin(kind) in (dict, tuple, list) and location:
        return _under(location[0], arguments[-1] if get_origin(kind) is dict else arguments[0], location[1:])
    members = [member for member in arguments if _is_section(member)]
    if len(members) == 1:
        return _walk(members[0], location)
    tagged = [member for member in members if location and _tag(member) == location[0]]
    return _walk(tagged[0], location[1:]) if tagged else (location, None)


def _under(part: str, kind: Any, rest: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    key, section = _walk(kind, rest)
    return [part, *key], section


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _tag(section: type[BaseModel]) -> str | None:
    """The value of `kind` by which a member of a union is known."""
    field = section.model_fields.get("kind")
    return None if field is None else get_args(field.annotation)[0]
