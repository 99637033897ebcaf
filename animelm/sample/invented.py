"""Invented subjects: names that stand for nothing, for exercises in reading.

The base learns from them to find a relation in a passage and to repeat any title or name exactly.
Every passage has subjects of its own, so nothing in them can be learned by heart.
"""

import random
from collections.abc import Callable, Iterator

from animelm.sample.facts import Fact
from animelm.sample.questions import write_questions
from animelm.sample.wordings import telling_sentences

# The order of these lists is part of what a seed draws.
_KATAKANA = [
    *"アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワ",
    *"ガギグゲゴザジズゼゾダデドバビブベボパピプペポ",
    *("シャ", "シュ", "ショ", "チャ", "チュ", "チェ"),
    *("ジャ", "ジュ", "ジョ", "リュ", "キャ", "キョ"),
    *("ティ", "ファ", "フィ", "フォ", "ヴァ", "ヴィ"),
]
_ENDINGS = ["ン", "ー", "ッド", "ル", "ス", "ア", "ト", "ン", ""]
_HIRAGANA = (
    "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわ"
    "がぎぐげござじずぜぞだでどばびぶべぼ"
)
_CONSONANTS = "bcdfghjklmnpqrstvwxz"
_TITLES = [
    *("{a}", "{a}", "{a}の{b}", "{a}{b}", "{a}と{b}", "{a}!", "{a}な{b}", "{a} {b}", "{a}・{b}"),
    *("{a}は{b}の{c}", "{a}×{b}", "{a}{n}", "{a}を{b}!!", "{n}{a}", "{a}☆{b}", "{a} -{b}-"),
    *("{a}！", "{a}。"),
]
_INVENTED_SOURCE = "invented"


def common_kanji() -> list[str]:
    """The 2,965 kanji of JIS X 0208 level 1, in the standard's order."""
    characters = []
    for row in range(16, 48):
        for cell in range(1, 95):
            try:
                characters.append(bytes([row + 0xA0, cell + 0xA0]).decode("euc_jp"))
            except UnicodeDecodeError:  # the level's last row is not full
                break
    return characters


class Inventor:
    """Draws invented names; the same seed gives the same names."""

    def __init__(self, seed: int):
        self.random = random.Random(f"invented:{seed}")
        self._kanji = common_kanji()

    def kanji(self, least: int, most: int) -> str:
        return "".join(self.random.choices(self._kanji, k=self.random.randint(least, most)))

    def katakana(self, least: int = 1, most: int = 4) -> str:
        body = "".join(self.random.choices(_KATAKANA, k=self.random.randint(least, most)))
        return body + self.random.choice(_ENDINGS)

    def hiragana(self, least: int, most: int) -> str:
        return "".join(self.random.choices(_HIRAGANA, k=self.random.randint(least, most)))

    def latin(self) -> str:
        syllables = range(self.random.randint(2, 4))
        draw = self.random.choice
        word = "".join(draw(_CONSONANTS) + draw("aeiouy") for _ in syllables)
        return draw([str.upper, str.title, str.lower])(word)

    def word(self) -> str:
        draw: Callable[[], str] = self.random.choice(
            [
                lambda: self.kanji(1, 3),
                lambda: self.kanji(2, 4),
                self.katakana,
                lambda: self.katakana(2, 5),
                lambda: self.hiragana(2, 5),
                self.latin,
            ]
        )
        return draw()

    def title(self) -> str:
        first, second, third = self.word(), self.word(), self.word()
        pattern = self.random.choice(_TITLES)
        return pattern.format(a=first, b=second, c=third, n=self.random.randint(1, 99))

    def person(self) -> str:
        kind = self.random.random()
        if kind < 0.3:
            return f"{self.katakana(1, 3)}・{self.katakana(1, 4)}"
        if kind < 0.4:
            return self.katakana(2, 4)
        given: Callable[[], str] = self.random.choice(
            [lambda: self.kanji(1, 2), lambda: self.hiragana(2, 3), self.katakana]
        )
        # Drawn in this order: the given name before the family name.
        name = given()
        return self.kanji(1, 3) + name

    def company(self) -> str:
        return self.random.choice(
            [
                lambda: self.katakana(2, 4),
                lambda: f"スタジオ{self.word()}",
                lambda: f"{self.word()}動画",
                lambda: f"{self.word()}プロダクション",
                lambda: f"{self.word()}アニメーション",
                lambda: f"{self.latin()} {self.latin()}",
                lambda: f"{self.latin()}.{self.latin()}",
                self.latin,
            ]
        )()

    def year(self) -> str:
        return f"{self.random.randint(1600, 2030)}年"

    def month(self) -> str:
        return f"{self.random.randint(1950, 2030)}年{self.random.randint(1, 12)}月"

    def place(self) -> str:
        draw: Callable[[], str] = self.random.choice(
            [lambda: self.katakana(2, 5), lambda: self.kanji(2, 3) + "市", lambda: self.kanji(2, 3)]
        )
        return draw()


