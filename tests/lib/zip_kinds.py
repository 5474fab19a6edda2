"""Zips of the kinds that are around, and what must be seen of each when it is mounted:
zip_kinds.py ZIPS WANTED makes ZIPS/KIND and the tree WANTED/KIND for each kind;
zip_kinds.py --refused OUT one with members that can't be read. Written from APPNOTE
6.3.10 with Python's zipfile and struct."""
import io
import os
import struct
import sys
import zipfile
import zlib

TEXT = b"".join(b"line %d of a text\n" % i for i in range(30000))
NOISE = bytes((i * i * 2654435761 >> 13) & 0xff for i in range(200000))
FILES = {"a.txt": b"short\n", "dir/text": TEXT, "dir/deeper/noise": NOISE, "none": b""}


class Unseekable(io.RawIOBase):
    """Then zipfile writes sizes behind the data."""

    def __init__(self, f):
        self.f = f

    def writable(self):
        return True

    def write(self, data):
        return self.f.write(data)


def usual(files=None, zip64=False, unseekable=False, method=zipfile.ZIP_DEFLATED, comment=b""):
    f = io.BytesIO()
    with zipfile.ZipFile(Unseekable(f) if unseekable else f, "w", method) as z:
        for name, data in (files or FILES).items():
            info = zipfile.ZipInfo(name)
            info.compress_type = method
            with z.open(info, "w", force_zip64=zip64) as out:
                out.write(data)
        z.comment = comment
    return f.getvalue()


def raw(members):
    """Records by hand: (name as bytes, flags, extra, data), stored."""
    out, directory = b"", b""
    for name, flags, extra, data in members:
        facts = struct.pack("<5H3I2H", 20, flags, 0, 0, 33, zlib.crc32(data), len(data), len(data),
                            len(name), len(extra))
        directory += (b"PK\1\2\x14\3" + facts + struct.pack("<3H2I", 0, 0, 0, 0o100644 << 16, len(out)) +
                      name + extra)
        out += b"PK\3\4" + facts + name + extra + data
    return out + directory + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, len(members), len(members),
                                         len(directory), len(out), 0)


def all_zip64():
    """Every number in zip64 records, as who streams something of unknown size does."""
    out, directory = b"", b""
    for name, data in FILES.items():
        packer = zlib.compressobj(6, zlib.DEFLATED, -15)
        packed = packer.compress(data) + packer.flush()
        crc = zlib.crc32(data)
        local = struct.pack("<2H2Q", 1, 16, len(data), len(packed))
        central = struct.pack("<2H3Q", 1, 24, len(data), len(packed), len(out))
        facts = struct.pack("<5H3I", 45, 0, 8, 0, 33, crc, 0xffffffff, 0xffffffff)
        directory += (b"PK\1\2\x2d\3" + facts + struct.pack("<2H3H2I", len(name), len(central), 0, 0, 0,
                                                         0o100644 << 16, 0xffffffff) + name.encode() + central)
        out += b"PK\3\4" + facts + struct.pack("<2H", len(name), len(local)) + name.encode() + local + packed
    at = len(out)
    return (out + directory +
            struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, len(FILES), len(FILES), len(directory), at) +
            struct.pack("<4sIQI", b"PK\6\7", 0, at + len(directory), 1) +
            struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0))


def unicode_path(name, text):
    """Info-ZIP's extra field: the name in UTF-8, good as long as its CRC fits."""
    body = struct.pack("<BI", 1, zlib.crc32(name)) + text.encode()
    return struct.pack("<2H", 0x7075, len(body)) + body


STRANGE = {"größe/日本語.txt": b"utf-8\n", "plain": b"ascii\n"}
KINDS = {
    "usual": (usual(), FILES),
    "stored": (usual(method=zipfile.ZIP_STORED), FILES),
    "descriptors": (usual(unseekable=True), FILES),
    "descriptors-stored": (usual(unseekable=True, method=zipfile.ZIP_STORED), FILES),
    "descriptors-zip64": (usual(unseekable=True, zip64=True), FILES),
    "zip64-extra": (usual(zip64=True), FILES),
    "zip64": (all_zip64(), FILES),
    "comment": (usual(comment=b"what this is" * 100), FILES),
    # A program that unpacks itself: offsets count from where the archive begins...
    "prepended": (b"#!/bin/sh\nexit 1\n" + b"\x7fELF" * 5000 + usual(), FILES),
    "appended": (usual() + b"signature" * 50, FILES),
    "prepended-zip64": (b"MZ" * 777 + all_zip64(), FILES),
    "utf8": (usual(STRANGE), STRANGE),
    "utf8-without-flag": (raw([(n.encode(), 0, b"", d) for n, d in STRANGE.items()]), STRANGE),
    "cp437": (raw([("größe/ñandú".encode("cp437"), 0, b"", b"dos\n"), (b"plain", 0, b"", b"ascii\n")]),
              {"größe/ñandú": b"dos\n", "plain": b"ascii\n"}),
    "unicode-path": (raw([(b"gr__e", 0, unicode_path(b"gr__e", "größe"), b"info-zip\n"),
                          (b"other", 0, unicode_path(b"another", "wrong"), b"stale\n")]),
                     {"größe": b"info-zip\n", "other": b"stale\n"}),
    "empty": (usual({"dir/": b""}), None),
}


def refused(path):
    with zipfile.ZipFile(path, "w") as z:
        z.writestr("encrypted", b"encrypted")
        z.writestr("strong", b"encrypted")
        z.writestr("bzip2", b"other" * 100, zipfile.ZIP_BZIP2)
        z.writestr("lzma", b"other" * 100, zipfile.ZIP_LZMA)
        z.writestr("good", b"good\n")
        offsets = {i.filename: i.header_offset for i in z.infolist()}
    data = bytearray(open(path, "rb").read())
    for name, flag in (("encrypted", 1), ("strong", 0x41)):
        data[offsets[name] + 6] |= flag
        data[data.rindex(name.encode()) - 46 + 8] |= flag
    with open(path, "wb") as f:
        f.write(data)


def main(args):
    if args[0] == "--refused":
        refused(args[1])
        return
    for kind, (data, files) in KINDS.items():
        with open(os.path.join(args[0], kind), "wb") as f:
            f.write(data)
        top = os.path.join(args[1], kind)
        os.makedirs(top if files else os.path.join(top, "dir"))
        for name, content in (files or {}).items():
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(content)


main(sys.argv[1:])
