#include <config.h>

#include "blob/upload_plan.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "blob/ops.h"

/* A gap this long is worth a request of its own in any case. */
#define MAX_GAP 65536u

static bool is_zero_page(const unsigned char *page)
{
	static const unsigned char zeros[BLOB_PAGE];

	return !memcmp(page, zeros, BLOB_PAGE);
}

static bool worth_joining(const struct upload_economy *e, uint32_t gap)
{
	return gap < MAX_GAP && (e->zeros + gap) * 16 <= e->data;
}

size_t upload_plan(const void *data, size_t len, struct upload_economy *economy,
		   struct upload_piece *out)
{
	const unsigned char *bytes = data;
	uint32_t at = 0;
	size_t count = 0;

	while (at < len) {
		uint32_t start, gap;

		while (at < len && is_zero_page(bytes + at))
			at += BLOB_PAGE;
		start = at;
		while (at < len && !is_zero_page(bytes + at))
			at += BLOB_PAGE;
		if (at == start)
			break;
		economy->data += at - start;
		gap = count ? start - (out[count - 1].offset + out[count - 1].len) : MAX_GAP;
		if (worth_joining(economy, gap)) {
			economy->zeros += gap;
			out[count - 1].len = at - out[count - 1].offset;
		} else {
			out[count++] = (struct upload_piece){ .offset = start, .len = at - start };
		}
	}
	return count;
}

int upload_next_extent(int fd, const char *path, uint64_t from, uint64_t size,
		       uint64_t *start, uint64_t *end, struct err *err)
{
	off_t data, hole;

	if (from >= size)
		return 0;
	data = lseek(fd, (off_t)from, SEEK_DATA);
	if (data < 0 && errno == ENXIO)
		return 0;
	if (data < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
		data = (off_t)from;
		hole = (off_t)size;
	} else {
		hole = data < 0 ? -1 : lseek(fd, data, SEEK_HOLE);
	}
	if (hole < 0)
		return err_set_errno(err, errno, "%s: can't find its holes", path);
	if ((uint64_t)data >= size)
		return 0;
	if ((uint64_t)hole > size)
		hole = (off_t)size;
	*start = (uint64_t)data / BLOB_PAGE * BLOB_PAGE;
	if (*start < from)
		*start = from;
	*end = ((uint64_t)hole + BLOB_PAGE - 1) / BLOB_PAGE * BLOB_PAGE;
	return 1;
}
