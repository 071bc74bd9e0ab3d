"""What `effects` tests of a model in the loop: distillation and self-training, from the runs of `loop`."""

from __future__ import annotations

import numpy as np

from tests.benchmarks import loop_distill, loop_selftrain
from tests.benchmarks.effects_runs import Arm, Lab
from tests.benchmarks.effects_studies import Comparison, Study, study_of
from tests.benchmarks.loop_distill import FRESH, SEEN, STEPS, TEACHER_STEPS, UNIQUE


@study_of(
    "distillation",
    "A teacher's distribution over the next token teaches a student more than the token alone (Hinton et al. 2015), and "
    "twelve draws from it nearly as much as all of it (Anshumann et al. 2025).",
    f"English documents of all sources, mixed. Students read {UNIQUE:,} tokens, the same ones in all arms, again and again "
    f"for 409,600 ({STEPS} steps) or 819,200 ({2 * STEPS}); `plain on 820k fresh` reads {FRESH:,} tokens instead. The "
    f"teacher, 0.72 million parameters, has seen {SEEN:,} tokens. Held out: other documents.",
)
def distillation(lab: Lab, study: Study) -> None:
    """A small student with a larger teacher, against one without."""
    found = loop_distill.students(lab)
    study.arms = found.arms
    short, long, longer = (f"{{}}, {n * STEPS} steps" for n in (1, 2, 4))
    plain, fresh = short.format("plain"), "plain on 820k fresh"
    study.comparisons = [
        *(Comparison(short.format(kind), plain, "held") for kind in loop_distill.KINDS),
        Comparison(long.format("sampled-12"), long.format(fresh), "held", 0.0),
        Comparison(long.format("sampled-12"), long.format("plain"), "held"),
        Comparison(long.format("plain"), long.format(fresh), "held"),  # what reading the same again does on its own
        Comparison(long.format("sampled-12"), longer.format(fresh), "held"),
    ]
    if found.teacher is None or any(arm.missing for arm in found.arms.values()):
        return
    sizes = loop_distill.token_bytes()
    for kind, part in loop_distill.gap_closed(found).items():
        note = f"{sizes[kind]:,} bytes a token ({sizes[kind] / sizes['full']:.1%} of full logits), {part:.0%} of the gap closed"
        study.arms[short.format(kind)].note = note
    beats = found.mean(long.format("sampled-12")) < found.mean(long.format(fresh))
    study.notes.append(
        f"Data multiplier: with {UNIQUE:,} tokens and a teacher the student is {'better' if beats else 'not better'} than plain "
        f"training on {FRESH:,} fresh ones at equal steps, so it is {'at least' if beats else 'below'} {FRESH / UNIQUE:.1f}. "
        "So few steps are the beginning of training, where reading little text again and again is itself better than reading "
        "fresh text once: of that advantage the teacher's part is what is left against `plain` on the same tokens. "
        f"The teacher itself comes to {found.teacher['figures']['held']:.3f} after {TEACHER_STEPS} steps, which cost "
        f"{found.teacher['cpu_seconds']:.0f} CPU s more than the table shows; plain training of the student for "
        f"{4 * STEPS} steps comes to {found.mean(longer.format(fresh)):.3f}."
    )


@study_of(
    "self-training",
    "Students of a teacher's labels on unlabelled text, kept where held-out labels say so, are better than the teacher "
    "(Xie et al. 2020).",
    f"{loop_selftrain.FEW} labels and {loop_selftrain.HELD} held-out ones a class, the other training questions without "
    f"labels; {loop_selftrain.SEEDS} seeds draw labels and classes anew. `hardest`: instead of drawn ones the classes that a "
    "teacher of all most often misses among training questions; `pool of others`: the questions without labels are of "
    "other classes, so that there is nothing to gain and the gate should say so. A linear model of words and runs of "
    "letters, default settings. `before`: the teacher, trained on the labels alone; `after`: the model that the gate keeps. "
    "Test: the set's own.",
    higher_is_better=True,
)
def selftraining(lab: Lab, study: Study) -> None:
    """Ten labels a class and a pool without labels."""
    for name, runs in loop_selftrain.runs(lab.data, lab.out / "selftrain", lab.only_kept).items():
        for when in ("before", "after"):
            arm = study.arms[f"{name}: {when}"] = Arm(f"{name}: {when}")
            for run in runs:
                arm.add(run and {"figures": {"test": run[when]}, "cpu_seconds": run["cpu_seconds"]})
        goal = 0.05 if name == loop_selftrain.GOAL else None
        study.comparisons.append(Comparison(f"{name}: after", f"{name}: before", "test", goal))
        whole = [run for run in runs if run]
        if len(whole) == len(runs):
            refused = sum(run["best_round"] == 0 for run in whole)
            ungated = np.mean([run["last"] - run["before"] for run in whole])
            study.arms[f"{name}: after"].note = (
                f"the gate refused all students in {refused} of {len(runs)} seeds; the last student, kept or not, is "
                f"{ungated:+.3f} against the teacher"
            )
