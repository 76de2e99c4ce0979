"""Whether what `calibrate` promises holds: calibration, sets, abstention, strange texts.

    python benchmarks/trust.py PIPELINE CORPUS/dev --train CORPUS/train --strange OTHER/dev --cost

The pipeline is one as `train` leaves it, the texts are such that it hasn't learnt from. They are
halved at random: everything is fitted on one half and measured on the other. For abstention the
texts are the population that corpora are drawn from, with replacement, so that what an answer is
worth is known exactly. With --cost, the pipeline with all decisions and the same one without any
take turns on the texts.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from turns import take_turns

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.evaluate import calibration_error, make_claims, predict, read_shards
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.textcat import draw, remember_odds, strangeness
from spacy_bert_zh.trust import Aims
from spacy_bert_zh.trust.abstention import find_score
from spacy_bert_zh.trust.fit import fit, odds_of
from spacy_bert_zh.trust.fit import own as checked
from spacy_bert_zh.trust.novelty import find_novelty
from spacy_bert_zh.trust.scaling import fit_temperature
from spacy_bert_zh.trust.sets import find_least

Array = NDArray[Any]
COVERAGES = (0.9, 0.95, 0.99)
TIMED = 2_000


def main(
    pipeline: Annotated[Path, typer.Argument(help="Not calibrated yet.")],
    corpus: Annotated[Path, typer.Argument(help="Texts it hasn't learnt from.")],
    train: Annotated[Path | None, typer.Option(help="Texts it has learnt from.")] = None,
    strange: Annotated[list[Path] | None, typer.Option(help="Texts of another kind.")] = None,
    right: Annotated[float, typer.Option(help="Share of the answers.")] = 0.99,
    splits: int = 20,
    resamplings: int = 200,
    most: Annotated[int, typer.Option(help="Of each kind of strange texts, drawn.")] = 2_000,
    cost: Annotated[bool, typer.Option(help="Also what deciding takes.")] = False,
) -> None:
    """Print a table in Markdown."""
    nlp = load_pipeline(pipeline)
    pipe = find_textcat(nlp, None)
    said = predict(nlp, pipe, corpus)
    print(f"{len(said.scores):,} texts, {len(said.labels)} labels\n\n| | |\n| --- | --- |")
    halves = [_halves(len(said.scores), seed) for seed in range(splits)]
    _calibration(said.scores, said.gold, halves)
    for coverage in COVERAGES:
        _sets(said.scores, said.gold, halves, coverage)
    _abstention(_cooled(said.scores, said.gold), said.gold, right, resamplings)
    if train is None:
        return
    remember_odds(pipe.model, odds_of(nlp, train))

    usual = strangeness(pipe.model, list(read_shards(nlp, corpus))), 1 - said.scores.max(1)
    for folder in strange or ():
        docs = draw((nlp.make_doc(doc.text) for doc in read_shards(nlp, folder)), most)
        scores = np.concatenate([pipe.predict(docs[i : i + 256]) for i in range(0, len(docs), 256)])
        other = strangeness(pipe.model, docs), 1 - scores.max(1)
        _strange(usual, other, str(folder.parent.name), halves)
    if cost:
        _cost(pipeline, corpus, train)


def _halves(texts: int, seed: int) -> tuple[Array, Array]:
    order = np.random.default_rng(seed).permutation(texts)
    return order[: texts // 2], order[texts // 2 :]


def _row(name: str, values: list[float]) -> None:
    print(f"| {name} | {np.mean(values):.4f} ± {np.std(values, ddof=1):.4f} |", flush=True)


def _cool(scores: Array, temperature: float) -> Array:
    powers = np.exp(np.log(np.maximum(scores, 1e-38)) / temperature)
    return np.asarray(powers / powers.sum(1, keepdims=True))


def _cooled(scores: Array, gold: Array) -> Array:
    return _cool(scores, fit_temperature(scores, gold))


def _error(scores: Array, gold: Array) -> float:
    return calibration_error(make_claims(scores, gold, np.ones_like(gold, dtype=bool), True))


def _calibration(scores: Array, gold: Array, halves: list[tuple[Array, Array]]) -> None:
    before, after, floor = [], [], []
    for own, others in halves:
        cooled = _cool(scores[others], fit_temperature(scores[own], gold[own]))
        before.append(_error(scores[others], gold[others]))
        after.append(_error(cooled, gold[others]))
        random = np.random.default_rng(len(after))
        drawn = (random.random(len(cooled)) < cooled.max(1)).astype(int)
        floor.append(_error(cooled.max(1, keepdims=True), drawn[:, None]))
    _row("expected calibration error before", before)
    _row("after", after)
    _row("what so few texts show where scores are perfect", floor)


def _sets(scores: Array, gold: Array, halves: list[tuple[Array, Array]], coverage: float) -> None:
    held, sizes = [], []
    for own, others in halves:
        temperature = fit_temperature(scores[own], gold[own])
        fitted, fresh = (_cool(scores[half], temperature) for half in (own, others))
        least = find_least(fitted, gold[own], coverage)
        inside = fresh >= np.minimum(least, fresh.max(1, keepdims=True))
        held.append(float((inside & (gold[others] > 0)).any(1).mean()))
        sizes.append(float(inside.sum(1).mean()))
    _row(f"sets at {coverage:.0%}: they hold the right label", held)
    _row("labels of a set", sizes)


def _abstention(scores: Array, gold: Array, right: float, resamplings: int) -> None:
    surest, correct = scores.max(1), gold[np.arange(len(gold)), scores.argmax(1)] > 0
    holds, answered, none = [], [], 0
    for seed in range(resamplings):
        drawn = np.random.default_rng(seed).integers(len(surest), size=len(surest))
        try:
            least = find_score(surest[drawn], correct[drawn], right).score
        except BertZhError:
            none += 1
            continue
        given = surest >= least
        holds.append(float(correct[given].mean() >= right))
        answered.append(float(given.mean()))
    kept = sum(holds) + none  # where nothing is promised, nothing is broken
    print(f"| {right:.0%} right holds in | {kept / resamplings:.1%} of {resamplings} corpora |")
    if answered:
        _row("share of the texts that get an answer", answered)
    print(f"| corpora that promise nothing | {none} |", flush=True)


def _strange(
    usual: tuple[Any, Array],
    strange: tuple[Any, Array],
    name: str,
    halves: list[tuple[Array, Array]],
) -> None:
    found: dict[str, list[float]] = {"n-grams alone": [], "unsureness alone": [], "both": []}
    for own, others in halves:
        novelty = find_novelty(usual[0][own], usual[1][own], 0.99)
        known = usual[0][others], usual[1][others]
        shares = [
            np.asarray([novelty.share(float(a), float(b)) for a, b in zip(*part, strict=True)])
            for part in (known, strange)
        ]
        truth = np.repeat([0, 1], [len(part) for part in shares])
        pairs = (known[0], strange[0]), (known[1], strange[1]), shares
        for values, pair in zip(found.values(), pairs, strict=True):
            values.append(float(roc_auc_score(truth, np.concatenate(pair))))
    for key, values in found.items():
        _row(f"against {name}, AUROC, {key}", values)


def _cost(pipeline: Path, corpus: Path, train: Path) -> None:
    plain, deciding = load_pipeline(pipeline), load_pipeline(pipeline)
    fit(deciding, checked(find_textcat(deciding, None)), corpus, Aims(0.9, 0.95, 0.99), train)
    texts = [doc.text for doc in read_shards(plain, corpus)][:TIMED]
    seconds = take_turns({"plain": plain, "deciding": deciding}, texts)
    pairs = zip(seconds["plain"], seconds["deciding"], strict=True)
    _row("time of all decisions, share of classifying", [more / less - 1 for less, more in pairs])


if __name__ == "__main__":
    typer.run(main)
