"""The table and the plot of `effects`, from what its studies found."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from tests.benchmarks.effects_runs import BUDGET
from tests.benchmarks.effects_studies import CONTROLS, NOISED, SIZES, Comparison, Study

FIGURES = {
    "other": "bits per byte of a family of text that no arm has seen",
    "held": "held-out bits per byte, at the end",
    "best": "held-out bits per byte, at its lowest",
    "worst": "worst domain's bits per byte",
    "mean": "mean of the domains' bits per byte",
    "biggest": "biggest domain's bits per byte",
    "clean": "accuracy, clean",
    "misspelt": "accuracy, misspelt",
    "planted": "bits per byte of planted items",
    "not planted": "bits per byte of other items",
    "gap": "planted less not planted",
    "test": "accuracy on the test set",
}
GOAL_MULTIPLIER = 1.25


def spread(values: list[float] | np.ndarray) -> tuple[float, float]:
    """(mean, standard error); the error of one value is not known."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def differences(study: Study, c: Comparison) -> np.ndarray:
    """arm - against in the figure, float64 [seeds]."""
    return np.array(study.arms[c.arm].figures[c.figure]) - np.array(study.arms[c.against].figures[c.figure])


def verdict(study: Study, c: Comparison) -> str:
    """What the difference says: whether it is beyond two standard errors, and whether the goal is reached."""
    mean, error = spread(differences(study, c))
    gain = mean if study.higher_is_better else -mean
    if not abs(mean) > 2 * error:
        said = "within noise"
    else:
        said = "helps" if gain > 0 else "harms"
    if study.name == "decontamination" and said != "within noise":
        said = "score is too good" if mean < 0 else "score is lower"
    if c.goal is None:
        return said
    reached = mean >= c.goal if study.higher_is_better else mean <= c.goal
    return f"{said}; goal {c.goal:+.2f} {'reached' if reached else '**missed**'}"


def multipliers(study: Study, kind: str, figure: str) -> dict[int, tuple[float, float, float]]:
    """How many times the data plain training needs to come to the figure that noised copies come to: {thousands of tokens:
    (of the mean difference, of a standard error worse, of one better)}, by interpolation in log2 of the size on the mean
    plain curve, made to fall. Beyond an end of the curve it is that end's."""
    curve = np.minimum.accumulate([np.mean(study.arms[f"plain {s}k"].figures[figure]) for s in SIZES])
    out = {}
    for size in NOISED:
        mean, error = spread(differences(study, Comparison(f"{kind} noise {size}k", f"plain {size}k", figure)))
        error = 0.0 if math.isnan(error) else error
        values = curve[SIZES.index(size)] + mean + error * np.array([0.0, 1.0, -1.0])
        best, low, high = 2 ** np.interp(-values, -curve, np.log2(SIZES)) / size
        out[size] = (float(best), float(low), float(high))
    return out


def markdown(found: list[Study], seeds: int, command: str) -> str:
    """The whole report."""
    lines = [
        "# Does prepared data train better models?",
        "",
        f"Written by `{command}`; its results are kept, so it can be stopped and goes on. Decoders of 0.17 million parameters, "
        f"{BUDGET:,} tokens a run, {seeds} seeds that share initial weights and order of rows between the arms; differences "
        "are paired by seed, with their standard error. *within noise*: less than two standard errors. Costs are CPU seconds "
        "on one thread. Where no goal stands, none was set.",
        "",
        "| technique | compared | figure | without | with | difference | cost of data / of a run | verdict |",
        "|---|---|---|---:|---:|---:|---:|---|",
    ]
    for study in found:
        for c in study.comparisons:
            arm, against = study.arms[c.arm], study.arms[c.against]
            mean, error = spread(differences(study, c))
            seconds = f"{arm.prepare_seconds:.1f} / {np.mean(arm.train_seconds):.0f} s"
            lines.append(
                f"| {study.name} | {c.arm} against {c.against} | {FIGURES[c.figure]} | "
                f"{spread(against.figures[c.figure])[0]:.3f} | {spread(arm.figures[c.figure])[0]:.3f} | "
                f"{mean:+.3f} ± {error:.3f} | {seconds} | {verdict(study, c)} |"
            )
    noise = _whole_noise(found)
    if noise:
        lines += ["", *_headline(noise)]
    lines += ["", "## What was done", ""]
    for study in found:
        lines += [f"**{study.name}.** {study.claim} {study.text} {' '.join(study.notes)}".rstrip(), ""]
        lines += [f"- {arm.name}: {arm.note}" for arm in study.arms.values() if arm.note]
        if any(arm.note for arm in study.arms.values()):
            lines.append("")
    if noise:
        lines += ["## Bits per byte by size of the data", "", *_curve(noise), ""]
    lines += ["![The data curve, and the differences](effects.svg)", ""]
    return "\n".join(lines)


