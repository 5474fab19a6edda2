#!/usr/bin/python3
"""opc_check.py PACKAGE: is it a valid OPC package, by ECMA-376 part 2?

Written from the standard and not from our code. Lists what is in it, decoded, a line
each, folders with '/' at their end; complains and fails about the first thing wrong.
"""
import re
import stat
import sys
import urllib.parse
import xml.etree.ElementTree as ET
import zipfile

NS = "http://schemas.openxmlformats.org/package/2006/"
CORE = "application/vnd.openxmlformats-package.core-properties+xml"
RELS = "application/vnd.openxmlformats-package.relationships+xml"
SEGMENT = re.compile(r"^(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+$")
EXTENSION = re.compile(r"^(?:[!$&'()*+,:=@A-Za-z0-9\-_~]|%[0-9A-Fa-f]{2})+$")
MEDIA_TYPE = re.compile(r"^[A-Za-z0-9.+\-]+/[A-Za-z0-9.+\-]+$")


def need(condition, *words):
    if not condition:
        sys.exit("opc_check: " + " ".join(str(w) for w in words))


def content_types(text):
    root = ET.fromstring(text)
    need(root.tag == "{%scontent-types}Types" % NS, "root element", root.tag)
    defaults, overrides = {}, {}
    for element in root:
        name = element.tag.partition("}")[2]
        where, key = {"Default": (defaults, "Extension"), "Override": (overrides, "PartName")}[name]
        need(set(element.attrib) == {key, "ContentType"}, "attributes of", ET.tostring(element))
        value = element.get(key).lower()
        need(value not in where, name, value, "is there twice")
        need(MEDIA_TYPE.match(element.get("ContentType")), "type", element.get("ContentType"))
        need(EXTENSION.match(value) if name == "Default" else value.startswith("/"), name, value)
        where[value] = element.get("ContentType")
    return defaults, overrides


def check_name(name):
    need(name.isascii() and not name.startswith("/"), "name", name)
    for segment in name.split("/"):
        need(SEGMENT.match(segment), "part of a name", segment, "in", name)
        need(not segment.endswith("."), "dot at the end in", name)
        for pair in re.findall("%(..)", segment):
            byte = int(pair, 16)
            need(byte not in b"/\\\0", "forbidden escape in", name)
            need(not chr(byte).isalnum() and chr(byte) not in "-._~" if byte < 128 else True,
                 "needless escape in", name)


def main():
    package = zipfile.ZipFile(sys.argv[1])
    infos = package.infolist()
    names = [i.filename for i in infos]
    need(len(names) == len(set(names)), "a name is there twice")
    need(names.count("[Content_Types].xml") == 1, "content types")
    defaults, overrides = content_types(package.read("[Content_Types].xml"))
    types = {}
    for info in infos:
        need(info.compress_type in (0, 8) and not info.flag_bits & 1, "method of", info.filename)
        if info.filename == "[Content_Types].xml":
            continue
        if info.filename.endswith("/"):
            check_name(info.filename[:-1])
            need(info.file_size == 0 and stat.S_ISDIR(info.external_attr >> 16), "folder", info.filename)
            continue
        check_name(info.filename)
        part = "/" + info.filename.lower()
        extension = part.rpartition("/")[2].rpartition(".")[2] if "." in part.rpartition("/")[2] else None
        types[part] = overrides.pop(part, None) or defaults.get(extension)
        need(types[part], "no content type for", info.filename)
    need(not overrides, "overrides without a part:", list(overrides))
    rels = [p for p, t in types.items() if t == RELS]
    need(rels == ["/_rels/.rels"], "relationships", rels)
    core = [p for p, t in types.items() if t == CORE]
    root = ET.fromstring(package.read("_rels/.rels"))
    need(root.tag == "{%srelationships}Relationships" % NS, "root element", root.tag)
    targets = [r.get("Target") for r in root if r.get("Type") == NS + "relationships/metadata/core-properties"]
    need([t.lower() for t in targets] == core and len(core) == 1, "core properties", targets, core)
    root = ET.fromstring(package.read(targets[0][1:]))
    need(root.tag == "{%smetadata/core-properties}coreProperties" % NS, "root element", root.tag)
    for child in root:
        if child.tag.startswith("{http://purl.org/dc/terms/}"):
            need(re.match(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$", child.text), "date", child.text)
    own = {"[content_types].xml", rels[0][1:], core[0][1:]}
    for name in sorted(urllib.parse.unquote(n, errors="strict") for n in names if n.lower() not in own):
        print(name)


main()
