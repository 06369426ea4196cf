"""Each recipe is shown in the documentation, and run here."""

from pathlib import Path


def test_every_recipe_is_shown_and_run():
    here = Path(__file__).parent
    page = here.parents[1] / "docs" / "user_guide" / "clients.rst"
    tests = "".join(test.read_text() for test in here.glob("test_*.py"))
    recipes = sorted(page.with_suffix("").glob("*.py"))
    assert len(recipes) == page.read_text().count("literalinclude")
    for recipe in recipes:
        assert f".. literalinclude:: clients/{recipe.name}\n" in page.read_text()
        assert f'run_recipe("{recipe.name}")' in tests
