"""Checks a finished job against the recipe's section `expect`."""
