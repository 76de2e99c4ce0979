"""The one exception that users see as a single line."""


class BertZhError(ValueError):
    """Bad input that the user can mend: says what, where and the way out.

    The command line prints the message alone and exits with code 1.
    """


def missing_extra(package: str, extra: str, purpose: str) -> BertZhError:
    """The error for an optional dependency that is not installed.

    Args:
        package: Name of the missing package, e.g. ``"torch"``.
        extra: The extra of this project that brings it, e.g. ``"torch"``.
        purpose: What needs it, e.g. a registered name or a command.
    """
    return BertZhError(
        f"{purpose} needs the package '{package}', which is not installed: "
        f'pip install "spacy-bert-zh[{extra}]"'
    )
