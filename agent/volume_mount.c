/*
 * The kernel's filesystem drivers, through libmount: it knows which options are
 * flags of mount(2) and which the filesystem's own.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/guard.h"
#include "agent/volume_priv.h"
#include "blob/base/buf.h"
#include "blob/base/cleanup.h"

static void free_contextp(struct libmnt_context **cxt)
{
	mnt_free_context(*cxt);
}
#define cleanup_context cleanup_with(free_contextp)

/* These would make mount(2) do something else than mount this device there. */
static int check_options(const struct volume_wish *w, struct err *err)
{
	static const char *const refused[] = { "loop", "offset", "sizelimit", "bind", "rbind",
					       "move", "remount", "suid", "dev", "helper",
					       "uhelper" };
	char *options = (char *)w->options, *name;
	size_t len;

	while (options && mnt_optstr_next_option(&options, &name, &len, NULL, NULL) == 0)
		for (size_t i = 0; i < ARRAY_LEN(refused); i++)
			if ((strlen(refused[i]) == len && !strncmp(name, refused[i], len)) ||
			    (len > 2 && !strncmp(name, "X-", 2)))
				return err_set(err, ERR_USAGE, "mount option %.*s is not for drives",
					       (int)len, name);
	return 0;
}

static int explain(const struct volume_wish *w, const struct volume_fs *fs, bool read_only,
		   int why, struct err *err)
{
	if (why == EINVAL && w->options && *w->options)
		return err_set(err, ERR_FORMAT, "%s: the kernel's %s driver refused the volume or one of "
			       "the options \"%s\"; the kernel log says why", w->what, fs->kernel,
			       w->options);
	if (why == EINVAL || why == EUCLEAN || why == EIO)
		return err_set(err, ERR_FORMAT, "%s: the kernel's %s driver could not mount the volume "
			       "(%s); mount with --raw and run fsck.%s on the disk", w->what, fs->kernel,
			       strerror(why), fs->type);
	if (read_only && (why == EROFS || why == EACCES))
		return err_set(err, ERR_READ_ONLY, "%s: the journal of its %s must be replayed first; "
			       "mount it once without -o ro, or use --snapshot", w->what, fs->type);
	return err_set_errno(err, why, "%s: could not mount the %s on %s", w->what, fs->type,
			     w->mountpoint);
}

/* Over a descriptor of the mount point: whoever owns a folder above it may have
 * put a symbolic link there since it was checked. */
static int mount_at(const struct volume_wish *w, const struct volume_fs *fs, const char *source,
		    const char *options, struct err *err)
{
	cleanup_context struct libmnt_context *cxt = mnt_new_context();
	cleanup_close int dir = open(w->mountpoint, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char target[64];
	int rc;

	if (dir < 0)
		return err_set_errno(err, errno, "mount point %s", w->mountpoint);
	snprintf(target, sizeof(target), "/proc/self/fd/%d", dir);
	if (!cxt || mnt_context_disable_canonicalize(cxt, 1) || mnt_context_disable_helpers(cxt, 1) ||
	    mnt_context_disable_mtab(cxt, 1) || mnt_context_set_source(cxt, source) ||
	    mnt_context_set_target(cxt, target) || mnt_context_set_fstype(cxt, fs->kernel) ||
	    mnt_context_set_options(cxt, options))
		return err_set(err, ERR_NO_MEMORY, "%s: out of memory", w->what);
	rc = mnt_context_mount(cxt);
	if (rc == 0)
		return 0;
	if (mnt_context_syscall_called(cxt) && mnt_context_get_syscall_errno(cxt))
		rc = -mnt_context_get_syscall_errno(cxt);
	return explain(w, fs, w->read_only, rc < 0 ? -rc : EINVAL, err);
}

int kernel_mount(const struct volume_wish *w, const struct volume_fs *fs, struct volume *v,
		 struct err *err)
{
	cleanup_buf struct buf options = BUF_INIT(8192);
	char source[32];
	struct stat st;

	if (check_options(w, err) < 0)
		return -1;
	loop_path(v->loop, source, sizeof(source));
	buf_addstr(&options, w->read_only || w->snapshot ? "ro" : "rw");
	if (fs->defaults)
		buf_addf(&options, ",%s", fs->defaults);
	if (w->options && *w->options)
		buf_addf(&options, ",%s", w->options);
	/* Last, so that nothing before can take them back. */
	buf_addstr(&options, ",nosuid,nodev");
	if (options.failed)
		return err_set(err, ERR_USAGE, "%s: the mount options are too long", w->what);
	guard_lower(w->mountpoint);
	if (mount_at(w, fs, source, buf_str(&options), err) < 0)
		return -1;
	if (stat(w->mountpoint, &st) == 0)
		v->device = st.st_dev;
	return 0;
}
