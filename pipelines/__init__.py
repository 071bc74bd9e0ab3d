"""What runs: the command line, recipes, datasets, and the engine that turns one into the other.

Folders, each importing only those before it: `dataset/` and `recipe/`, `engine/`, `runners/` and `beam/`, the module `run`,
`operations/` and `selftrain/`, `report/`, `commands/`, and `cli` above all. `wording` is below all: numbers and sizes in words.
`recipes/` holds the recipes that are shipped.
"""
