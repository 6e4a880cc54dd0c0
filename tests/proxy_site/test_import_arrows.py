"""The import arrows of docs/architecture.md, read from the imports themselves."""

from importlinter.cli import lint_imports


def test_imports_point_the_way_the_architecture_says() -> None:
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == 0
