#include <config.h>

#include "fs/fuse_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "blob/base/buf.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"
#include "fs/loop.h"

#define DEFAULT_THREADS 4
#define MAX_HELD (8u << 20) /* writes that wait; more of them wait in the kernel */
#define RETRY_MS 100
#define END_MS 1000 /* from unmounting to the end of the threads */

struct fuse_mount {
	char *dir;
	struct fuse_session *se;
	struct loop *loop;
	bool mounted, stopped;
	bool detached; /* unmounted by us */
	bool gone;     /* the kernel has ended the connection */
};

extern char **environ;

/* --- what libfuse says goes to the log, its last word also into our error --- */

static pthread_mutex_t said_lock = PTHREAD_MUTEX_INITIALIZER;
static char said[256];

static void on_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));
static void on_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[sizeof(said)];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = '\0';
	if (level > FUSE_LOG_WARNING) {
		log_debug("libfuse: %s", text);
		return;
	}
	log_warn("libfuse: %s", text);
	pthread_mutex_lock(&said_lock);
	memcpy(said, text, sizeof(said));
	pthread_mutex_unlock(&said_lock);
}

static int said_error(struct err *err, const char *what)
{
	pthread_mutex_lock(&said_lock);
	err_set(err, ERR_SYSTEM, "%s: %s", what, *said ? said : "fusermount3 refused (its reason is in the log)");
	pthread_mutex_unlock(&said_lock);
	return -1;
}

/* --- mount --- */

/* libfuse's own words for this are of no help to a person. */
static int check_device(struct err *err)
{
	cleanup_close int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return 0;
	switch (errno) {
	case ENOENT:
		return err_set(err, ERR_UNSUPPORTED, "/dev/fuse is missing: load the fuse module "
			       "(modprobe fuse), or give this container the device");
	case ENODEV:
	case ENXIO:
		return err_set(err, ERR_UNSUPPORTED, "/dev/fuse has no driver: load the fuse module (modprobe fuse)");
	case EACCES:
	case EPERM:
		return err_set(err, ERR_PERMISSION, "/dev/fuse may not be opened by uid %u: let it (its mode should "
			       "be 0666), or give this container the device", (unsigned)geteuid());
	default:
		return err_set_errno(err, errno, "can't open /dev/fuse");
	}
}

/* In an option list a comma ends the option; a blob's name may hold one. */
static void add_escaped(struct buf *b, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == ',' || c == '\\' || c == '%' || c < 0x20 || c == 0x7f)
			buf_addf(b, "%%%02X", c);
		else
			buf_add(b, text, 1);
	}
}

static struct fuse_session *new_session(const struct fuse_mount_options *o, struct err *err)
{
	cleanup_buf struct buf list = BUF_INIT(16384);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fuse_session *se = NULL;

	buf_addstr(&list, "fsname=hpcpack:");
	add_escaped(&list, o->source);
	buf_addf(&list, ",subtype=hpcpack,nosuid,nodev,default_permissions,max_read=%u%s%s", o->max_io,
		 o->allow_other ? ",allow_other" : "", o->extra);
	if (list.failed || fuse_opt_add_arg(&args, o->program) < 0 ||
	    fuse_opt_add_arg(&args, "-o") < 0 || fuse_opt_add_arg(&args, list.data) < 0)
		err_set(err, ERR_NO_MEMORY, "out of memory for the FUSE session");
	else
		se = fuse_session_new(&args, o->ops, sizeof(*o->ops), o->userdata);
	if (!se && !list.failed)
		said_error(err, "can't make a FUSE session");
	fuse_opt_free_args(&args);
	return se;
}

static int mount_at(struct fuse_mount *f, const struct fuse_mount_options *o, struct err *err)
{
	pthread_mutex_lock(&said_lock);
	said[0] = '\0';
	pthread_mutex_unlock(&said_lock);
	if (fuse_session_mount(f->se, f->dir) == 0) {
		f->mounted = true;
		return 0;
	}
	said_error(err, "can't mount FUSE");
	err_prefix(err, "%s", f->dir);
	if (o->allow_other && geteuid() != 0)
		err_append(err, "; allow_other needs user_allow_other in /etc/fuse.conf");
	return -1;
}

struct fuse_mount *fuse_mount_new(const struct fuse_mount_options *o, struct err *err)
{
	struct loop_options loop = { .threads = o->threads ? o->threads : DEFAULT_THREADS, .spare = o->spare,
				     .max_held = MAX_HELD, .max_write = o->max_io, .ended = o->ended, .arg = o->arg };
	struct fuse_mount *f;

	if (check_device(err) < 0)
		return NULL;
	f = calloc(1, sizeof(*f));
	if (!f || !(f->dir = strdup(o->dir))) {
		free(f);
		err_set(err, ERR_NO_MEMORY, "out of memory for the FUSE mount");
		return NULL;
	}
	fuse_set_log_func(on_fuse_log);
	f->se = new_session(o, err);
	if (!f->se || mount_at(f, o, err) < 0)
		goto failed;
	f->loop = loop_start(f->se, &loop, err);
	if (f->loop)
		return f;
failed:
	fuse_mount_free(f);
	return NULL;
}

struct fuse_session *fuse_mount_session(struct fuse_mount *f)
{
	return f->se;
}

void fuse_mount_read_ahead(const struct fuse_mount *f, unsigned kib)
{
	cleanup_close int fd = -1;
	char path[64];
	struct stat st;

	if (geteuid() != 0 || stat(f->dir, &st) < 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || dprintf(fd, "%u\n", kib) < 0)
		log_debug("%s: the kernel's read-ahead stays as it is: %s: %s", f->dir, path, strerror(errno));
}

/* --- and back --- */

static bool run_fusermount(const char *dir)
{
	char *argv[] = { (char []) { "fusermount3" }, (char []) { "-u" }, (char []) { "-q" },
			 (char []) { "--" }, (char *)dir, NULL };
	int status = -1;
	pid_t pid;

	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ) != 0)
		return false;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Not lazily, and while our threads serve: pages of a shared mapping may have to be
 * written before the mount can go. False: in use. */
static bool try_unmount(const char *dir)
{
	if (umount2(dir, UMOUNT_NOFOLLOW) == 0)
		return true;
	return errno == EPERM && run_fusermount(dir);
}

bool fuse_mount_unmount(struct fuse_mount *f, unsigned grace_ms)
{
	unsigned waited = 0;

	if (f->stopped || !f->loop)
		return f->gone;
	f->stopped = true;
	for (;;) {
		f->gone = loop_ended(f->loop, 0);
		if (f->gone)
			break;
		f->detached = try_unmount(f->dir);
		if (f->detached || waited >= grace_ms)
			break;
		loop_ended(f->loop, RETRY_MS);
		waited += RETRY_MS;
	}
	/* Out of the tree here; another mount namespace may still have a copy. */
	if (f->detached)
		f->gone = loop_ended(f->loop, END_MS);
	loop_stop(f->loop);
	return f->gone;
}

void fuse_mount_free(struct fuse_mount *f)
{
	fuse_mount_unmount(f, 0);
	if (f->loop)
		loop_free(f->loop);
	/* What is still in use is detached now, and its connection closed: whoever has
	 * the file open gets errors. What is not there libfuse must not unmount. */
	if (f->mounted && (f->gone || !f->detached))
		fuse_session_unmount(f->se);
	if (f->se)
		fuse_session_destroy(f->se);
	free(f->dir);
	free(f);
}
