"""What the command `explain` does with its options."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.explain.contrast import contrast
from spacy_bert_zh.explain.evidence import By
from spacy_bert_zh.explain.flow import explain
from spacy_bert_zh.explain.page import Told, render_page
from spacy_bert_zh.explain.rating import rate
from spacy_bert_zh.explain.summary import summarise
from spacy_bert_zh.explain.terminal import print_summary, print_told
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import load_pipeline


def run(
    pipeline: str,
    texts: Sequence[str],
    *,
    file: Path | None,
    labels: Sequence[str],
    against: str | None,
    samples: int,
    search: bool,
    evidence_by: By,
    html: Path | None,
    as_json: bool,
    corpus: Path | None,
    most: int,
    component: str | None,
) -> None:
    """Explain texts, a corpus, or both; print it, and make the page.

    Raises:
        BertZhError: Nothing to explain, or see `explain` and `summarise`.
    """
    every = [*texts, *(_read(file) if file else [])]
    if not every and corpus is None:
        raise BertZhError("Nothing to explain: give a text, --file with one a line, or --rate")
    nlp = load_pipeline(pipeline)
    options: dict[str, Any] = {"samples": samples, "search": search, "component": component}
    found = explain(nlp, every, labels or None, against=against, evidence_by=evidence_by, **options)
    told = [Told(one, contrast(nlp, one, component), rate(nlp, [one], component)) for one in found]
    summary = summarise(nlp, corpus, most=most, **options) if corpus else None
    if as_json:
        for value in [*told, *([summary] if summary else [])]:
            print(json.dumps(value, default=vars, ensure_ascii=False))
    else:
        for number, one in enumerate(told):
            print_told(one, number)
        if summary:
            print_summary(summary)
    if html is not None:
        inputs = [path for path in (pipeline, file, corpus) if path is not None]
        with owned(html, "explain", inputs, folder=False) as path:
            # Pages are passed on: no more of a path than tells pipelines apart.
            name = "/".join(Path(pipeline).parts[-2:])
            path.write_text(render_page(name, told, summary), "utf-8")
        if not as_json:
            print(f"✔ {html}")


def _read(file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BertZhError(f"--file {file} is not in UTF-8 ({error}): save it so") from error
    return [line for line in lines if line.strip()]
