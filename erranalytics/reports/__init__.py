"""Questions to the store as SQL files with a typed header: find, check, run and compare them."""
