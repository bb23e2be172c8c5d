#!/usr/bin/env bash
# status.sh [--check]: writes the table of kinds in docs/status.md from crates/vocab/api/src/resource.rs, between its two marks.
# With --check it only says whether the table is what the code says.
#
# What works of a kind, and how far, is written by hand in docs/kinds.tsv; this script refuses a kind without a row there, and a row without a kind.
set -euo pipefail
cd "$(dirname "$0")/.."
python3 - "${1:-}" <<'PYTHON'
import re, sys

source = open("crates/vocab/api/src/resource.rs").read()
fields = {}
for name, body in re.findall(r"pub static (\w+): Resource = Resource \{(.*?)\n\};", source, re.S):
    text = lambda key: re.search(key + r': "([^"]*)"', body).group(1)
    listed = lambda key: re.findall(r'"([^"]*)"', re.search(key + r": &\[(.*?)\]", body, re.S).group(1))
    group = text("group")
    fields[name] = dict(
        version=f"{group}/{text('version')}" if group else text("version"), kind=text("kind"), plural=text("plural"),
        stored="Persistence::Stored" in body, subresources=listed("subresources"))
order = re.findall(r"&(\w+),", source[source.index("pub static ALL"):])

notes = {}
for line in open("docs/kinds.tsv"):
    if line.strip() and not line.startswith("#"):
        key, state, note = line.rstrip("\n").split("\t")
        notes[key] = (state, note)

rows, seen = [], set()
for name in order:
    kind = fields[name]
    key = f"{kind['version']} {kind['kind']}"
    if key not in notes:
        sys.exit(f"docs/kinds.tsv has no row for {key}")
    seen.add(key)
    state, note = notes[key]
    verbs = "all" if kind["stored"] else "create"
    rows.append(f"| {kind['kind']} | {kind['version']} | {verbs} | {', '.join(kind['subresources']) or '–'} | {state} | {note} |")
if set(notes) - seen:
    sys.exit(f"docs/kinds.tsv has rows for kinds that are not served: {sorted(set(notes) - seen)}")

table = "\n".join(["| kind | version | verbs | subresources | state | what there is to say |", "|---|---|---|---|---|---|", *rows])
begin, end = "<!-- kinds: written by scripts/status.sh -->", "<!-- /kinds -->"
path = "docs/status.md"
text = open(path).read()
wanted = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: f"{begin}\n{table}\n{end}", text, flags=re.S)
if sys.argv[1] == "--check":
    if wanted != text:
        sys.exit("docs/status.md is not what the code says: run scripts/status.sh")
else:
    open(path, "w").write(wanted)
PYTHON
