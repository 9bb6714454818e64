"""``python -m scripts.reference [--check]``."""

from __future__ import annotations

import sys

from erranalytics.cli import diagnostics
from erranalytics.cli.diagnostics import ExitCode
from erranalytics.errors import ErranalyticsError
from scripts.reference.generate import main

if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except ErranalyticsError as fault:
        diagnostics.error(fault)
        code = ExitCode(fault.exit_code)
    sys.exit(code)
