"""Prints the table of store.sh: medians of wall and CPU seconds, bytes grown, and how image-composer compares with what it must reach."""

import os
import sys
from collections import defaultdict
from statistics import median

PEERS = ["restic", "borg", "casync"]
EVERYBODY = ["ours", *PEERS, "zstd", "cp"]


def read(path, columns):
    found = defaultdict(list)
    for line in open(path, encoding="ascii"):
        who, *what = line.split()
        what, values = " ".join(what[:-columns]), tuple(float(value) for value in what[-columns:])
        found[what, who].append(values)
    return {key: tuple(median(column) for column in zip(*rows)) for key, rows in found.items()}


times, sizes = read(sys.argv[1], 2), read(sys.argv[2], 1)
rounds = sum(line.startswith("ours write ") for line in open(sys.argv[1], encoding="ascii"))

print("# The store and its peers\n")
print(f"Made by `benches/peers/store.sh` on {os.cpu_count()} processors: medians of {rounds} rounds, in each of which all take their turn.\n")
print("| work | " + " | ".join(EVERYBODY) + " |")
print("|---|" + "---|" * len(EVERYBODY))
for what in ["keep v1", "keep v2", "keep v3", "write"]:
    cells = []
    for who in EVERYBODY:
        if (what, who) not in times:
            cells.append("")
            continue
        wall, cpu = times[what, who]
        grown = f", +{sizes[what, who][0] / 1e6:.1f} MB" if (what, who) in sizes else ""
        cells.append(f"{wall:.2f} s, {cpu:.2f} s CPU{grown}")
    print(f"| {what} | " + " | ".join(cells) + " |")


def best(what, column=0):
    return min(times[what, who][column] for who in PEERS)


def goal(text, ratio, limit):
    print(f"| {text} | {ratio:.2f} | {limit} | {'yes' if ratio <= limit else '**no**'} |")


ours = {what: times[what, "ours"] for what in ["keep v1", "keep v2", "keep v3", "write"]}
print("\n| ratio | is | at most | reached |\n|---|---|---|---|")
goal("keep v1: wall to the best peer's", ours["keep v1"][0] / best("keep v1"), 0.5)
goal("keep v1: CPU to `zstd -3 -T0`", ours["keep v1"][1] / times["keep v1", "zstd"][1], 1.15)
for what in ["keep v2", "keep v3"]:
    goal(f"{what}: wall to the best peer's", ours[what][0] / best(what), 0.33)
    goal(f"{what}: growth to the least of the peers'", sizes[what, "ours"][0] / min(sizes[what, who][0] for who in PEERS), 0.4)
goal("write: wall to the best peer's", ours["write"][0] / best("write"), 0.33)
goal("write: wall to `zstd -d`", ours["write"][0] / times["write", "zstd"][0], 0.7)
goal("write: wall to `cp --sparse=always`", ours["write"][0] / times["write", "cp"][0], 2)
