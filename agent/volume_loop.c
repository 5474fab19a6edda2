/*
 * Loop devices: how the kernel's filesystem drivers get at the worker's `disk`.
 */
#include <config.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/as_user.h"
#include "agent/volume_priv.h"
#include "blob/base/cleanup.h"
#include "blob/base/log.h"

/* Others take loop devices too: a free one may be taken between two calls. */
#define ATTEMPTS 64

void loop_path(int number, char *out, size_t size)
{
	snprintf(out, size, "/dev/loop%d", number);
}

int loop_attribute(int number, const char *name, char *out, size_t size)
{
	cleanup_close int fd = -1;
	char path[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/block/loop%d/%s", number, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, out, size - 1);
	if (n < 0)
		return -1;
	out[n] = '\0';
	return 0;
}

static uint64_t sequence(int number)
{
	char text[32];

	return loop_attribute(number, "diskseq", text, sizeof(text)) < 0 ? 0
									  : strtoull(text, NULL, 10);
}

struct configuring {
	int fd, rc, why;
	const struct loop_config *config;
};

static void configure(void *arg)
{
	struct configuring *c = arg;

	c->rc = ioctl(c->fd, LOOP_CONFIGURE, c->config);
	c->why = errno;
}

/* The kernel asks the file for its size in the name of the caller, and one of a
 * user's FUSE mount answers to nobody but that user: the device would be empty. */
static int configure_free(int control, const struct volume_wish *w,
			  const struct loop_config *config, int *number)
{
	struct configuring c = { .config = config, .rc = -1 };
	char path[32];
	int rc;

	*number = ioctl(control, LOOP_CTL_GET_FREE);
	if (*number < 0)
		return -1;
	loop_path(*number, path, sizeof(path));
	c.fd = open(path, (config->info.lo_flags & LO_FLAGS_READ_ONLY ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (c.fd < 0)
		return -1;
	errno = as_user(w->uid, w->gid, configure, &c);
	if (c.rc == 0)
		return c.fd;
	rc = errno ? errno : c.why;
	close(c.fd);
	errno = rc;
	return -1;
}

static void check_direct(int fd, const char *what)
{
	struct loop_info64 info;

	if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && !(info.lo_flags & LO_FLAGS_DIRECT_IO))
		log_warn("%s: the loop device does not do direct I/O; it will be slow", what);
}

int loop_attach(const struct volume_wish *w, int disk_fd, const struct volume_part *part,
		struct volume *v, struct err *err)
{
	bool read_only = w->read_only && !w->snapshot;
	const char *what = w->what;
	cleanup_close int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	cleanup_close int fd = -1;
	struct loop_config config = { .fd = (uint32_t)disk_fd, .block_size = 512 };

	if (control < 0)
		return err_set_errno(err, errno, "%s: no loop devices here: /dev/loop-control", what);
	config.info.lo_offset = part->offset;
	config.info.lo_sizelimit = part->number ? part->size : 0;
	config.info.lo_flags = LO_FLAGS_DIRECT_IO | (read_only ? LO_FLAGS_READ_ONLY : 0);
	snprintf((char *)config.info.lo_file_name, sizeof(config.info.lo_file_name), "%s", what);
	for (int i = 0; fd < 0 && i < ATTEMPTS; i++) {
		fd = configure_free(control, w, &config, &v->loop);
		if (fd < 0 && errno != EBUSY && errno != ENXIO)
			break;
	}
	if (fd < 0) {
		v->loop = -1;
		return err_set_errno(err, errno, "%s: could not attach a loop device", what);
	}
	v->loop_sequence = sequence(v->loop);
	check_direct(fd, what);
	loop_tune(v, !w->read_only && !w->snapshot);
	return 0;
}

void loop_let_go(const struct volume *v)
{
	cleanup_close int fd = -1;
	struct loop_info64 info;
	char path[32];

	loop_path(v->loop, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, LOOP_GET_STATUS64, &info) < 0)
		return;
	info.lo_flags |= LO_FLAGS_AUTOCLEAR;
	if (ioctl(fd, LOOP_SET_STATUS64, &info) < 0)
		log_warn("%s: will not go by itself when it is unmounted: %s", path, strerror(errno));
}

/* The sequence number belongs to the device, also before and after it is
 * attached; the name of the file behind it is there only while it is. */
bool loop_attached(const struct volume *v)
{
	char file[4200];

	return v->loop >= 0 && loop_attribute(v->loop, "loop/backing_file", file, sizeof(file)) == 0 &&
	       sequence(v->loop) == v->loop_sequence;
}

void loop_find(const char *dir, struct volume *v)
{
	DIR *block = opendir("/sys/block");
	struct dirent *entry;
	char file[4200];
	size_t len = strlen(dir);
	int number;

	while (block && v->loop < 0 && (entry = readdir(block)))
		if (sscanf(entry->d_name, "loop%d", &number) == 1 &&
		    loop_attribute(number, "loop/backing_file", file, sizeof(file)) == 0 &&
		    !strncmp(file, dir, len) && file[len] == '/') {
			v->loop = number;
			v->loop_sequence = sequence(number);
		}
	if (block)
		closedir(block);
}

int loop_open(const struct volume *v)
{
	cleanup_close int fd = -1;
	char path[32];

	if (!loop_attached(v))
		return -1;
	loop_path(v->loop, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		log_warn("%s: %s", path, strerror(errno));
	/* It may have gone by itself meanwhile. */
	return fd >= 0 && loop_attached(v) ? steal_fd(&fd) : -1;
}

void loop_detach(const struct volume *v)
{
	cleanup_close int fd = loop_open(v);

	if (fd < 0)
		return;
	loop_untune(v);
	/* With other users this makes the kernel detach it after the last one. */
	if (ioctl(fd, LOOP_CLR_FD, 0) < 0 && errno != ENXIO)
		log_warn("/dev/loop%d: could not detach: %s", v->loop, strerror(errno));
}
