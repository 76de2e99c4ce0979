"""What a calibration found, in sentences."""

from collections.abc import Iterator
from typing import Any

from spacy_bert_zh.trust.options import FEWEST_TEXTS


def describe(facts: dict[str, Any]) -> Iterator[str]:
    """A line for each thing that was found."""
    if not {"temperature", "slopes"} & facts.keys():
        yield (
            f"⚠ {facts['texts']} texts are too few to calibrate on, it takes {FEWEST_TEXTS}: the "
            "scores stay as they are"
        )
    before, after = facts["calibration_error"]
    how = f", temperature {facts['temperature']:.3g}" if "temperature" in facts else ""
    yield (
        f"Calibration error {before:.3f} before, {after:.3f} after, on the {facts['texts']:,} "
        f"texts it was fitted on{how}"
    )
    if right := facts.get("right"):
        yield (
            f"From a score of {right['score']:.4g} on it answers: {right['answered']:.1%} of the "
            f"texts, {right['right']:.2%} of these answers right, and {right['asked']:.4g} at "
            "least with 95% confidence; from the rest it abstains"
        )
    if sets := facts.get("sets"):
        yield (
            f"Sets hold the right label for {sets['coverage']:.4g} of the texts; they have "
            f"{sets['labels']:.2f} labels on average"
        )
    if known := facts.get("known"):
        yield f"Texts stranger than {known:.4g} of these are called unknown"
    if needed := facts.get("too_few_for_known"):
        yield f"⚠ Too few texts to tell which are unlike the training texts: it takes {needed:,}"
    if aim := facts.get("aim"):
        found = facts["thresholds"].values()
        yield f"Thresholds for {aim}: {len(found)} labels, {min(found):.2f} to {max(found):.2f}"