def _whole_noise(found: list[Study]) -> Study | None:
    """The study of noise, if all of it is done: its curve has to be whole."""
    return next((s for s in found if s.name == "noise" and not any(arm.missing for arm in s.arms.values())), None)


def _headline(study: Study) -> list[str]:
    lines = [
        "## Data multiplier",
        "",
        "How many times more original data plain training needs to come to the same held-out bits per byte, by interpolation "
        "on its own data curve; below 1, noise costs data. *at the end*: after the whole token budget; *at its lowest*: both "
        "stopped early, where their held-out loss was lowest. The range is one standard error of the paired difference; where "
        "plain training gains nothing from more data, it is wide.",
        "",
        "| noise | stopped | " + " | ".join(f"{size}k tokens" for size in NOISED) + " |",
        "|---|---|" + "---:|" * len(NOISED),
    ]
    for kind in ("token", "text"):
        for figure, when in (("held", "at the end"), ("best", "at its lowest")):
            cells = []
            for size, (best, worse, better) in multipliers(study, kind, figure).items():
                end = SIZES[-1] / size
                mark = " (goal 1.25 reached)" if best >= GOAL_MULTIPLIER else " (**below 1**)" if best < 1 else ""
                top = f"above {end:g}" if better >= end else f"{better:.2f}"
                cells.append(f"{best:.2f}, {worse:.2f} to {top}{mark}")
            lines.append(f"| {kind} | {when} | " + " | ".join(cells) + " |")
    return lines


def _curve(study: Study) -> list[str]:
    kinds = [
        ("plain", SIZES),
        ("copies", CONTROLS),
        ("token noise", NOISED),
        ("text noise", NOISED),
        ("more", CONTROLS),
    ]
    lines = ["| data | " + " | ".join(f"{s}k" for s in SIZES) + " |", "|---|" + "---:|" * len(SIZES)]
    for kind, sizes in kinds:
        for figure in ("held", "best"):
            cells = []
            for s in SIZES:
                arm = study.arms.get(f"{kind} {s}k") if s in sizes else None
                cells.append("{:.3f} ± {:.3f}".format(*spread(arm.figures[figure])) if arm else "")
            name = {"held": "at the end", "best": "at its lowest"}[figure]
            lines.append(f"| {kind}, {name} | " + " | ".join(cells) + " |")
    return lines


BLUE, ORANGE, GREEN, GREY, INK = "#2b6cb0", "#dd6b20", "#2f855a", "#a0aec0", "#1a202c"


class Svg:
    """A drawing, made by hand."""

    def __init__(self, width: int, height: int) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="Helvetica, Arial, sans-serif" font-size="12">',
            f'<rect width="{width}" height="{height}" fill="white"/>',
        ]

    def line(
        self, x1: float, y1: float, x2: float, y2: float, color: str = GREY, width: float = 1, dash: str = ""
    ) -> None:
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}" stroke-width="{width}"{dashed}/>'
        )

    def dot(self, x: float, y: float, color: str, hollow: bool = False) -> None:
        fill = "white" if hollow else color
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{fill}" stroke="{color}" stroke-width="2"/>')

    def text(self, x: float, y: float, said: str, anchor: str = "start", size: int = 12, color: str = INK) -> None:
        said = said.replace("&", "&amp;").replace("<", "&lt;")
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{said}</text>'
        )

    def write(self, path: Path) -> None:
        path.write_text("\n".join([*self.parts, "</svg>", ""]), encoding="utf-8")


def plot(found: list[Study], path: Path) -> None:
    """Left: the data curve of plain training and what noise makes of it. Right: every difference with two standard errors."""
    rows = [(s, c) for s in found if s.name != "noise" for c in s.comparisons]
    height = max(430, 90 + 22 * len(rows))
    svg = Svg(1260, height)
    noise = _whole_noise(found)
    if noise:
        _plot_curve(svg, noise)
    _plot_differences(svg, rows, 1260, height)
    svg.write(path)


