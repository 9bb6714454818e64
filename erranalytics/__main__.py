"""``python -m erranalytics``."""

from __future__ import annotations

from erranalytics.cli import main

if __name__ == "__main__":
    main()
