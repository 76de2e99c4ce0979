"""A trained pipeline made as small, or as fast, as a budget asks for, while it stays as good."""

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import spacy
from spacy.tokens import DocBin

from spacy_bert_zh.compress.budget import Budget, parse_budget
from spacy_bert_zh.compress.ladder import (
    GIVEN,
    INT8,
    LADDER,
    PIPELINE,
    Rung,
    Workshop,
    can_learn,
)
from spacy_bert_zh.compress.measuring import Measure, Point
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.evaluate import check_corpus, read_shards
from spacy_bert_zh.export import export
from spacy_bert_zh.files import RECORD, check_apart, fingerprint, remove, whole, workshop
from spacy_bert_zh.loading import find_textcat, load_pipeline
from spacy_bert_zh.textcat.cascade import check_cascade

STATE, REPORT, PAGE, WORK = "compress.json", "report.json", "report.html", "work"
KNOWN = (STATE, REPORT, PAGE, WORK, PIPELINE, INT8)
AGREE = 0.995

Say = Callable[[str], None]


def compress_to(
    pipeline: str | Path,
    output: Path,
    dev: Path,
    budget: str,
    *,
    train: Path | None = None,
    agree: float | None = None,
    loss: float = 0.003,
    minutes: float = 0.0,
    component: str | None = None,
    say: Say = print,
) -> dict[str, Any]:
    """Find the first of ever smaller forms of a pipeline that is within a budget.

    The forms stand in `LADDER`. One half of `dev` is what they are fitted to; on the other each is
    compared with the given pipeline, and the next is only tried where this one is shown, with 95 %
    confidence, to lose no more than `loss` (`most_lost`, the test of exports). As the order is
    fixed, all of these tests hold together (fixed-sequence testing: Maurer, Hothorn & Lehmacher
    1995).

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        output: Folder to work in: ``pipeline``, which learns on, ``int8``, where the chain got so
            far, ``report.html`` and ``report.json``. A run that was cut off goes on in it.
        dev: A ``.spacy`` file or a folder of them, that nothing was trained on.
        budget: Such as "4 MB" or "3x", see `Budget`.
        train: Texts that the pipeline has learnt from: what is narrower learns from them. None
            stops before.
        agree: Share of texts that a cascade keeps the label of, with 95 % confidence; None makes
            one only for a budget of time, with `AGREE`.
        loss: Accuracy that may be lost.
        minutes: About how long each training may take; 0 doesn't limit.
        component: Name of the text classifier, if the pipeline has several.
        say: Is told of each form.

    Returns:
        The content of ``report.json``.

    Raises:
        BertZhError: The corpus is too small, the labels differ, a cascade is asked for where there
            can't be one, or no form is within the budget; the report tells how far it got.
    """
    if find_spec("sklearn") is None or find_spec("matplotlib") is None:
        raise missing_extra("scikit-learn", "plots", "The command 'compress'")
    wanted = parse_budget(budget)
    inputs = [path for path in (pipeline, dev, train) if path is not None]
    check_apart(output, inputs)
    with workshop(output, "compress", *KNOWN) as folder:
        asked = (budget, agree, loss, minutes, component)
        run = fingerprint(asked, [Path(given) for given in inputs])
        points = _read(folder, run)
        shop = _open(folder / WORK, pipeline, dev, train, component, agree, wanted, minutes)
        measure = Measure(shop.folder / GIVEN, folder / WORK / "measuring", shop.component, loss)
        if not points:
            points.append(measure(Rung("as given"), shop.folder / GIVEN))
            say(describe(points[0]))
        made = None
        for rung in _rungs(shop, wanted, say)[len(points) - 1 :]:
            if _over(points[-1], wanted, loss):
                break
            made = shop.make(rung)
            points.append(measure(rung, made[1]))
            say(describe(points[-1]))
            _write(folder, run, points)
        return _finish(folder, shop, made, points, wanted, loss, measure.texts)


def describe(point: Point) -> str:
    """A form in one line."""
    reach = "" if point.reach_network is None else f", {point.reach_network:.1%} reach the network"
    return (
        f"{point.name}: {point.megabytes:.2f} MB, {point.times:.2f} times as fast, accuracy "
        f"{point.accuracy:.4f} ({point.low:.4f} to {point.high:.4f}), {point.lost:.4f} lost at most"
        f"{reach}"
    )


def _over(point: Point, budget: Budget, loss: float) -> bool:
    return point.lost > loss or budget.met(point.megabytes, point.times)


