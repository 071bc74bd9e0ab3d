"""Settings files: one strict way to read, check, override and write the YAML that people edit.

Recipes, train.yaml, job.yaml, party.yaml and selftrain.yaml all use it, so each gets every mistake at once with line, caret and
a suggestion. `section` is the base of every section's model. `yaml_positions` parses YAML and keeps line and column of each
value. `mistakes` collects errors, `explain` words those of pydantic, and `spelling` suggests known names. `overrides` applies
`--set`. `files` reads a whole file into a model, and `template` writes a commented file from a model.
"""
