"""From a trained pipeline to a calibrated one."""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from spacy.language import Language

from spacy_bert_zh.errors import missing_extra
from spacy_bert_zh.evaluate import read_shards
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import find_textcat, is_exclusive, load_pipeline, portable, use_gpu
from spacy_bert_zh.textcat import BertTextCat
from spacy_bert_zh.trust import Aims
from spacy_bert_zh.trust.fit import fit, own

FEW = 20
"""A label with fewer texts says little about itself."""


def calibrate(
    pipeline: str | Path,
    output: Path,
    dev: Path,
    aims: Aims | None = None,
    *,
    train: Path | None = None,
    gpu_id: int = -1,
    component: str | None = None,
) -> dict[str, Any]:
    """Write a pipeline that says what it knows: calibrated scores, and decisions by them.

    Exclusive labels get one temperature, which changes no answer; labels apart a slope and a
    shift each. Both go into the weights, so that every export has them and nothing takes longer.
    What is decided by stands in the component's settings; see `Aims`.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        output: Folder to make.
        dev: Texts that it hasn't learnt from: a ``.spacy`` file or a folder of them.
        aims: What is asked for.
        train: The texts that it has learnt from: it then tells which texts are unlike them.
        gpu_id: The GPU to predict on; -1 for the CPU.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        What was found; also in the new pipeline's ``meta.json``, as ``calibration``.

    Raises:
        BertZhError: Bad input, or an aim that can't be reached on these texts.

    Examples:
        >>> found = calibrate("training/model-best", Path("calibrated"), Path("corpus/dev"))
        >>> found["texts"]
        40
    """
    aims = aims or Aims()
    inputs = [path for path in (pipeline, dev, train) if path is not None]
    if find_spec("sklearn") is None or find_spec("scipy") is None:
        raise missing_extra("scikit-learn", "plots", "The command 'calibrate'")
    with owned(output, "calibrate", inputs) as made:
        use_gpu(gpu_id)
        nlp = load_pipeline(pipeline)
        pipe = own(find_textcat(nlp, component))
        for note in notes(nlp, pipe, dev, train):
            print(f"⚠ {note}")
        facts = fit(nlp, pipe, dev, aims, train)
        nlp.meta["calibration"] = facts
        portable(nlp).to_disk(made)
    return facts


def notes(nlp: Language, pipe: BertTextCat, dev: Path, train: Path | None) -> Iterator[str]:
    """What may make a calibration worth less than it looks."""
    counts = dict.fromkeys(pipe.labels, 0)
    texts = set()
    for doc in read_shards(nlp, dev):
        texts.add(doc.text)
        for label in counts:
            counts[label] += doc.cats.get(label, 0.0) > 0
    if few := [f"{label} ({count})" for label, count in counts.items() if count < FEW]:
        kind = "the guarantees hold for all labels together" if is_exclusive(pipe) else "they share"
        yield f"{dev} has fewer than {FEW} texts of {', '.join(few)}: {kind}"
    if train is not None:
        known = sum(doc.text in texts for doc in read_shards(nlp, train))
        if known:
            yield (
                f"{known:,} texts of {train} are in {dev} too: what was learnt by heart looks "
                "surer than it is, calibrate on other texts"
            )
