"""Stamps of records and wrappers → moments in UTC, with the zone and the year they lack."""
