"""Reports: questions to the store as SQL files with a typed header, and gates on their answers."""
