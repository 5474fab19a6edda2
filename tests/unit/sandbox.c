#include <config.h>

#include "tests/unit/sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/mountinfo.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"

static char dir[PATH_MAX], build[PATH_MAX];
static pid_t noted[256];
static unsigned noted_count;
static bool private_fuse;

static void skip_all(const char *why)
{
	printf("1..0 # SKIP %s\n", why);
	exit(77);
}

void sandbox_require(void)
{
	const char *from_make = getenv("abs_top_builddir");

	if (geteuid() != 0)
		skip_all("needs root (mounts and loop devices)");
	if (access("/dev/loop-control", R_OK | W_OK) < 0)
		skip_all("no loop devices here");
	if (access("/dev/fuse", R_OK | W_OK) < 0)
		skip_all("no /dev/fuse here");
	if (!(from_make ? realpath(from_make, build) : getcwd(build, sizeof(build))))
		skip_all("no build folder");
}

/* In a mount namespace of its own: one that somebody else makes meanwhile would
 * take a copy of our mounts along and keep them, and their loop devices, alive. */
int sandbox_setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	char name[PATH_MAX];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -1;
	snprintf(name, sizeof(name), "%s/hpcpack-test-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	return mkdtemp(name) && realpath(name, dir) && chmod(dir, 0755) == 0 ? 0 : -1;
}

int sandbox_open_fuse(void)
{
	const char *node = sandbox_path("fuse");

	private_fuse = mknod(node, S_IFCHR | 0666, makedev(10, 229)) == 0 && chmod(node, 0666) == 0 &&
		       mount(node, "/dev/fuse", NULL, MS_BIND, NULL) == 0;
	return private_fuse ? 0 : -1;
}

const char *sandbox_dir(void)
{
	return dir;
}

const char *sandbox_path(const char *fmt, ...)
{
	static char ring[16][PATH_MAX];
	static unsigned next;
	char *out = ring[next++ % ARRAY_LEN(ring)];
	va_list ap;
	int n = snprintf(out, PATH_MAX, "%s/", dir);

	va_start(ap, fmt);
	vsnprintf(out + n, PATH_MAX - (size_t)n, fmt, ap);
	va_end(ap);
	return out;
}

const char *sandbox_program(const char *name)
{
	static char ring[4][PATH_MAX + 64];
	static unsigned next;
	char *out = ring[next++ % ARRAY_LEN(ring)];

	snprintf(out, sizeof(ring[0]), "%s/%s", build, name);
	return out;
}

int sandbox_try(const char *fmt, ...)
{
	char command[8192], whole[8192 + PATH_MAX + 64];
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	/* Standard output is the TAP stream. */
	snprintf(whole, sizeof(whole), "cd '%s' && { %s\n} >command.log 2>&1", dir, command);
	status = system(whole);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

void sandbox_run(const char *fmt, ...)
{
	char command[8192];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	if (sandbox_try("%s", command) != 0)
		fail_msg("%s: failed, see %s/command.log", command, dir);
}

void sandbox_need(const char *program)
{
	if (sandbox_try("PATH=$PATH:/usr/sbin:/sbin command -v %s", program) != 0)
		fail_msg("%s is not installed, and this test needs it: contrib/install-packages build run test",
			 program);
}

void sandbox_note_pid(pid_t pid)
{
	assert_true(pid > 1 && noted_count < ARRAY_LEN(noted));
	noted[noted_count++] = pid;
}

/* Each loop device with a file in the sandbox: `visit` gets its number. */
static int each_loop(void (*visit)(int number))
{
	DIR *block = opendir("/sys/block");
	struct dirent *entry;
	int number, count = 0;

	while (block && (entry = readdir(block))) {
		char path[64], file[PATH_MAX] = "";
		FILE *f;

		if (sscanf(entry->d_name, "loop%d", &number) != 1)
			continue;
		snprintf(path, sizeof(path), "/sys/block/loop%d/loop/backing_file", number);
		f = fopen(path, "re");
		if (f && fgets(file, sizeof(file), f) && !strncmp(file, dir, strlen(dir))) {
			count++;
			if (visit)
				visit(number);
		}
		if (f)
			fclose(f);
	}
	if (block)
		closedir(block);
	return count;
}

int sandbox_loops(void)
{
	return each_loop(NULL);
}

int sandbox_mounts(void)
{
	cleanup_buf struct buf list = BUF_INIT(65536);

	return mountinfo_below(dir, INT_MAX, &list);
}

bool sandbox_wait(bool (*ready)(void *arg), void *arg, unsigned ms)
{
	struct timespec now;
	int64_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 + ms;
	while (!ready(arg)) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 > end)
			return false;
		poll(NULL, 0, 10);
	}
	return true;
}

const char *sandbox_ext4(const char *name, unsigned mib)
{
	sandbox_run("mkdir -p tree && echo hello >tree/hello.txt && truncate -s %uM '%s' && "
		    "mkfs.ext4 -q -F -E root_owner=65534:65534 -L first -d tree '%s'",
		    mib, name, name);
	return sandbox_path("%s", name);
}

static void clear_loop(int number)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/dev/loop%d", number);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ioctl(fd, LOOP_CLR_FD, 0);
		close(fd);
	}
}

static int remove_it(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

int sandbox_teardown(void **state)
{
	for (unsigned i = 0; i < noted_count; i++)
		kill(noted[i], SIGKILL);
	/* Before the mounts: then their files lose the names that they are known by.
	 * Those in use go with their last user. */
	each_loop(clear_loop);
	for (int round = 0; sandbox_mounts() && round < 100; round++) {
		cleanup_buf struct buf list = BUF_INIT(65536);

		mountinfo_below(dir, 1, &list);
		umount2(buf_str(&list), MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	if (private_fuse)
		umount2("/dev/fuse", MNT_DETACH);
	if (getenv("SANDBOX_KEEP")) {
		fprintf(stderr, "kept: %s\n", dir);
		return 0;
	}
	return nftw(dir, remove_it, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
