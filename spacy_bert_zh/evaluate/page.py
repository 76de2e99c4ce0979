"""What HTML pages of figures share: how templates are read, and their style."""

from typing import TYPE_CHECKING

from spacy_bert_zh.evaluate.table import score, span

if TYPE_CHECKING:
    import jinja2


def make_environment(package: str) -> "jinja2.Environment":
    """An environment for a room's templates, which escapes whatever they show.

    Args:
        package: The room, with a folder ``templates``; it may include ``style.html``.
    """
    import jinja2
    from markupsafe import Markup

    from spacy_bert_zh.plots import FONTS

    packages = dict.fromkeys((package, __package__))
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(name) for name in packages]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"score": score, "span": span}
    environment.globals["fonts"] = Markup(FONTS)
    return environment
