"""The check that runs on installed wheels, in an interpreter of its own and without network.

`package` hands this file's text to that interpreter: nothing here may import the plugin,
because the plugin under test must be the one in the wheel.
"""

import json
import socket
import sys
from pathlib import Path
from typing import Any

TEXTS = ("这家店很好吃，下次还来。", "", "👍👍👍")


class NoNetwork(socket.socket):
    """A socket that refuses to be made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise OSError("the smoke test allows no network")


def main(target: str, pipeline: str, *modules: str) -> None:
    """Load `pipeline`, classify a few texts and print a line of JSON for each.

    Args:
        target: Folder that the wheels were installed to.
        pipeline: Name of the pipeline's package.
        modules: Modules that must have been imported from `target`.
    """
    socket.socket = NoNetwork  # type: ignore[misc]
    import spacy
    from spacy.pipeline import TextCategorizer

    nlp = spacy.load(pipeline)
    for module in modules:
        origin = Path(sys.modules[module].__file__ or "").resolve()
        if not origin.is_relative_to(Path(target).resolve()):
            sys.exit(f"{module} was imported from {origin}, not from its wheel")
    classifiers = [pipe for _, pipe in nlp.pipeline if isinstance(pipe, TextCategorizer)]
    labels = {label for pipe in classifiers for label in pipe.labels}
    for doc in nlp.pipe(TEXTS):
        if set(doc.cats) != labels or not all(0 <= score <= 1 for score in doc.cats.values()):
            sys.exit(
                f"wrong scores for {doc.text!r}: {doc.cats}, expected one for each of {labels}"
            )
        print(json.dumps({"text": doc.text, "cats": doc.cats}, ensure_ascii=False))


if __name__ == "__main__":
    main(*sys.argv[1:])
