"""Loads settings: the command line overrides the environment, which overrides the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict, SettingsError

from agent.core.errors import Permanent
from agent.settings.environment import require_known
from agent.settings.explain import explain_mistakes
from agent.settings.overrides import parse_overrides, tomllib
from agent.settings.paths import service_paths, with_absolute_paths
from agent.settings.settings import Settings


def load_settings(config: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read the settings of an agent.

    config: the TOML file. Relative paths are relative to its folder, those from the command line too.
    overrides: `key.key=value` from the command line; the value is TOML or, if it cannot be parsed, plain text.

    Raises `Permanent` with one line for each mistake: the key, the value and what was wanted.
    """
    _require_readable(config)
    require_known(os.environ, Settings)

    class FromFile(Settings):
        model_config = SettingsConfigDict(toml_file=config)

    try:
        settings = FromFile(**parse_overrides(overrides))
    except ValidationError as error:
        raise Permanent("\n".join(f"{config}: {line}" for line in explain_mistakes(error, Settings))) from None
    except tomllib.TOMLDecodeError as error:
        raise Permanent(f"{config}: not TOML: {error}") from None
    except RecursionError:
        raise Permanent(f"{config}: nested too deeply; wanted sections as in inspectd.example.toml") from None
    except SettingsError as error:
        # pydantic-settings wraps what the source says about the variable.
        raise Permanent(str(error.__cause__ or error)) from None
    defaults = {key: path for key, path in service_paths(config).items() if key not in settings.model_fields_set}
    return with_absolute_paths(settings.model_copy(update=defaults), config.absolute().parent)


def _require_readable(config: Path) -> None:
    try:
        config.read_text(encoding="utf-8")
    except OSError as error:
        raise Permanent(f"{config}: {error.strerror}; wanted the agent's settings, see inspectd.example.toml") from None
    except UnicodeDecodeError:
        raise Permanent(f"{config}: not a text file; wanted TOML, see inspectd.example.toml") from None
