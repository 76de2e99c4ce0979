"""Output on any console: what its encoding lacks is spelled, and no work is lost over a tick."""

import codecs
import sys

# What we and the packages we use print for looks.
_MARKS = {
    "✔": "+",
    "✘": "x",
    "⚠": "!",
    "ℹ": "i",
    "→": "->",
    "…": "...",
    "×": "x",
    "–": "-",
    "—": "-",
    "≥": ">=",
    "≤": "<=",
    "’": "'",
    "“": '"',
    "”": '"',
    "•": "*",
    "█": "#",
}
_NAME = "spacy_bert_zh.spelled"


def adapt_console() -> None:
    """Let standard output and error take any text, in whatever encoding they have."""
    codecs.register_error(_NAME, _spell)
    for stream in (sys.stdout, sys.stderr):
        # Whoever calls us from Python may have put something of their own there.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors=_NAME)


def _spell(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    spelled = (_MARKS.get(c) or c.encode("ascii", "backslashreplace").decode() for c in text)
    return "".join(spelled), error.end
