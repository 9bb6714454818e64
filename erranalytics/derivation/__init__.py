"""What needs neighbours in time, by SQL inside the store: sessions, model loads, incidents, outcomes, links."""
