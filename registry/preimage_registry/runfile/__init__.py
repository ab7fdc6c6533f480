"""Run files: sections of TOML or JSON become a recipe, every mistake told at once."""

from preimage_registry.runfile.binding import bind_section
from preimage_registry.runfile.recipe import Ingredient, Recipe
from preimage_registry.runfile.sections import read_recipe, recipe_from_sections

__all__ = ["Ingredient", "Recipe", "bind_section", "read_recipe", "recipe_from_sections"]
