"""What other commands note in a ``meta.json``, and what a model card says of it."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from spacy_bert_zh.untrusted import Strict

Count = Annotated[int, Field(ge=0)]


class Facts(Strict):
    """Values that a card shows; it leaves out what is missing, and others may be there."""

    model_config = ConfigDict(extra="allow")


class Calibration(Facts):
    """What a card tells of ``calibration`` in a ``meta.json``."""

    texts: Count
    calibration_error: Annotated[list[float], Field(min_length=2, max_length=2)]


class Compression(Facts):
    """What a card tells of ``compress`` in a ``meta.json``."""

    texts: Count
    reach_network: float | None = None
    steps: list[str] = Field(default=[])
    most_lost: float = 0.0
    megabytes: float = 0.0
    times: float = 0.0
    agreement: float
    accuracy: float
    accuracy_before: float


class Neighbourhood(Facts):
    """What a card tells of ``neighbours`` in a ``meta.json``."""

    texts: Count
    share: float


class Export(Facts):
    """What a card tells of ``export`` in a ``meta.json``."""

    precision: str
    kept_in_float32: list[str] = Field(default=[])
    texts: Count | None = None
    accuracy: float = 0.0
    accuracy_before: float = 0.0
    agreement: float = 0.0
    largest_difference: float = 0.0


class Member(Facts):
    """A run of which an ensemble is made."""

    score: float
    share: float


class Ensemble(Facts):
    """What a card tells of ``ensemble`` in a ``meta.json``."""

    method: Literal["soup", "committee"]
    runs: list[Member]
    score: float


def _fitted(found: dict[str, Any]) -> str:
    before, after = found["calibration_error"]
    return (
        f"Fitted to {found['texts']:,} texts: on these, the calibration error was {before:.3f} "
        f"before and {after:.3f} after."
    )


def _compressed(found: dict[str, Any]) -> str:
    if "steps" not in found:
        return _cascade(found)
    form = found["steps"][-1] if found["steps"] else "as given"
    network = (
        f", {found['reach_network']:.1%} of the texts reach the network"
        if "reach_network" in found
        else ""
    )
    return (
        f'Made smaller to the form "{form}": {found["megabytes"]:.2f} MB, {found["times"]:.2f} '
        f"times as fast{network}. On {found['texts']:,} texts that nothing was fitted to: accuracy "
        f"{found['accuracy']:.4f} (before {found['accuracy_before']:.4f}; {found['most_lost']:.4f} "
        f"lost at most, 95 %), the same answer for {found['agreement']:.2%}."
    )


def _cascade(found: dict[str, Any]) -> str:
    return (
        f"Where its n-grams are sure, they answer alone: {found['reach_network']:.1%} of "
        f"{found['texts']:,} texts reached the network, with the same label for "
        f"{found['agreement']:.2%} of them; accuracy {found['accuracy']:.4f} (before "
        f"{found['accuracy_before']:.4f})."
    )


def _neighbours(found: dict[str, Any]) -> str:
    return (
        f"Holds {found['texts']:,} labelled texts, which whoever has the files can read: each "
        f"answer names the nearest, which have {1 - found['share']:.0%} of the say in its scores."
    )


def _export(export: dict[str, Any]) -> str:
    what = f"An ONNX graph in {export['precision']}."
    if kept := export.get("kept_in_float32"):
        what += f" In float32 stay: {', '.join(f'`{name}`' for name in kept)}."
    if "texts" not in export:
        return f"{what} Not compared with the pipeline that it was made from."
    return (
        f"{what} Beside the pipeline that it was made from, on {export['texts']:,} texts: "
        f"accuracy {export['accuracy']:.4f} (before {export['accuracy_before']:.4f}), the same "
        f"answer for {export['agreement']:.2%}, scores differ by "
        f"{export['largest_difference']:.2g} at most."
    )


def _ensemble(found: dict[str, Any]) -> str:
    taken = [run for run in found["runs"] if run["share"]]
    what = {
        "soup": "Its weights are the mean of those of",
        "committee": "Its scores are the geometric mean of those of",
    }[found["method"]]
    best = max(run["score"] for run in found["runs"])
    return (
        f"{what} {len(taken)} trainings. On the texts that chose them its score is "
        f"{found['score']:.4f}, that of the best single one {best:.4f}."
    )


_DESCRIBED: dict[str, tuple[str, type[Facts], Callable[[dict[str, Any]], str]]] = {
    "ensemble": ("Ensemble", Ensemble, _ensemble),
    "calibration": ("Calibration", Calibration, _fitted),
    "compress": ("Compression", Compression, _compressed),
    "neighbours": ("Neighbours", Neighbourhood, _neighbours),
    "export": ("Export", Export, _export),
}

NOTED = {name: schema for name, (_, schema, _) in _DESCRIBED.items()}
"""What is in a ``meta.json`` of each command."""


def describe_noted(meta: dict[str, Any]) -> dict[str, str]:
    """Sections of a card about what other commands noted, by their titles."""
    return {
        title: describe(meta[name])
        for name, (title, _, describe) in _DESCRIBED.items()
        if name in meta
    }
