"""What we are compared with: curl, rclone mount, nbdkit with nbdfuse, wrk."""

import concurrent.futures
import contextlib
import os
import subprocess

import rig as rigs

MIB = 1 << 20
PIECE = 4 * MIB


def curl_config(rig, url, size, upload=None):
    """A configuration for curl --parallel: `size` bytes in pieces of 4 MiB."""
    path = f"{rig.dir}/curl-{abs(hash((url, size, upload)))}.conf"
    with open(path, "w", encoding="utf-8") as f:
        for first in range(0, size, PIECE):
            f.write("next\n" if first else "")
            f.write(f'url="{url}"\noutput=/dev/null\nsilent\nfail\n')
            f.write(f'cacert="{rig.service.certificate()}"\n')
            f.write(f'upload-file="{upload}"\n' if upload else f"range={first}-{first + PIECE - 1}\n")
    return path


def curl(rig, config, connections=8):
    rig.run("curl", "--parallel", "--parallel-immediate", "--parallel-max", str(connections), "-K", config)


def read_start(path, size=None, block=MIB):
    """Read a file, or the first `size` bytes of it, from start to end, by dd."""
    argv = ["dd", f"if={path}", "of=/dev/null", f"bs={block}", "status=none"]
    if size:
        argv.append(f"count={size // block}")
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)


def read_part(path, number, size):
    subprocess.run(["dd", f"if={path}", "of=/dev/null", "bs=1M", f"skip={number * size // MIB}",
                    f"count={size // MIB}", "status=none"], check=True, stdin=subprocess.DEVNULL)


def together(parts):
    with concurrent.futures.ThreadPoolExecutor(len(parts)) as pool:
        for done in [pool.submit(read_part, *part) for part in parts]:
            done.result()


def write_file(rig, path):
    """1 GiB of bytes that are not zero (zeros need not be sent), out of memory, and fsync."""
    with open(rig.images.tree() + "/big.bin", "rb") as f:
        piece = f.read(PIECE)
    fd = os.open(path, os.O_WRONLY)
    try:
        for _ in range(rigs.GIB // PIECE):
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(fd, rest):]
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def rclone(rig, name="big.bin"):
    """A plain file, mounted by rclone."""
    where = rig.path("rclone")
    config = f"{rig.dir}/rclone.conf"
    with open(config, "w", encoding="utf-8"):
        pass
    process = rig.spawn("rclone.log", "rclone", "mount", "--config", config, "--http-url",
                        rig.service.url("plain/"), ":http:", where, "--read-only")
    try:
        rigs.wait_for(20, lambda: os.path.exists(f"{where}/{name}"), "rclone mount")
        yield f"{where}/{name}"
    finally:
        subprocess.run(["umount", "-l", where], check=False, stderr=subprocess.DEVNULL)
        rig.end(process)


@contextlib.contextmanager
def nbdfuse(rig):
    """One plain file, by nbdkit's curl plugin under nbdfuse."""
    where = rig.path("nbd")
    process = rig.spawn("nbdfuse.log", "nbdfuse", where, "--command", "nbdkit", "-s", "--exit-with-parent",
                        "curl", "url=" + rig.service.url("plain/big.bin"))
    try:
        rigs.wait_for(20, lambda: os.path.exists(f"{where}/nbd"), "nbdfuse")
        yield f"{where}/nbd"
    finally:
        subprocess.run(["umount", where], check=False, stderr=subprocess.DEVNULL)
        rig.end(process)
