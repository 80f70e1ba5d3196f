"""CITATION.cff of a version: how to cite it, and the works that it comes from."""

import json

from pipelines.publish.facts import Facts


def citation(facts: Facts) -> str:
    """CITATION.cff, format 1.2.0."""
    lines = [
        "cff-version: 1.2.0",
        "message: If you use this dataset, please cite it as below, and the works that it comes from.",
        "type: dataset",
        f"title: {json.dumps(facts.manifest.name)}",
        f"version: {json.dumps(facts.version)}",
        "authors:",
        f"- name: {json.dumps('The makers of ' + facts.manifest.name)}",
        *([f"url: {json.dumps(facts.hub_url)}"] if facts.hub else []),
        "identifiers:",
        "- type: other",
        f"  value: {json.dumps('sha256:' + facts.manifest.recipe['sha256'])}",
        "  description: sha256 of the recipe that it is built from",
        "references:",
    ]
    for work in facts.works:
        lines += [
            "- type: article",
            f"  title: {json.dumps(work['title'], ensure_ascii=False)}",
            "  authors:",
        ]
        for author in work["authors"]:
            family, _, given = author.partition(", ")
            names = {"family-names": family, "given-names": given}
            lines += [
                f"  {'  ' if index else '- '}{key}: {json.dumps(value, ensure_ascii=False)}"
                for index, (key, value) in enumerate(names.items())
            ]
        lines += [
            f"  collection-title: {json.dumps(work['venue'])}",
            f"  year: {work['year']}",
            f"  url: {json.dumps(work['url'])}",
        ]
    return "\n".join(lines) + "\n"
