"""Weights in safetensors files: what their headers say, and single tensors read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import StringConstraints
from safetensors import SafetensorError, safe_open

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.untrusted import Strict, checked, one_line, read_json

_FLOATS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True)
class Tensor:
    """Where a tensor stands.

    Attributes:
        path: Its file.
        dtype: As safetensors calls it.
        shape: Its shape.
        start: Its first byte in the file.
    """

    path: Path
    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def is_float(self) -> bool:
        """Whether `read` can read it."""
        return self.dtype in _FLOATS

    def thirds(self) -> tuple["Tensor", "Tensor", "Tensor"]:
        """Its rows in three equal parts."""
        rows = self.shape[0] // 3 if self.shape else 0
        shape = (rows, *self.shape[1:])
        size = prod(shape) * np.dtype(_FLOATS.get(self.dtype, "u1")).itemsize
        first, second, third = (
            replace(self, shape=shape, start=self.start + number * size) for number in range(3)
        )
        return first, second, third

    def read(self) -> NDArray[np.float32]:
        """Its values.

        Raises:
            BertZhError: They can't be read.
        """
        kind = _FLOATS[self.dtype]
        try:
            values = np.fromfile(self.path, kind, prod(self.shape), offset=self.start)
            values = values.reshape(self.shape)
        except (OSError, ValueError) as error:
            raise BertZhError(f"{self.path} can't be read: {one_line(error)}") from error
        if self.dtype == "BF16":  # unknown to NumPy: the upper half of a float32
            values = (values.astype("<u4") << 16).view("<f4")
        return values.astype(np.float32, copy=False)


class _Index(Strict):
    """What is read of a ``model.safetensors.index.json``."""

    # Names of files, no paths.
    weight_map: dict[str, Annotated[str, StringConstraints(pattern=r"^[\w.-]+\.safetensors$")]]


def find_tensors(folder: Path) -> dict[str, Tensor]:
    """All tensors of a checkpoint, of which only the headers are read.

    They are in ``model.safetensors``, or in the files of its index, or in all there are.

    Raises:
        BertZhError: A file isn't whole, or two of them hold the same tensor.
    """
    found: dict[str, Tensor] = {}
    for path in _files(folder):
        for name, tensor in _tensors(path):
            if name in found:
                raise BertZhError(
                    f"{path} and {found[name].path.name} both hold the weights {name}: "
                    "leave only the files of one model in the folder"
                )
            found[name] = tensor
    return found


def list_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, of which only the header is read.

    Raises:
        BertZhError: It isn't whole.
    """
    return dict(_tensors(path))


def _files(folder: Path) -> list[Path]:
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists():
        return [whole]
    if not index.exists():
        return sorted(folder.glob("*.safetensors"))
    parts = sorted(set(checked(_Index, read_json(index), index).weight_map.values()))
    if missing := [part for part in parts if not (folder / part).exists()]:
        raise BertZhError(f"{index} names files that are missing: {', '.join(missing[:3])}")
    return [folder / part for part in parts]


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    if not path.is_file():
        raise BertZhError(f"{path} is no file")
    try:
        # It checks that sizes and places fit each other and the file.
        with safe_open(path, "np"):
            pass
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header: dict[str, Any] = json.loads(file.read(size))
    except (SafetensorError, OSError, ValueError) as error:
        raise BertZhError(f"{path} can't be read: {one_line(error)}") from error
    for name, tensor in header.items():
        if name != "__metadata__":
            start = 8 + size + tensor["data_offsets"][0]
            yield name, Tensor(path, tensor["dtype"], tuple(tensor["shape"]), start)


def check_finite(name: str, values: NDArray[Any], where: Path | str) -> None:
    """Refuse weights by which every score would be NaN.

    Raises:
        BertZhError: Some are infinite or no numbers.
    """
    if not np.isfinite(values).all():
        raise BertZhError(
            f"{where}: the weights {name} hold NaN or infinity: they are damaged, or the training "
            "that made them went astray"
        )
