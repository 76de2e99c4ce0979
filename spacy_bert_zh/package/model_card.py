"""The README.md of a packaged pipeline: a model card in the Hugging Face style."""

from collections.abc import Iterable
from typing import Annotated, Any

import srsly
from pydantic import Field
from thinc.api import Config

import spacy_bert_zh
from spacy_bert_zh.markdown import render_table
from spacy_bert_zh.package.noted import Count, Facts, describe_noted
from spacy_bert_zh.pieces import describe_reading

LIMITS = """\
- It was trained on Chinese text. On other languages, and on kinds of text that the data above
  doesn't hold (other topics, registers, lengths, times), expect lower scores: measure first.
- Every text gets scores for these labels and no others, even if none of them fits.
- It repeats the biases of its pretraining texts and of whoever labelled its data. Don't let it
  decide about people alone."""


Ends = Annotated[list[float], Field(min_length=2, max_length=2)]


class _Corpus(Facts):
    name: str | None = None
    texts: Count | None = None


class _Class(Facts):
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    support: Count | None = None


class _Pipeline(Facts):
    threshold: float | None = None
    own_threshold: float | None = None
    thresholds: dict[str, float] | None = None


class _Reliability(Facts):
    ece: float | None = None


class _Intervals(Facts):
    level: float = 0.95
    accuracy: Ends | None = None
    macro_f1: Ends | None = None
    ece: Ends | None = None


class Metrics(Facts):
    """What a card tells of a ``metrics.json``."""

    pipeline: _Pipeline = Field(default=_Pipeline())
    absent: list[str] = Field(default=[])
    corpus: _Corpus = Field(default=_Corpus())
    accuracy: float | None = None
    averages: dict[str, _Class] = Field(default={})
    classes: dict[str, _Class] = Field(default={})
    reliability: _Reliability = Field(default=_Reliability())
    intervals: _Intervals = Field(default=_Intervals())


class _Split(Facts):
    rows: Count | None = None
    labels: dict[str, Count] = Field(default={})


class DataReport(Facts):
    """What a card tells of the report of `convert`."""

    input: str | None = None
    rows: dict[str, Count] = Field(default={})
    rejected: dict[str, Count] = Field(default={})
    splits: dict[str, _Split] = Field(default={})
    labels: list[str] = Field(default=[])


def render_model_card(
    meta: dict[str, Any],
    config: Config,
    wheels: Iterable[str],
    metrics: dict[str, Any],
    data_report: dict[str, Any],
) -> str:
    """Describe a pipeline to those who find it.

    Args:
        meta: The pipeline's meta, with its final name and version.
        config: The pipeline's config, interpolated.
        wheels: File names for the pip line.
        metrics: The metrics of `evaluate`, or nothing; keys that are missing are left out.
        data_report: The report of `convert`, or nothing.

    Returns:
        Markdown with a YAML front matter.
    """
    name = f"{meta['lang']}_{meta['name']}"
    sections = {
        f"{name} {meta['version']}": meta["description"],
        "Use": _use(name, wheels),
        "Labels": "\n".join(_labels(meta, config)),
        "Data": _data(data_report) or "Not recorded.",
        "Metrics": _metrics(metrics) or "Not measured.",
        **describe_noted(meta),
        "Licence": meta["license"] or "Not stated: ask the author before you use it.",
        "Limits": "\n".join([*_windows(config), LIMITS, _calibration(metrics)]),
        "Versions": (
            f"Needs spaCy `{meta['spacy_version']}`; "
            f"packaged by spacy-bert-zh `{spacy_bert_zh.__version__}`."
        ),
    }
    body = "\n\n".join(
        f"{'##' if i else '#'} {title}\n\n{text}"
        for i, (title, text) in enumerate(sections.items())
    )
    front = srsly.yaml_dumps(_front_matter(name, meta, metrics), sort_keys=False)
    return f"---\n{front}---\n\n{body}\n"


def _front_matter(name: str, meta: dict[str, Any], metrics: dict[str, Any]) -> dict[str, Any]:
    front = {
        "language": [meta["lang"]],
        "library_name": "spacy",
        "pipeline_tag": "text-classification",
        "tags": ["spacy", "text-classification", "chinese", "bert"],
        **({"license": meta["license"].lower()} if meta["license"] else {}),
    }
    if scores := _scores(metrics):
        corpus = metrics.get("corpus", {}).get("name", "evaluation corpus")
        result = {
            "task": {"type": "text-classification", "name": "Text classification"},
            "dataset": {"type": corpus, "name": corpus},
            "metrics": [
                {"type": title.split()[-1].lower(), "name": title, "value": round(value, 4)}
                for title, value in scores.items()
            ],
        }
        front["model-index"] = [{"name": name, "results": [result]}]
    return front


