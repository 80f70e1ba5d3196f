"""Where a page finds what belongs to a sample on the server; export.py has those of files."""

from dataclasses import dataclass

from pipelines.browse.query import Query


@dataclass(frozen=True)
class Addresses:
    """
    Args:
        root: what stands before all paths, '' or such as '/samples'.
        version: of the dataset, so that a browser's cache shows nothing of another one.
    """

    root: str = ""
    version: str = ""

    def static(self, name: str) -> str:
        return f"{self.root}/static/{name}"

    def grid(self, query: Query) -> str:
        return f"{self.root}/{query.text()}"

    def page(self, query: Query, start: int) -> str:
        return f"{self.root}/{query.text(start=start)}"

    def cards(self, query: Query, start: int) -> str:
        return f"{self.root}/cards{query.text(start=start)}"

    def sample(self, key: str, query: Query) -> str:
        return f"{self.root}/sample/{key}{query.text()}"

    def dropped(self, text: str = "") -> str:
        return f"{self.root}/dropped{text}"

    def picture(self, key: str, what: str) -> str:
        return f"{self.root}/media/{key}/{what}?v={self.version}"

    def sound(self, key: str) -> str:
        return f"{self.root}/media/{key}/sound?v={self.version}"

    def heard(self, key: str) -> str:
        return f"{self.root}/media/{key}/heard?v={self.version}"

    def clip(self, key: str) -> str:
        return f"{self.root}/clip/{key}?v={self.version}"
