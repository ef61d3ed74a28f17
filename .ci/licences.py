"""Checks the licence and the source of every crate that we build with, where cargo-deny is not installed.

The lists are those of deny.toml; cargo-deny checks the same with more care.
"""

import json
import re
import subprocess
import sys
import tomllib

with open("deny.toml", "rb") as file:
    policy = tomllib.load(file)
allowed = set(policy["licenses"]["allow"])
banned = {entry["crate"] for entry in policy["bans"]["deny"]}
registries = set(policy["sources"]["allow-registry"])


def is_allowed(expression):
    """Whether an SPDX expression can be met with the allowed licences."""
    tokens = re.findall(r"\(|\)|\bAND\b|\bOR\b|[\w.+-]+(?: WITH [\w.+-]+)?", expression.replace("/", " OR "))
    value, operators = [[]], [[]]
    for token in tokens:
        if token == "(":
            value.append([])
            operators.append([])
        elif token == ")":
            inner = fold(value.pop(), operators.pop())
            value[-1].append(inner)
        elif token in ("AND", "OR"):
            operators[-1].append(token)
        else:
            value[-1].append(token in allowed)
    return fold(value[0], operators[0])


def fold(values, operators):
    """AND binds tighter than OR."""
    groups = [[values[0]]]
    for operator, value in zip(operators, values[1:]):
        if operator == "AND":
            groups[-1].append(value)
        else:
            groups.append([value])
    return any(all(group) for group in groups)


metadata = json.loads(
    subprocess.run(["cargo", "metadata", "--format-version", "1", "--locked"], check=True, capture_output=True).stdout
)
# The lock file also names what optional features of others would need; those are never built.
tree = ["cargo", "tree", "--workspace", "--all-features", "--target", "all", "--prefix", "none", "--locked"]
built = {line.split(" ")[0] for line in subprocess.run(tree, check=True, capture_output=True, text=True).stdout.split("\n")}
faults = []
for package in metadata["packages"]:
    name = f"{package['name']} {package['version']}"
    if package["name"] in banned & built:
        faults.append(f"{name}: banned")
    if package["source"] is not None and package["source"].removeprefix("registry+") not in registries:
        faults.append(f"{name}: comes from {package['source']}")
    licence = package["license"]
    if licence is None or not is_allowed(licence):
        faults.append(f"{name}: licence {licence}")
print(f"{len(metadata['packages'])} crates")
print("\n".join(faults))
sys.exit(bool(faults))
