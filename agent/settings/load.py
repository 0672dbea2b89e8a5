"""Loads settings: the command line overrides the environment, which overrides the file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict, SettingsError

from agent.core.errors import Permanent
from agent.settings.environment import SettingsFile, require_known
from agent.settings.explain import explain_mistakes
from agent.settings.overrides import parse_overrides, tomllib
from agent.settings.paths import service_paths, with_absolute_paths
from agent.settings.settings import Settings
from agent.settings.toml_file import toml_text

SettingsT = TypeVar("SettingsT", bound=SettingsFile)


def load_settings(config: Path, overrides: Sequence[str] = ()) -> Settings:
    """Read the settings of an agent.

    config: the TOML file. Relative paths are relative to its folder, those from the command line too.
    overrides: `key.key=value` from the command line; the value is TOML or, if it cannot be parsed, plain text.

    Raises `Permanent` with one line for each mistake: the key, the value and what was wanted.
    """
    settings = read_settings(Settings, config, overrides)
    defaults = {key: path for key, path in service_paths(config).items() if key not in settings.model_fields_set}
    return with_absolute_paths(settings.model_copy(update=defaults), config.absolute().parent)


def read_settings(
    model: type[SettingsT],
    config: Path,
    overrides: Sequence[str],
    *,
    example: str = "inspectd.example.toml",
) -> SettingsT:
    """The settings of this model from a file, with paths as they are written there.

    `example` shows every setting. Raises `Permanent` as above.
    """
    toml_text(config, example)
    require_known(os.environ, model, model.prefix_of_variables)
    # A class of its own: the file is part of the class.
    from_file: type[SettingsT] = type("FromFile", (model,), {"model_config": SettingsConfigDict(toml_file=config)})
    try:
        return from_file(**parse_overrides(overrides))
    except ValidationError as error:
        raise Permanent("\n".join(f"{config}: {line}" for line in explain_mistakes(error, model))) from None
    except tomllib.TOMLDecodeError as error:
        raise Permanent(f"{config}: not TOML: {error}") from None
    except RecursionError:
        raise Permanent(f"{config}: nested too deeply; wanted sections as in {example}") from None
    except SettingsError as error:
        # pydantic-settings wraps what the source says about the variable.
        raise Permanent(str(error.__cause__ or error)) from None
