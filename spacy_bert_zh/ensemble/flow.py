"""The way through an ensemble: load the runs, measure, average what helps, write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from spacy.language import Language

from spacy_bert_zh.ensemble.soup import average, check_alike, put
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import predict
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import find_textcat, load_pipeline, portable, take_apart

_FITTED = {
    **{"cascade": "compress", "decision": "calibrate", "thresholds": "calibrate"},
    "neighbours": "index",
}


def ensemble(
    pipelines: Sequence[str | Path], output: Path, dev: Path, *, component: str | None = None
) -> dict[str, Any]:
    """Average the weights of several runs, those whose share makes it better.

    A greedy soup (Wortsman et al. 2022, arXiv 2203.05482, recipe 1): the best run first, then
    each of the others that doesn't lower the score of the mean on `dev`. The outcome is as large
    and as fast as one of them, never worse on `dev` than the best, and an ordinary pipeline. It
    takes runs from one checkpoint, of one config: other seeds, rates or lengths.

    Args:
        pipelines: Folders of trained pipelines or names of installed ones; two or more.
        output: Folder to make or replace.
        dev: A ``.spacy`` file or a folder of them that nothing was trained on; it chooses, so
            measure on other texts.
        component: Name of the text classifier, if the pipelines have several.

    Returns:
        What was found, as ``meta.json`` says under ``ensemble``: each run's score (micro F1,
        which is the accuracy where labels exclude each other), which were taken, and the score of
        their mean.

    Raises:
        BertZhError: There are fewer than two, or they can't be averaged.
    """
    if len(pipelines) < 2:
        raise BertZhError("An ensemble needs two pipelines at least")
    names = [_name(pipeline) for pipeline in pipelines]
    with owned(output, "ensemble", [*pipelines, dev]) as made:
        loaded = [load_pipeline(pipeline) for pipeline in pipelines]
        pipes: list[Any] = [find_textcat(nlp, component) for nlp in loaded]
        for pipe in pipes:
            _forget(pipe)
        parts = [take_apart(pipe) for pipe in pipes]
        check_alike([str(pipeline) for pipeline in pipelines], parts)
        scores = [_score(nlp, pipe, dev) for nlp, pipe in zip(loaded, pipes, strict=True)]
        order = np.argsort([-score for score in scores], kind="stable").tolist()
        taken, reached = order[:1], scores[order[0]]
        nlp, pipe = loaded[order[0]], pipes[order[0]]
        for run in order[1:]:
            put(pipe, average([parts[number] for number in [*taken, run]]))
            if (score := _score(nlp, pipe, dev)) >= reached:
                taken, reached = [*taken, run], score
        put(pipe, average([parts[number] for number in taken]))
        found = {
            "runs": [
                {"pipeline": name, "score": score, "taken": number in taken}
                for number, (name, score) in enumerate(zip(names, scores, strict=True))
            ],
            "mean_of_runs": float(np.mean(scores)),
            "score": reached,
        }
        nlp.meta["ensemble"] = found
        portable(nlp).to_disk(made)
    return found


def _name(pipeline: str | Path) -> str:
    path = Path(pipeline)
    return f"{path.resolve().parent.name}/{path.name}" if path.exists() else str(pipeline)


def _score(nlp: Language, pipe: Any, dev: Path) -> float:
    said = predict(nlp, pipe, dev)
    both = (said.gold * said.predicted).sum()
    return float(2 * both / max(said.gold.sum() + said.predicted.sum(), 1))


def _forget(pipe: Any) -> None:
    """What was fitted to one run's scores doesn't hold of the mean's."""
    for name, command in _FITTED.items():
        if pipe.cfg.get(name):
            pipe.cfg[name] = None
            what = command if name == "neighbours" else name
            print(f"The {what} of one run is left out: '{command}' fits another to the outcome")
    pipe.neighbours = None  # vectors of one run; `cfg` told of them
