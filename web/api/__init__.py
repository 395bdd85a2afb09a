"""The routes, one module per resource. Each module's `blueprint` is registered by `web.app`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from flask_smorest import Blueprint

from web.arguments import RequestParser

# flask-smorest's way to choose a parser is this attribute. It is set here because decorators read it when a module of
# this package is imported, and this runs before any of them.
Blueprint.ARGUMENTS_PARSER = RequestParser()


def blueprints() -> Iterator[Blueprint]:
    """The blueprint of every module of this package, in the order of their names."""
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        yield importlib.import_module(f"{__name__}.{module.name}").blueprint
