"""The reviewed data that says which sound labels and which visual labels name the same sounding object."""

from label_maps.kinds import Kinds
from label_maps.label_map import CategoryError, LabelMap, LabelMapError, load
from label_maps.links import RELATIONS, SOURCES, Link, Source

__all__ = [
    "RELATIONS",
    "SOURCES",
    "CategoryError",
    "Kinds",
    "LabelMap",
    "LabelMapError",
    "Link",
    "Source",
    "load",
]
