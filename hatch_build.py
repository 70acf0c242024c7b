"""The build's one own step: an editable install finds the checkout under the package's name.

It makes ``.editable/purification_bench``, a link to the checkout, and hatchling puts ``.editable`` on the path. So
there is no import hook: type checkers and editors follow the link as Python does, and a new file is there at once.
"""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LinkTheCheckout(BuildHookInterface):  # type: ignore[type-arg]
    """Link ``.editable/purification_bench`` to the checkout, where the install is editable."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make the link; on Windows a junction, which needs no rights."""
        if version != "editable":
            return
        root = Path(self.root)
        link = root / ".editable" / "purification_bench"
        link.parent.mkdir(exist_ok=True)
        if link.exists():
            return
        if sys.platform == "win32":
            import _winapi

            _winapi.CreateJunction(str(root), str(link))
        else:
            link.symlink_to(Path(".."), target_is_directory=True)
