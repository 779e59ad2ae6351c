"""Mutation testing: whether the unit tests notice a change to the domain.

`mutation` makes a module with all of its mutants, `plugin` runs the tests once for each, and
`__main__` is `make mutants`: packages, explanations, score.
"""
