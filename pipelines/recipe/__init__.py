"""The recipe: a YAML file as a checked model, and everything that can be said about it before anything runs.

`model` is the recipe itself; `yaml_positions` keeps line and column of every value, `mistakes` collects all errors, `overrides`
applies `--set`, `path_checks` looks at paths. `registry` finds steps by name and `user_modules` imports a user's own ones.
`expect`, `schedule`, `train_section` and `privacy_section` are its sections; `certify` and `released` decide what private text
may do. `starter` writes a commented recipe, `json_schema` the schema for editors.
"""
