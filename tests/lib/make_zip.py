"""A zip of a tree, as Info-ZIP's `zip -y` makes it: make_zip.py [--store] [--opc]
[--descriptors] OUT DIR. Directories, modes, symlinks, times; sorted. With --opc the
names are encoded as part names and [Content_Types].xml comes first."""
import os
import stat
import struct
import sys
import time
import urllib.parse
import zipfile


class Unseekable:
    """Then zipfile writes sizes behind the data (flag bit 3)."""

    def __init__(self, f):
        self.f = f

    def write(self, data):
        return self.f.write(data)

    def flush(self):
        self.f.flush()


def extended_time(mtime):
    return struct.pack("<HHBl", 0x5455, 5, 1, int(mtime))


def add(z, path, name, method):
    st = os.lstat(path)
    info = zipfile.ZipInfo(name, time.gmtime(st.st_mtime)[:6])
    info.create_system = 3
    info.external_attr = st.st_mode << 16
    info.extra = extended_time(st.st_mtime)
    info.compress_type = method
    if stat.S_ISDIR(st.st_mode):
        info.filename += "/"
        info.compress_type = zipfile.ZIP_STORED
        info.external_attr |= 0x10
        z.writestr(info, b"")
    elif stat.S_ISLNK(st.st_mode):
        info.compress_type = zipfile.ZIP_STORED
        z.writestr(info, os.readlink(path))
    else:
        with open(path, "rb") as f, z.open(info, "w", force_zip64=st.st_size >= 1 << 31) as out:
            while data := f.read(1 << 20):
                out.write(data)


def main(args):
    method = zipfile.ZIP_STORED if "--store" in args else zipfile.ZIP_DEFLATED
    opc = "--opc" in args
    out, top = [a for a in args if not a.startswith("--")]
    with open(out, "wb") as f:
        target = Unseekable(f) if "--descriptors" in args else f
        with zipfile.ZipFile(target, "w", compresslevel=1) as z:
            if opc:
                z.writestr("[Content_Types].xml", '<?xml version="1.0"?><Types xmlns='
                           '"http://schemas.openxmlformats.org/package/2006/content-types"/>')
            for here, dirs, files in os.walk(top):
                dirs.sort()
                for name in sorted(dirs + files):
                    path = os.path.join(here, name)
                    item = os.path.relpath(path, top)
                    add(z, path, urllib.parse.quote(item) if opc else item, method)
                dirs[:] = [d for d in dirs if not os.path.islink(os.path.join(here, d))]


main(sys.argv[1:])
