"""Apache Beam and Arrow without what they import in case it is there, data frames and clients: half of the start.

To be imported before anything else that imports Beam. Who asks Arrow for a data frame gets one.
"""

import logging
import sys

_UNUSED = {"bson", "pandas", "pymongo", "requests"}


class _Hiding:
    """Tells the import system that there is none of them."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in _UNUSED:
            raise ModuleNotFoundError(f"{name} is not looked for while Beam is imported", name=name)
        return None


_hiding, _quiet = _Hiding(), logging.root.manager.disable
sys.meta_path.insert(0, _hiding)
logging.disable(logging.WARNING)  # Beam warns of clients that are not needed
try:
    import apache_beam  # noqa: F401
    import pyarrow

    pyarrow.array([])  # looks for pandas, once
finally:
    sys.meta_path.remove(_hiding)
    logging.disable(_quiet)
