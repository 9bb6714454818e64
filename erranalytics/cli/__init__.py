"""The command line: a thin skin over the functions of ``erranalytics.api``."""
