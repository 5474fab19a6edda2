"""The images that are measured with, made once per build folder."""

import fcntl
import os
import subprocess

MIB = 1 << 20


class Images:
    def __init__(self, folder, env):
        self.dir, self.env = os.path.abspath(folder), env
        os.makedirs(self.dir, exist_ok=True)

    def cached(self, name, make):
        """The path of a file that make(path) makes, unless it is there already."""
        path = os.path.join(self.dir, name)
        with open(path + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(path):
                part = path + ".part"
                subprocess.run(["rm", "-rf", part], check=True)
                make(part)
                os.rename(part, path)
        return path

    def run(self, *argv, **kw):
        subprocess.run(argv, env=self.env, check=True, stdout=subprocess.DEVNULL, **kw)

    def noise(self, path, size, seed):
        """Bytes that look random and are the same each time."""
        with open(path, "wb") as out, subprocess.Popen(
                ["head", "-c", str(size), "/dev/zero"], stdout=subprocess.PIPE) as zeros:
            subprocess.run(["openssl", "enc", "-aes-128-ctr", "-nosalt", "-pass", f"pass:{seed}",
                            "-pbkdf2", "-iter", "1"], stdin=zeros.stdout, stdout=out,
                           stderr=subprocess.DEVNULL, check=True)

    def to_vhd(self, raw, vhd):
        self.run("qemu-img", "convert", "-q", "-f", "raw", "-O", "vpc", "-o",
                 "subformat=fixed,force_size=on", raw, vhd)
        os.unlink(raw)

    # --- the files, and the drive that holds them ---

    def tree(self):
        """big.bin of 1 GiB, one.bin and two.bin of 512 MiB."""
        def make(path):
            os.mkdir(path)
            for name, mib in (("big", 1024), ("one", 512), ("two", 512)):
                self.noise(f"{path}/{name}.bin", mib * MIB, name)
        return self.cached("bench-files", make)

    def drive(self):
        tree = self.tree()

        def make(path):
            self.run("truncate", "-s", "2300M", path + ".raw")
            self.run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, path + ".raw")
            self.to_vhd(path + ".raw", path)
        return self.cached("bench-drive.vhd", make)
