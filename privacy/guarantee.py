"""What a released model, and all that is made of it, guarantees to the units it was trained on.

A checkpoint of a private run carries its guarantee. Whatever is computed from the model alone (text it writes, adapters that
are merged) is post-processing and has the same one (Dwork and Roth 2014, proposition 2.1).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from corpusmill.privacy.accounting import epsilon
from corpusmill.privacy.certification import Certification
from corpusmill.privacy.ledger import Ledger


class Guarantee(BaseModel):
    """(epsilon, delta) of a model for one population, and what it rests on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    population: str = Field(description="whose data it is")
    unit: str = Field(description="unit of privacy: `document`, or the user column")
    adjacency: str = Field(description="which data sets are neighbours")
    epsilon: float = Field(description="of this model and of the private models that it was made from")
    delta: float
    accountant: str = Field(default="pld", description="how epsilon was composed")
    total: float = Field(description="epsilon of all that was released from the population until then")
    ledger: str = Field(description="digest of the ledger's first line: tells populations of one name apart")
    lines: int = Field(default=0, description="lines of the ledger then; 0: not known")
    head: str = Field(
        default="", description="SHA-256 of the last of them: a ledger that was cut since does not contain it"
    )
    runs: tuple[str, ...] = Field(description="public names of the runs in `epsilon`")
    certified: bool = Field(description="whether the steps that made the data keep units apart")
    assumptions: tuple[str, ...] = ()
    also: tuple[Guarantee, ...] = Field(
        default=(), description="of models that it was made from, for other populations"
    )


def of_run(ledger: Ledger, run: str, certification: Certification, base: Sequence[Guarantee] = ()) -> Guarantee:
    """The guarantee of a run that the ledger has reserved; an open run counts whole.

    base: of the models that it was made from, and of the text that it read, which join in.
    """
    budget, mine = ledger.budget, [run]
    name = hashlib.sha256(repr(sorted(budget.items())).encode()).hexdigest()[:32]
    also: list[Guarantee] = []
    certified = not certification.refusals
    for before in (one for guarantee in base for one in each(guarantee)):
        if before.ledger == name:
            mine = [*(r for r in before.runs if r not in mine), *mine]
            certified = certified and before.certified
        elif (alone := before.model_copy(update={"also": ()})) not in also:
            also.append(alone)
    lines, head = ledger.end()
    events = [event for line, event, _ in ledger.entries() if line.get("run") in mine]
    return Guarantee(
        population=budget["population"],
        unit=budget["unit"],
        adjacency=budget["adjacency"],
        epsilon=epsilon(events, budget["delta"], ledger.accountant),
        delta=budget["delta"],
        accountant=ledger.accountant,
        total=ledger.spent(),
        ledger=name,
        lines=lines,
        head=head,
        runs=tuple(mine),
        certified=certified,
        assumptions=tuple(certification.assumptions),
        also=tuple(also),
    )


def each(guarantee: Guarantee) -> list[Guarantee]:
    """The guarantee and those for other populations."""
    return [guarantee, *guarantee.also]


_HOLDS = {
    True: "composed privacy loss distributions, dp-accounting: for runs whose settings were fixed beforehand",
    False: "a Renyi filter of that order: also for runs whose settings were chosen after looking at earlier models",
}


def paragraph(guarantee: Guarantee) -> str:
    """The guarantee in plain language, for a card: Markdown."""
    one = "document" if guarantee.unit == "document" else f"value of the column `{guarantee.unit}`"
    if not guarantee.certified:
        return (
            f"**No guarantee holds.** The model was trained with noise worth epsilon = {guarantee.epsilon:.2f} at delta = "
            f"{guarantee.delta:g} for the population *{guarantee.population}*, but on data whose steps let one {one} change "
            "the rows of others, by a switch that allows it. The figure is no bound."
        )
    rests = "".join(f"\n- {note}" for note in guarantee.assumptions)
    return (
        f"For the population *{guarantee.population}* this is differentially private with **epsilon = {guarantee.epsilon:.2f} at "
        f"delta = {guarantee.delta:g}**. Unit of privacy: one {one}; adjacency: {guarantee.adjacency}; accountant: "
        f"{guarantee.accountant} ({_HOLDS[guarantee.accountant == 'pld']}). All that was released from the "
        f"population until the model was "
        f"trained, this included: epsilon = {guarantee.total:.2f}."
        + (f"\n\nIt rests on what no program can see:\n{rests}" if rests else "")
    )
