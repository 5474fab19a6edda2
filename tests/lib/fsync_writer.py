"""Write small files with fsync, one after the other, until something fails; the
number of each is printed once it is durable. FOLDER SEED FIRST; with `check`
after them: compare all files 0..N-1 acknowledged on stdin instead.

The folder is opened once: whatever happens at its path, nothing is written into
what another mount, or its end, shows there."""
import os
import random
import sys

folder, seed, first = sys.argv[1], sys.argv[2], int(sys.argv[3])


def content(number):
    rng = random.Random(f"{seed}/{number}")
    return rng.randbytes(rng.choice((1, 511, 512, 4096, 5000, 20000, 70000)))


def write(dirfd, name, data):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=dirfd)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)
    os.fsync(dirfd)


if sys.argv[4:] == ["check"]:
    wrong = 0
    numbers = [int(line) for line in sys.stdin]
    for number in numbers:
        try:
            with open(f"{folder}/file-{number}", "rb") as f:
                same = f.read() == content(number)
        except OSError as e:
            print(f"file-{number}: {e}")
            same = False
        if not same:
            print(f"file-{number}: not what was acknowledged")
            wrong += 1
    print(f"{len(numbers)} files, {wrong} wrong")
    sys.exit(wrong != 0)

try:
    dirfd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    while True:
        write(dirfd, f"file-{first}", content(first))
        print(first, flush=True)
        first += 1
except OSError as e:
    print(e, file=sys.stderr)
