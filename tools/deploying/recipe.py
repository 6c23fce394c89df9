"""Reads conda/recipe.yaml as rattler-build does, and says which packages it makes: `hatch run deploy:recipe`.

Building them takes conda-forge, for Python, pip and hatchling: `rattler-build build --recipe conda/recipe.yaml`.
"""

from pathlib import Path

from rattler_build import Stage0Recipe, VariantConfig

if __name__ == "__main__":
    recipe = Stage0Recipe.from_file(Path(__file__).parents[2] / "conda/recipe.yaml")
    for each in recipe.render(VariantConfig()):
        print(each.recipe.package.name, each.recipe.package.version)
