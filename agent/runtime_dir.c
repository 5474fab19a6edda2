#include <config.h>

#include "agent/runtime_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

char *runtime_dir_default(struct err *err)
{
	const char *xdg = getenv("XDG_RUNTIME_DIR");
	char *out = NULL, run[64];
	int rc;

	if (geteuid() == 0) {
		rc = asprintf(&out, "%s/hpcpack", HPCPACK_RUNSTATEDIR);
	} else if (xdg && xdg[0] == '/') {
		rc = asprintf(&out, "%s/hpcpack", xdg);
	} else {
		snprintf(run, sizeof(run), "/run/user/%u", (unsigned)geteuid());
		if (access(run, W_OK | X_OK) < 0) {
			err_set(err, ERR_USAGE, "there is no XDG_RUNTIME_DIR, where the agent's socket would "
				"be; set it to a folder of your own, or name a socket with --agent-socket");
			return NULL;
		}
		rc = asprintf(&out, "%s/hpcpack", run);
	}
	if (rc < 0) {
		err_set(err, ERR_NO_MEMORY, "out of memory");
		return NULL;
	}
	return out;
}

/* mkdir -p, the last one with `mode`. */
static int make_all(const char *path, mode_t mode)
{
	cleanup_free char *copy = strdup(path);

	if (!copy)
		return -1;
	for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -1;
		*slash = '/';
	}
	return mkdir(copy, mode) < 0 && errno != EEXIST ? -1 : 0;
}

static int check(const char *path, bool shared, struct err *err)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return err_set_errno(err, errno, "runtime directory %s", path);
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ERR_USAGE, "runtime directory %s is not a directory", path);
	if (st.st_uid != geteuid() || (st.st_mode & 0022))
		return err_set(err, ERR_PERMISSION, "runtime directory %s must belong to the agent's user and "
			       "be writable to nobody else", path);
	if (shared && (st.st_mode & 0011) != 0011 && chmod(path, (st.st_mode & 07777) | 0011) < 0)
		return err_set_errno(err, errno, "runtime directory %s", path);
	return 0;
}

static int take_lock(const char *dir, struct err *err)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	char pid[32] = "";

	if (asprintf(&path, "%s/agent.lock", dir) < 0) {
		path = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set_errno(err, errno, "%s", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return err_set_errno(err, errno, "%s", path);
		if (pread(fd, pid, sizeof(pid) - 1, 0) < 0)
			pid[0] = '\0';
		pid[strcspn(pid, "\n")] = '\0';
		return err_set(err, ERR_BUSY, "another agent (pid %s) runs in %s", pid[0] ? pid : "unknown",
			       dir);
	}
	snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, pid, strlen(pid), 0) < 0)
		return err_set_errno(err, errno, "%s", path);
	return steal_fd(&fd);
}

int runtime_dir_take(const char *path, bool shared, char **real, struct err *err)
{
	cleanup_free char *absolute = NULL;
	cleanup_free char *mounts = NULL;
	cleanup_close int lock = -1;

	if (make_all(path, shared ? 0711 : 0700) < 0)
		return err_set_errno(err, errno, "could not make the runtime directory %s", path);
	absolute = realpath(path, NULL);
	if (!absolute)
		return err_set_errno(err, errno, "runtime directory %s", path);
	if (check(absolute, shared, err) < 0)
		return -1;
	lock = take_lock(absolute, err);
	if (lock < 0)
		return -1;
	if (asprintf(&mounts, "%s/mounts", absolute) < 0) {
		mounts = NULL;
		return err_set(err, ERR_NO_MEMORY, "out of memory");
	}
	if (mkdir(mounts, shared ? 0711 : 0700) < 0 && errno != EEXIST)
		return err_set_errno(err, errno, "%s", mounts);
	if (check(mounts, shared, err) < 0)
		return -1;
	*real = steal_ptr(&absolute);
	return steal_fd(&lock);
}
