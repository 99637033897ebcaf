"""The report's tables and pictures of accuracy."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from animelm.data.held_out import UNSEEN_WORDING
from animelm.evaluate.bootstrap import bootstrap_interval
from animelm.evaluate.comparison.control import control_accuracy
from animelm.evaluate.comparison.outcomes import OUTCOMES, relation_of
from animelm.evaluate.results import Result
from animelm.evaluate.summary import Difference, SetScores, Summary, paired_differences
from animelm.report.page.confidence import confidence_exhibits
from animelm.report.page.drawing.charts import Point, before_and_after, dot_plot, trade_off
from animelm.report.page.exhibit import (
    NOTHING,
    Exhibit,
    PageTable,
    bounds,
    number,
    percent,
    signed_bounds,
    signed_points,
)
from animelm.report.page.findings import (
    asked_sets,
    before_and_after_models,
    learned_and_lost_sets,
    questions_in,
    unit_of,
)
from animelm.report.page.texts import Texts


class AccuracyExhibits:
    """The exhibits of a comparison.

    Args:
        summary: its figures.
        results: every answer; intervals by direction and relation are computed from them.
        texts: words of the report.
    """

    def __init__(self, summary: Summary, results: Sequence[Result], texts: Texts) -> None:
        self._summary, self._results, self._texts = summary, results, texts
        self._models = list(summary.models)
        self._titles = [texts.name("models", name) for name in self._models]
        self._sets = asked_sets(summary)

    def main(self) -> Exhibit:
        """Accuracy with interval of every set and model, beside the control, and perplexities."""
        texts, models = self._texts, self._summary.models.values()
        head = [texts("tables.outcomes.set"), texts("main_table.size")]
        head += [*self._titles, texts("main_table.control")]
        rows = [
            [
                texts.name("sets", name),
                self._size(name),
                *(self._cell(model.sets.get(name)) for model in models),
                percent(self._control(name)),
            ]
            for name in self._sets
        ]
        for name in ("perplexity_anime", "perplexity_general"):
            values = [getattr(model, name) for model in models]
            if any(value is not None for value in values):
                cells = [number(value, 2) for value in values]
                rows.append([texts(f"main_table.{name}"), NOTHING, *cells, NOTHING])
        return self._exhibit("main", "main_table", PageTable(head, rows))

    def _control(self, name: str) -> float | None:
        """The accuracy of a model that knows nothing; of an older summary, from the answers."""
        scores = self._summary.models[self._models[0]].sets[name]
        if scores.control_accuracy is not None:
            return scores.control_accuracy
        asked = [r for r in self._results if r.held_out_set == name]
        return control_accuracy([r for r in asked if r.model == self._models[0]])

    def _size(self, name: str) -> str:
        scores = self._summary.models[self._models[0]].sets[name]
        count = self._texts.count
        parts = (
            count("questions", questions_in(self._summary, name)),
            count(unit_of(name), scores.works),
        )
        return ("、" if self._texts("lang") == "ja" else ", ").join(parts)

    def _cell(self, scores: SetScores | None) -> str:
        if scores is None or scores.accuracy is None:
            return NOTHING
        cell = f"{percent(scores.accuracy)} {bounds(scores.ci95)}"
        if scores.spread is not None:
            cell += "\n" + self._texts("main_table.spread", value=f"{100 * scores.spread:.1f}")
        return cell

    def pictures(self) -> list[Exhibit]:
        """The overview, by direction, by relation, and the confidence."""
        found = [*self.overview(), self._by_direction(), *self._by_relation()]
        found += confidence_exhibits(self._summary, self._results, self._texts)
        return [exhibit for exhibit in found if exhibit is not None]

    def overview(self) -> list[Exhibit]:
        """Learned against forgotten, and accuracy by set."""
        found = [self._trade_off(), self._by_set()]
        return [exhibit for exhibit in found if exhibit is not None]

    def outcomes(self, every_pair: bool = True) -> Exhibit | None:
        """What each pair of models gained, kept, lost and never knew.

        Args:
            every_pair: False for the pairs with the first model alone.
        """
        texts, first = self._texts, self._models[0]
        head = [texts("tables.outcomes.pair"), texts("tables.outcomes.set")]
        head += [texts(f"outcomes.{outcome}") for outcome in OUTCOMES]
        head += [texts("tables.outcomes.difference"), texts("tables.outcomes.p")]
        rows = [
            [
                " − ".join(texts.name("models", name) for name in pair),
                texts.name("sets", name),
                *(str(each.outcomes[key]) if each.outcomes else NOTHING for key in OUTCOMES),
                f"{signed_points(each.accuracy)} {signed_bounds(each.ci95)}",
                number(each.p_value, 4),
            ]
            for key, pair in self._summary.pairs().items()
            if every_pair or pair[1] == first
            for name, each in self._differences(key, pair).items()
        ]
        if not rows:
            return None
        title, note = texts("tables.outcomes.title"), texts("tables.outcomes.note")
        return Exhibit("outcomes", title, note, PageTable(head, rows))

    def _differences(self, key: str, pair: tuple[str, str]) -> dict[str, Difference]:
        """The differences of a pair; what an older summary lacks is counted on the answers."""
        given = self._summary.differences[key]
        if all(difference.outcomes for difference in given.values()) or not self._results:
            return given
        answers = {name: [r for r in self._results if r.model == name] for name in pair[::-1]}
        [counted] = paired_differences(answers, self._summary.seeds[0]).values()
        return {
            name: replace(each, p_value=counted[name].p_value, outcomes=counted[name].outcomes)
            for name, each in given.items()
        }

    def _trade_off(self) -> Exhibit | None:
        learned, lost = learned_and_lost_sets(self._summary)
        if learned is None or lost is None:
            return None
        up, right = self._points(learned), self._points(lost)
        names = [self._texts.name("sets", name) for name in (lost, learned)]
        axes = tuple(
            self._texts(f"pictures.trade_off.{axis}", set=name)
            for axis, name in zip("xy", names, strict=True)
        )
        rows = [
            [title, _shown(one), _shown(other)]
            for title, one, other in zip(self._titles, right, up, strict=True)
        ]
        table = PageTable([self._texts("main_table.model"), *names], rows)
        figure = trade_off(up, right, self._titles, (axes[0], axes[1]))
        return self._exhibit("trade-off", "pictures.trade_off", table, figure)

    def _points(self, name: str) -> list[Point]:
        return [_point(model.sets.get(name)) for model in self._summary.models.values()]

    def _by_set(self) -> Exhibit | None:
        if not self._sets:
            return None
        rows = {self._texts.name("sets", name): self._points(name) for name in self._sets}
        figure = dot_plot(rows, self._titles, self._texts("pictures.sets.axis"))
        head = [self._texts("tables.outcomes.set"), *self._titles]
        return self._exhibit("sets", "pictures.sets", _table(head, rows), figure)

    def _by_direction(self) -> Exhibit | None:
        rows: dict[str, list[Point]] = {}
        for name in self._sets:
            directions = sorted(
                {each for m in self._summary.models.values() for each in m.sets[name].directions}
            )
            if len(directions) < 2:
                continue
            for direction in directions:
                label = self._texts.name("directions", direction)
                members = [r for r in self._results if r.held_out_set == name]
                rows[f"{self._texts.name('sets', name)} · {label}"] = [
                    self._direction_point(members, model, name, direction) for model in self._models
                ]
        if not rows:
            return None
        figure = dot_plot(rows, self._titles, self._texts("pictures.sets.axis"))
        table = _table([self._texts("tables.direction"), *self._titles], rows)
        exhibit = self._exhibit("directions", "pictures.directions", table, figure)
        space = "" if self._texts("lang") == "ja" else " "
        note = f"{exhibit.note}{space}{self._texts('direction_notes')}"
        return Exhibit(exhibit.name, exhibit.title, note, table, figure)

    def _direction_point(
        self, members: Sequence[Result], model: str, name: str, direction: str
    ) -> Point:
        means = self._summary.models[model].sets[name].directions.get(direction)
        if means is None:
            return Point(None)
        measured = _measured(r for r in members if (r.model, r.direction) == (model, direction))
        return Point(means.accuracy, measured.low, measured.high)

    def _by_relation(self) -> list[Exhibit]:
        pair = before_and_after_models(self._summary)
        if pair is None:
            return []
        learned, lost = learned_and_lost_sets(self._summary)
        return [
            exhibit
            for name in dict.fromkeys((learned, UNSEEN_WORDING, lost))
            if name in self._sets and name is not None
            if (exhibit := self._relations_of(name, pair)) is not None
        ]

    def _relations_of(self, name: str, pair: tuple[str, str]) -> Exhibit | None:
        members = [result for result in self._results if result.held_out_set == name]
        relations = sorted({relation_of(result) for result in members} - {""})
        if len(relations) < 2:
            return None
        points = {
            self._texts.name("relations", relation): [
                _measured(r for r in members if r.model == model and relation_of(r) == relation)
                for model in self._models
            ]
            for relation in relations
        }
        places = [self._models.index(model) for model in pair]
        titles = {place: self._titles[place] for place in places}
        figure = before_and_after(
            {label: (row[places[0]], row[places[1]]) for label, row in points.items()},
            titles,
            self._texts("pictures.sets.axis"),
        )
        set_title = self._texts.name("sets", name)
        before, after = titles.values()
        return Exhibit(
            f"relations-{self._sets.index(name)}",
            self._texts("pictures.relations.title", set=set_title),
            self._texts("pictures.relations.note", before=before, after=after),
            _table([self._texts("tables.relation"), *self._titles], points),
            figure,
        )

    def _exhibit(self, name: str, key: str, table: PageTable, figure: object = None) -> Exhibit:
        title, note = self._texts(f"{key}.title"), self._texts(f"{key}.note")
        return Exhibit(name, title, note, table, figure)  # type: ignore[arg-type]


def _point(scores: SetScores | None) -> Point:
    if scores is None:
        return Point(None)
    low, high = scores.ci95 or (None, None)
    return Point(scores.accuracy, low, high)


def _measured(results: Iterable[Result]) -> Point:
    """The accuracy of some answers with its interval by work."""
    members = list(results)
    if not members:
        return Point(None)
    interval = bootstrap_interval([r.accuracy for r in members], [r.work for r in members])
    known = interval.low == interval.low  # NaN with one work
    low, high = (interval.low, interval.high) if known else (None, None)
    return Point(interval.mean, low, high)


def _shown(point: Point) -> str:
    known = point.low is not None and point.high is not None
    interval = (point.low, point.high) if known else None
    return f"{percent(point.value)} {bounds(interval)}"  # type: ignore[arg-type]


def _table(head: Sequence[str], rows: dict[str, list[Point]]) -> PageTable:
    return PageTable(head, [[label, *map(_shown, points)] for label, points in rows.items()])
