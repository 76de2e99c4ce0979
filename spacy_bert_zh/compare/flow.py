"""Pipelines on the same texts: comparison.json for programs, comparison.html for people."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spacy_bert_zh.compare.page import render_page
from spacy_bert_zh.compare.pairs import compare_pair, say
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import Predictions, holm, predict
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import find_textcat, load_pipeline, use_gpu


def compare(
    first: str | Path,
    others: Sequence[str | Path],
    corpus: Path,
    output: Path,
    *,
    gpu_id: int = -1,
    component: str | None = None,
) -> dict[str, Any]:
    """Compare a pipeline with others on a corpus, and tell what follows from it.

    Each pair gets McNemar's exact test (over several pairs by Holm's procedure), intervals of the
    differences by resampling texts, the smallest difference that the corpus could have shown, and
    the texts of which exactly one has all labels right.

    Args:
        first: Folder of a trained pipeline, or name of an installed one.
        others: Those that it is compared with, one by one.
        corpus: A ``.spacy`` file, or a folder of them, that none of them was trained on.
        output: Folder to make, with ``comparison.json`` and ``comparison.html``.
        gpu_id: The GPU to predict on; -1 for the CPU.
        component: Name of the text classifier, if a pipeline has several.

    Returns:
        The content of ``comparison.json``.

    Raises:
        BertZhError: Bad input, or pipelines that don't answer the same question.

    Examples:
        >>> pipeline = "training/model-best"
        >>> found = compare(pipeline, [pipeline], Path("corpus/dev"), Path("comparison"))
        >>> found["pairs"][0]["says"]
        'No difference shown: this corpus could have shown one of 18.5 points of accuracy'
    """
    if not others:
        raise BertZhError("Nothing to compare with: name two pipelines or more")
    names = [str(first), *map(str, others)]
    with owned(output, "compare", [*names, corpus]) as folder:
        use_gpu(gpu_id)
        said = [_predict(name, corpus, component) for name in names]
        for name, one in zip(names[1:], said[1:], strict=True):
            _check_same(names[0], said[0], name, one)
        pairs = [compare_pair(said[0], one) for one in said[1:]]
        for pair, p_value in zip(pairs, holm([pair["p_value"] for pair in pairs]), strict=True):
            pair["p_holm"] = p_value
            pair["says"] = say(pair)
        found = {
            "corpus": {"name": corpus.resolve().name, "texts": len(said[0].excerpts)},
            "first": names[0],
            "exclusive": said[0].exclusive,
            "pairs": [
                {"second": name, **pair} for name, pair in zip(names[1:], pairs, strict=True)
            ],
        }
        folder.mkdir()
        text = json.dumps(found, ensure_ascii=False, indent=2, allow_nan=False)
        (folder / "comparison.json").write_text(text + "\n", "utf-8")
        (folder / "comparison.html").write_text(render_page(found), "utf-8")
    return found


def _predict(name: str, corpus: Path, component: str | None) -> Predictions:
    nlp = load_pipeline(name)
    try:
        return predict(nlp, find_textcat(nlp, component), corpus)
    except BertZhError as error:
        raise BertZhError(f"{name}: {error}") from error


def _check_same(name: str, one: Predictions, other_name: str, other: Predictions) -> None:
    if one.exclusive != other.exclusive:
        raise BertZhError(
            f"{name} and {other_name} can't be compared: one gives exactly one label to a text, "
            "the other any number"
        )
    if missing := sorted(set(one.labels) ^ set(other.labels)):
        raise BertZhError(
            f"{name} and {other_name} can't be compared: only one of them has the labels "
            f"{', '.join(missing)}; train both on the same labels"
        )
