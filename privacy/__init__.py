"""Differential privacy, and computation between owners who may not show each other their text (`secure/`).

`sgd` and `gradients` clip per-sample gradients and add noise, `accounting` turns noise into epsilon, `ledger` records what was
spent, `units` bounds what one person contributes, `certification` decides whether a recipe's steps keep the guarantee,
`guarantee` and `statement` say it in words. `audit` and `canaries` try to refute it, `statistics` publishes noisy counts.
"""
