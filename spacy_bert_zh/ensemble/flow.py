"""The way through an ensemble: load the runs, measure, make one of them, write."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from spacy_bert_zh.ensemble.committee import check_seats, find_shares, join
from spacy_bert_zh.ensemble.mixture import Mixture, evenly
from spacy_bert_zh.ensemble.runs import Run, load_run, micro_f1
from spacy_bert_zh.ensemble.soup import cook
from spacy_bert_zh.ensemble.stacking import stack
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import predict
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import find_textcat, portable

Method = Literal["soup", "committee", "stacking"]


def ensemble(
    pipelines: Sequence[str | Path],
    output: Path,
    dev: Path,
    *,
    method: Method = "soup",
    train: Path | None = None,
    crossvalidated: Sequence[Path] = (),
    component: str | None = None,
) -> dict[str, Any]:
    """Make one pipeline of several.

    Args:
        pipelines: Folders of trained pipelines or names of installed ones; two or more.
        output: Folder to make or replace.
        dev: A ``.spacy`` file or a folder of them that nothing was trained on; it chooses, so
            measure on other texts. Of ``stacking`` it only tells the score.
        method: ``soup`` averages the weights of runs from one checkpoint and of one config, those
            that make it better (see `soup.cook`): as fast as one. ``committee`` lets all of them
            answer, of whatever checkpoints, and averages their logits (see
            `committee.find_shares`). ``stacking`` does so, too, but a logistic regression learns
            how far to believe which (see `stacking.learn`).
        train: For ``stacking``, the corpus that the pipelines learnt from.
        crossvalidated: For ``stacking``, the folder of a `crossval` of that corpus by each
            pipeline's config, in their order.
        component: Name of the text classifier, if the pipelines have several.

    Returns:
        What was found, as ``meta.json`` says under ``ensemble``: each run's score (micro F1,
        which is the accuracy where labels exclude each other) and share, and the outcome's score.

    Raises:
        BertZhError: There are fewer than two, or they can't become one.
    """
    if len(pipelines) < 2:
        raise BertZhError("An ensemble needs two pipelines at least")
    if method not in get_args(Method):
        raise BertZhError(f"--method {method!r}: take one of {', '.join(get_args(Method))}")
    wanted = method == "stacking"
    if {bool(train), bool(crossvalidated)} != {wanted}:
        raise BertZhError(
            "--method stacking learns from --train, the corpus, and a --crossvalidated for each "
            "pipeline; the other methods from neither"
        )
    read = [*pipelines, dev, *crossvalidated, *([train] if train else [])]
    with owned(output, "ensemble", read) as made:
        runs = [load_run(pipeline, dev, component) for pipeline in pipelines]
        if method == "soup":
            nlp, score, shares = cook(runs, dev)
        else:
            check_seats(runs)
            mixture = stack(runs, train, crossvalidated) if train else _average(runs)
            nlp, shares = join(runs, mixture), mixture.shares
            score = micro_f1(predict(nlp, find_textcat(nlp, component), dev))
        found = {
            "method": method,
            "runs": [
                {"pipeline": run.name, "score": run.score, "share": share}
                for run, share in zip(runs, shares, strict=True)
            ],
            "mean_of_runs": float(np.mean([run.score for run in runs])),
            "score": score,
        }
        nlp.meta["ensemble"] = found
        portable(nlp).to_disk(made)
    return found


def _average(runs: Sequence[Run]) -> Mixture:
    return evenly(find_shares(runs), len(runs[0].parts.labels))
