#!/usr/bin/env python3
"""run.py - the benchmarks: `make bench`, or `make bench BENCH="seqread fsync"`.

Each file beside this one is a measure. NAME.py has a function measure(rig) that
yields rows (lib/measure.py); lib/rig.py is the rig: nginx, an agent, mounts. NAME.sh is a
script of its own that prints such rows as JSON, each in a line that starts with
"#bench "; whether it succeeds is a row too. ROUNDS=N sets the number of rounds
after the first, which is thrown away. The table goes to the terminal, everything else
with it to bench.json in the build folder. Exit status 1: a target was missed; 2: a
measure could not be taken.
"""

import glob
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = HERE + "/lib"  # measures may have any name, a module's too

import measure  # noqa: E402
import pool  # noqa: E402
import rig as rigs  # noqa: E402

NEEDED = ("nginx", "curl", "rclone", "nbdkit", "nbdfuse", "fuse-zip", "archivemount", "wrk", "fio", "openssl", "qemu-img", "mke2fs")
FIRST = ("seqread",)    # the rest by name
LAST = ("memory",)      # looks at what the others have used


def version(*argv):
    try:
        out = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
        return (out.stdout + out.stderr).strip().split("\n")[0]
    except OSError:
        return None


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    return {
        "cpu": model[0] if model else platform.machine(), "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(), "load": os.getloadavg(),
    }


def versions(build):
    return {
        "hpcpack": version(f"{build}/hpcpack", "--version"), "nginx": version("nginx", "-v"),
        "curl": version("curl", "--version"), "rclone": version("rclone", "--version"),
        "nbdkit": version("nbdkit", "--version"), "wrk": version("wrk", "-v"), "fio": version("fio", "--version"),
    }


def measures():
    """Name -> file."""
    found = {os.path.splitext(os.path.basename(f))[0]: f
             for f in glob.glob(HERE + "/*.py") + glob.glob(HERE + "/*.sh")}
    del found["run"]
    order = [n for n in FIRST if n in found]
    order += sorted(n for n in found if n not in FIRST + LAST)
    return {name: found[name] for name in order + [n for n in LAST if n in found]}


def run_python(name, file, rig):
    spec = importlib.util.spec_from_file_location("measure_" + name, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for row in module.measure(rig):
        yield row.as_json()


def run_script(name, file, rig):
    env = dict(os.environ, abs_top_srcdir=rig.top, abs_top_builddir=rig.build)
    out = subprocess.run(["bash", file], env=env, stdout=subprocess.PIPE, text=True, cwd=rig.build, check=False)
    for line in out.stdout.splitlines():
        if line.startswith("#bench "):
            yield json.loads(line[7:])
        elif line.startswith(("not ok", "Bail out!")):
            print(f"# {name}: {line}", file=sys.stderr)
    yield {"measure": f"{name}.sh", "target": "it passes", "met": out.returncode == 0}


def number(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}"


COLUMNS = "{:<46} {:>9} {:>9}  {:<7} {:>6}  {:<24} {}"


def show(row):
    ratio = row.get("ratio")
    print(COLUMNS.format(row["measure"] + (f" / {row['peer_name']}" if row.get("peer_name") else ""),
                         number(row.get("ours")), number(row.get("peer")), row.get("unit", ""),
                         f"{ratio:.2f}" if ratio is not None else "-", row["target"],
                         "met" if row["met"] else "NOT MET"), flush=True)
    if row.get("notes"):
        print(f"    {row['notes']}")


def take(name, file, rig, rows):
    """Take one measure; False if it could not be."""
    start = time.monotonic()
    try:
        for row in (run_python if file.endswith(".py") else run_script)(name, file, rig):
            rows.append(dict(row, bench=name))
            show(row)
    except (rigs.Failure, OSError, subprocess.SubprocessError) as e:
        print(f"# {name} could not be taken: {e}", flush=True)
        return False
    finally:
        print(f"# {name}: {time.monotonic() - start:.0f} s", file=sys.stderr)
    return True


def main():
    build = os.environ.get("abs_top_builddir", os.getcwd())
    top = os.environ.get("abs_top_srcdir", os.path.dirname(os.path.dirname(HERE)))
    wanted, known = sys.argv[1:], measures()
    for name in wanted:
        if name not in known:
            sys.exit(f"no measure '{name}'; there are: {' '.join(known)}")
    missing = [p for p in NEEDED if not version("sh", "-c", f"PATH=$PATH:/usr/sbin:/sbin command -v {p}")]
    if missing or os.geteuid():
        sys.exit(f"the benchmarks need root and {', '.join(missing) or 'nothing else'} "
                 "(contrib/install-packages bench)")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is ended then, too
    rows, taken = [], True
    pool.start()
    rig = rigs.Rig(top, build)
    result = {"machine": machine(), "versions": versions(build), "rounds": measure.rounds(), "rows": rows}
    try:
        print(COLUMNS.format("measure / peer", "ours", "peer", "unit", "ratio", "target", ""))
        for name, file in known.items():
            if not wanted or name in wanted:
                taken = take(name, file, rig, rows) and taken
    finally:
        rig.close()
        pool.stop()
        with open(f"{build}/bench.json", "w", encoding="utf-8") as f:
            json.dump(result, f, indent="\t")
            f.write("\n")
    print(f"# all rounds are in {build}/bench.json")
    return 2 if not taken else int(not all(row["met"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
