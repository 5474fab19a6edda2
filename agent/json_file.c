#include <config.h>

#include "agent/json_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blob/base/cleanup.h"

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

int json_file_write(const char *folder, const char *name, const json_t *obj, struct err *err)
{
	cleanup_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	cleanup_close int fd = -1;
	cleanup_free char *text = json_dumps(obj, JSON_INDENT(1) | JSON_SORT_KEYS);
	cleanup_free char *fresh = NULL;

	if (asprintf(&fresh, "%s.new", name) < 0)
		fresh = NULL;
	if (!text || !fresh)
		return err_set(err, ERR_NO_MEMORY, "%s/%s: out of memory", folder, name);
	if (dir >= 0) {
		unlinkat(dir, fresh, 0);
		fd = openat(dir, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	if (fd < 0 || write_all(fd, text, strlen(text)) < 0 || renameat(dir, fresh, dir, name) < 0)
		return err_set_errno(err, errno, "%s/%s", folder, name);
	return 0;
}

static ssize_t read_all(int fd, char *text, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size && (n = read(fd, text + have, size - have)) != 0) {
		if (n < 0 && errno != EINTR)
			return -1;
		have += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)have;
}

json_t *json_file_read(const char *path, size_t max, struct err *err)
{
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	cleanup_free char *text = NULL;
	json_t *obj = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		err_set_errno(err, errno, "%s", path);
		return NULL;
	}
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || st.st_nlink != 1) {
		err_set(err, ERR_PERMISSION, "%s was not written by this agent's user", path);
		return NULL;
	}
	if (st.st_size > 0 && (uintmax_t)st.st_size <= max) {
		text = malloc((size_t)st.st_size);
		n = text ? read_all(fd, text, (size_t)st.st_size) : -1;
		obj = n > 0 ? json_loadb(text, (size_t)n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	}
	if (!obj)
		err_set(err, ERR_FORMAT, "%s is not a record that an agent writes", path);
	return obj;
}
