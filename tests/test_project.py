"""The project: one command from corpus to wheel, and steps that rerun when they must."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import srsly
from weasel.util.commands import split_command
from weasel.util.config import load_project_config

from spacy_bert_zh.__main__ import unquoted
from spacy_bert_zh.checkpoint.folder import load_checkpoint
from tests.conftest import REPOSITORY, make_rows

PACKAGE = REPOSITORY / "spacy_bert_zh"
PROJECT = srsly.read_yaml(REPOSITORY / "project.yml")
# What a config brings in, besides what a command's room imports itself.
BROUGHT_BY_CONFIG = ["textcat", "loading", "backbones"]


def weasel(project: Path, *args: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "weasel", "run", *args],
        cwd=project,
        capture_output=True,
        text=True,
        encoding="utf-8",
    )

    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, so that the repository stays clean."""
    folder = tmp_path_factory.mktemp("project")
    for name in (
        "project.yml",
        "requirements.txt",
        "setup.py",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        shutil.copy(REPOSITORY / name, folder)
    for name in ("assets", "configs", "spacy_bert_zh"):
        shutil.copytree(
            REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    # weasel takes no "--" within a value on its command line.
    text = (folder / "project.yml").read_text("utf-8")
    quick = "--steps 2 --layers 1 --batch-size 4 --workers 0 --vocab-size 4000"
    text = text.replace('pretrain_options: ""', f'pretrain_options: "{quick}"')
    # A pool that is read in seconds.
    text = text.replace('select_options: ""', 'select_options: "--count 20"')
    pool = "\n".join(text for text, _ in make_rows(120, 3))
    (folder / "pool.txt").write_text(pool, "utf-8")
    # Nothing is learnt in five steps.
    for step in ("train", "distill", "evaluate", "package"):
        text = text.replace(f' {step}_options: ""', f' {step}_options: "--force"')
    (folder / "project.yml").write_text(text, "utf-8")
    return folder


@pytest.fixture(scope="module")
def small() -> list[str]:
    return ["all", ".", "--vars.max_steps", "5", "--vars.limit", "80"]


@pytest.fixture(scope="module")
def first_run(project: Path, small: list[str]) -> str:
    return weasel(project, *small)


def test_all_ends_with_table_report_wheel_and_the_line_to_use(
    first_run: str, project: Path
) -> None:
    end = first_run[first_run.index("evaluate ===") :]
    assert "macro F1" in end and "accuracy" in end
    assert all(label in end for label in ("neg", "pos"))
    assert "metrics/report.html" in end
    assert "packages/zh_bert_textcat-1.0.0-py3-none-any.whl" in end
    assert "spacy.load('zh_bert_textcat')" in end
    assert (project / "metrics/report.html").exists()
    assert (project / "packages/zh_bert_textcat-1.0.0-py3-none-any.whl").exists()


def test_the_training_s_last_step_is_evaluated(first_run: str, project: Path) -> None:
    lines = (project / "training" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[-1])["step"] == 5
    assert "<h2>Training</h2>" in (project / "metrics" / "report.html").read_text("utf-8")


def test_the_data_report_measures_what_the_config_reads(first_run: str, project: Path) -> None:
    report = json.loads((project / "corpus" / "report.json").read_text("utf-8"))
    assert report["lengths"]["max_length"] == 236


def test_nothing_runs_again_without_a_change(
    first_run: str, project: Path, small: list[str]
) -> None:
    assert weasel(project, *small).count("nothing changed") == 5


def test_pretrain_makes_weights_that_train_takes(project: Path) -> None:
    weasel(project, "pretrain")
    assert (project / "pretrained" / "model.safetensors").exists()
    assert "nothing changed" in weasel(project, "pretrain")
    config = load_checkpoint(str(project / "pretrained")).config
    assert config["num_hidden_layers"] == 1


def test_export_writes_the_bert_for_transformers(first_run: str, project: Path) -> None:
    weasel(project, "export")
    assert load_checkpoint(str(project / "export" / "checkpoint")).config["hidden_size"] == 256
    assert "nothing changed" in weasel(project, "export")


def test_distill_makes_a_student(first_run: str, project: Path) -> None:
    weasel(project, "distill")
    config = (project / "distilled" / "model-best" / "config.cfg").read_text("utf-8")
    assert "spacy_bert_zh.NgramTextCat.v1" in config
    assert "nothing changed" in weasel(project, "distill")


def test_index_knows_the_training_texts(first_run: str, project: Path) -> None:
    weasel(project, "index")
    meta = json.loads((project / "indexed" / "meta.json").read_text("utf-8"))
    assert meta["neighbours"]["texts"] == 80
    assert 0 < meta["neighbours"]["share"] <= 1


def test_select_chooses_from_the_texts_that_have_no_label_yet(
    first_run: str, project: Path
) -> None:
    weasel(project, "select", ".", "--vars.pool", "pool.txt", "--vars.pool_format", "text")
    rows = (project / "selected" / "selected.jsonl").read_text("utf-8").splitlines()
    assert len(rows) == 20 and "guess" in json.loads(rows[0])


def test_a_changed_variable_or_module_reruns_what_depends_on_it(
    first_run: str, project: Path, small: list[str]
) -> None:
    output = weasel(project, *small, "--vars.version", "1.0.1")
    assert output.count("nothing changed") == 4
    assert (project / "packages/zh_bert_textcat-1.0.1-py3-none-any.whl").exists()

    card = project / "spacy_bert_zh" / "package" / "model_card.py"
    card.write_text(card.read_text("utf-8") + "\n# changed\n", "utf-8")
    output = weasel(project, *small, "--vars.version", "1.0.1")
    steps = ("convert", "train", "calibrate", "evaluate", "package")
    skipped = [name for name in steps if f"'{name}'" in output]
    assert skipped == list(steps[:-1])


@pytest.mark.parametrize("command", [command["name"] for command in PROJECT["commands"]])
def test_deps_name_every_room_that_a_command_runs(command: str) -> None:
    deps = next(c["deps"] for c in PROJECT["commands"] if c["name"] == command)
    declared = {Path(dep) for dep in deps if dep.startswith("spacy_bert_zh")}
    needed = {PACKAGE} if command == "package" else rooms(command)  # the plugin's wheel holds all
    assert {REPOSITORY / dep for dep in declared} == needed


def rooms(command: str) -> set[Path]:
    """The rooms and modules that a command's room imports, and theirs."""
    found: set[Path] = set()
    start = [command] if command in ("convert", "pretrain") else [command, *BROUGHT_BY_CONFIG]
    todo = [PACKAGE / name for name in start]
    while todo:
        place = todo.pop()
        if place not in found:
            found.add(place)
            files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
            todo += [
                PACKAGE / path.relative_to(PACKAGE).parts[0] for f in files for path in imports(f)
            ]
    return found - {PACKAGE / "__init__.py"}


def imports(path: Path) -> list[Path]:
    names = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    files = [REPOSITORY / Path(*name.split(".")) for name in names if name.startswith("spacy_bert")]
    candidates = [q for f in files for q in (f.with_suffix(".py"), f / "__init__.py")]
    return [q for q in candidates if q.is_file()]


@pytest.mark.parametrize("name", ["my reviews.csv", "评论 数据/外卖's.csv", "12"])
def test_every_variable_reaches_the_command_whole(name: str, tmp_path: Path) -> None:
    """weasel splits a script like a shell: what isn't quoted falls apart at its spaces."""
    options = {var for var in PROJECT["vars"] if var.endswith("_options")}
    values = {f"vars.{var}": name for var in PROJECT["vars"] if var not in options}
    # weasel makes the project's folders where it reads it.
    shutil.copy(REPOSITORY / "project.yml", tmp_path)
    commands = load_project_config(tmp_path, overrides=values)["commands"]
    scripts = zip((c["script"] for c in PROJECT["commands"]), commands, strict=True)
    for given, command in scripts:
        written = split_command(given[-1])
        for argument, got in zip(written, split_command(command["script"][-1]), strict=False):
            if not any(f"vars.{var}" in argument for var in options):
                assert got == re.sub(r"\$\{vars\.\w+\}", lambda _: name, argument)
    assert commands[0]["deps"][0] == name


def test_every_variable_stands_in_the_docs() -> None:
    page = (REPOSITORY / "docs" / "project.md").read_text("utf-8")
    for var in PROJECT["vars"]:
        assert f"`{var}`" in page


@pytest.mark.parametrize(
    ("argument", "bare"),
    [('"my reviews.csv"', "my reviews.csv"), ('""', ""), ('"', '"'), ("a", "a"), ('a"b"', 'a"b"')],
)
def test_quotation_marks_that_weasel_leaves_on_windows(argument: str, bare: str) -> None:
    assert unquoted([argument]) == [bare]


def test_readme_opens_with_the_two_lines() -> None:
    lines = (REPOSITORY / "README.md").read_text("utf-8").splitlines()
    assert lines[2:4] == [
        "    python -m pip install -r requirements.txt && python -m weasel run all",
        "    python -m pip install -r requirements-dev.txt && python -m pytest",
    ]


def test_requirements_are_pinned_exactly() -> None:
    for name in ("requirements.txt", "requirements-dev.txt"):
        for line in (REPOSITORY / name).read_text("utf-8").splitlines():
            if line and not line.startswith(("#", "-e ", "-r ")):
                assert "==" in line, f"{name}: {line}"
