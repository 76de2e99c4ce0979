"""Make a trained pipeline into wheels that install and run without network."""

import importlib.metadata
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import srsly
from packaging.version import InvalidVersion, Version
from spacy.util import get_minor_version_range, split_requirement, walk_dict
from thinc.api import Config

import spacy_bert_zh
from spacy_bert_zh.errors import BertZhError, missing_extra
from spacy_bert_zh.evaluate import check_metrics, check_record
from spacy_bert_zh.files import RECORD, check_apart, claim, made, scratch
from spacy_bert_zh.loading import (
    load_pipeline,
    portable_config,
    portable_meta,
    read_config,
    read_meta,
)
from spacy_bert_zh.package.model_card import (
    DataReport,
    Metrics,
    classifiers,
    render_model_card,
)
from spacy_bert_zh.package.noted import NOTED
from spacy_bert_zh.package.wheels import (
    build_plugin,
    build_wheel,
    plugin_source,
    smoke_test,
    wheel_name,
)
from spacy_bert_zh.untrusted import checked, one_line, read_json, shorten

PLUGIN = "spacy-bert-zh"
LONGEST = 100
"""Characters of a name or a version: both become names of files."""
# The extra of the plugin that a backbone runs on, and what spaCy would list besides it.
EXTRAS = {
    "TorchBackbone": "torch",
    "KerasBackbone": "tensorflow",
    "OnnxBackbone": "onnx",
    "SharedBackbone": "shared",
}
BROUGHT_BY_EXTRA = {"shared": "spacy-transformers"}


@dataclass(frozen=True)
class Packaged:
    """What `package` made.

    Attributes:
        name: Name of the package, for `spacy.load`.
        wheels: The pipeline's wheel, then the plugin's if its source was there.
        smoke: What the installed pipeline said to the texts of the smoke test.
    """

    name: str
    wheels: list[Path]
    smoke: str

    def __str__(self) -> str:
        lines = [self.smoke]
        lines += [f"✔ {wheel} ({wheel.stat().st_size / 1e6:.1f} MB)" for wheel in self.wheels]
        if len(self.wheels) == 1:
            lines.append(f"{PLUGIN} has no source here: pip must find it on the package index.")
        load = f"import spacy; print(spacy.load('{self.name}')('这家店很好吃').cats)"
        lines += [shlex.join(["pip", "install", *map(str, self.wheels)]), f'python -c "{load}"']
        return "\n".join(lines)


def package(
    pipeline: Path,
    output_dir: Path,
    *,
    name: str = "bert_textcat",
    version: str = "1.0.0",
    metrics: Path | None = None,
    data_report: Path | None = None,
    license: str = "",
    author: str = "",
    force: bool = False,
) -> Packaged:
    """Build, try out and deliver the wheels of a pipeline and of this plugin.

    Args:
        pipeline: Folder of a trained pipeline, e.g. ``training/model-best``.
        output_dir: Folder for the wheels; other files in it are left alone.
        name: Name of the package; the prefix of the language is added.
        version: Version of the package (PEP 440).
        metrics: The ``metrics.json`` of `evaluate`, for the model card.
        data_report: The report of `convert`, for the model card.
        license: Licence of the pipeline; empty keeps the one in its meta.json.
        author: Author of the pipeline; empty keeps the one in its meta.json.
        force: Package a pipeline that learnt nothing, too, or of which nothing says that it did.

    Raises:
        BertZhError: Bad input, a smoke test that fails, or a pipeline that, by `metrics` or by
            what `train` noted in its meta.json, is no better than an answer that never changes;
            or neither tells. Nothing is written then.
    """
    check_surroundings(output_dir)
    config, meta = read_pipeline(pipeline)
    load_pipeline(pipeline)
    meta["name"] = check_name(name.removeprefix(f"{meta['lang']}_"))
    meta["version"] = check_version(version)
    meta["license"] = license or meta["license"] or ""
    meta["author"] = author or meta["author"] or ""
    meta["description"] = meta["description"] or "A spaCy pipeline that classifies Chinese text."
    facts = [
        read_facts(metrics) if metrics else {},
        read_facts(data_report, data=True) if data_report else {},
    ]
    if metrics:
        check_own(pipeline, meta, metrics, facts[0])
    if not force:
        check_learnt(pipeline, meta, metrics, facts[0])
    full_name = f"{meta['lang']}_{meta['name']}"
    names = [wheel_name(full_name, meta["version"])]
    if plugin_source():
        names.append(wheel_name(PLUGIN, spacy_bert_zh.__version__))
    outputs = [output_dir / name for name in names]
    for output in outputs:
        check_apart(output, [pipeline])
    with claim("package", *outputs, folder=False), scratch(outputs[0]) as work:
        card = render_model_card(meta, config.interpolate(), names, *facts)
        source = write_source(pipeline, work, config, meta, card)
        wheels = [build_wheel(source), *build_plugin(work)]
        shown = smoke_test(wheels, full_name, work)
        for wheel in wheels:
            with made(output_dir / wheel.name, "package") as path:
                shutil.copyfile(wheel, path)
    return Packaged(full_name, [output_dir / wheel.name for wheel in wheels], shown)


def read_pipeline(pipeline: Path) -> tuple[Config, dict[str, Any]]:
    """Config, not interpolated, and meta of a pipeline's folder, without absolute paths."""
    if not (pipeline / "config.cfg").is_file() or not (pipeline / "meta.json").is_file():
        raise BertZhError(
            f"{pipeline} is not a pipeline: name a folder that holds config.cfg and meta.json, "
            "such as training/model-best"
        )
    config, meta = read_config(pipeline), read_meta(pipeline)
    if not classifiers(config):
        raise BertZhError(f"The pipeline {pipeline} has no text classifier: nothing to package")
    for name, schema in NOTED.items():
        if name in meta:
            checked(schema, meta[name], f"{pipeline / 'meta.json'}, {name}")
    if missing := [name for name in classifiers(config) if name not in meta["labels"]]:
        raise BertZhError(f"{pipeline / 'meta.json'} lacks the labels of {', '.join(missing)}")
    return portable_config(config), portable_meta(meta)


