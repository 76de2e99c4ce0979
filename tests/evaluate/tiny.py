"""Made-up texts, a bag of words that learns them, and a reader of the page."""

import random
from html.parser import HTMLParser
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import DocBin
from spacy.training import Example

LABELS = ["财经", "体育", "科技 $x^2$"]
UNSEEN = "<b>没有例子</b>"
WORDS = ["股市 基金 利率 央行 上涨", "球队 进球 教练 决赛 联赛", "芯片 手机 算法 卫星 发布"]
ATTACK = "<script>alert('进球')</script>"
FACTORIES = ["textcat", "textcat_multilabel"]


def make_rows(seed: int, exclusive: bool, count: int = 60) -> list[tuple[str, dict[str, float]]]:
    """Short texts of mixed words; the label is that of most of them, so some are hard."""
    draw = random.Random(seed)
    rows = []
    for _ in range(count):
        main, other = draw.sample(range(3), 2)
        words = draw.choices(WORDS[main].split(), k=draw.randint(1, 9))
        words += draw.choices(WORDS[other].split(), k=draw.randint(0, 4))
        chosen = {main} if exclusive or len(words) % 2 else {main, other}
        cats = {label: float(i in chosen) for i, label in enumerate(LABELS)}
        rows.append(("，".join(words), {**cats, UNSEEN: 0.0}))
    return rows


def write_shard(path: Path, rows: list[tuple[str, dict[str, float]]]) -> Path:
    tokenize = spacy.blank("zh")
    shard = DocBin()
    for text, cats in rows:
        doc = tokenize(text)
        doc.cats = cats
        shard.add(doc)
    path.parent.mkdir(parents=True, exist_ok=True)
    shard.to_disk(path)
    return path


def train(*factories: str) -> Language:
    """A pipeline with the text classifiers, named as their factories."""
    nlp = spacy.blank("zh", meta={"name": "tiny", "version": "1.2.3"})
    for factory in factories:
        exclusive = factory == "textcat"
        model = {
            "@architectures": "spacy.TextCatBOW.v3",
            "exclusive_classes": exclusive,
            "ngram_size": 1,
            "no_output_layer": False,
            "length": 4096,
        }
        nlp.add_pipe(factory, config={"model": model, "threshold": 0.4})
        for label in [*LABELS, UNSEEN]:
            nlp.get_pipe(factory).add_label(label)
    rows = make_rows(0, "textcat" in factories)
    examples = [Example.from_dict(nlp.make_doc(text), {"cats": cats}) for text, cats in rows]
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    return nlp


class Page(HTMLParser):
    """Collects what a page would run or load, and what it shows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if "href" in name or name == "src"]

    def handle_data(self, data: str) -> None:
        self.text += data
