"""The reference pages of ``docs/``, generated from rules, reports, formats, commands and the store.

``python -m scripts.reference`` writes them. With ``--check`` it writes nothing and exits with 2 if a page is out of
date. The pages depend on data only, never on the versions of installed libraries.
"""
