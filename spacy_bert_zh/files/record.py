"""What our commands made in a folder, so that nothing else is ever taken for it."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

RECORD = ".spacy-bert-zh"
"""The file in a folder that says what was made there; no reader takes its name for a corpus."""

# Left in any folder by those who look into it.
_DROPPINGS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_BYTE_CODE = "__pycache__"


@dataclass
class Record:
    """Who made what in a folder.

    Attributes:
        folder: The command that made the folder as a whole.
        workshop: The command that works in the folder.
        files: By their path in the folder, the command that made them and the digests that
            they may have; folders without content end in a slash and have no digest.
    """

    folder: str | None = None
    workshop: str | None = None
    files: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "Record":
        """The record of a folder; an empty one if there is none that makes sense."""
        try:
            data = json.loads((folder / RECORD).read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return cls()
        return cls(**data) if _makes_sense(data) else cls()

    @classmethod
    def of_folder(cls, folder: Path, command: str) -> "Record":
        """The record of a folder that a command has just made as a whole."""
        files = {
            name: [command, *([] if name.endswith("/") else [digest(folder / name)])]
            for name in _leaves(folder)
        }
        return cls(folder=command, files=files)

    def foreign(self, folder: Path, command: str) -> Iterator[str]:
        """Everything in a folder that `command` didn't make, or that was changed since."""
        known = {part for name in self.files for part in _above(name)}
        for name in _leaves(folder):
            if name.rstrip("/") in known and name.endswith("/"):
                continue
            if self.folder != command or not self.is_ours(folder, name, command):
                yield name

    def is_ours(self, folder: Path, name: str, command: str) -> bool:
        """Whether a file is as `command` made it."""
        by, *digests = self.files.get(name, [""])
        path = folder / name
        if by != command or path.is_symlink() or not path.is_file():
            return False
        return digest(path) in digests

    def missing(self, folder: Path) -> list[str]:
        """What was made in a folder and isn't there any more, or was changed."""
        return [
            name
            for name, (by, *digests) in self.files.items()
            if (digests and not self.is_ours(folder, name, by)) or not (folder / name).exists()
        ]

    def add(self, file: Path, name: str, command: str) -> None:
        """Say that a file may be as `file` from now on; as it was is as good."""
        by, *digests = self.files.get(name, [command])
        before = digests if by == command else []
        self.files[name] = [command, *dict.fromkeys([*before, digest(file)])]

    def settle(self, folder: Path) -> None:
        """Keep what is there."""
        kept = {name: entry for name, entry in self.files.items() if (folder / name).exists()}
        for name, (by, *digests) in kept.items():
            if len(digests) > 1:
                now = digest(folder / name)
                kept[name] = [by, now] if now in digests else [by, *digests]
        self.files = kept

    def write(self, folder: Path) -> None:
        """Write the record into its folder."""
        self.write_to(folder / RECORD)

    def write_to(self, path: Path) -> None:
        """Write the record to a file."""
        data = {key: value for key, value in asdict(self).items() if value}
        # ASCII: a name need not be text.
        path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", "ascii")


def entries(folder: Path) -> list[Path]:
    """What stands in a folder, in order."""
    return sorted(folder.iterdir())


def dropping(path: Path) -> bool:
    """Whether a file or folder is one that nobody has put there on purpose."""
    if path.is_symlink():
        return False
    if path.name == _BYTE_CODE and path.is_dir():
        return all(entry.suffix == ".pyc" and entry.is_file() for entry in path.iterdir())
    return path.name in _DROPPINGS and path.is_file()


def digest(path: Path) -> str:
    """A digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _leaves(folder: Path, above: str = "") -> Iterator[str]:
    """Files, links and folders without content (they end in a slash), at any depth, in order."""
    for path in entries(folder):
        name = f"{above}{path.name}"
        if dropping(path) or name == RECORD:
            continue
        if path.is_dir() and not path.is_symlink():
            inside = list(_leaves(path, f"{name}/"))
            yield from inside or [f"{name}/"]
        else:
            yield name


def _above(name: str) -> list[str]:
    """A path and those above it."""
    parts = name.rstrip("/").split("/")
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


def _makes_sense(data: Any) -> bool:
    if not isinstance(data, dict) or not data.keys() <= {"folder", "workshop", "files"}:
        return False
    files = data.get("files", {})
    return (
        all(isinstance(data.get(key, ""), str) for key in ("folder", "workshop"))
        and isinstance(files, dict)
        and all(
            isinstance(entry, list) and entry and all(isinstance(part, str) for part in entry)
            for entry in files.values()
        )
    )
