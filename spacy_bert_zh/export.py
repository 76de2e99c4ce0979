"""Trained pipelines for other engines and other frameworks."""

from pathlib import Path

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import whole
from spacy_bert_zh.loading import Parts, find_textcat, load_pipeline, take_apart
from spacy_bert_zh.portable import portable
from spacy_bert_zh.saving import save_checkpoint

ENGINES = {
    "torch": "spacy_bert_zh.TorchBackbone.v1",
    "tensorflow": "spacy_bert_zh.KerasBackbone.v1",
}
"""Formats that are a pipeline again, and the backbone it then has."""
FORMATS = (*ENGINES, "checkpoint", "savedmodel", "keras")


def export(
    pipeline: str | Path,
    output: Path,
    format: str,
    *,
    strings: bool = True,
    component: str | None = None,
) -> Path:
    """Write a trained pipeline in another form.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        output: What to make or replace: a folder, for ``keras`` a file.
        format: ``torch`` and ``tensorflow`` are the pipeline with that engine; ``checkpoint``
            its BERT as a Hugging Face folder; ``savedmodel`` its classifier as a TensorFlow
            SavedModel; ``keras`` the same as a ``.keras`` file that reads ids.
        strings: Whether a SavedModel also takes texts.
        component: Name of the text classifier, if the pipeline has several.

    Returns:
        What was made.

    Raises:
        BertZhError: The format is not known, or the pipeline can't have it.
    """
    if format not in FORMATS:
        raise BertZhError(f"--format {format!r} is not known: take one of {', '.join(FORMATS)}")
    if format in ENGINES:
        _export_pipeline(pipeline, output, format, component)
        return output
    parts = take_apart(find_textcat(load_pipeline(pipeline), component))
    if format == "checkpoint":
        save_checkpoint(parts.checkpoint, output)
    else:
        _export_graph(parts, output, format, strings)
    return output


def _export_pipeline(pipeline: str | Path, output: Path, engine: str, name: str | None) -> None:
    """Both engines store a backbone alike: only its name in the config changes."""
    pipe = find_textcat(load_pipeline(pipeline), name)
    take_apart(pipe)
    key = f"components.{pipe.name}.model.backbone.@architectures"
    nlp = load_pipeline(pipeline, {key: ENGINES[engine]})
    with whole(output) as folder:
        portable(nlp).to_disk(folder)


def _export_graph(parts: Parts, output: Path, format: str, strings: bool) -> None:
    try:
        from spacy_bert_zh.backbones import keras_saving
    except ImportError as error:
        package = error.name or "tensorflow"
        raise missing_extra(package, "tensorflow", f"export --format {format}") from None
    with whole(output) as path:
        if format == "keras":
            keras_saving.save_keras(parts, path)
        else:
            keras_saving.save_model(parts, path, strings)
