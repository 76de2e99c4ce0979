"""What a terminal shows of an evaluation."""

from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def score(value: float | None) -> str:
    """A measure as people read it."""
    return "–" if value is None else f"{value:.4f}"


def print_table(metrics: dict[str, Any]) -> None:
    """Print accuracy and the measures of each class; Chinese labels keep the columns aligned."""
    table = Table("label", box=None, pad_edge=False)
    for name in ("P", "R", "F1", "texts"):
        table.add_column(name, justify="right")
    for label, row in sorted(metrics["classes"].items()):
        table.add_row(*cells(label, row), str(row["support"]))
    table.add_section()
    for name, row in metrics["averages"].items():
        table.add_row(*cells(f"{name} average", row))
    console = Console(highlight=False)
    console.print(table)
    averages = metrics["averages"]
    console.print(
        f"\naccuracy {metrics['accuracy']:.4f}, macro F1 {score(averages['macro']['f1'])}, "
        f"{metrics['corpus']['texts']} texts"
    )
    if half := metrics.get("at_half"):
        console.print(
            "each label has a threshold of its own; with 0.5 for all: "
            f"macro F1 {half['macro_f1']:.4f}, micro F1 {half['micro_f1']:.4f}"
        )
    console.print(headline(metrics))
    if tree := metrics.get("tree"):
        console.print(path_figures(tree))
    if absent := metrics["absent"]:
        console.print(
            f"{len(absent)} of {len(metrics['pipeline']['labels'])} labels have no text here and "
            "are left out of the macro average"
        )


def cells(label: str, row: dict[str, Any]) -> list[Text | str]:
    """The cells of a row. `Text` because a label such as ``[bold]`` isn't markup."""
    return [Text(label), *(score(row[key]) for key in ("precision", "recall", "f1"))]


def span(ends: list[float]) -> str:
    """An interval as people read it."""
    return f"{ends[0]:.4f} to {ends[1]:.4f}"


def path_figures(tree: dict[str, Any]) -> Table:
    """The figures of a tree of labels; see `measure_tree`."""
    table = Table("tree", box=None, pad_edge=False)
    for name in ("P", "R", "F1", "macro F1"):
        table.add_column(name, justify="right")
    along, leaves = tree["hierarchical"], tree["leaves"]
    table.add_row("hierarchical", *(score(along[key]) for key in ("precision", "recall", "f1")), "")
    parts = {f"level {depth}": part for depth, part in enumerate(tree["levels"], 1)}
    for name, part in {**parts, "leaves": leaves}.items():
        row = part["micro"]
        values = (row["precision"], row["recall"], row["f1"], part["macro"]["f1"])
        table.add_row(f"{name} ({part['labels']} labels)", *map(score, values))
    found = tree["violations"]
    table.add_row("exact path", score(tree["exact_path"]))
    table.add_row("violations", f"{found['scores']:,} scores, {found['decisions']:,} decisions")
    return table


def headline(metrics: dict[str, Any]) -> Table:
    """The figures that tell whether scores and differences can be trusted, with their intervals."""
    found, ends = metrics["reliability"], metrics["intervals"]
    averages = metrics["averages"]
    rows = {
        "accuracy": ("accuracy", metrics["accuracy"]),
        "macro_f1": ("macro F1", averages["macro"]["f1"]),
        "micro_f1": ("micro F1", averages["micro"]["f1"]),
        "ece": ("expected calibration error", found["ece"]),
        "brier": ("Brier score", found["brier"]),
        "nll": ("negative log likelihood", found["nll"]),
        "aurc": ("area under risk–coverage", found["aurc"]),
        "coverage_at_99": ("answered at 99 % right", found["coverage_at_99"]),
    }
    table = Table("measure", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column(f"{ends['level']:.0%} of resamplings", justify="right")
    for key, (name, value) in rows.items():
        if value is not None:
            table.add_row(name, score(value), span(ends[key]) if key in ends else "")
    return table
