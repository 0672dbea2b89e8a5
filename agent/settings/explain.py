"""A validation error of the settings as lines for the person who wrote them: key, value and what was wanted."""

from __future__ import annotations

import difflib
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from agent.core.secrets import redacted

# A line of this length can still be read; a value may have a megabyte.
MAX_SHOWN = 200
MAX_LINE = 1000


def explain_mistakes(error: ValidationError, settings: type[BaseModel]) -> list[str]:
    """One line for each mistake in values that were validated as `settings`."""
    return [_cut(_explain(mistake, settings)) for mistake in error.errors(include_url=False)]


def suggestion(key: str, section: type[BaseModel] | None) -> str:
    """The end of a line about a key that a section does not have; empty if the section is not known.

    >>> class Example(BaseModel):
    ...     bundle: str
    ...     engine: str
    >>> suggestion("bundel", Example), suggestion("colour", Example)
    ('; did you mean bundle?', '; wanted one of bundle, engine')
    """
    known = list(section.model_fields) if section is not None else []
    close = difflib.get_close_matches(key, known, n=1)
    if close:
        return f"; did you mean {close[0]}?"
    return f"; wanted one of {', '.join(known)}" if known else ""


def _explain(mistake: Any, settings: type[BaseModel]) -> str:
    location = [str(part) for part in mistake["loc"]]
    key = ".".join(map(redacted, _walk(settings, location)[0]))
    value = mistake["input"]
    if mistake["type"] == "extra_forbidden":
        return f"{key}: unknown setting{suggestion(location[-1], _walk(settings, location[:-1])[1])}"
    if mistake["type"] == "missing":
        return f"{key}: missing; it has no default"
    if mistake["type"] == "union_tag_not_found":
        return f"{key}.kind: missing; it has no default"
    if mistake["type"] == "union_tag_invalid":
        context = mistake["ctx"]
        return f"{key}.kind = {_in_toml(context['tag'])}: wanted one of {context['expected_tags']}"
    if mistake["type"] in ("model_type", "model_attributes_type"):
        return f"{key} = {_in_toml(value)}: wanted a section, [{key}]"
    if mistake["type"] in ("byte_size", "byte_size_unit"):
        return f'{key} = {_in_toml(value)}: wanted a size, such as "512 MiB"'
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if isinstance(value, dict):
        return f"{key}: {message}" if key else message
    return f"{key} = {_in_toml(value)}: {message[:1].lower()}{message[1:]}"


def _in_toml(value: Any) -> str:
    """A value as in the settings file, without the password of a URL; a long one is cut."""
    if isinstance(value, dict):
        return "{…}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_in_toml, value))}]"
    return f'"{_shortened(redacted(value))}"' if isinstance(value, str) else str(value)


def _cut(line: str) -> str:
    """A line without its middle if it is endless: some messages repeat the value, and end with what was wanted."""
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE // 2]}…{line[-MAX_LINE // 2 :]}"


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def _walk(kind: Any, location: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    """Follow pydantic's location down from a type: the key as the user wrote it, and the section that it ends at.

    Where a section may be of several kinds, pydantic adds the kind to the location, such as `simulator` after `source`;
    the user's key does not have it.
    """
    arguments = get_args(kind)
    if get_origin(kind) is Annotated:
        return _walk(arguments[0], location)
    if _is_section(kind):
        return _walk_section(kind, location)
    if get_origin(kind) in (dict, tuple, list) and location:
        return _under(location[0], arguments[-1] if get_origin(kind) is dict else arguments[0], location[1:])
    members = [member for member in arguments if _is_section(member)]
    return _walk(members[0], location) if len(members) == 1 else (location, None)


def _walk_section(section: type[BaseModel], location: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    kinds = {kind: each for each in section.__subclasses__() if (kind := _kind(each)) is not None}
    if not location:
        # A location without the kind does not say which of the sections it is.
        return [], None if kinds else section
    of_kind = kinds.get(location[0])
    if of_kind is not None:
        return _walk(of_kind, location[1:])
    field = section.model_fields.get(location[0])
    return _under(location[0], None if field is None else field.annotation, location[1:])


def _under(part: str, kind: Any, rest: list[str]) -> tuple[list[str], type[BaseModel] | None]:
    key, section = _walk(kind, rest)
    return [part, *key], section


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _kind(section: type[BaseModel]) -> str | None:
    """The kind of a section that is one of several: the only value of its field `kind`."""
    field = section.model_fields.get("kind")
    values = () if field is None else get_args(field.annotation)
    return values[0] if values else None
