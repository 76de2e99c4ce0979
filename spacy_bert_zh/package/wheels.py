"""Build wheels and try them out, with what is installed here and without network."""

import os
import shutil
import sys
from pathlib import Path

import spacy_bert_zh
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.files import children
from spacy_bert_zh.package import smoke

# What the plugin's own wheel is built from.
PLUGIN_SOURCE = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "spacy_bert_zh", "assets")
# The earliest time that zip can tell: wheels of the same content are the same to the byte.
EPOCH = "315532800"


def wheel_name(name: str, version: str) -> str:
    """What the wheel of a package in pure Python is called."""
    return f"{name.replace('-', '_')}-{version}-py3-none-any.whl"


def plugin_source() -> Path | None:
    """The source tree of this plugin; None if it is installed without one."""
    root = Path(spacy_bert_zh.__file__).parent.parent
    return root if (root / "setup.py").is_file() else None


def build_plugin(work: Path) -> list[Path]:
    """The wheel of this plugin; none if it is installed without its source tree."""
    root = plugin_source()
    if root is None:
        return []
    # A build leaves its traces beside setup.py: not in the repository, please.
    copy = work / "plugin"
    copy.mkdir()
    for name in PLUGIN_SOURCE:
        if (root / name).is_dir():
            shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(root / name, copy)
    return [build_wheel(copy)]


def build_wheel(source: Path) -> Path:
    """Build the wheel of a source tree with the build tools that are installed here."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", EPOCH)
    command = ["-m", "build", "--wheel", "--no-isolation"]
    _run(command, source, f"Building the wheel of {source.name}", SOURCE_DATE_EPOCH=epoch)
    return next((source / "dist").glob("*.whl"))


def smoke_test(wheels: list[Path], name: str, work: Path) -> str:
    """Install wheels into an empty folder and classify texts there; returns what came out."""
    target, elsewhere = work / "installed", work / "elsewhere"
    elsewhere.mkdir()
    pip = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(target)]
    _run([*pip, *map(str, wheels)], elsewhere, "Installing the wheels")
    modules = [wheel.name.split("-")[0] for wheel in wheels]
    script = Path(smoke.__file__).read_text("utf-8")
    path = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    arguments = ["-c", script, str(target), name, *modules]
    return _run(arguments, elsewhere, f"The smoke test of {name}", PYTHONPATH=path).strip()


def _run(arguments: list[str], folder: Path, purpose: str, **variables: str) -> str:
    """Run Python in a folder; returns its output, or raises with the last lines of it."""
    # The console's encoding, if one is set, is none of the child's business.
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": "utf-8", **variables}
    environment["TMPDIR"] = str(folder.parent)  # goes with what is built there
    done = children.run([sys.executable, *arguments], folder, environment)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()[-3:]
        raise BertZhError(f"{purpose} failed: {' / '.join(line.strip() for line in lines)}")
    return done.stdout
