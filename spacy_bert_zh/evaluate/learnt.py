"""Whether a text classifier learnt anything: it must beat the best answer that never changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spacy_bert_zh.errors import BertZhError

WAY_OUT = (
    "train longer or at a higher rate (training.optimizer.learn_rate: total_steps, initial_rate; "
    "in a project --vars.minutes, --vars.learn_rate), or go on with --force"
)

ENOUGH = 30
"""On fewer texts, being no better than a constant answer may be chance."""

ROUNDING = 1e-6
"""Differences below it come of the arithmetic, not of a text."""


def best_constant(
    labels: Sequence[str], support: np.ndarray, known: np.ndarray, exclusive: bool
) -> dict[str, Any]:
    """The answer with the best micro F1 among those that are the same for every text.

    Of labels that exclude each other it is the commonest one. Else it is a set of labels, and
    the best set holds those that are most often true: F1 is a ratio of two sums over the set.

    Args:
        labels: Names of the labels.
        support: Texts that have the label, int (labels,).
        known: Texts for which it is known whether they have it, int (labels,).
        exclusive: Whether exactly one label holds for a text.

    Returns:
        ``labels`` of the answer, and the ``micro_f1`` that it reaches.

    Examples:
        >>> best_constant(["neg", "pos"], np.array([30, 70]), np.array([100, 100]), True)
        {'labels': ['pos'], 'micro_f1': 0.7}
    """
    order = np.argsort(-support / np.maximum(known, 1), kind="stable")
    right, given = support[order].cumsum(), known[order].cumsum()
    scores = 2 * right / np.maximum(support.sum() + given, 1)
    size = 1 if exclusive or not support.any() else int(scores.argmax()) + 1
    chosen = order[:size].tolist()
    return {"labels": [labels[i] for i in chosen], "micro_f1": float(scores[size - 1])}


def check_better(where: str, reached: float, constant: dict[str, Any], exclusive: bool) -> None:
    """Refuse a text classifier that is no better than the best constant answer.

    Args:
        where: What was measured on what, the subject of the message.
        reached: Its micro F1.
        constant: See `best_constant`.
        exclusive: Whether exactly one label holds for a text.

    Raises:
        BertZhError: It is no better.
    """
    if reached > constant["micro_f1"] + ROUNDING:
        return
    answer = ", ".join(f"'{label}'" for label in constant["labels"])
    problem = (
        f"{where} is no better than always answering {answer}: "
        f"{'accuracy' if exclusive else 'micro F1'} {reached:.4f}, and that answer reaches "
        f"{constant['micro_f1']:.4f}"
    )
    if constant["micro_f1"] > 1 - ROUNDING:
        raise BertZhError(
            f"{problem}, because all texts have the same labels: measure on texts of every label, "
            "or go on with --force"
        )
    threshold = "" if exclusive else "take another threshold (evaluate --threshold), "
    raise BertZhError(f"{problem}; {threshold}{WAY_OUT}")


def check_record(where: str, record: Any) -> bool:
    """Refuse a pipeline that learnt nothing, by what `train` wrote down about it.

    Args:
        where: The pipeline, for the message.
        record: The line of the training's history that is the pipeline's own; see `history`.

    Returns:
        Whether it tells of any text classifier: those that weren't trained, or whose scorer isn't
        spaCy's, are not in it.

    Raises:
        BertZhError: The pipeline is no better than a constant answer, or the record isn't one of
            `train`.
    """
    try:
        classifiers = dict(record["classifiers"])
        judged = [
            (name, float(one["micro_f1"]), bool(one["exclusive"]), _constant(one["constant"]))
            for name, one in classifiers.items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BertZhError(
            f"{where}: 'training' in meta.json isn't what 'train' writes; train again"
        ) from error
    for name, reached, exclusive, constant in judged:
        check_better(f"{where}: the component '{name}' on dev", reached, constant, exclusive)
    return bool(judged)


def check_metrics(where: str, metrics: dict[str, Any]) -> bool:
    """Refuse a pipeline that learnt nothing, by the content of a ``metrics.json``.

    Args:
        where: What was measured on what, for the message.
        metrics: What `evaluate` found.

    Returns:
        Whether they tell: measures that are missing are not checked, and fewer than `ENOUGH`
        texts tell nothing against a pipeline.

    Raises:
        BertZhError: The pipeline is no better than a constant answer, or the metrics aren't
            those of `evaluate`.
    """
    try:
        exclusive = bool(metrics.get("pipeline", {}).get("exclusive", True))
        averages, classes = metrics.get("averages", {}), metrics.get("classes", {})
        reached = metrics.get("accuracy") if exclusive else averages.get("micro", {}).get("f1")
        if reached is None or not ("constant" in metrics or classes):
            return False
        if "constant" in metrics:
            constant = _constant(metrics["constant"])
        else:  # of an older version
            support = np.array([int(one["support"]) for one in classes.values()])
            texts = np.full_like(support, int(metrics["corpus"]["texts"]))
            constant = best_constant(list(classes), support, texts, exclusive)
        reached = float(reached)
        few = int(metrics.get("corpus", {}).get("texts", ENOUGH)) < ENOUGH
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BertZhError(f"{where}: the metrics aren't what 'evaluate' writes") from error
    if few and reached <= constant["micro_f1"] + ROUNDING:
        return False
    check_better(where, reached, constant, exclusive)
    return True


def _constant(value: dict[str, Any]) -> dict[str, Any]:
    labels = [str(label) for label in value["labels"]]
    return {"labels": labels, "micro_f1": float(value["micro_f1"])}
