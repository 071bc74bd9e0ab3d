"""Modified Kneser-Ney smoothing by its definition, in plain Python, and the ARPA file of it."""

import math
from collections import Counter, defaultdict

BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"


class Reference:
    """Chen and Goodman 1998 with interpolation and `FALLBACK` discounts, over documents that are lists of words."""

    def __init__(self, documents, order, fallback=(0.5, 1.0, 1.5)):
        self.order = order
        sequences = [[BEGIN, *d, END] for d in documents]
        raw = [
            Counter(tuple(s[i : i + k]) for s in sequences for i in range(len(s) - k + 1)) for k in range(1, order + 1)
        ]
        self.counts = []
        for k in range(1, order + 1):
            before = Counter(g[1:] for g in raw[k]) if k < order else {}
            counts = {g: c if k == order or g[0] == BEGIN else before[g] for g, c in raw[k - 1].items()}
            counts.pop((BEGIN,), None)
            self.counts.append(counts)
        self.discounts = [self._discount(c, fallback) for c in self.counts]
        self.sums = [defaultdict(int) for _ in range(order)]
        self.left = [defaultdict(float) for _ in range(order)]
        for k, counts in enumerate(self.counts):
            for g, c in counts.items():
                self.sums[k][g[:-1]] += c
                self.left[k][g[:-1]] += self.discounts[k][min(c, 3)]

    @staticmethod
    def _discount(counts, fallback):
        t = Counter(counts.values())
        if not all(t[i] for i in (1, 2, 3, 4)):
            return (0.0, *fallback)
        y = t[1] / (t[1] + 2 * t[2])
        found = (0.0, *(i - (i + 1) * y * t[i + 1] / t[i] for i in (1, 2, 3)))
        return found if all(0 <= d <= i for i, d in enumerate(found)) else (0.0, *fallback)

    def p(self, context, word):
        """The probability of a word behind a context of at most `order` - 1 words."""
        if (word,) not in self.counts[0]:
            word = UNKNOWN
        while context and not self.sums[len(context)][context]:
            context = context[1:]
        k = len(context)
        shorter = self.p(context[1:], word) if k else 1 / (len(self.counts[0]) + 1)
        c = self.counts[k].get((*context, word), 0)
        total = self.sums[k][context]
        return (c - self.discounts[k][min(c, 3)]) / total + self.left[k][context] / total * shorter

    def log_probability(self, words):
        """Natural logarithm of the probability of a document with its end."""
        sequence = [BEGIN, *words, END]
        known = [w if w in (BEGIN, END) or (w,) in self.counts[0] else UNKNOWN for w in sequence]
        return sum(
            math.log(self.p(tuple(known[max(0, i - self.order + 1) : i]), known[i])) for i in range(1, len(known))
        )

    def arpa(self):
        """The text of an ARPA file."""
        levels = []
        for k, counts in enumerate(self.counts):
            grams = [(g, math.log10(self.p(g[:-1], g[-1]))) for g in sorted(counts)]
            if k == 0:
                grams = [((UNKNOWN,), math.log10(self.p((), UNKNOWN))), ((BEGIN,), -99.0), *grams]
            levels.append(grams)
        lines = ["\\data\\", *(f"ngram {k}={len(g)}" for k, g in enumerate(levels, 1)), ""]
        for k, grams in enumerate(levels, 1):
            lines.append(f"\\{k}-grams:")
            for g, p in grams:
                back = ""
                if k < self.order and self.sums[k][g]:
                    back = f"\t{math.log10(self.left[k][g] / self.sums[k][g]):.7g}"
                lines.append(f"{p:.7g}\t{' '.join(g)}{back}")
            lines.append("")
        return "\n".join([*lines, "\\end\\", ""])
