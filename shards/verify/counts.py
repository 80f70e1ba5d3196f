"""What the manifest counts, counted again in the tables."""

from collections import Counter

import pyarrow as pa

from shards import format
from shards.reader import Dataset
from shards.verify.faults import Fault


def check_samples(dataset: Dataset, samples: pa.Table) -> list[Fault]:
    """Samples and categories of each split; no key twice."""
    faults = [] if len(samples) else [Fault(format.SAMPLES, "not one sample: there is nothing to use")]
    several = "categories" in samples.column_names
    rows = samples.select(["split", "categories" if several else "category", "key"]).to_pylist()
    for split in format.SPLITS:
        inside = [row for row in rows if row["split"] == split]
        categories = Counter(
            name for row in inside for name in (row["categories"] if several else [row["category"]])
        )
        told = dataset.manifest.counts.get(split)
        if told != {"samples": len(inside), "categories": dict(categories)}:
            faults.append(
                Fault(format.MANIFEST, f"counts of {split}: {told}; {format.SAMPLES} has {dict(categories)}")
            )
    twice = [key for key, number in Counter(row["key"] for row in rows).items() if number > 1]
    return faults + [Fault(format.SAMPLES, f"key {key} is there more than once") for key in twice]


def check_funnel(dataset: Dataset, samples: pa.Table) -> list[Fault]:
    """Whether each stage adds up, and every rejection that is counted has its row."""
    faults = []
    columns = [
        name for name in ("stage", "unit", "reason") if name in dataset.table(format.REJECTIONS).column_names
    ]
    grouped = dataset.table(format.REJECTIONS, columns).group_by(columns).aggregate([([], "count_all")])
    found = {tuple(row[name] for name in columns): row["count_all"] for row in grouped.to_pylist()}
    told: Counter[tuple[str, ...]] = Counter()
    last = [step for step in dataset.manifest.funnel if step["unit"] == "samples"][-1:]
    for step in dataset.manifest.funnel:
        where = f"{format.MANIFEST}: funnel, {step['stage']} of {step['unit']}"
        if step["in"] != step["kept"] + sum(step["rejected"].values()):
            faults.append(
                Fault(where, f"in {step['in']} is not kept {step['kept']} + rejected {step['rejected']}")
            )
        for reason, number in step["rejected"].items():
            known = {"stage": step["stage"], "unit": step["unit"], "reason": reason}
            told[tuple(known[name] for name in columns)] += number
        if step in last and step["kept"] != samples.num_rows:
            faults.append(Fault(where, f"kept {step['kept']}; {format.SAMPLES} has {samples.num_rows} rows"))
    for key in sorted(set(found) | set(told), key=str):
        if found.get(key, 0) != told[key]:
            faults.append(
                Fault(format.REJECTIONS, f"{found.get(key, 0)} rows of {key}; the funnel says {told[key]}")
            )
    return faults
