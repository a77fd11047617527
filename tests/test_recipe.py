"""The conda recipe asks for what the package asks for."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "tools" / "conda" / "recipe.yaml"
pytestmark = pytest.mark.skipif(not RECIPE.exists(), reason="needs a checkout")


def test_the_recipe_asks_for_what_the_package_asks_for():
    recipe = RECIPE.read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = project["project"]
    assert f'version: "{asked["version"]}"' in recipe
    listed = re.findall(r"- ([\w-]+) (>=[\d.]+)", recipe)
    for need in asked["dependencies"]:
        assert tuple(re.split(r"(?=>=)", need)) in listed
    assert ("python", asked["requires-python"]) in listed
    for command, home in asked["scripts"].items():
        assert f"- {command} = {home}" in recipe
    for need in project["build-system"]["requires"]:
        assert tuple(re.split(r"(?=>=)", need.lower())) in listed