def _plot_curve(svg: Svg, study: Study) -> None:
    left, top, width, height = 60, 50, 370, 320
    kinds = [
        ("plain", SIZES, "held", BLUE, False),
        ("plain", SIZES, "best", BLUE, True),
        ("text noise", NOISED, "held", ORANGE, False),
        ("text noise", NOISED, "best", ORANGE, True),
        ("token noise", NOISED, "held", GREEN, False),
        ("token noise", NOISED, "best", GREEN, True),
    ]
    values = [spread(study.arms[f"{k} {s}k"].figures[f]) for k, sizes, f, _, _ in kinds for s in sizes]
    ends = [mean + sign * 2 * (0.0 if math.isnan(error) else error) for mean, error in values for sign in (-1, 1)]
    low, high = math.floor(min(ends) * 5) / 5, math.ceil(max(ends) * 5) / 5

    def at(size: float, value: float) -> tuple[float, float]:
        value = min(max(value, low), high)
        share = math.log2(size / SIZES[0]) / math.log2(SIZES[-1] / SIZES[0])
        return left + share * width, top + (high - value) / (high - low) * height

    svg.text(left, 22, "Held-out bits per byte by size of the data", size=14)
    for size in SIZES:
        svg.line(at(size, low)[0], top, at(size, low)[0], top + height, "#edf2f7")
        svg.text(at(size, low)[0], top + height + 18, f"{size}k", "middle")
    for k in range(round((high - low) / 0.2) + 1):
        value = low + 0.2 * k
        svg.line(left, at(8, value)[1], left + width, at(8, value)[1], "#edf2f7")
        svg.text(left - 8, at(8, value)[1] + 4, f"{value:.1f}", "end")
    svg.text(left + width / 2, top + height + 36, "tokens of original data", "middle")
    for kind, sizes, figure, color, hollow in kinds:
        points = [(s, *spread(study.arms[f"{kind} {s}k"].figures[figure])) for s in sizes]
        for (s, y, _), (s2, y2, _) in zip(points, points[1:]):
            svg.line(*at(s, y), *at(s2, y2), color, 2, "5 4" if hollow else "")
        for s, y, error in points:
            if not math.isnan(error):
                svg.line(*at(s, y - 2 * error), *at(s, y + 2 * error), color, 1)
            svg.dot(*at(s, y), color, hollow)
    for i, (name, color) in enumerate((("plain", BLUE), ("text noise", ORANGE), ("token noise, clean targets", GREEN))):
        svg.dot(left + width - 160, top + 14 + 18 * i, color)
        svg.text(left + width - 150, top + 18 + 18 * i, name)
    svg.text(
        left + width - 164, top + 18 + 18 * 3, "filled: at the end; hollow: at its lowest", size=10, color="#4a5568"
    )


def _plot_differences(svg: Svg, rows: list[tuple[Study, Comparison]], width: int, height: int) -> None:
    left, right, top = 910, width - 30, 50
    svg.text(470, 22, "Differences, with two standard errors (right of 0 is better)", size=14)
    step = 0.3
    ends = [(mean, 0.0 if math.isnan(error) else error) for mean, error in (spread(differences(s, c)) for s, c in rows)]
    limit = max([2 * step, *(abs(mean) + 2 * error for mean, error in ends)]) * 1.05

    def x(value: float) -> float:
        return left + (value + limit) / (2 * limit) * (right - left)

    bottom = top + 22 * len(rows)
    ticks = int(limit / step)
    for tick in (step * i for i in range(-ticks, ticks + 1)):
        svg.line(x(tick), top - 8, x(tick), bottom, GREY if tick == 0 else "#edf2f7")
        svg.text(x(tick), bottom + 16, f"{tick:+.1f}" if tick else "0", "middle")
    svg.text((left + right) / 2, bottom + 32, "bits per byte saved, or accuracy gained", "middle", 11)
    for i, (study, c) in enumerate(rows):
        y = top + 22 * i + 10
        mean, error = spread(differences(study, c))
        gain = mean if study.higher_is_better else -mean
        error = 0.0 if math.isnan(error) else error
        color = GREY if abs(gain) <= 2 * error else GREEN if gain > 0 else ORANGE
        if study.name == "decontamination":
            color = GREY if abs(gain) <= 2 * error else BLUE
        twice = sum((d.arm, d.figure) == (c.arm, c.figure) for d in study.comparisons) > 1
        other = f" against {c.against}" if twice else ""
        svg.text(left - 10, y + 4, f"{study.name}: {c.arm}{other}, {c.figure}", "end", 11)
        svg.line(x(gain - 2 * error), y, x(gain + 2 * error), y, color, 2)
        svg.dot(x(gain), y, color)
        if c.goal is not None:
            goal = c.goal if study.higher_is_better else -c.goal
            svg.line(x(goal), y - 8, x(goal), y + 8, INK, 1.5)
    svg.text(470, height - 12, "black stroke: the goal; grey: within noise; blue: how much a score is off", size=10)
