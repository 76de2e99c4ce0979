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
    averages = {f"{name} average": row for name, row in metrics["averages"].items()}
    for label, row in sorted(metrics["classes"].items()):
        table.add_row(*cells(label, row), str(row["support"]))
    table.add_section()
    for label, row in averages.items():
        table.add_row(*cells(label, row))
    console = Console(highlight=False)
    console.print(table)
    macro = metrics["averages"]["macro"]
    console.print(
        f"\naccuracy {metrics['accuracy']:.4f}, macro F1 {score(macro['f1'])}, "
        f"{metrics['corpus']['texts']} texts"
    )
    if absent := metrics["absent"]:
        console.print(
            f"{len(absent)} of {len(metrics['pipeline']['labels'])} labels have no text here and "
            "are left out of the macro average"
        )


def cells(label: str, row: dict[str, Any]) -> list[Text | str]:
    """The cells of a row. `Text` because a label such as ``[bold]`` isn't markup."""
    return [Text(label), *(score(row[key]) for key in ("precision", "recall", "f1"))]
