"""The commands: each file that is called as a room names options and calls that room's function."""

from importlib import import_module
from pkgutil import iter_modules

import spacy_bert_zh
from spacy_bert_zh.cli.application import app

__all__ = ["app"]

_ROOMS = {module.name for module in iter_modules(spacy_bert_zh.__path__) if module.ispkg}
for _module in iter_modules(__path__):
    if _module.name in _ROOMS:
        import_module(f"{__name__}.{_module.name}")