_VALUES: dict[str, Callable[[Inventor], str]] = {
    "protagonist": Inventor.person,
    "author": Inventor.person,
    "studio": Inventor.company,
    "first_broadcast": Inventor.month,
    "capital": Inventor.place,
    "currency": lambda inventor: inventor.katakana(1, 4),
    "language": lambda inventor: inventor.katakana(1, 4) + "語",
    "continent": lambda inventor: inventor.katakana(2, 4),
    "prefectural_capital": lambda inventor: inventor.kanji(1, 3) + "市",
    "region": lambda inventor: inventor.kanji(1, 2) + "地方",
    "symbol": lambda inventor: inventor.latin()[:2].title(),
    "atomic_number": lambda inventor: str(inventor.random.randint(1, 200)),
    "mouth": lambda inventor: inventor.place() + "海",
    "literary_author": Inventor.person,
    "published": Inventor.year,
    "composer": Inventor.person,
    "painter": Inventor.person,
    "inventor": Inventor.person,
    "mountain_country": lambda inventor: inventor.katakana(2, 5),
}
_KINDS = {
    "作品": ["protagonist", "author", "studio", "first_broadcast"],
    "国": ["capital", "currency", "language", "continent"],
    "都道府県": ["prefectural_capital", "region"],
    "元素": ["symbol", "atomic_number"],
    "川": ["mouth"],
    "文学作品": ["literary_author", "published"],
    "楽曲": ["composer"],
    "絵画": ["painter"],
    "発明や発見": ["inventor"],
    "山": ["mountain_country"],
}
_TITLED_KINDS = ("作品", "文学作品", "楽曲", "絵画")
_KIND_WEIGHTS = [8, 4, 2, 2, 1, 2, 1, 1, 1, 1]


def invented_subject(inventor: Inventor, kind: str) -> list[Fact]:
    """All facts of one invented subject."""
    subject = inventor.title() if kind in _TITLED_KINDS else inventor.word()
    return [
        Fact(subject, kind, relation, (_VALUES[relation](inventor),), _INVENTED_SOURCE)
        for relation in _KINDS[kind]
    ]


def reading_records(count: int, seed: int) -> Iterator[dict]:
    """QA records whose question carries a passage that holds the answer.

    Args:
        count: how many; one whose subjects came out with the same name is left out.
        seed: of all that is drawn.
    """
    inventor = Inventor(seed)
    for number in range(count):
        kind = inventor.random.choices(list(_KINDS), weights=_KIND_WEIGHTS)[0]
        together = inventor.random.choice([1, 1, 2])
        subjects = [invented_subject(inventor, kind) for _ in range(together)]
        if len({facts[0].subject for facts in subjects}) < len(subjects):
            continue
        told = [inventor.random.sample(facts, min(len(facts), 2)) for facts in subjects]
        facts = [fact for subject in told for fact in subject]
        record = inventor.random.choice(write_questions(told[0], "general"))
        passage = "".join(_passage_sentences(inventor, facts))
        relation = record["wording"].split("/")[0]
        yield record | {
            "id": f"reading/{number}",
            # One fact for a whole relation: its wordings are then split as those of real facts.
            "fact": f"invented/{relation}",
            "question": f"{passage}\n{record['question']}",
        }


def copying_drills(count: int, seed: int) -> Iterator[str]:
    """Texts of random kanji said two to four times over.

    Nothing but attention that continues a repetition (an induction head, arXiv 2209.11895) lowers
    the loss on them, so it forms within a hundred steps; articles alone had not taught it after a
    thousand.
    """
    inventor = Inventor(seed)
    for _ in range(count):
        yield inventor.kanji(4, 24) * inventor.random.randint(2, 4) + "\n"


def name_drills(count: int, seed: int) -> Iterator[str]:
    """Texts that say a list of invented names two to four times over, in the same order."""
    inventor = Inventor(seed)
    for _ in range(count):
        draws = inventor.random.choices([inventor.title, inventor.person, inventor.company], k=4)
        names = "、".join(draw() for draw in draws[: inventor.random.randint(1, 4)])
        yield "\n".join([names] * inventor.random.randint(2, 4)) + "\n"


def _passage_sentences(inventor: Inventor, facts: list[Fact]) -> list[str]:
    sentences = []
    for fact in facts:
        value_first = inventor.random.random() < 0.5
        sentences.append(inventor.random.choice(telling_sentences(fact, value_first)))
    inventor.random.shuffle(sentences)
    return sentences
