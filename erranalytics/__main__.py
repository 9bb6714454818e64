"""``python -m erranalytics``."""

from __future__ import annotations

from erranalytics.cli.main import main

if __name__ == "__main__":
    main()
