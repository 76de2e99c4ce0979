"""Trained pipelines for other engines and other frameworks."""

from pathlib import Path

from spacy.language import Language
from spacy.pipeline import TextCategorizer

from spacy_bert_zh.checkpoint import save_checkpoint, whole_heads
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import owned
from spacy_bert_zh.loading import Parts, find_textcat, load_pipeline, portable, take_apart
from spacy_bert_zh.pieces import sections_of
from spacy_bert_zh.repair import Repair
from spacy_bert_zh.trust.fit import own, refit

ENGINES = {
    "torch": "spacy_bert_zh.TorchBackbone.v1",
    "tensorflow": "spacy_bert_zh.KerasBackbone.v1",
}
"""Formats that are a pipeline again, and the backbone it then has."""
FORMATS = (*ENGINES, "onnx", "checkpoint", "savedmodel", "keras")
PRECISIONS = ("fp32", "fp16", "int8", "int8-static")


def export(
    pipeline: str | Path,
    output: Path,
    format: str,
    *,
    strings: bool = True,
    precision: str = "fp32",
    dev: Path | None = None,
    force: bool = False,
    component: str | None = None,
) -> Path:
    """Write a trained pipeline in another form.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        output: What to make or replace: a folder, for ``keras`` a file.
        format: ``torch`` and ``tensorflow`` are the pipeline with that engine; ``onnx`` the
            pipeline on ONNX Runtime, which can't learn, with plain files for other frameworks in
            its folder ``onnx``; ``checkpoint`` its BERT as a Hugging Face folder;
            ``savedmodel`` its classifier as a TensorFlow SavedModel; ``keras`` the same as a
            ``.keras`` file that reads ids.
        strings: Whether a SavedModel also takes texts.
        precision: Of an ONNX graph: ``fp32``; ``fp16`` halves the file and computes in float32;
            ``int8`` quantises the linear layers (with a scale found as it runs) and the word
            embeddings; ``int8-static`` has found that scale in advance, from `dev`.
        dev: A corpus that the new pipeline is compared with the old one on; all but ``fp32``
            want one. Layers that lose too much in eight bits stay as they are.
        force: Export even if the comparison is bad, or without one.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        What was made.

    Raises:
        BertZhError: The format is not known, the pipeline can't have it, or something else is
            at `output`.

    Examples:
        >>> made = export("training/model-best", Path("bert"), "checkpoint")
        >>> (made / "model.safetensors").exists()
        True
    """
    if format not in FORMATS:
        raise BertZhError(f"--format {format!r} is not known: take one of {', '.join(FORMATS)}")
    if precision not in PRECISIONS or (precision != "fp32" and format != "onnx"):
        raise BertZhError(
            f"--precision {precision!r} with --format {format}: take one of "
            f"{', '.join(PRECISIONS)}, all but the first with --format onnx"
        )
    inputs = [path for path in (pipeline, dev) if path is not None]
    with owned(output, "export", inputs, folder=format != "keras") as made:
        if format in ENGINES:
            _export_pipeline(pipeline, made, format, component)
        elif format == "onnx":
            _export_onnx(pipeline, made, precision, dev, force, component)
        else:
            nlp = load_pipeline(pipeline)
            pipe = find_textcat(nlp, component)
            _mention_lost(nlp, pipe, f"--format {format}")
            parts = take_apart(pipe)
            if format == "savedmodel" and pipe.cfg.get("cascade"):
                print("The SavedModel has no cascade: its network reads all texts")
            if format == "checkpoint":
                save_checkpoint(whole_heads(parts.checkpoint), made)
            else:
                _export_graph(parts, made, format, strings)
    return output


def _mention_lost(nlp: Language, pipe: TextCategorizer, form: str) -> None:
    """Say what of a pipeline stays behind where only its classifier's network goes."""
    if getattr(pipe, "neighbours", None) is not None:
        print(f"{form} has no index of neighbours: its scores are the classifier's alone")
    if any(isinstance(pipe, Repair) for _, pipe in nlp.pipeline):
        print(f"{form} has no zh_repair: it reads texts as they are, so repair them before")


def _export_pipeline(pipeline: str | Path, folder: Path, engine: str, name: str | None) -> None:
    """Both engines store a backbone alike: only its name in the config changes."""
    nlp = load_pipeline(pipeline)
    pipe = find_textcat(nlp, name)
    take_apart(pipe)
    place = f"components.{pipe.name}.model.backbone"
    sections = sections_of(nlp.config["components"][pipe.name]["model"]["backbone"])
    engines = {f"{place}{one}.@architectures": ENGINES[engine] for one in sections}
    nlp = load_pipeline(pipeline, engines)
    portable(nlp).to_disk(folder)


def _export_onnx(
    pipeline: str | Path,
    folder: Path,
    precision: str,
    dev: Path | None,
    force: bool,
    name: str | None,
) -> None:
    try:
        from spacy_bert_zh.backbones.onnx import saving as onnx_saving
        from spacy_bert_zh.export.shrink import shrink
    except ImportError as error:
        package = error.name or "onnx"
        raise missing_extra(package, "onnx-export", "export --format onnx") from None
    if dev is None and (precision == "int8-static" or (precision != "fp32" and not force)):
        raise BertZhError(
            f"--precision {precision} changes scores: give --dev, a converted corpus such as "
            "corpus/dev, to be told what it costs, or --force (int8-static can't do without)"
        )
    nlp = load_pipeline(pipeline)
    pipe = find_textcat(nlp, name)
    parts = onnx_saving.shorten(take_apart(pipe))
    small = shrink(nlp, pipe, parts, precision, dev, force)
    if dev is not None and precision != "fp32" and pipe.cfg.get("decision") is not None:
        small.nlp.meta["calibration"] = refit(
            small.nlp, own(find_textcat(small.nlp, pipe.name)), dev
        )
        print(f"Calibrated anew on {dev}")
    small.nlp.meta["export"] = small.facts(precision)
    if precision != "fp32" and not (small.comparison and small.passes):
        small.nlp.meta.pop("training", None)  # what the source learnt says nothing of this form
    portable(small.nlp).to_disk(folder)
    if parts.ngrams is not None:
        print("No plain files: the pipeline adds n-grams of the text, which no graph reads")
    elif len(small.graphs) > 1:
        print("No plain files: the pipeline is a committee, whose graphs answer together")
    else:
        _mention_lost(nlp, pipe, "The folder of plain files")
        onnx_saving.save_plain(parts, small.graphs[0], folder / "onnx")


def _export_graph(parts: Parts, path: Path, format: str, strings: bool) -> None:
    try:
        from spacy_bert_zh.export.savedmodel import saving as keras_saving
    except ImportError as error:
        package = error.name or "tensorflow"
        raise missing_extra(package, "tensorflow", f"export --format {format}") from None
    if format == "keras":
        keras_saving.save_keras(parts, path)
    else:
        keras_saving.save_model(parts, path, strings)
