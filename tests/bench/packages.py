"""Packages in place: `tar c` of one of 20,000 files, and one member of 500 MB, cold, against
fuse-zip and archivemount over rclone mount of the same nginx; and one small file out of
1 GiB against downloading it. Every turn mounts anew."""

import contextlib
import os
import random
import subprocess
import zipfile

import peers
import rig as rigs
from measure import Row, alternate, at_least, at_most, timed

MIB = 1 << 20
FILES = 20000
LARGE = 500 * 1000 * 1000
LIMIT = 20  # seconds: who needs longer is taken to need so long


def text(rng, size):
    """Compresses to about a half, as what people pack does."""
    return rng.randbytes(size // 2).hex().encode()


def make(path, members):
    if os.path.exists(path):
        return path
    with zipfile.ZipFile(path + ".new", "w", compresslevel=6) as z:
        for name, method, pieces in members:
            info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
            info.compress_type, info.external_attr = method, 0o100644 << 16
            with z.open(info, "w", force_zip64=True) as f:
                for data in pieces:
                    f.write(data)
    os.rename(path + ".new", path)
    return path


def packages(rig):
    rng = random.Random(4711)
    folder = rig.path("packages")
    block = text(rng, 4 * MIB)
    many = make(folder + "/many.zip", ((f"dir{i // 200:03}/file{i:05}.txt", zipfile.ZIP_DEFLATED,
                                        [text(rng, rng.randrange(200, 8000))]) for i in range(FILES)))
    large = make(folder + "/large.zip", [("large.txt", zipfile.ZIP_DEFLATED, (
        block[:LARGE - at] for at in range(0, LARGE, len(block))))])
    noise = rng.randbytes(MIB)
    gib = make(folder + "/gib.zip", [(f"data/{i:04}", zipfile.ZIP_STORED, [noise]) for i in range(1024)] +
               [("small.txt", zipfile.ZIP_DEFLATED, [b"small\n" * 1000])])
    return folder, many, large, gib


def tar(where):
    # tar does not read what goes to /dev/null. Status 124: the time was over.
    p = subprocess.run(["timeout", "-s", "KILL", str(LIMIT), "sh", "-c", 'tar -C "$1" -c . | wc -c', "sh", where],
                       stdout=subprocess.PIPE, check=False)
    if p.returncode not in (0, 124, -9, 137):
        raise rigs.Failure("tar failed")


def read_all(path):
    p = subprocess.run(["timeout", "-s", "KILL", str(LIMIT), "dd", f"if={path}", "of=/dev/null", "bs=1M",
                        "status=none"], check=False)
    if p.returncode not in (0, 124, -9, 137):
        raise rigs.Failure(f"{path} can't be read")


@contextlib.contextmanager
def peer(rig, program, name):
    argv = {"fuse-zip": ["fuse-zip", "-r"], "archivemount": ["archivemount", "-o", "readonly"]}[program]
    where = rig.path(program)
    with peers.rclone(rig, name) as archive:
        rig.run(*argv, archive, where)
        try:
            yield where
        finally:
            subprocess.run(["umount", "-l", where], check=False, stderr=subprocess.DEVNULL)


def turns(rig, name, action):
    def ours():
        with rig.mount(name, write=True) as m:
            return timed(action, m.point)

    def theirs(program):
        def run():
            with peer(rig, program, name) as where:
                return timed(action, where)
        return run
    return ours, theirs("fuse-zip"), theirs("archivemount")


def one_small(rig):
    def ours():
        with contextlib.ExitStack() as stack:
            return timed(lambda: read_all(stack.enter_context(rig.mount("gib.zip", write=True)).path("small.txt")))

    def download():
        return timed(rig.run, "curl", "-sf", "-o", rig.path("tmp") + "/gib.zip", rig.service.url("plain/gib.zip"))
    return {"ours": ours, "download": download}


def measure(rig):
    folder, *files = packages(rig)
    for file in files:
        rig.service.add(os.path.basename(file), file)
    rig.service.serve_plain(folder)
    rounds = min(3, int(os.environ.get("ROUNDS", "3")))
    for what, name, action in (
            (f"tar c of {FILES} files", "many.zip", tar),
            ("one member of 500 MB", "large.zip", lambda where: read_all(where + "/large.txt"))):
        ours, fuse_zip, archivemount = turns(rig, name, action)
        got = alternate({"ours": ours, "fuse-zip": fuse_zip}, rounds)
        got["archivemount"] = [archivemount()]  # it never comes to its end: once is enough
        for program in ("fuse-zip", "archivemount"):
            yield Row(f"cold {what}, times faster", [1 / t for t in got["ours"]],
                      [1 / t for t in got[program]], "1/s", program + " over rclone", ">= 5", at_least(5))
    got = alternate(one_small(rig), rounds)
    yield Row("mount 1 GiB, read a small file", got["ours"], got["download"], "s", "download", "<= 0.05", at_most(0.05))
