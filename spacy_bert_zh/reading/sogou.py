"""SogouCA and SogouCS: news pages between <doc> and </doc>, their class told by the URL's host.

The records aren't well-formed XML: nothing is escaped, so no XML parser reads them.
"""

import json
import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from spacy_bert_zh.errors import BertZhError
from spacy_bert_zh.reading.options import Options
from spacy_bert_zh.reading.rows import Reject, Row
from spacy_bert_zh.reading.source import RECORD_LIMIT, TOO_LONG, Source

# A domain stands for its subdomains, unless a longer one is listed.
HOSTS = {
    **dict.fromkeys(["business.sohu.com", "stock.sohu.com", "money.sohu.com"], "财经"),
    **dict.fromkeys(["finance.sohu.com", "biz.cn.yahoo.com"], "财经"),
    **dict.fromkeys(["it.sohu.com", "digi.sohu.com", "tech.cn.yahoo.com"], "科技"),
    **dict.fromkeys(["sports.sohu.com", "2008.sohu.com", "sports.cn.yahoo.com"], "体育"),
    **dict.fromkeys(["yule.sohu.com", "music.sohu.com", "ent.cn.yahoo.com"], "娱乐"),
    **dict.fromkeys(["auto.sohu.com", "autos.cn.yahoo.com"], "汽车"),
    "house.sohu.com": "房产",
    "health.sohu.com": "健康",
    "learning.sohu.com": "教育",
    "travel.sohu.com": "旅游",
    "mil.news.sohu.com": "军事",
    "women.sohu.com": "女性",
    "baobao.sohu.com": "母婴",
    "career.sohu.com": "招聘",
    "gongyi.sohu.com": "公益",
    "cul.sohu.com": "文化",
    "games.sohu.com": "游戏",
    **dict.fromkeys(["news.sohu.com", "news.cn.yahoo.com"], "新闻"),
}
COLUMNS = ("contenttitle", "content")
_MARK = re.compile("(</?doc>)")
# The paragraph mark of the corpus, a character of GB18030's private use area.
_PARAGRAPH = "\ue40c"


def read(source: Source, options: Options) -> Iterator[Row | Reject]:
    """Read a row from each record: title and content, labelled by host."""
    hosts = _hosts(options)
    for item in _records(source):
        yield item if isinstance(item, Reject) else _row(*item, hosts, options)


def _records(source: Source) -> Iterator[tuple[int, str] | Reject]:
    """Yield (line number, what stands between <doc> and </doc>)."""
    start, parts, size = 0, list[str](), 0
    for number, line in source.lines():
        if line is None:
            if start:
                size = RECORD_LIMIT + 1
            else:
                yield Reject(number, TOO_LONG)
            continue
        for part in _MARK.split(line):
            if part == "<doc>":
                if start:
                    yield Reject(start, "record without </doc>", text="".join(parts))
                start, parts, size = number, [], 0
            elif part == "</doc>" and start:
                yield (start, "".join(parts)) if size <= RECORD_LIMIT else Reject(start, TOO_LONG)
                start, parts = 0, []
            elif start:
                size += len(part)
                if size <= RECORD_LIMIT:
                    parts.append(part)
    if start:
        yield Reject(start, "record without </doc>", text="".join(parts))


def _row(number: int, record: str, hosts: Mapping[str, str], options: Options) -> Row | Reject:
    names = options.text_columns or COLUMNS
    values = [_tag(record, name) for name in names]
    for name, value in zip(names, values, strict=True):
        # A page may lack a title, but not what it is made of.
        if value is None or (not value and name == "content"):
            return Reject(number, f"no {name}", text=record)
    text = "\n".join(value for value in values if value)
    if options.unlabelled:
        return Row(number, text, None)
    url = _tag(record, "url") or ""
    label = _label(url, hosts)
    if not label:
        return Reject(number, "no class for the host", f"of {url[:100]} (see --hosts)", text)
    return Row(number, text, (label,))


def _tag(record: str, name: str) -> str | None:
    match = re.search(f"<{re.escape(name)}>(.*?)</{re.escape(name)}>", record, re.DOTALL)
    return match[1].replace(_PARAGRAPH, "\n").strip() if match else None


def _label(url: str, hosts: Mapping[str, str]) -> str | None:
    """The label of the longest listed domain that a URL's host belongs to."""
    try:
        domain = urlsplit(url).hostname or ""
    except ValueError:
        return None
    while domain and domain not in hosts:
        domain = domain.partition(".")[2]
    return hosts.get(domain)


def _hosts(options: Options) -> dict[str, str]:
    """The built-in table under the user's; an empty label there takes a host out."""
    if options.hosts is None:
        return HOSTS
    file = options.hosts
    try:
        content = file.read_text("utf-8-sig")
        if file.suffix == ".json":
            table = dict(json.loads(content))
        else:
            lines = (line for line in content.splitlines() if line.strip())
            table = dict(line.split("\t") for line in lines)
    except (ValueError, TypeError) as error:
        raise BertZhError(
            f"--hosts {file}: expected lines of host, tab, label, "
            f"or a .json file of one object: {error}"
        ) from error
    return HOSTS | {host.strip(): str(label or "").strip() for host, label in table.items()}
