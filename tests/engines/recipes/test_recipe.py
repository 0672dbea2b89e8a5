"""Recipes are found by name, and their names stay as they are in manifests."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="recipes need the train extra")

from engines.errors import EngineError
from engines.recipes.recipe import find_recipe, recipe_names


def test_every_recipe_is_found_by_its_name() -> None:
    assert recipe_names() == ["default", "reference"]
    assert [find_recipe(name).name for name in recipe_names()] == recipe_names()


def test_unknown_recipe_is_rejected_with_the_known_names() -> None:
    with pytest.raises(EngineError, match="recipe 'magic' is unknown, wanted one of default, reference"):
        find_recipe("magic")
