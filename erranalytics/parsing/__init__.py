"""BODIES → RECORDS → EVENTS: which format a line has, which lines belong together, what their columns are."""
