"""Recipes are found by name, and their names stay as they are in manifests."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="recipes need the train extra")

from engines.errors import EngineError
from engines.recipes.recipe import DEFAULT_RECIPE, find_recipe, recipe_names


def test_every_recipe_is_found_by_its_name() -> None:
    assert recipe_names() == ["pretrained", "scratch", "reference"]
    assert [find_recipe(name).name for name in recipe_names()] == recipe_names()


def test_default_is_one_of_them_and_bundles_of_before_find_theirs() -> None:
    assert DEFAULT_RECIPE in recipe_names()
    assert find_recipe("default").name == "scratch"


def test_unknown_recipe_is_rejected_with_the_known_names() -> None:
    with pytest.raises(EngineError, match="recipe 'magic' is unknown, wanted one of pretrained, scratch, reference"):
        find_recipe("magic")
