/* reader_file.c - a package in a local file. */
#include <config.h>

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pack/reader.h"

static int file_read(const struct pack_reader *r, uint64_t offset, void *data, size_t len,
		     struct err *err)
{
	const struct pack_file *f = (const struct pack_file *)r;
	char *to = data;

	while (len) {
		ssize_t n = pread(f->fd, to, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set_errno(err, errno, "%s: can't be read", r->name);
		if (!n)
			return err_set(err, ERR_RANGE, "%s: ends at byte %llu; was it changed while it was read?",
				       r->name, (unsigned long long)offset);
		to += n;
		len -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

int pack_file_init(struct pack_file *f, const char *name, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_set_errno(err, errno, "%s", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_USAGE, "%s: not a regular file", name);
	f->reader = (struct pack_reader){ .name = name, .size = (uint64_t)st.st_size, .read = file_read };
	f->fd = fd;
	return 0;
}
