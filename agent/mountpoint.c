#include <config.h>

#include "agent/mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/as_user.h"
#include "agent/guard.h"
#include "agent/mountinfo.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"

struct look {
	const char *path;
	char *real;
	struct stat st;
	int why;
};

static void look(void *arg)
{
	struct look *l = arg;

	l->real = realpath(l->path, NULL);
	l->why = !l->real || stat(l->real, &l->st) < 0 ? errno : 0;
}

int mountpoint_check(const char *wanted, uid_t uid, gid_t gid, char **out, struct err *err)
{
	struct look l = { .path = wanted };
	struct mountinfo info;
	cleanup_free char *real = NULL;
	int rc;

	if (wanted[0] != '/')
		return err_set(err, ERR_USAGE, "mount point %s is not an absolute path", wanted);
	rc = as_user(uid, gid, look, &l);
	real = l.real;
	/* Before any complaint of stat: what is mounted there may be dead. A guard
	 * makes room. */
	if (mountinfo_at(real ? real : wanted, &info) && (geteuid() != 0 || !guard_is(&info)))
		return err_set(err, ERR_BUSY, "%s is already a mount point: %s is mounted there; "
			       "unmount that first, or take another place", wanted, info.source);
	if (rc || l.why == ENOENT)
		return err_set(err, rc ? ERR_SYSTEM : ERR_NOT_FOUND,
			       "mount point %s does not exist; create it with: mkdir -p %s", wanted,
			       wanted);
	if (l.why)
		return err_set_errno(err, l.why, "mount point %s", wanted);
	if (!S_ISDIR(l.st.st_mode))
		return err_set(err, ERR_USAGE, "mount point %s is not a directory", wanted);
	if (uid != 0 && l.st.st_uid != uid)
		return err_set(err, ERR_PERMISSION, "mount point %s belongs to another user; choose a "
			       "directory of your own", wanted);
	*out = steal_ptr(&real);
	return 0;
}

struct making {
	char *path;
	bool made;
	int why;
};

/* mkdir -p. Somebody may remove a parent between two steps (an unmount of its
 * last drive): then again. */
static void make(void *arg)
{
	struct making *m = arg;

	for (int attempt = 0; attempt < 10; attempt++) {
		m->why = 0;
		for (char *slash = strchr(m->path + 1, '/'); slash && !m->why;
		     slash = strchr(slash + 1, '/')) {
			*slash = '\0';
			if (mkdir(m->path, 0755) < 0 && errno != EEXIST)
				m->why = errno;
			*slash = '/';
		}
		if (m->why && m->why != ENOENT)
			return;
		if (mkdir(m->path, 0755) == 0) {
			m->made = true;
			return;
		}
		m->why = errno == EEXIST ? 0 : errno;
		if (m->why != ENOENT)
			return;
	}
}

/* A blob may be named "../../etc". */
static bool tame(const char *name)
{
	while (*name) {
		size_t len = strcspn(name, "/");

		if (len == 0 || (len == 1 && name[0] == '.') ||
		    (len == 2 && name[0] == '.' && name[1] == '.'))
			return false;
		name += len;
		if (*name == '/' && !*++name)
			return false;
	}
	return true;
}

static int default_root(const char *root, uid_t uid, struct buf *out, struct err *err)
{
	struct passwd pw, *found = NULL;
	char space[4096];

	if (root)
		return buf_addstr(out, root);
	if (uid == 0)
		return buf_addstr(out, "/mnt/hpcpack");
	getpwuid_r(uid, &pw, space, sizeof(space), &found);
	if (!found || pw.pw_dir[0] != '/')
		return err_set(err, ERR_USAGE, "user %u has no home directory; name a mount point",
			       (unsigned)uid);
	return buf_addf(out, "%s/hpcpack", pw.pw_dir);
}

int mountpoint_make(const char *root, const char *container, const char *blob, uid_t uid,
		    gid_t gid, char **out, bool *made, struct err *err)
{
	cleanup_buf struct buf path = BUF_INIT(PATH_MAX - 1);
	struct making m = { .path = NULL };
	size_t len = strlen(blob);
	int rc;

	if (len > 4 && !strcasecmp(blob + len - 4, ".vhd"))
		len -= 4;
	if (!tame(container) || (*blob && !tame(blob)))
		return err_set(err, ERR_USAGE, "%s/%s makes no folder name; name a mount point", container,
			       blob);
	if (default_root(root, uid, &path, err) < 0)
		return -1;
	if (*blob)
		buf_addf(&path, "/%s/%.*s", container, (int)len, blob);
	else
		buf_addf(&path, "/%s.d", container);
	if (path.failed)
		return err_set(err, ERR_USAGE, "%s/%s is too long for a folder name; name a mount point",
			       container, blob);
	m.path = path.data;
	rc = as_user(uid, gid, make, &m);
	if (rc || m.why)
		return err_set_errno(err, rc ? rc : m.why, "could not make the mount point %s", m.path);
	if (mountpoint_check(m.path, uid, gid, out, err) < 0) {
		if (m.made)
			mountpoint_remove(m.path, uid, gid);
		return -1;
	}
	*made = m.made;
	return 0;
}

static void take_away(void *arg)
{
	char *path = arg;
	char *slash;

	if (rmdir(path) < 0)
		return;
	slash = strrchr(path, '/');
	if (slash && slash != path) {
		*slash = '\0';
		rmdir(path);
	}
}

void mountpoint_remove(const char *path, uid_t uid, gid_t gid)
{
	cleanup_free char *copy = strdup(path);

	if (copy)
		as_user(uid, gid, take_away, copy);
}
