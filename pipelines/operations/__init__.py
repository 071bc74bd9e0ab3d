"""What is done with a dataset that exists: one module for each operation, called by a command.

`forget` and `purge` take documents out, `downstream` finds the datasets made from them; `rollback` and `gc` move between and
remove snapshots; `export` writes other formats; `look` and `what_if` show effects of steps without running them;
`private_statistics` publishes counts with differential privacy; `train_tokenizer` trains a tokenizer on a recipe's text.
"""
