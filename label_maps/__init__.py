"""The reviewed data that says which sound labels and which visual labels name the same sounding object."""

from label_maps.label_map import LabelMap, LabelMapError, load
from label_maps.links import RELATIONS, SOURCES, Link

__all__ = ["RELATIONS", "SOURCES", "LabelMap", "LabelMapError", "Link", "load"]
