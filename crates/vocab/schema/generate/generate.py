#!/usr/bin/env python3
"""Writes data/table.txt and data/descriptions.bin, the facts behind the built-in kinds.

A developer runs this when the Kubernetes version changes; the build never does. Inputs:
  --definitions FILE  _definitions.json of PyPI's `kubernetes-validate`: published OpenAPI definitions
                      (descriptions, required, list types, merge keys, enums, group-version-kinds)
  --git DIR...        bare git directories of kubernetes/{api,apimachinery,apiextensions-apiserver,kube-aggregator}:
                      generated.proto gives field numbers and types; the struct tags of types*.go say whether Go prints
                      a zero value (omitempty, omitzero, pointer) and what a decoding error calls the type
Only facts are taken (names, numbers, types, flags); descriptions come from the published definitions.

Table format, tab-separated, one line each; see src/table.rs which reads it:
  D <definition>  <group,version,kind;...>  <map type>
  F <json name>  <shape>  <protobuf number>  <flags>  <list type>  <list keys>  <merge key>  <patch strategies>  <go type>  <enum>
Shapes: s string, y bytes, b bool, i int32, l int64, d double, q Quantity, x IntOrString, t Time, u MicroTime,
  r Duration, f FieldsV1, j any JSON, e RawExtension, A/B/C JSONSchemaPropsOr{Array,Bool,StringArray},
  [X list, {X map, (X a message wrapping a list, @N definition.
Flags: r required, p pointer, e omitempty, z omitzero, n inline (its fields are the parent's in JSON), m atomic map, c +nullable.
"""
import argparse, json, re, subprocess, sys, zlib

PACKAGES = {}
for path in """admission/v1 admissionregistration/v1 apidiscovery/v2 apps/v1 authentication/v1 authorization/v1
    autoscaling/v1 autoscaling/v2 batch/v1 certificates/v1 coordination/v1 core/v1 discovery/v1 events/v1
    flowcontrol/v1 networking/v1 node/v1 policy/v1 rbac/v1 resource/v1 scheduling/v1 scheduling/v1alpha3 storage/v1 storagemigration/v1""".split():
    PACKAGES["io.k8s.api." + path.replace("/", ".")] = path
PACKAGES["io.k8s.apimachinery.pkg.apis.meta.v1"] = "pkg/apis/meta/v1"
PACKAGES["io.k8s.apimachinery.pkg.runtime"] = "pkg/runtime"
PACKAGES["io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1"] = "pkg/apis/apiextensions/v1"
PACKAGES["io.k8s.kube-aggregator.pkg.apis.apiregistration.v1"] = "pkg/apis/apiregistration/v1"

META = "io.k8s.apimachinery.pkg.apis.meta.v1."
EXT = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
SPECIAL = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "q", "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "x",
    META + "Time": "t", META + "MicroTime": "u", META + "Duration": "r", META + "FieldsV1": "f",
    "io.k8s.apimachinery.pkg.runtime.RawExtension": "e", EXT + "JSON": "j",
    EXT + "JSONSchemaPropsOrArray": "A", EXT + "JSONSchemaPropsOrBool": "B", EXT + "JSONSchemaPropsOrStringArray": "C",
}
SCALAR = {"string": "s", "bytes": "y", "bool": "b", "int32": "i", "int64": "l", "uint32": "i", "double": "d", "float": "d"}
# Messages that exist for the generators only, or that JSON never shows.
SKIP = {META + n for n in ("TypeMeta", "Timestamp", "Verbs", "GroupVersion", "GroupKind")} | {"io.k8s.apimachinery.pkg.runtime.TypeMeta"}
# Kinds whose definitions carry no protobuf message.
NO_PROTO = {META + n for n in ("Table", "TableColumnDefinition", "TableRow", "TableRowCondition", "TableOptions", "InternalEvent")} - {META + "InternalEvent"}
# meta/v1 kinds are registered in every group; the ones clients send or get by name.
META_KINDS = "Status APIVersions APIGroup APIGroupList APIResourceList WatchEvent DeleteOptions ListOptions GetOptions CreateOptions UpdateOptions PatchOptions PartialObjectMetadata PartialObjectMetadataList Table List".split()
# Typed clients encode the options of a deletion with the group and version of what they delete.
OPTION_GROUPS = "apps batch certificates.k8s.io coordination.k8s.io discovery.k8s.io events.k8s.io networking.k8s.io policy rbac.authorization.k8s.io".split()


