"""`decontaminate`: documents that contain items of evaluation sets. `evaluation` reads the sets, `grams` finds their n-grams."""