def read_facts(path: Path, data: bool = False) -> dict[str, Any]:
    """What a model card tells of the metrics of `evaluate`, or of the report of `convert`.

    Raises:
        BertZhError: It can't be read, or a value can't be right.
    """
    facts = read_json(path)
    checked(DataReport if data else Metrics, facts, path)
    return portable_meta(facts)


def check_own(
    pipeline: Path, meta: dict[str, Any], metrics: Path, measured: dict[str, Any]
) -> None:
    """Raise if metrics are another pipeline's: none of the components has their labels."""
    labels = set(measured.get("classes", {}))
    if labels and not any(labels == set(own) for own in meta["labels"].values()):
        own = sorted({label for names in meta["labels"].values() for label in names})
        raise BertZhError(
            f"{metrics} is about another pipeline: it has {len(labels)} labels "
            f"({', '.join(sorted(labels)[:3])}, …), {pipeline} has {len(own)} "
            f"({', '.join(own[:3])}, …); run 'evaluate' on this one"
        )


def check_learnt(
    pipeline: Path, meta: dict[str, Any], metrics: Path | None, measured: dict[str, Any]
) -> None:
    """Raise if the pipeline learnt nothing by its training or its metrics, or if neither tells."""
    told = "training" in meta and check_record(str(pipeline), meta["training"])
    if metrics:
        told = check_metrics(f"{pipeline}, by {metrics},", measured) or told
    if not told:
        raise BertZhError(
            f"Nothing says that {pipeline} learnt anything: neither 'training' in its meta.json, "
            f"where 'train' notes it, nor {metrics or '--metrics'}; run 'evaluate' and give its "
            "metrics.json as --metrics, or go on with --force"
        )


def check_name(name: str) -> str:
    """The name, if it can name both a Python module and a distribution."""
    if len(name) > LONGEST or not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name):
        raise BertZhError(
            f"--name {shorten(name)} can't name a Python package: take small letters, digits and "
            "single underscores between them, such as bert_textcat"
        )
    return name


def check_version(version: str) -> str:
    """The version as PEP 440 writes it."""
    try:
        if len(version) > LONGEST:
            raise InvalidVersion(version)
        return str(Version(version))
    except InvalidVersion:
        raise BertZhError(
            f"--version {shorten(version)} is not a version (PEP 440): write it like 1.0.0 or "
            "1.0.0rc1"
        ) from None


def requirements(found: list[str], config: Config) -> list[str]:
    """What pip must install: spaCy's findings, with the right extra of this plugin.

    Args:
        found: Requirements from the pipeline's meta and from spaCy's look at its config.
        config: The pipeline's config, interpolated.
    """
    ranges = {split_requirement(requirement)[0]: requirement for requirement in found}
    if PLUGIN in ranges:
        names = [
            value.split(".")[1]
            for path, value in walk_dict(config["components"])
            if path[-1] == "@architectures" and value.startswith("spacy_bert_zh.")
        ]
        extras = sorted({EXTRAS[name] for name in names if name in EXTRAS})
        for extra in extras:
            ranges.pop(BROUGHT_BY_EXTRA.get(extra, ""), None)
        bracket = f"[{','.join(extras)}]" if extras else ""
        ranges[PLUGIN] = f"{PLUGIN}{bracket}{get_minor_version_range(spacy_bert_zh.__version__)}"
    if config["nlp"]["tokenizer"].get("segmenter") == "jieba":
        ranges["jieba"] = "jieba>=0.42.1"
    return sorted(ranges.values())


def write_source(
    pipeline: Path, work: Path, config: Config, meta: dict[str, Any], card: str
) -> Path:
    """Let spaCy write the source tree of the pipeline's package; returns its folder."""
    from spacy.cli.package import package as write_package

    copy = work / "pipeline"
    # What `export` adds for other frameworks is no part of the pipeline, nor who made it.
    shutil.copytree(pipeline, copy, ignore=shutil.ignore_patterns("onnx", RECORD))
    config.to_disk(copy / "config.cfg")
    srsly.write_json(copy / "meta.json", meta)
    if not (copy / "README.md").exists():
        (copy / "README.md").write_text(card, "utf-8")
    try:
        write_package(copy, work, create_sdist=False, require_parent=True)
    except (OSError, ValueError) as error:
        raise BertZhError(f"The pipeline {pipeline} can't be loaded: {one_line(error)}") from error
    source = work / f"{meta['lang']}_{meta['name']}-{meta['version']}"
    # The package's setup.py copies this file to where the pipeline is loaded from.
    complete = read_json(source / "meta.json")
    complete["requirements"] = requirements(complete["requirements"], config.interpolate())
    srsly.write_json(source / "meta.json", complete)
    return source


def check_surroundings(output_dir: Path) -> None:
    """Raise if the tools or the place for the wheels are missing."""
    try:
        importlib.metadata.version("build")
    except importlib.metadata.PackageNotFoundError:
        raise missing_extra("build", "package", "The command 'package'") from None
    parents = (output_dir, *output_dir.absolute().parents)
    if not next(path for path in parents if path.exists()).is_dir():
        raise BertZhError(f"{output_dir} can't be a folder for the wheels: a file is in its place")
