"""Fits what a text classifier says, and decides, to texts that it hasn't learnt from."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import (
    Predictions,
    calibration_error,
    check_corpus,
    make_claims,
    predict,
    read_as_classified,
)
from spacy_bert_zh.loading import is_exclusive, thresholds_of
from spacy_bert_zh.pieces import text_of
from spacy_bert_zh.textcat import (
    Abstention,
    BertTextCat,
    Rules,
    Sets,
    confidence,
    draw,
    find_odds,
    given_of,
    remember_odds,
    rescale,
    strangeness,
)
from spacy_bert_zh.trust.abstention import find_score
from spacy_bert_zh.trust.novelty import find_novelty
from spacy_bert_zh.trust.options import FEWEST_TEXTS, Aims, read_aim
from spacy_bert_zh.trust.scaling import fit_logistic, fit_temperature, logit
from spacy_bert_zh.trust.sets import find_least
from spacy_bert_zh.trust.thresholds import find_thresholds

KNOWN = 0.99
"""Share of usual texts that count as such, unless told otherwise."""
SAMPLE = 20_000
"""Training texts, drawn at random, whose strangeness is the measure."""


def own(pipe: TextCategorizer) -> BertTextCat:
    """A text classifier that can be calibrated: one of ours.

    Raises:
        BertZhError: It isn't, or has another architecture.
    """
    refs = set(pipe.model.ref_names)
    if isinstance(pipe, BertTextCat) and ({"backbone", "output_layer"} <= refs or "ngrams" in refs):
        return pipe
    raise BertZhError(
        f"The component '{pipe.name}' can't be calibrated: expected bert_textcat, "
        "bert_textcat_multilabel or bert_textcat_hierarchical with BertTextCat, "
        "BertTextCatEnsemble or NgramTextCat"
    )


def fit(
    nlp: Language, pipe: BertTextCat, dev: Path, aims: Aims, train: Path | None = None
) -> dict[str, Any]:
    """Calibrate a text classifier in place.

    Args:
        nlp: Its pipeline.
        pipe: The classifier.
        dev: Texts that it hasn't learnt from: a ``.spacy`` file or a folder of them.
        aims: What is asked for.
        train: Texts that it has learnt from, to tell which are unlike them.

    Returns:
        What was found, for `meta.json` and for people. Fewer than `FEWEST_TEXTS`, and neighbours
        that have a say, leave the scores as they are, and then there is no word of a temperature
        or of slopes.

    Raises:
        BertZhError: An aim can't be reached, for one because the texts are too few.
    """
    aims.check(is_exclusive(pipe))
    cascade, pipe.cascade = pipe.cascade, None  # a temperature is that of the whole ensemble
    before = predict(nlp, pipe, dev)
    facts: dict[str, Any] = {"texts": len(before.excerpts)}
    # What neighbours say has no weights that a temperature could go into.
    votes = pipe.neighbours is not None and pipe.neighbours.has_say
    if facts["texts"] >= FEWEST_TEXTS and not votes:
        facts |= _scale(pipe, before)
    if cascade:
        margin = round(cascade.margin / facts.get("temperature", 1.0), 6)
        pipe.cascade = cascade.model_copy(update={"margin": margin})
    if train is not None:
        check_corpus(nlp, pipe, train)
        remember_odds(pipe.model, odds_of(nlp, train))
    after = predict(nlp, pipe, dev)
    facts["calibration_error"] = [_error(before), _error(after)]
    if aims.aim is not None:
        found = find_thresholds(after.scores, after.gold, after.known, read_aim(aims.aim))
        pipe.cfg["thresholds"] = dict(zip(after.labels, found.tolist(), strict=True))
        pipe.cfg["thresholds"] = thresholds_of(pipe)  # which a tree may lower
        facts |= {"aim": aims.aim, "thresholds": pipe.cfg["thresholds"]}
    return facts | decide_by(nlp, pipe, dev, after, aims)


def refit(nlp: Language, pipe: BertTextCat, dev: Path) -> dict[str, Any]:
    """Fit a calibrated classifier anew after its network changed, by the aims it has.

    Args:
        nlp: Its pipeline.
        pipe: The classifier, changed in place.
        dev: Texts that it hasn't learnt from.

    Returns:
        As `fit`.

    Raises:
        BertZhError: The texts are too few, or an aim can't be reached.
    """
    rules = Rules.model_validate(pipe.cfg["decision"])
    aims = Aims(
        right=rules.abstention.right if rules.abstention else None,
        coverage=rules.sets.coverage if rules.sets else None,
        known=rules.novelty.known if rules.novelty else None,
    )
    return fit(nlp, pipe, dev, aims)


def decide_by(
    nlp: Language, pipe: BertTextCat, dev: Path, said: Predictions, aims: Aims
) -> dict[str, Any]:
    """Find the rules of a classifier whose scores are calibrated; what was found."""
    facts: dict[str, Any] = {}
    rules: dict[str, Any] = {}
    surest, correct = _surest(pipe, said)
    if aims.right is not None:
        found = find_score(surest, correct, aims.right)
        rules["abstention"] = Abstention(right=aims.right, score=found.score)
        facts["right"] = {"asked": aims.right, **vars(found)}
    if aims.coverage is not None:
        least = find_least(said.scores, said.gold, aims.coverage)
        rules["sets"] = Sets(coverage=aims.coverage, score=least)
        sizes = np.maximum((said.scores >= least).sum(1), 1)
        facts["sets"] = {"coverage": aims.coverage, "labels": float(sizes.mean())}
    far = _strangeness(nlp, pipe, dev)
    if far is None and aims.known is not None:
        raise BertZhError(
            f"--known {aims.known:g} is measured from the training texts: give --train"
        )
    if far is not None:
        known = KNOWN if aims.known is None else aims.known
        # From fewer texts, nobody could tell what few of them are unlike.
        needed = math.ceil(1 / (1 - known) - 1e-9)
        if len(far) >= needed:
            rules["novelty"] = find_novelty(far, 1 - surest, known)
            facts["known"] = known
        elif aims.known is None:
            facts["too_few_for_known"] = needed
        else:
            raise BertZhError(
                f"--known {known:g} takes {needed:,} texts at least, and the corpus has "
                f"{len(far):,}: give a larger one or ask for less"
            )
    pipe.cfg["decision"] = Rules(**rules).model_dump(exclude_none=True)
    return facts


def _scale(pipe: BertTextCat, said: Predictions) -> dict[str, Any]:
    """Let scores mean what they say; what it took."""
    order = [said.labels.index(label) for label in pipe.labels]
    ones = np.ones(len(order))
    if is_exclusive(pipe):
        temperature = fit_temperature(said.scores, said.gold)
        slopes, shifts = ones / temperature, 0 * ones
        facts: dict[str, Any] = {"temperature": temperature}
    else:
        # A label of a tree may have said what one below it says: all must change alike.
        together = getattr(pipe, "tree", None) is not None
        found = fit_logistic(said.scores, said.gold, said.known, together)
        slopes, shifts = (values[order] for values in found)
        facts = {"slopes": slopes.tolist(), "shifts": shifts.tolist()}
        _move_thresholds(pipe, slopes, shifts)
    rescale(pipe.model, slopes, shifts)
    return facts


def _move_thresholds(pipe: BertTextCat, slopes: NDArray[Any], shifts: NDArray[Any]) -> None:
    """Let labels' own thresholds, if there are any, still decide as they did."""
    own = pipe.cfg.get("thresholds") or {}
    for label, slope, shift in zip(pipe.labels, slopes.tolist(), shifts.tolist(), strict=True):
        if label in own:
            moved = slope * logit(np.asarray(own[label])) + shift
            own[label] = float(1 / (1 + np.exp(-moved)))


