"""Jinja as every page uses it: everything is escaped, and a name that is not there is a fault."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

_HERE = Path(__file__).parent


def environment(*folders: Path) -> Environment:
    """Templates of a page's folders, and those that all pages share."""
    made = Environment(
        loader=FileSystemLoader([*folders, _HERE / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["number"] = lambda value: f"{value:,}"
    return made


def static(folder: Path) -> StaticFiles:
    """Files of a page's folder, and those that all pages share."""
    return StaticFiles(directory=folder, packages=[("pipelines.pages", "static")])
