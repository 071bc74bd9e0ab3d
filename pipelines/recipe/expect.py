"""What a recipe expects of the next snapshot. A bound that fails blocks the commit.

    expect: {min_new_documents: 100, max_dropped: 0.6, max_growth: 0.5, language_share: {en: [0.2, 0.9]}}

A nightly refresh must not replace a good snapshot by one that lost its sources, doubled, or changed its language. Finished
shards are kept: with `--set expect.FIELD=...` the same command commits them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
DiversityFigure = Literal["distinct_1", "distinct_2", "distinct_3", "vendi", "entropy", "biggest", "compression"]
Bounds = tuple[float | None, float | None]


class Expect(BaseModel):
    """Bounds on the next snapshot. A bound that is left out is not checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_documents: int | None = Field(None, ge=0, description="the commit is refused with fewer documents")
    max_documents: int | None = Field(None, ge=0, description="the commit is refused with more documents")
    min_new_documents: int | None = Field(
        None, ge=0, description="the commit is refused if fewer documents have an id that the last snapshot lacks"
    )
    max_dropped: Share | None = Field(
        None, description="the commit is refused if the steps drop a larger share of the documents that were read"
    )
    max_quarantined: Share | None = Field(
        None, description="the commit is refused if a larger share of all rows read is quarantined"
    )
    max_growth: float | None = Field(
        None, ge=0, description="the commit is refused if documents grow by more than this share of the last snapshot's"
    )
    max_shrink: Share | None = Field(
        None, description="the commit is refused if documents shrink by more than this share of the last snapshot's"
    )
    language_share: dict[str, tuple[Share, Share]] = Field(
        default_factory=dict,
        description="language code to [least, most]: its share of the documents, by their column `lang`",
    )

    mentions: dict[str, tuple[float, float]] = Field(
        default_factory=dict,
        description="group of the lexicons, such as `gender.female`, to [least, most]: the share of the documents that mention it; "
        "or two groups, `gender.female/gender.male`, to [least, most] of one share divided by the other",
    )
    lexicons: tuple[str, ...] = Field(
        (), description="lexicons of `mentions` and `max_disparity`, each in place of the built-in one of its language"
    )

    diversity: dict[DiversityFigure, Bounds] = Field(
        default_factory=dict,
        description="figure of `corpusmill map` to [least, most], numbers or null: distinct runs of 1, 2 or 3 words, Vendi score, "
        "entropy of clusters in bits, share of the biggest cluster, compression ratio",
    )
    max_disparity: float | None = Field(
        None,
        ge=1,
        description="the commit is refused if a step drops the documents that mention a group this many times as often as others, "
        "beyond what chance explains (`corpusmill bias`); the sources are read again",
    )

    @model_validator(mode="after")
    def _diversity_ordered(self) -> Expect:
        for name, (low, high) in self.diversity.items():
            if low is not None and high is not None and low > high:
                raise ValueError(f"`diversity` of {name}: {low:g} is more than {high:g}; write [least, most]")
        return self

    @model_validator(mode="after")
    def _mentions_ordered(self) -> Expect:
        for name, (low, high) in self.mentions.items():
            if not 0 <= low <= high:
                raise ValueError(f"`mentions` of {name}: write [least, most], numbers from 0")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Expect:
        for code, (low, high) in self.language_share.items():
            if low > high:
                raise ValueError(f"`language_share` of {code}: {low:g} is more than {high:g}; write [least, most]")
        if (
            self.min_documents is not None
            and self.max_documents is not None
            and self.min_documents > self.max_documents
        ):
            raise ValueError("`min_documents` is more than `max_documents`")
        return self