def _open(
    work: Path,
    pipeline: str | Path,
    dev: Path,
    train: Path | None,
    component: str | None,
    agree: float | None,
    budget: Budget,
    minutes: float,
) -> Workshop:
    """Lay out what the rungs are made of: the pipeline, in torch, and both halves of dev."""
    work.mkdir(exist_ok=True)
    nlp = load_pipeline(pipeline)
    pipe: Any = find_textcat(nlp, component)
    for corpus in (dev, *([train] if train else [])):
        check_corpus(nlp, pipe, corpus)
    if agree is not None:
        check_cascade(pipe.model, pipe.name)
    elif budget.times is not None and pipe.model.name == "bert_textcat_ensemble":
        agree = None if pipe.model.attrs["multi_label"] else AGREE
    given = work / GIVEN
    if not given.exists():
        export(pipeline, work / "torch", "torch", component=pipe.name)
        nlp = load_pipeline(work / "torch")
        found: Any = find_textcat(nlp, pipe.name)
        if found.cfg.get("cascade"):
            found.cascade = None
        with whole(given) as part:
            nlp.to_disk(part)
        remove(work / "torch")
    _halve(dev, work)
    return Workshop(work, work / "fitting", train, pipe.name, agree, minutes)


def _halve(dev: Path, work: Path) -> None:
    """Write both halves of the texts; the same text stands in one of them only."""
    docs = list(read_shards(spacy.blank("zh"), dev))
    texts = sorted({doc.text for doc in docs})
    fitting = set(random.Random(0).sample(texts, len(texts) // 2))
    for name, chosen in (("fitting", True), ("measuring", False)):
        with whole(work / name) as part:
            part.mkdir()
            half = [doc for doc in docs if (doc.text in fitting) == chosen]
            DocBin(docs=half).to_disk(part / "00000.spacy")


def _rungs(shop: Workshop, budget: Budget, say: Say) -> list[Rung]:
    """Those that this pipeline can have, on this machine, and that serve the budget."""
    rungs = list(LADDER)
    if budget.times is not None:  # coarse weights are as fast as others
        rungs = [one for one in rungs if not one.coarse]
    if find_spec("onnx") is None or find_spec("onnxruntime") is None:
        say('Without int8, which needs pip install "spacy-bert-zh[onnx-export]"')
        rungs = [replace(one, int8=False) for one in rungs]
        del rungs[1]
    narrows = can_learn(find_textcat(load_pipeline(shop.folder / GIVEN), shop.component))
    if shop.train is None or not narrows:
        say(
            "Without narrower networks, which want --train"
            if narrows
            else "Without narrower networks: those are made of one BERT and labels without a tree"
        )
        rungs = [one for one in rungs if not one.learns]
    return rungs


def _read(folder: Path, run: str) -> list[Point]:
    """What a run that was cut off has measured; another one begins anew."""
    state = folder / STATE
    if state.exists():
        found = json.loads(state.read_text("utf-8"))
        if found["run"] == run:
            return [Point(**point) for point in found["points"]]
    for name in KNOWN:
        remove(folder / name)
    return []


def _write(folder: Path, run: str, points: list[Point]) -> None:
    state = {"run": run, "points": [asdict(point) for point in points]}
    with whole(folder / STATE) as part:
        part.write_text(json.dumps(state, allow_nan=False) + "\n", "utf-8")


def _finish(
    folder: Path,
    shop: Workshop,
    made: tuple[Path, Path] | None,
    points: list[Point],
    budget: Budget,
    loss: float,
    texts: int,
) -> dict[str, Any]:
    """Write the report, and the pipeline if there is one."""
    from spacy_bert_zh.compress.report import make_report, render_page

    report = make_report(points, budget, loss, texts)
    found = json.dumps(report, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    for name, content in ((REPORT, found), (PAGE, render_page(report))):
        with whole(folder / name) as part:
            part.write_text(content, "utf-8")
    if report["chosen"] is None:
        best = next(one for one in reversed(points) if one.lost <= loss)
        raise BertZhError(
            f"No form is within the budget and loses no more than --loss {loss:g}: the last that "
            f"was shown to is {describe(best)}. See {folder / PAGE}; allow more loss, give more "
            f"texts{'' if shop.train else ', give --train'}, or ask for less"
        )
    if made is None:  # the pipeline is within it as it is, or a run was cut off at its very end
        made = _remake(shop, points)
    for name, source in ((PIPELINE, made[0]), (INT8, made[1])):
        if name == PIPELINE or source.name == INT8:
            _copy(source, folder / name, report["noted"])
    remove(folder / WORK)
    remove(folder / STATE)
    return report


def _remake(shop: Workshop, points: list[Point]) -> tuple[Path, Path]:
    if len(points) == 1:
        return shop.folder / GIVEN, shop.folder / GIVEN
    last = shop.folder / INT8
    return shop.folder / PIPELINE, last if last.exists() else shop.folder / PIPELINE


def _copy(source: Path, target: Path, noted: dict[str, Any]) -> None:
    """A rung under its last name, with what is to be said of it."""
    with whole(target) as part:
        shutil.copytree(source, part, ignore=shutil.ignore_patterns(RECORD))
        path = part / "meta.json"
        meta = {**json.loads(path.read_text("utf-8")), "compress": noted}
        path.write_text(json.dumps(meta, ensure_ascii=False, indent=2) + "\n", "utf-8")