def _use(name: str, wheels: Iterable[str]) -> str:
    return (
        f"```\npip install {' '.join(wheels)}\n```\n\n"
        f'```python\nimport spacy\n\nnlp = spacy.load("{name}")\n'
        f'print(nlp("这家店很好吃").cats)\n```'
    )


def _labels(meta: dict[str, Any], config: Config) -> Iterable[str]:
    for component in classifiers(config):
        labels = meta["labels"][component]
        several = config["components"][component]["factory"].endswith("_multilabel")
        yield (
            f"- `{component}`, {'any number of' if several else 'exactly one of'} these "
            f"{len(labels)} for a text: {', '.join(f'`{label}`' for label in labels)}"
        )


def classifiers(config: Config) -> list[str]:
    """Names of the text classifiers in a pipeline's config."""
    components = config.get("components", {}).items()
    return [name for name, component in components if "textcat" in component.get("factory", "")]


def _windows(config: Config) -> Iterable[str]:
    for name in classifiers(config):
        if sentence := describe_reading(config["components"][name]):
            yield f"- `{name}`: {sentence}"


def _data(report: dict[str, Any]) -> str:
    blocks = []
    if rows := report.get("rows"):
        counts = ", ".join(f"{number:,} {what}" for what, number in rows.items())
        blocks.append(f"From `{report.get('input', 'the corpus')}`, rows: {counts}.")
    if rejected := report.get("rejected"):
        reasons = ", ".join(f"{reason} {number:,}" for reason, number in rejected.items())
        blocks.append(f"Rejected: {reasons}.")
    if splits := report.get("splits"):
        totals = ["all", *(split.get("rows", "") for split in splits.values())]
        body = [
            [label, *(split.get("labels", {}).get(label, 0) for split in splits.values())]
            for label in report.get("labels", [])
        ]
        blocks.append(render_table(["", *splits], [totals, *body]))
    return "\n\n".join(blocks)


def _metrics(metrics: dict[str, Any]) -> str:
    lines = (
        f"- {title}: {value:.3f}{_interval(metrics, title)}"
        for title, value in _scores(metrics).items()
    )
    blocks = ["\n".join(lines)]
    if corpus := metrics.get("corpus"):
        blocks.insert(0, f"On {corpus.get('texts')} texts, `{corpus.get('name')}`:")
    blocks += _conventions(metrics)
    if classes := metrics.get("classes"):
        columns = ("precision", "recall", "f1", "support")
        rows = ([label, *map(row.get, columns)] for label, row in classes.items())
        blocks.append(render_table(["", *columns], rows))
    return "\n\n".join(filter(None, blocks))


def _interval(metrics: dict[str, Any], title: str) -> str:
    """Where a figure would be on other texts of the same kind, if that was measured."""
    intervals = metrics.get("intervals", {})
    ends = intervals.get(title.lower().replace(" ", "_"))
    if not ends:
        return ""
    return f" ({intervals.get('level', 0.95):.0%} interval: {ends[0]:.3f} to {ends[1]:.3f})"


def _calibration(metrics: dict[str, Any]) -> str:
    """How far scores can be read as chances to be right."""
    error = metrics.get("reliability", {}).get("ece")
    if error is None:
        return (
            "- How far scores can be trusted was not measured: 0.9 need not mean right nine times "
            "out of ten."
        )
    return (
        f"- Scores are off from the share that is right by {error:.3f} on average"
        f"{_interval(metrics, 'ECE')}: the expected calibration error, in 15 bins of equal mass, "
        "on texts like those of the metrics."
    )


def _conventions(metrics: dict[str, Any]) -> Iterable[str]:
    """What the numbers mean, where they don't say it themselves."""
    pipeline = metrics.get("pipeline", {})
    threshold, own = pipeline.get("threshold"), pipeline.get("own_threshold")
    if pipeline.get("thresholds"):
        yield (
            "A label counts as given from a score of its own; accuracy counts the texts whose "
            "labels are all right."
        )
    elif threshold is not None:
        chosen = "" if own in (None, threshold) else f" (the pipeline's own threshold is {own})"
        yield (
            f"A label counts as given from the score {threshold}{chosen}; accuracy counts the "
            "texts whose labels are all right."
        )
    if absent := metrics.get("absent"):
        yield (
            f"No text of that corpus has the labels {', '.join(f'`{label}`' for label in absent)}: "
            "they are left out of the macro average."
        )


def _scores(metrics: dict[str, Any]) -> dict[str, float]:
    macro = metrics.get("averages", {}).get("macro", {})
    scores = {"Accuracy": metrics.get("accuracy"), "Macro F1": macro.get("f1")}
    return {title: value for title, value in scores.items() if value is not None}
