"""The reference pages of ``docs/``, generated from rules, reports, formats, commands and the store.

``python -m scripts.reference`` writes them. With ``--check`` it writes nothing and ends with exit code 2 when a page is
out of date. The pages depend on data only, never on the versions of the installed libraries.
"""
