"""BODIES → RECORDS → EVENTS: recognise the format of each line, fold the lines that belong together, parse columns."""
