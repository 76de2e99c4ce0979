"""Text as it will be learnt from: visible characters, one width, one script."""

import re
import unicodedata
from collections.abc import Callable

from spacy_bert_zh.characters import opencc
from spacy_bert_zh.reading.options import Options

# spaCy's nlp.max_length: longer texts would stop a pipeline.
MAX_CHARACTERS = 1_000_000
# With more of its characters beyond ASCII broken, a text isn't what was written.
BROKEN = 0.25

_LINE_BREAK = re.compile(r"\s*\n\s*")
_BREAK = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
# Control characters but the line break, soft hyphen, zero-width and bidirectional marks, BOM,
# tags. BERT's own normaliser drops them too, so a model never sees them.
_INVISIBLE = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ASCII = re.compile("[\0-\x7f]+")
_SURROGATE = re.compile("[\ud800-\udfff]")
# Chinese writes these full-width, and a model meets them so: NFKC would make them half-width.
CHINESE_PUNCTUATION = "！（），：；？～"
_WIDTH = {
    code + 0xFEE0: code
    for code in range(0x21, 0x7F)
    if chr(code + 0xFEE0) not in CHINESE_PUNCTUATION
}
_WIDTH |= {0x3000: 0x20, 0xA0: 0x20}
_CJK = (
    "\u2e80-\u30ff\u3100-\u312f\u31a0-\u31ff\u3200-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef"
    "\U00020000-\U0003ffff‘’“”…—·"
)
_SEGMENT_SPACE = re.compile(f"(?<=[{_CJK}])[ \u3000]+|[ \u3000]+(?=[{_CJK}])")


def fault(text: str, labels: str | None) -> str | None:
    """Why a cleaned text with its labels can't be used, or None."""
    if _SURROGATE.search(text) or _SURROGATE.search(labels or ""):
        return "lone surrogate"
    if not text:
        return "empty"
    if len(text) > MAX_CHARACTERS:
        return f"longer than {MAX_CHARACTERS:,} characters"
    if "\ufffd" in text and text.count("\ufffd") > BROKEN * len(_ASCII.sub("", text)):
        return "broken bytes"
    return None


def make_cleaner(options: Options) -> Callable[[str], str]:
    """Build the function that cleans a text as the options say.

    Examples:
        >>> make_cleaner(Options("csv"))("ＡＢＣ１２３，\\u200b好　吃！")
        'ABC123，好 吃！'
    """
    steps: list[Callable[[str], str]] = [visible]
    normalize = _NORMALIZE[options.normalize]
    steps.append(normalize)
    if options.simplify:
        steps.append(opencc("t2s", "convert", "--simplify"))
    if options.join_segmented:
        steps.append(lambda text: _SEGMENT_SPACE.sub("", text))
        steps.append(normalize)  # a letter and a mark that had been apart

    def clean(text: str) -> str:
        if _SURROGATE.search(text):
            return text
        for step in steps:
            text = step(text)
        return text.strip()

    return clean


def visible(text: str) -> str:
    """A text without characters that can't be seen, its line breaks as ``\\n``, tabs as spaces."""
    return _INVISIBLE.sub("", _BREAK.sub("\n", text).replace("\t", " "))


def _narrow(text: str) -> str:
    return unicodedata.normalize("NFC", text.translate(_WIDTH))


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


_NORMALIZE: dict[str, Callable[[str], str]] = {
    "none": lambda text: text,
    "width": _narrow,
    "nfkc": _compatible,
}


def make_label_cleaner(options: Options) -> Callable[[str], str]:
    """Build the function that cleans a label: as texts are, on one line."""
    clean = make_cleaner(options)
    return lambda label: _LINE_BREAK.sub(" ", clean(label))
