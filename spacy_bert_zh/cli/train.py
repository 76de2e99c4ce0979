"""The command `train`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from spacy_bert_zh.cli.application import command
from spacy_bert_zh.cli.options import takes
from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import TextOptions


@command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
@takes(TextOptions, undecided=["format"])
def train(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(help="A spaCy config, e.g. configs/torch.cfg")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pipelines")],
    gpu_id: Annotated[
        int, typer.Option("--gpu-id", "-g", help="GPU id, or -1 for the CPU", min=-1)
    ] = -1,
    code: Annotated[
        Path | None,
        typer.Option(
            "--code",
            "-c",
            help="Python file that registers functions which the config names",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint")] = False,
    minutes: Annotated[float, typer.Option(help="How long it may take; 0: no limit", min=0)] = 0.0,
    processes: Annotated[
        int, typer.Option(help="Learn in several, each on a core or GPU of its own", min=1)
    ] = 1,
    force: Annotated[bool, typer.Option(help="Also if nothing was learnt")] = False,
    unlabelled: Annotated[
        Path | None,
        typer.Option(help="Learn on from a file or folder of texts, one a line or as --format."),
    ] = None,
    **options: Any,
) -> None:
    """Train as `spacy train` does, with its --section.key overrides; can be resumed.

    Also under torchrun.
    """
    if processes > 1:
        from spacy_bert_zh.ranks import launch

        if unlabelled:
            raise BertZhError("--unlabelled learns in one process: leave --processes out")
        flags = [f"--{name}" for name, on in (("resume", resume), ("force", force)) if on]
        given = ["--output", output, "--gpu-id", gpu_id, "--minutes", minutes, *flags]
        given += ["--code", code] if code else []
        arguments = map(str, ("train", config, *given, *context.args))
        raise typer.Exit(launch(list(arguments), processes))
    from spacy.cli._util import parse_config_overrides

    from spacy_bert_zh.train.code import import_code

    import_code(code)
    settings: dict[str, Any] = {
        "use_gpu": gpu_id,
        "overrides": parse_config_overrides(context.args),
        "resume": resume,
        "force": force,
        "minutes": minutes,
    }
    if unlabelled:
        from spacy_bert_zh.distill import self_train
        from spacy_bert_zh.reading import Options, parse_options

        options["format"] = options["format"] or "text"
        settings["options"] = parse_options(Options, **options, unlabelled=True)
        self_train(config, output, unlabelled, **settings)
        return
    from spacy_bert_zh.train import train as run

    run(config, output, **settings)
