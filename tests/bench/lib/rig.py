"""What a measure stands on: a folder, nginx as the storage service, an agent, mounts,
and the clean-up of all of it, by id. One Rig serves all measures of a run."""

import json
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import time

import images
import pool
import service

MIB = 1 << 20
GIB = 1 << 30

# Whatever the caller has set about accounts and proxies is not what is measured.
FOREIGN = ("CCP_", "AZURE_", "HPCPACK_", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
           "ALL_PROXY", "XDG_")


class Failure(Exception):
    """A measure can't be taken."""


def wait_for(seconds, condition, what):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Usage:
    """CPU seconds of what is run within, this process's finished children included."""

    def __enter__(self):
        self.before = self.now()
        return self

    def __exit__(self, *_):
        self.seconds = self.now() - self.before

    @staticmethod
    def now():
        u = resource.getrusage(resource.RUSAGE_CHILDREN)
        return u.ru_utime + u.ru_stime


def process_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid):
    """The most that a process ever had resident, bytes."""
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        for line in f:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise Failure(f"process {pid} has no VmHWM")


class Mount:
    """A mounted drive; unmounted when the scope ends."""

    def __init__(self, rig, point, pid):
        self.rig, self.point, self.pid = rig, point, pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.rig.unmount(self)

    def path(self, name="big.bin"):
        return os.path.join(self.point, name)


class Rig:
    def __init__(self, top, build):
        self.top, self.build = top, build
        self.dir = tempfile.mkdtemp(prefix="hpcpack-bench.", dir=os.environ.get("TMPDIR"))
        os.chmod(self.dir, 0o711)
        self.spawned, self.mounts, self.memory, self.cpu = [], [], [], {}
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(FOREIGN)}
        self.env.update(PATH=f"{build}:{os.environ['PATH']}:/usr/sbin:/sbin", LC_ALL="C.UTF-8",
                        HPCPACK_LIBEXEC=build, HPCPACK_AGENT=f"{self.dir}/run/agent.sock",
                        HPCPACK_CONFIG=f"{self.dir}/hpcpack.conf")
        self.images = images.Images(os.environ.get("HPCPACK_TEST_IMAGES", f"{build}/tests/images"),
                                    self.env)
        self.service = service.Service(self)
        self.agent = None
        with open(self.env["HPCPACK_CONFIG"], "w", encoding="utf-8") as f:
            f.write(f"[mount]\nroot = {self.dir}/root\n[account]\nca_file = {self.service.certificate()}\n")
        os.chmod(self.env["HPCPACK_CONFIG"], 0o600)

    # --- processes ---

    def run(self, *argv, timeout=120, **kw):
        """Run to the end; its stdout. A failure is a Failure with its last words."""
        p = subprocess.run(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, timeout=timeout, check=False, **kw)
        if p.returncode:
            raise Failure(f"{argv[0]}: {p.stderr.decode(errors='replace').strip()[-300:]}")
        return p.stdout.decode(errors="replace")

    def spawn(self, log, *argv):
        with open(os.path.join(self.dir, log), "ab") as out:
            p = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.spawned.append(p)
        return p

    @staticmethod
    def end(process, seconds=10):
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def path(self, name):
        """A folder of this run."""
        path = os.path.join(self.dir, name)
        os.makedirs(path, exist_ok=True)
        return path

    # --- drives ---

    def start_agent(self):
        if self.agent:
            return
        self.agent = self.spawn("agent.log", "hpcagentd", "--foreground", "--config",
                                self.env["HPCPACK_CONFIG"], "--runtime-dir", f"{self.dir}/run")
        wait_for(20, lambda: os.path.exists(f"{self.dir}/run/agent.sock"), "the agent's socket")

    def mount(self, blob, point="mnt", endpoint=None, write=False, options=None):
        """Mount a drive: a snapshot, or for writing the blob itself."""
        self.start_agent()
        where = self.path(point)
        argv = ["hpcpack", "mount", blob, where, "--container", "drives",
                "--connection-string", self.service.account(endpoint)]
        argv += [] if endpoint == "tls" else ["--use-http"]
        argv += [] if write else [f"--snapshot={service.SNAPSHOT}"]
        argv += ["-o", options] if options else []
        self.run(*argv)
        pid = next(m["pid"] for m in self.list_mounts() if m["mountpoint"] == where)
        mount = Mount(self, where, pid)
        self.mounts.append(mount)
        return mount

    def list_mounts(self):
        listed = json.loads(self.run("hpcpack", "mount", "--list", "--json"))
        return listed if isinstance(listed, list) else listed["mounts"]

    def unmount(self, mount):
        self.memory.append(peak_memory(mount.pid))
        self.mounts.remove(mount)
        self.run("hpcpack", "unmount", mount.point)
        pool.fill()  # what the kernel kept of the drive is free now, and not given back yet

    # --- the end ---

    def below(self, table):
        """Mount points (or loop devices' files) below our folder."""
        with open(table, encoding="utf-8") as f:
            points = [line.split()[4] for line in f]
        return sorted((p for p in points if p.startswith(self.dir + "/")), key=len, reverse=True)

    def loops(self):
        for name in os.listdir("/sys/block"):
            try:
                with open(f"/sys/block/{name}/loop/backing_file", encoding="utf-8") as f:
                    if f.read().startswith((self.dir + "/", self.images.dir + "/bench")):
                        yield f"/dev/{name}"
            except OSError:
                continue

    def close(self):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for mount in list(self.mounts):
            try:
                self.unmount(mount)
            except (Failure, OSError, subprocess.SubprocessError):
                pass
        if self.agent:
            self.end(self.agent, 30)
        for point in self.below("/proc/self/mountinfo"):
            subprocess.run(["umount", "-l", "--", point], check=False, stderr=subprocess.DEVNULL)
        for process in reversed(self.spawned):
            self.end(process)
        for device in self.loops():
            subprocess.run(["losetup", "-d", device], check=False, stderr=subprocess.DEVNULL)
        if os.environ.get("HPCPACK_TEST_KEEP"):
            print(f"# kept: {self.dir}")
        else:
            shutil.rmtree(self.dir, ignore_errors=True)
