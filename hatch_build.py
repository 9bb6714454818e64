"""Put prepared files into a wheel, so that an installed program never reads its data files one by one."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PreparedFiles(BuildHookInterface[Any]):
    """Makes the prepared files outside the checkout, which stays as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name the prepared files to the builder; an editable installation makes its own, see ``datafiles``."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        try:
            from erranalytics import datafiles
            from erranalytics.classification import rulebook
            from erranalytics.reports import catalogue
        finally:
            sys.path.remove(self.root)
        self._folder = tempfile.TemporaryDirectory()
        made = {
            "reports": (catalogue.report_files(), catalogue.unchecked()),
            "rulebook": (datafiles.rule_files(), rulebook.unchecked()),
            "formats": (datafiles.format_files(), datafiles.formats()),
            "mappings": (datafiles.mapping_files(), datafiles.mappings()),
            "tables": (datafiles.table_files(), datafiles.tables()),
        }
        for name, (files, values) in made.items():
            path = datafiles.write_prepared(Path(self._folder.name), name, files, values)
            build_data["force_include"][str(path)] = f"erranalytics/__prepared__/{path.name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002 - as the builder calls it
        """Remove the prepared files."""
        if version != "editable":
            self._folder.cleanup()
