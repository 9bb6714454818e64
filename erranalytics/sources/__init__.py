"""Bytes of an input as LINES: files, archives, the journal, folders of request dumps, standard input."""