def git(dirs, pattern):
    """Yields (path, text) of every file whose path matches, at HEAD of each repository."""
    for d in dirs:
        names = subprocess.run(["git", "--git-dir", d, "ls-tree", "-r", "--name-only", "HEAD"], capture_output=True, text=True, check=True).stdout.split("\n")
        for n in names:
            if re.fullmatch(pattern, n):
                yield n, subprocess.run(["git", "--git-dir", d, "show", "HEAD:" + n], capture_output=True, text=True, check=True).stdout


def protos(dirs):
    """message full name -> {proto field name: (number, label, type)}; type 'map<V>' for maps."""
    out = {}
    for _, text in git(dirs, r".*generated\.proto"):
        package = re.search(r"^package (\S+);", text, re.M).group(1)
        for m in re.finditer(r"^message (\w+) \{\n(.*?)^\}", text, re.M | re.S):
            fields = {}
            for line in m.group(2).split("\n"):
                line = line.split("//")[0].strip()
                f = re.match(r"(optional|repeated|required)?\s*(map<\s*string\s*,\s*([\w.]+)\s*>|[\w.]+)\s+(\w+)\s*=\s*(\d+)", line)
                if f:
                    label, typ, value, name, num = f.groups()
                    full = qualify(value or typ, package)
                    fields[int(num)] = (name, "map" if value else label, full)
            out[dotted(package) + "." + m.group(1)] = fields
    return out


def dotted(package):
    """A protobuf package as published definitions name it."""
    package = package.replace("apiextensions_apiserver", "apiextensions-apiserver").replace("kube_aggregator", "kube-aggregator")
    return re.sub(r"^k8s\.io\.", "io.k8s.", package)


def qualify(typ, package):
    if typ in SCALAR:
        return typ
    if typ.startswith("."):
        return dotted(typ[1:])
    return dotted(typ) if "." in typ else dotted(package) + "." + typ


def gostructs(dirs):
    """full name -> [(go name or None, go type, json name, omit flags, proto number)]; number 0 when untagged."""
    out = {}
    for prefix, path in PACKAGES.items():
        for _, text in git(dirs, re.escape(path) + r"/\w+\.go"):
            for m in re.finditer(r"^type (\w+) struct \{\n(.*?)^\}", text, re.M | re.S):
                fields = []
                for line in m.group(2).split("\n"):
                    f = re.match(r"\t(?:(\w+)\s+)?([\w.*\[\]]+)\s+`(.*)`", line)
                    if not f:
                        continue
                    name, typ, tags = f.groups()
                    js = re.search(r'json:"([^"]*)"', tags)
                    pb = re.search(r'protobuf:"\w+,(\d+)', tags)
                    if js is None or js.group(1) == "-":
                        continue
                    js = js.group(1).split(",")
                    fields.append((name, typ, js[0], js[1:], int(pb.group(1)) if pb else 0))
                out.setdefault(prefix + "." + m.group(1), fields)
    return out


def inlined_facts(defs, go):
    """Definitions publish inlined structs flattened; gives each inlined struct its first parent's facts."""
    out = {}
    for name, fields in go.items():
        for goname, typ, js, _, _ in fields:
            if js == "" and "TypeMeta" not in typ and "." not in typ and name in defs:
                out.setdefault(name.rsplit(".", 1)[0] + "." + typ.lstrip("*"), defs[name])
    return out


