"""What a text, a code or a piece of a log means and what to do, and a draft of a rule for an unknown text."""
