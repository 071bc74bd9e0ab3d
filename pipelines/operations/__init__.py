"""Operations on a dataset that exists: one module for each, called by a command.

`forget` and `purge` take documents out, and `downstream` finds what was made from them. `rollback` and `gc` restore and remove
snapshots. `export` writes other formats. `look` and `what_if` show the effects of steps without a run. `private_statistics`
publishes counts with differential privacy. `train_tokenizer` trains a tokenizer on the text of a recipe.
"""
