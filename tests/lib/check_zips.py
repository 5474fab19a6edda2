"""Read everything below a folder in which archives are mounted, and compare it with
what Python's zipfile says of them: check_zips.py MOUNTED ARCHIVES. A line for each
difference and for whatever should not be; the last line counts what was the same. An
error is fine where nobody can be sure what is right; other bytes never are."""
import os
import stat
import sys
import urllib.parse
import zipfile
import zlib

ERRORS = {"EACCES", "ENOTSUP", "EIO", "ELOOP"}


def wanted(path):
    """{name: bytes}, of members that zipfile can read and that are there once."""
    found = {}
    try:
        with zipfile.ZipFile(path) as z:
            opc = any(i.filename.lower() == "[content_types].xml" for i in z.infolist())
            shown = urllib.parse.unquote if opc else str
            names = [shown(i.filename) for i in z.infolist()]
            for info in z.infolist():
                if not info.filename or info.is_dir() or names.count(shown(info.filename)) > 1 or info.file_size > 64 << 20:
                    continue
                try:
                    found[shown(info.filename)] = z.read(info)
                except (RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError,
                        OSError, ValueError):
                    pass
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError, UnicodeDecodeError):
        pass
    return found


def read(path):
    with open(path, "rb") as f:
        return f.read(80 << 20)


def walk(top):
    """Every file below top: its bytes, or the name of the error."""
    import errno
    got = {}
    real = os.path.realpath(top)
    for here, dirs, files in os.walk(top, onerror=lambda e: print(f"{top}: {e}")):
        if not os.path.realpath(here).startswith(real):
            print(f"{here}: outside")
        for name in dirs + files:
            path = os.path.join(here, name)
            if name in ("", ".", "..") or "/" in name or len(os.fsencode(name)) > 255:
                print(f"{path}: a name that is none")
            try:
                mode = os.lstat(path).st_mode
                if stat.S_ISLNK(mode):
                    target = os.readlink(path)
                    if os.path.isabs(target) or not os.path.normpath(
                            os.path.join(here, target)).startswith(os.path.normpath(top)):
                        print(f"{path}: leads to {target}")
                elif stat.S_ISREG(mode):
                    got[os.path.relpath(path, top)] = read(path)
                elif not stat.S_ISDIR(mode):
                    print(f"{path}: mode {mode:o}")
            except OSError as e:
                got[os.path.relpath(path, top)] = errno.errorcode[e.errno]
                if errno.errorcode[e.errno] not in ERRORS:
                    print(f"{path}: {e}")
    return got


def main(mounted, archives):
    same = 0
    for name in sorted(os.listdir(archives)):
        there = os.path.join(mounted, name)
        if not os.path.isdir(there):
            if read(there) != read(os.path.join(archives, name)):
                print(f"{name}: another file")
            continue
        got = walk(there)
        for member, data in wanted(os.path.join(archives, name)).items():
            have = got.get(member)
            if isinstance(have, bytes) and have != data:
                print(f"{name}: {member}: other bytes")
            same += have == data
    print(f"{same} the same")


main(*sys.argv[1:])
