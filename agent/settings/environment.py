"""Settings from the environment: `INSPECTD_CAMERAS__Line1__ALARM__RULE=1 of 2`.

pydantic-settings compares all parts of a variable's name in lower case, or none of them. Here keys are written in any
case, as is usual, while names that a person chose, such as those of cameras, are found in the case that the person
wrote in the file.
"""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, get_origin

from pydantic import BaseModel
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from agent.core.errors import Permanent
from agent.core.secrets import redacted
from agent.settings.explain import suggestion
from agent.settings.overrides import tomllib
from agent.settings.toml_file import toml_text

log = logging.getLogger(__name__)

PREFIX = "INSPECTD_"

# Settings of the page for many agents, which a process of an agent ignores.
FLEET_PREFIX = "INSPECTD_FLEET_"
DELIMITER = "__"

# How similar a name has to be to that of a setting to be a spelling mistake. INSPECTD_DEVICE is as similar to
# `review` as 0.67; INSPECTD_MQT and INSPECTD_STATE_DIR are as similar to their settings as 0.86 and 0.75.
SIMILAR = 0.75

# Sections whose keys a person chooses; `*` is any name. A test compares them with the settings.
NAMED_BY_PEOPLE = (
    ("cameras",),
    ("cameras", "*", "products"),
    ("outputs",),
    ("socket_roles",),
    ("mqtt", "topic_levels"),
    ("outputs", "*", "topic_levels"),
    ("outputs", "*", "products"),
    ("outputs", "*", "units"),
    ("parts",),
)


def require_known(environment: Iterable[str], settings: type[BaseModel], prefix: str = PREFIX) -> None:
    """Raise Permanent for a variable that looks like a setting and is none; log the others that begin with the prefix.

    These belong to other programs, such as `INSPECTD_DATA` to a script around the agent.
    """
    foreign = []
    for variable in environment:
        if not _is_ours(variable, prefix):
            continue
        key = variable[len(prefix) :].split(DELIMITER)[0].lower()
        if key in settings.model_fields:
            continue
        meant = _meant(variable, key, settings, prefix)
        if meant is not None:
            raise Permanent(f"environment: {variable}: unknown setting {key!r}{meant}")
        foreign.append(variable)
    if foreign:
        shown = ", ".join(ascii(name)[1:-1][:100] for name in sorted(foreign)[:5])
        more = f" and {len(foreign) - 5} more" if len(foreign) > 5 else ""
        log.warning("environment: no settings of inspectd, ignored: %s%s", shown, more)


def _is_ours(variable: str, prefix: str) -> bool:
    name = variable.upper()
    return name.startswith(prefix) and (prefix == FLEET_PREFIX or not name.startswith(FLEET_PREFIX))


def _meant(variable: str, key: str, settings: type[BaseModel], prefix: str) -> str | None:
    """The end of a line about a variable that looks like a setting; None where it does not."""
    known = list(settings.model_fields)
    section = next((name for name in known if key.startswith(f"{name}_")), None)
    if section is not None:
        rest = key[len(section) + 1 :]
        nested = f"{prefix}{section}{DELIMITER}{rest}".upper()
        return f"; did you mean {nested if _is_section(settings, section) else f'{prefix}{section}'.upper()}?"
    close = difflib.get_close_matches(key, known, n=1, cutoff=SIMILAR)
    if close:
        return f"; did you mean {close[0]}?"
    return suggestion(key, settings) if DELIMITER in variable[len(prefix) :].strip("_") else None


def _is_section(settings: type[BaseModel], name: str) -> bool:
    """Whether a setting has keys below it."""
    annotation = settings.model_fields[name].annotation
    return get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel))


class EnvironmentSource(EnvSettingsSource):
    """The variables `INSPECTD_*`, with the names of cameras and outputs in the case that the settings have."""

    def __init__(
        self, settings: type[BaseSettings], *, known: Sequence[Mapping[str, Any]], prefix: str = PREFIX
    ) -> None:
        """`known`: the nested settings of the command line and the file, whose names the variables refer to."""
        super().__init__(settings, case_sensitive=True, env_prefix=prefix, env_nested_delimiter=DELIMITER)
        self._variables = {
            prefix + DELIMITER.join(_path(variable, known, prefix)): variable
            for variable in os.environ
            if _is_ours(variable, prefix)
        }
        self.env_vars = {path: os.environ[variable] for path, variable in self._variables.items()}

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        """The JSON of a whole section or list. Raises ValueError, one line, with the name of the variable."""
        try:
            return super().decode_complex_value(field_name, field, value)
        except (ValueError, RecursionError):
            variable = next(self._variables[path] for path, text in self.env_vars.items() if text == value)
            raise ValueError(
                f"environment: {variable} = {redacted(str(value))[:80]!r}: wanted JSON, "
                f"or one variable for each key, such as {variable}{DELIMITER}KEY"
            ) from None


class _TomlFile(TomlConfigSettingsSource):
    """Reads the file as `toml_text` does."""

    def _read_file(self, file_path: Any) -> dict[str, Any]:
        values: dict[str, Any] = tomllib.loads(toml_text(file_path, "inspectd.example.toml"))
        return values


class SettingsFile(BaseSettings):
    """All settings of one program. The command line overrides the environment, which overrides the file."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    prefix_of_variables: ClassVar[str] = PREFIX
    """What the names of its environment variables begin with."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order in which sources are asked."""
        file = _TomlFile(settings_cls)
        environment = EnvironmentSource(settings_cls, known=(init_settings(), file()), prefix=cls.prefix_of_variables)
        return init_settings, environment, file


def _path(variable: str, known: Sequence[Any], prefix: str) -> list[str]:
    """The keys that a variable sets, in the case of the settings."""
    path: list[str] = []
    at = [section for section in known if isinstance(section, Mapping)]
    for part in variable[len(prefix) :].split(DELIMITER):
        names = list(dict.fromkeys(name for section in at for name in section))
        path.append(_name(part, names, variable) if _named_by_people(path) else part.lower())
        at = [under for section in at if isinstance(under := section.get(path[-1]), Mapping)]
    return path


def _named_by_people(path: list[str]) -> bool:
    return any(
        len(path) == len(section) and all(wanted in ("*", part) for wanted, part in zip(section, path, strict=True))
        for section in NAMED_BY_PEOPLE
    )


def _name(written: str, names: list[str], variable: str) -> str:
    """The name that is meant: the same one, one that differs in case only, or a new one.

    A new one in capitals is lower case, since many programs write variables in capitals only.

    >>> _name("LINE1", ["Line1"], ""), _name("LINE1", [], ""), _name("Line1", [], "")
    ('Line1', 'line1', 'Line1')
    """
    if written in names:
        return written
    similar = [name for name in names if name.lower() == written.lower()]
    if len(similar) > 1:
        raise Permanent(f"environment: {variable}: {written!r} may be {' or '.join(similar)}; wanted one of them")
    if similar:
        return similar[0]
    return written.lower() if written.isupper() else written