def _surest(pipe: BertTextCat, said: Predictions) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """How sure each answer is, and whether it is right as a whole; shape (texts,) each."""
    given = said.predicted.astype(bool)
    if not said.exclusive:  # its thresholds may be newer than what it said
        order = np.asarray([said.labels.index(label) for label in pipe.labels])
        given = given_of(pipe, said.scores[:, order])[:, np.argsort(order)]
    pairs = zip(said.scores.tolist(), given.tolist(), strict=True)
    surest = np.asarray([confidence(scores, mask, said.exclusive) for scores, mask in pairs])
    return surest, (given == said.gold.astype(bool)).all(1)


def odds_of(nlp: Language, train: Path) -> NDArray[np.float32]:
    """Log odds of the n-grams of training texts against other Chinese; see `find_odds`."""

    def texts() -> Iterator[str]:
        return (text_of(doc) for doc in read_as_classified(nlp, train))

    return find_odds(texts(), draw(texts(), SAMPLE))


def _strangeness(nlp: Language, pipe: BertTextCat, dev: Path) -> NDArray[Any] | None:
    """How strange texts are by their n-grams, if the classifier knows; shape (texts,)."""
    return strangeness(pipe.model, list(read_as_classified(nlp, dev)))


def _error(said: Predictions) -> float:
    return calibration_error(make_claims(said.scores, said.gold, said.known, said.exclusive))