def jsonshape(prop):
    if "$ref" in prop:
        target = prop["$ref"].split("/")[-1]
        return SPECIAL.get(target, "@" + target)
    typ = [t for t in (prop["type"] if isinstance(prop["type"], list) else [prop["type"]]) if t != "null"][0]
    if typ == "array":
        return "[" + jsonshape(prop["items"])
    if typ == "object":
        return "{" + jsonshape(prop["additionalProperties"])
    return {"string": "s", "boolean": "b", "integer": "l" if prop.get("format") == "int64" else "i", "number": "d"}[typ]


def shape(typ, protos, label):
    if label == "map":
        return "{" + shape(typ, protos, None)
    if label == "repeated":
        return "[" + shape(typ, protos, None)
    if typ in SCALAR:
        return SCALAR[typ]
    if typ in SPECIAL:
        return SPECIAL[typ]
    inner = protos.get(typ, {})
    # DownwardAPIProjection looks like a wrapped list in protobuf, but is an object with `items` in JSON.
    if not typ.endswith(".DownwardAPIProjection") and len(inner) == 1 and inner.get(1, ("",))[0] == "items" and inner[1][1] == "repeated" and not typ.endswith("List"):
        return "(" + shape(inner[1][2], protos, None)
    return "@" + typ


def gotype(typ, package):
    """The name that reflect gives the type in a decoding error, the outermost pointer removed."""
    typ = typ.lstrip("*")
    if typ.startswith("[]"):
        return "[]" + (gotype(typ[2:], package) if not typ[2:].startswith("*") else "*" + gotype(typ[3:], package))
    if typ.startswith("map["):
        key, val = re.match(r"map\[([\w.]+)\](.*)", typ).groups()
        return f"map[{gotype(key, package)}]{gotype(val, package)}"
    if "." in typ:
        pkg, name = typ.split(".")
        return ("v1" if pkg in ("metav1", "v1", "corev1", "core") else pkg) + "." + name
    if typ[0].islower():
        return "[]uint8" if typ == "byte" else typ
    return package.split(".")[-1] + "." + typ


def goshape(typ, package):
    """Shape from a Go type, for messages without protobuf (Table)."""
    typ = typ.lstrip("*")
    if typ.startswith("[]"):
        return "[" + goshape(typ[2:], package)
    if typ in ("string", "ConditionStatus", "RowConditionType", "IncludeObjectPolicy"):
        return "s"
    if typ in ("int32", "int64", "bool"):
        return {"int32": "i", "int64": "l", "bool": "b"}[typ]
    if typ in ("interface{}", "any"):
        return "j"
    if typ == "runtime.RawExtension":
        return "e"
    return "@" + package + "." + typ


