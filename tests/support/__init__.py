"""What several test modules share: stores, logs, programs, and how a run of the tests is ordered and told."""
