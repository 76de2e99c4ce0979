"""The way through an audit: read, look, write."""

import json
from pathlib import Path
from typing import Any

from spacy_bert_zh.audit.options import Options
from spacy_bert_zh.files import owned


def audit(corpus: Path, output: Path, options: Options | None = None) -> dict[str, Any]:
    """Look through a labelled corpus for what a person should look at.

    Writes ``audit.html`` for people, ``audit.jsonl`` with each row that may be wrong, the likeliest
    first, in the form that ``convert --fixes`` takes, and ``audit.json`` with all findings.

    Args:
        corpus: A ``.spacy`` file, or a folder of them, as `convert` writes.
        output: Folder to make.
        options: How to look.

    Returns:
        The content of ``audit.json``.

    Raises:
        BertZhError: The corpus or an option is no good, or something else is at `output`.

    Examples:
        >>> found = audit(Path("corpus/train"), Path("audited"))
        >>> found["corpus"]["labels"]
        ['neg', 'pos']
    """
    # These need scikit-learn, spaCy and pydantic.
    from spacy_bert_zh.audit.findings import look
    from spacy_bert_zh.audit.page import render_page
    from spacy_bert_zh.folds import read_rows
    from spacy_bert_zh.reading.fixes import Fixes

    options = options or Options()
    given = (corpus, options.dev, options.fixes, options.model)
    inputs = [path for path in given if path is not None]
    with owned(output, "audit", inputs) as folder:
        fixes = Fixes(options.fixes) if options.fixes else None
        rows = read_rows(corpus, options.folds)
        found, wrong, learning = look(rows, fixes, options)
        found = {"corpus": {"name": _name(corpus), **found.pop("corpus")}, **found}
        folder.mkdir()
        for name, listed in (("audit.jsonl", wrong), ("map.jsonl", learning)):
            lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in listed)
            (folder / name).write_text("".join(f"{line}\n" for line in lines), "utf-8")
        text = json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False)
        (folder / "audit.json").write_text(text + "\n", "utf-8")
        (folder / "audit.html").write_text(render_page(found, wrong, learning), "utf-8")
    return found


def _name(corpus: Path) -> str:
    path = corpus.resolve()
    return f"{path.parent.name}/{path.name}"