def published(prop):
    """(list type, list keys, merge key, strategies, enum, atomic map)"""
    g = prop.get
    return (g("x-kubernetes-list-type", ""), ",".join(g("x-kubernetes-list-map-keys", [])), g("x-kubernetes-patch-merge-key", ""),
            g("x-kubernetes-patch-strategy", ""), ",".join(str(e) for e in g("enum", []) if e is not None), g("x-kubernetes-map-type", ""))


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--definitions", required=True)
    ap.add_argument("--git", nargs="+", required=True)
    ap.add_argument("--out", default="data")
    a = ap.parse_args()
    defs = json.load(open(a.definitions))["$defs"]
    pb, go = protos(a.git), gostructs(a.git)
    lines, descriptions, refs, known = [], [], set(), set()
    borrowed = inlined_facts(defs, go)
    names = [n for n in sorted(set(pb) | set(defs) | NO_PROTO) if n.rsplit(".", 1)[0] in PACKAGES and n not in SPECIAL and n not in SKIP
             and not (n.startswith("io.k8s.apimachinery.pkg.runtime."))]
    for name in names:
        fields, d, package = pb.get(name, {}), defs.get(name) or borrowed.get(name, {}), name.rsplit(".", 1)[0]
        if name not in go and name not in defs:
            if not (set(f[0] for f in fields.values()) == {"items"}):
                print("no Go struct:", name, file=sys.stderr)
            continue
        short = name.rsplit(".", 1)[1]
        gvks = [f"{g['group']},{g['version']},{g['kind']}" for g in d.get("x-kubernetes-group-version-kind", [])]
        if name.startswith(META):
            gvks = [f",v1,{short}"] + (["meta.k8s.io,v1," + short]) if short in META_KINDS else []
            if short == "DeleteOptions":
                gvks += [f"{group},v1,{short}" for group in OPTION_GROUPS]
        elif not gvks and any(f[1].endswith("TypeMeta") for f in go.get(name, [])):
            group = {"admission": "admission.k8s.io", "apidiscovery": "apidiscovery.k8s.io"}.get(package.split(".")[-2])
            if group:
                gvks = [f"{group},{package.split('.')[-1]},{short}"]
        known.add(name)
        lines.append("\t".join(["D", name, ";".join(gvks), d.get("x-kubernetes-map-type", "")]))
        descriptions.append("D" + name + "\x00" + d.get("description", ""))
        props, seen, own = d.get("properties", {}), set(), []

        def emit(js, sh, num, flags, gt):
            p = props.get(js, {})
            lt, lk, mk, ps, en, mt = published(p)
            if js in ("apiVersion", "kind"):
                en = ""
            if mt == "atomic":
                flags += "m"
            own.append((num, "\t".join(["F", js, sh, str(num), flags, lt, lk, mk, ps, gt, en]).rstrip("\t")))
            if p.get("description"):
                descriptions.append("F" + js + "\x00" + p["description"])
            seen.add(js)

        for goname, typ, js, opts, num in go.get(name, []):
            if typ.endswith("TypeMeta") and js == "":
                emit("apiVersion", "s", 0, "e", "")
                emit("kind", "s", 0, "e", "")
                continue
            if num and num not in fields:
                print("tag without message field:", name, js, num, file=sys.stderr)
                continue
            pname, label, ptype = fields[num] if num else (None, None, None)
            sh = shape(ptype, pb, label) if num else goshape(typ, package)
            flags = ("r" if js in d.get("required", []) else "") + ("p" if typ.startswith("*") else "") \
                + ("e" if "omitempty" in opts else "") + ("z" if "omitzero" in opts else "")
            if js == "":
                flags += "n"
                js = "-" + (goname or typ.split(".")[-1].lstrip("*"))
            elif d and js not in props:
                print("not published:", name, js, file=sys.stderr)
                continue
            gt = gotype(typ, package)
            plain = {"s": "string", "i": "int32", "l": "int64", "b": "bool", "d": "float64", "y": "[]uint8"}
            leaf = sh.lstrip("[{(")
            keep = gt if leaf in plain and gt != "[]" * (len(sh) - len(leaf)) * sh.startswith("[") + ("map[string]" if sh.startswith("{") else "") + plain[leaf] else ""
            emit(js, sh, num, flags, keep)
            if "@" in sh:
                refs.add(sh[sh.index("@") + 1:])
        inlined = {f[1].lstrip("*") for f in go.get(name, []) if f[2] == ""}
        missing = [p for p in props if p not in seen] if name in defs else []
        if missing and not (inlined - {"metav1.TypeMeta", "TypeMeta"}):
            # Newer than the Go sources at hand: known to JSON, its protobuf number unknown.
            print("published, not in Go:", name, missing, file=sys.stderr)
            for js in missing:
                emit(js, jsonshape(props[js]), 0, "pe", "")
                if "@" in jsonshape(props[js]):
                    refs.add(jsonshape(props[js]).split("@")[1])
        # By number, as Go writes them.
        lines.extend(line for _, line in sorted(own, key=lambda f: f[0]))
        # Published facts of inlined fields belong to the inlined definition, which carries them itself.
    for r in sorted(refs - known):
        print("dangling:", r, file=sys.stderr)
    open(a.out + "/table.txt", "w").write("\n".join(lines) + "\n")
    raw = "\x01".join(descriptions).encode()
    c = zlib.compressobj(9, zlib.DEFLATED, 15)
    open(a.out + "/descriptions.bin", "wb").write(c.compress(raw) + c.flush())
    print(len(known), "definitions,", sum(l[0] == "F" for l in lines), "fields", file=sys.stderr)


main()
